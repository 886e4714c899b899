"""Damages files and stops commands at random moments, and counts how the commands end.

    python -m benchmarks.faults                                  # every part
    python -m benchmarks.faults bundle-flips --count 50 --seed 3   # one part
    python -m benchmarks.faults kills interrupts --count 50

A case ends well if the result is that of the undamaged files ("same"), or if the command says in a
few lines what is wrong ("refused"). All else is a fault: a traceback, another result without a
word ("changed"), no end within the time limit ("hang"), a result that cannot be made any more
("lost"). Every fault is printed with its seed; the exit code is 1 if there are any.

The small dataset and run that are damaged are made once in OUT.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import time

from benchmarks.faults import bundles, material, preparation, processes, runs

PARTS = {  # name -> function of (material, count, seed) that yields cases, default count
    "bundle-flips": (bundles.flips, 200),
    "bundles": (bundles.hostile, 133),
    "runs": (runs.damaged, 55),
    "data-flips": (preparation.flips, 200),
    "manifests": (preparation.manifests, 150),
    "landmark-files": (preparation.landmark_files, 150),
    "media": (preparation.media, 159),
    "kills": (processes.kills, 50),
    "interrupts": (processes.interrupts, 200),
    "storage": (processes.full_disk, 11),
    "writers": (processes.two_writers, 6),
}
WELL = {"same", "refused"}
EVERY = 30.0  # seconds between lines of progress


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 without a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all"
    )
    parser.add_argument("--count", type=int, help="cases of each part; default: its own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/faults"))
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part {sorted(unknown)[0]!r}; there are {', '.join(PARTS)}")
    made = material.make(options.out.absolute())
    faults = 0
    for name in options.parts or PARTS:
        part, count = PARTS[name]
        faults += _run(name, part(made, options.count or count, options.seed))
    return 1 if faults else 0


def _run(name: str, cases) -> int:
    """Runs the cases of a part; prints its faults and its counts, returns the number of faults."""
    counts, started = collections.Counter(), time.monotonic()
    told = started
    for case in cases:
        counts[case.end] += 1
        if time.monotonic() - told > EVERY:
            told = time.monotonic()
            print(f"{name}: {sum(counts.values())} cases ...", flush=True)
        if case.end not in WELL:
            print(f"{name}: {case.end}: {case.what}\n{case.output}", flush=True)
    ends = ", ".join(f"{count} {end}" for end, count in counts.most_common())
    seconds = time.monotonic() - started
    print(f"{name}: {sum(counts.values())} cases, {ends}; {seconds:.0f} s", flush=True)
    return sum(count for end, count in counts.items() if end not in WELL)


if __name__ == "__main__":
    sys.exit(main())
