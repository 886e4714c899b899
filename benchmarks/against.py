"""Ours of another checkout, in a separate process that is timed call by call."""

from __future__ import annotations

import ast
import dataclasses
import functools
import os
import pathlib
import subprocess
import sys


class Checkout:
    """A `rows.Row` in another checkout: `forward`, `step`, `mc` return the seconds of one call."""

    def __init__(self, path: pathlib.Path, row, dtype: str):
        # -P: this folder must not shadow that checkout's modules
        command = [sys.executable, "-P", __file__, repr(dataclasses.asdict(row)), dtype]
        self.process = subprocess.Popen(
            command, cwd=path, env={**os.environ, "PYTHONPATH": str(path.resolve())},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.communicate()

    def __getattr__(self, what: str):
        return functools.partial(self._ask, what)

    def _ask(self, what: str) -> float:
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise SystemExit("error: the other checkout failed, see above")
        return float(answer)


def make_side(row: dict, dtype: str):
    """Makes ours of the checkout whose modules this process imports."""
    from benchmarks import speed

    if hasattr(speed, "make_ours"):
        from benchmarks import rows

        return speed.make_ours(rows.Row(**row), dtype)
    # A checkout without `benchmarks.rows`, whose ST-BLN has its sizes in constants.
    if row["system"] not in ("ST-BLN", "PST-BLN") or row["what"] == "forward":
        sys.exit(f"this checkout cannot time {row['system']}, {row['size']}, {row['what']}")
    frames = row["options"]["frames"]
    speed.CLASSES, speed.STEPS = 7, {frames: row["steps"]}
    if row["system"] == "PST-BLN":
        speed.STBLN = functools.partial(speed.STBLN, widths=(15, 10, 15, 5, 5, 10))
    return speed.Ours(row["batch"], frames, row["options"].get("edges", 309), 100)


def main() -> None:
    """Reads names of methods and prints the seconds of one call of each."""
    side = make_side(ast.literal_eval(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        print(getattr(side, line.strip())(), flush=True)


if __name__ == "__main__":
    main()
