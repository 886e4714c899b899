"""Measures on a GPU, within minutes, all that cannot be measured without one.

    python -m benchmarks.gpu                    # 8 minutes at most
    python -m benchmarks.gpu --skip-done        # goes on with what is left
    python -m benchmarks.gpu --only ST-BLN MC   # rows whose name has one of these in it
    python -m benchmarks.gpu --small            # every row at a toy size, on a CPU too

Rows run in the order of their worth, in a process of their own that ends with a row that crashes
or takes too long; the next row gets a new one. Results are written as they come, to
OUT/results.jsonl, and as a table to OUT/table.md, which is printed last.

Needs jax, flax, optax, numpy, ml_collections, and PyTorch for the mirrors. No dataset is read.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import signal
import sys
import time

from benchmarks.gpu import results, worker

LEAST = 5.0  # seconds left, below which no row is started


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder of the results (default: runs/gpu)"
    )
    parser.add_argument("--minutes", type=_positive, default=8.0, help="to stop after (default 8)")
    parser.add_argument("--skip-done", action="store_true", help="goes on with earlier results")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT",
        help="rows whose name has one of these in it",
    )  # fmt: skip
    parser.add_argument("--small", action="store_true", help="toy sizes, for a CPU")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * options.minutes
    out = options.out or pathlib.Path("runs/gpu_small" if options.small else "runs/gpu")
    try:
        book = results.Book(out, "small" if options.small else "full")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    if book.rows and not options.skip_done:
        sys.exit(f"error: {out} has results: add --skip-done to go on, or name another --out")
    done = {row for row, status in book.statuses.items() if status == "done"}
    names = [name for name in worker.LIMITS if any(text in name for text in options.only)]
    if not names:
        sys.exit(
            f"error: no row has {' or '.join(map(repr, options.only))} in its name: "
            f"{', '.join(worker.LIMITS)}"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # ends the worker too
    with contextlib.suppress(KeyboardInterrupt), worker.Worker(options.small) as process:
        for name in names:
            if name not in done:
                _run(name, process, book, deadline)
    print(f"\n{book.table()}\nresults: {out}/results.jsonl, {out}/table.md")


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _run(name: str, process: worker.Worker, book: results.Book, deadline: float) -> None:
    """Runs one row and writes what it yields, each as it comes."""
    left = deadline - time.monotonic()
    if left < LEAST:
        print(f"[{name}] not started: the time is over", flush=True)
        book.begin(name)
        book.end(name, "not started", 0.0)
        return
    started, status = time.monotonic(), "done"
    book.begin(name)
    print(f"[{name}]", flush=True)
    for kind, content in process.run(name, left):
        if kind == "result":
            book.add(name, content)
            print("   ", results.line(content), flush=True)
        else:
            status = content
    book.end(name, status, time.monotonic() - started)
    print(f"    {status}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
