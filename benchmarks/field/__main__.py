"""Runs what users bring, and faults of storage, through the public commands.

    python -m benchmarks.field DATA [--model BUNDLE] [--row NAME ...] [--quick]

Prints two Markdown tables: what was given, what is answered, and whether it is right, which follows
from rows, times, notes, refusals and exit codes. The exit code is 1 if an answer is wrong.

DATA holds the inputs: videos of variable rate, recordings of browsers, landmark tables, folders of
pictures, manifests. Without --model a small bundle is trained in OUT.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import sys
import tempfile
import traceback

from benchmarks.field import clips, damage, preparation, storage, times
from benchmarks.field.inputs import Answer, Inputs, Row

FIELD: list[Row] = [*clips.ROWS, *times.ROWS, *preparation.ROWS]
FAULTS: list[Row] = [*damage.ROWS, *storage.ROWS]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=pathlib.Path, metavar="DATA")
    parser.add_argument("--model", type=pathlib.Path, metavar="BUNDLE")
    names = [row.name for row in FIELD + FAULTS]
    parser.add_argument("--row", action="append", choices=names, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="rows that need no training")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/faults"))
    options = parser.parse_args(arguments)
    folder = pathlib.Path(tempfile.mkdtemp())
    inputs = Inputs(options.data.absolute(), folder, options.out.absolute(), options.model)
    wrong = 0
    try:
        for title, rows in (("From the field", FIELD), ("Faults", FAULTS)):
            chosen = [row for row in rows if not options.row or row.name in options.row]
            wrong += _print(title, [r for r in chosen if not (options.quick and r.slow)], inputs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def _print(title: str, rows: list[Row], inputs: Inputs) -> int:
    """Prints the table of rows; returns the number of wrong answers."""
    if not rows:
        return 0
    print(f"## {title}\n\n| name | kind | input | answered | right |\n|---|---|---|---|---|")
    answers = []
    for row in rows:
        answers.append(answer_of(row, inputs))
        said, right = answers[-1]
        cells = (row.name, row.kind, row.given, said, "yes" if right else "NO")
        print(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |", flush=True)
    well = sum(answer.right for answer in answers)
    print(f"\n{well} of {len(rows)} right\n", flush=True)
    return len(rows) - well


def answer_of(row: Row, inputs: Inputs) -> Answer:
    """Runs a row; a traceback is a wrong answer."""
    try:
        return row.run(inputs)
    except (Exception, SystemExit):
        return Answer(traceback.format_exc().splitlines()[-1], False)


if __name__ == "__main__":
    sys.exit(main())
