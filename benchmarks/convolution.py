"""Derivatives of the convolution over time on a CPU: XLA's own against ours.

    python -m benchmarks.convolution

Both run inside a loop, as in training. Shapes are those of ST-BLN's layers at T=150, two clips.
"""

from __future__ import annotations

import os
import statistics
import time

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from fer_jax.layers.common import convolve, convolve_on_cpu

SHAPES = ((362, 150, 16), (362, 150, 32), (362, 75, 64))  # rows, frames, channels
STEPS, REPEATS, TAPS, PADDING = 2, 3, 9, (4, 4)


def seconds(function, which: int, shape) -> float:
    """Median seconds of a derivative: 0 with respect to the rows, 1 to the kernel."""
    count, frames, channels = shape
    keys = jax.random.split(jax.random.key(0), 3)
    rows, cotangent = (jax.random.normal(key, shape) for key in keys[:2])
    kernel = jax.random.normal(keys[2], (TAPS, channels, channels))

    @jax.jit
    def loop(rows, kernel, cotangent):
        def body(total, _):
            _, pull = jax.vjp(lambda r, k: function(r, k, PADDING), rows, kernel + total)
            return pull(cotangent)[which].mean(), None

        return jax.lax.scan(body, 0.0, None, length=STEPS)[0]

    arguments = (rows, kernel, cotangent)
    jax.block_until_ready(loop(*arguments))
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        jax.block_until_ready(loop(*arguments))
        times.append((time.perf_counter() - started) / STEPS)
    return statistics.median(times)


def main() -> None:
    table = Table("rows, frames, channels", "derivative of", "XLA, ms", "ours, ms", "ratio")
    for shape in SHAPES:
        for which, name in enumerate(("rows", "kernel")):
            own, ours = (seconds(f, which, shape) * 1e3 for f in (convolve, convolve_on_cpu))
            table.add_row(str(shape), name, f"{own:.1f}", f"{ours:.1f}", f"{own / ours:.1f}")
    console = Console(width=90)
    console.print(table)
    console.print(f"{os.cpu_count()} CPU cores, jax {jax.__version__}, {jnp.float32.__name__}")


if __name__ == "__main__":
    main()
