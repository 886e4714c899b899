"""Runs all measurements that need a GPU, within minutes.

    python -m benchmarks.gpu                    # 8 minutes at most
    python -m benchmarks.gpu --skip-done        # resumes with the remaining rows
    python -m benchmarks.gpu --only ST-BLN MC   # rows whose name contains one of these
    python -m benchmarks.gpu --small            # every row at a toy size, also on a CPU

The most important rows run first, in a separate process; after a row that crashes or takes too
long, a new process starts. Each result is written at once to OUT/results.jsonl and to the table in
OUT/table.md, which is printed at the end.

Needs jax, flax, optax, numpy, ml_collections, and PyTorch for the mirrors, but no dataset.
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
    parser.add_argument("--minutes", type=_positive, default=8.0, help="time limit (default 8)")
    parser.add_argument("--skip-done", action="store_true", help="resumes earlier results")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT",
        help="rows whose name contains one of these",
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
        sys.exit(f"error: {out} has results: add --skip-done to resume, or name another --out")
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
    """Runs one row and writes each result at once."""
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
