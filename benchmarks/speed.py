"""Speed and memory of every system against its PyTorch mirror, or against another checkout.

    python -m benchmarks.speed                              # everything: 2 CPU cores, an hour
    python -m benchmarks.speed st_bln pst_bln --rows T=4    # some systems, some rows: 6 minutes
    python -m benchmarks.speed stc_nlstm --rows memory      # memory of the compiled training step
    python -m benchmarks.speed search                       # whole stages of a PST-BLN search
    python -m benchmarks.speed st_bln --rows T=4 --against ../before --repeats 15

Both sides use all cores of the same machine (or its GPU) and are timed in turns, after one call
that is not timed, so that changes in the machine's speed affect both. The table has medians and, in
brackets, the fastest and the slowest call. A mirror with convolutions over pixels runs in both
memory layouts, and the faster one counts; bfloat16 is its autocast. A step is the loss, its
gradients and SGD with momentum and weight decay. Ours is the program of `run.py`: a step is one of
the K steps of a call.

With `--against` a checkout of another commit (`git worktree add ../before COMMIT`) replaces the
mirror, in a separate process; checkouts before this harness can time steps and MC dropout of st_bln
and pst_bln. For a GPU see `python -m benchmarks.gpu`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import pathlib
import statistics

import jax
import torch

from benchmarks import against, memory, search, sides
from benchmarks.pairs import SYSTEMS
from benchmarks.rows import ROWS, Row

TIMED = ("forward", "step", "mc")


def make_ours(row: Row, dtype: str) -> sides.Ours:
    """Compiles ours for one row."""
    ours = sides.Ours(SYSTEMS[row.system](**row.options), row.batch, row.steps, dtype)
    if row.what == "mc":  # compiles when it is first called
        return ours.prepare()
    return ours.prepare(**{row.what: getattr(ours, f"compile_{row.what}")()})


def make_mirrors(row: Row, dtype: str) -> dict[str, sides.Mirror]:
    """Makes the mirror in each memory layout."""
    pair = SYSTEMS[row.system](**row.options | row.mirror)
    layouts = {"channels first": torch.contiguous_format}
    if pair.channels_last != torch.contiguous_format:
        layouts["channels last"] = pair.channels_last
    return {name: sides.Mirror(pair, row.batch, 1, dtype, each) for name, each in layouts.items()}


def measure(row: Row, options: argparse.Namespace) -> str:
    """Times one row; returns its line of the table."""
    with contextlib.ExitStack() as stack:
        if options.against:
            other = stack.enter_context(against.Checkout(options.against, row, options.dtype))
            others = {options.against.name: other}
        else:
            others = make_mirrors(row, options.dtype)
        both = {**others, "ours": make_ours(row, options.dtype)}
        times = sides.in_turns(both, row.what, options.repeats or row.repeats)
    ours = times.pop("ours")
    (best, name), *slower = sorted((statistics.median(each), name) for name, each in times.items())
    layouts = f", {name}" if slower else ""
    layouts += "".join(f"; {other} {1e3 * value:.4g}" for value, other in slower)
    goal = f"{row.goal:.1f}" if row.goal and not options.against else "-"
    return (
        f"| {row.name} | {_milliseconds(times[name])}{layouts} | {_milliseconds(ours)} "
        f"| {best / statistics.median(ours):.2f} | {goal} |"
    )


def _milliseconds(seconds: list[float]) -> str:
    """Formats the median (fastest to slowest)."""
    values = statistics.median(seconds), min(seconds), max(seconds)
    return "{:.4g} ({:.4g} to {:.4g})".format(*(1e3 * value for value in values))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=", ".join(ROWS))
    parser.add_argument(
        "--rows", nargs="+", default=[""], metavar="TEXT",
        help="rows whose name contains one of these, e.g. T=4 step memory",
    )  # fmt: skip
    parser.add_argument(
        "--repeats", type=int, default=0, help="timed calls of each side; of a search, its epochs"
    )
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--against", type=pathlib.Path, help="checkout that replaces the mirror")
    options = parser.parse_args(arguments)
    if unknown := set(options.systems) - set(ROWS):
        parser.error(f"no system {', '.join(sorted(unknown))}: choose from {', '.join(ROWS)}")
    rows = [row for system in options.systems or ROWS for row in ROWS[system]]
    rows = [row for row in rows if any(text in row.name for text in options.rows)]
    timed = [row for row in rows if row.what in TIMED]
    stored = [row for row in rows if row.what == "memory" and not options.against]
    searches = [row for row in rows if row.what == "search" and not options.against]
    if not timed + stored + searches:
        parser.error(f"no row has {' or '.join(options.rows)} in its name")
    torch.set_num_threads(os.cpu_count())
    torch.backends.cudnn.benchmark = True
    sides.allow_tf32(True)
    if timed:
        other = options.against.name if options.against else "PyTorch"
        print(f"| | {other}, ms | ours, ms | ratio | goal |\n|---|---|---|---|---|")
    for row in timed:
        print(measure(row, options), flush=True)
        gc.collect()
    if stored:
        print("\n" + memory.HEADING)
    for row in stored:
        print(memory.lines(row), flush=True)
    for _ in searches:
        search.measure(options.repeats or 4)
    device = jax.devices()[0]
    kind = device.device_kind if sides.on_gpu() else f"{os.cpu_count()} CPU cores"
    print(f"\n{kind}, {options.dtype}, jax {jax.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
