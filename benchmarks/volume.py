"""The convolution over frames and pixels on a CPU: XLA's own, ours and PyTorch's.

    python -m benchmarks.volume         # 2 CPU cores: some minutes
    python -m benchmarks.volume ours    # leaves out XLA's own, whose derivatives are slow

Ours and XLA's run inside a loop, as in training; PyTorch's has the channels last, its faster
layout. Shapes are those of STC-NLSTM: the paper's and those of `configs/stcnlstm_synthetic.py`.
Fastest of nine calls.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fer_jax.models.volume import convolve_3d, convolve_on_cpu

SHAPES = (  # clips, frames, side, channels in and out
    (4, 18, 64, 3, 64),
    (4, 18, 32, 64, 64),
    (4, 18, 16, 64, 64),
    (4, 18, 8, 64, 64),
    (8, 8, 64, 3, 16),
    (8, 8, 32, 16, 16),
    (8, 8, 16, 16, 16),
)
WHAT = ("forward", "gradient of x", "gradient of the kernel")
STEPS, CALLS = 2, 9


def fastest(function: Callable) -> float:
    """Milliseconds of the fastest call, after one that is not timed."""
    times = []
    for _ in range(CALLS + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times[1:]) * 1e3


def arrays(shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips, kernel and cotangent."""
    clips, frames, side, fan_in, fan_out = shape
    rng = np.random.default_rng(0)
    sizes = (clips, frames, side, side, fan_in), (3, 3, 3, fan_in, fan_out)
    return tuple(
        rng.normal(size=size).astype(np.float32)
        for size in (*sizes, (clips, frames, side, side, fan_out))
    )


def in_a_loop(convolve: Callable, shape, what: str) -> float:
    """Milliseconds of a step of a compiled loop."""
    x, kernel, cotangent = map(jnp.asarray, arrays(shape))

    def once(x, kernel, cotangent):
        if what == "forward":
            return convolve(x, kernel)
        _, pull = jax.vjp(convolve, x, kernel)
        return pull(cotangent)[WHAT.index(what) - 1]

    @jax.jit
    def loop(x, kernel, cotangent):
        def step(small, _):
            y = once(x, kernel + small, cotangent + small)
            return y.ravel()[0] * 1e-20, None  # the next step waits for it

        return jax.lax.scan(step, jnp.float32(0), None, length=STEPS)[0]

    return fastest(lambda: jax.block_until_ready(loop(x, kernel, cotangent))) / STEPS


def by_torch(shape, what: str) -> float:
    """Milliseconds of a call."""
    order = (0, 4, 1, 2, 3), (4, 3, 0, 1, 2), (0, 4, 1, 2, 3)
    x, kernel, cotangent = (
        torch.from_numpy(array.transpose(axes)).contiguous(memory_format=torch.channels_last_3d)
        for array, axes in zip(arrays(shape), order, strict=True)
    )
    if what == "forward":
        return fastest(lambda: torch.conv3d(x, kernel, padding=1))
    wanted = [what == name for name in (*WHAT[1:], "")]
    around = ([1] * 3, [1] * 3, [1] * 3, False, [0] * 3, 1)
    backward = torch.ops.aten.convolution_backward
    return fastest(lambda: backward(cotangent, x, kernel, None, *around, wanted))


def main() -> None:
    torch.set_num_threads(os.cpu_count())
    with_own = "ours" not in sys.argv[1:]
    names = ["XLA, ms"] * with_own + ["ours, ms", "PyTorch, ms", "ratio"]
    table = Table("clips, frames, side, channels", "", *names)
    for shape in SHAPES:
        for what in WHAT:
            if shape[3] == 3 and what == "gradient of x":
                continue  # nobody asks for that of the pixels
            own = [in_a_loop(convolve_3d, shape, what)] if with_own else []
            ours, theirs = in_a_loop(convolve_on_cpu, shape, what), by_torch(shape, what)
            figures = [f"{value:.1f}" for value in (*own, ours, theirs)]
            table.add_row(str(shape), what, *figures, f"{theirs / ours:.2f}")
    console = Console(width=110)
    console.print(table)
    console.print(f"{os.cpu_count()} CPU cores, jax {jax.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
