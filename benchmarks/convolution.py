"""Derivatives of the convolution over time on a CPU: XLA's own against ours.

    python -m benchmarks.convolution

Both run inside a loop, as in training. Shapes are those of ST-BLN's layers at T=150, two clips.
Fastest of nine calls.
"""

from __future__ import annotations

import os

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.volume import in_a_loop
from fer_jax.layers.common import convolve, convolve_on_cpu

SHAPES = ((362, 150, 16), (362, 150, 32), (362, 75, 64))  # rows, frames, channels
TAPS, PADDING = 9, (4, 4)


def main() -> None:
    table = Table("rows, frames, channels", "derivative of", "XLA, ms", "ours, ms", "ratio")
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        sizes = shape, (TAPS, shape[-1], shape[-1]), shape
        operands = [rng.normal(size=size).astype(np.float32) for size in sizes]
        for which, name in enumerate(("rows", "kernel")):
            own, ours = (
                in_a_loop(lambda x, kernel, f=f: f(x, kernel, PADDING), operands, which)
                for f in (convolve, convolve_on_cpu)
            )
            table.add_row(str(shape), name, f"{own:.1f}", f"{ours:.1f}", f"{own / ours:.1f}")
    console = Console(width=90)
    console.print(table)
    console.print(f"{os.cpu_count()} CPU cores, jax {jax.__version__}, float32")


if __name__ == "__main__":
    main()
