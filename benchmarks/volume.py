"""The convolution over frames and pixels on a CPU: XLA's own, ours and PyTorch's.

    python -m benchmarks.volume         # 2 CPU cores: some minutes
    python -m benchmarks.volume ours    # leaves out XLA's own, whose derivatives are slow

Ours and XLA's run inside a loop, as in training; PyTorch's has the channels last, its faster
layout. Shapes are those of STC-NLSTM, the paper's and those of `configs/stcnlstm_synthetic.py`, and
some of 3D Inception-ResNet as in `configs/ir3d_synthetic.py`. Fastest of nine calls.
"""

from __future__ import annotations

import functools
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

from fer_jax.layers.conv3d import convolve_3d, convolve_3d_on_cpu, paddings

CUBE = (3, 3, 3)
SHAPES = (  # clips, frames, side, channels in and out; kernel, stride, padding
    ((4, 18, 64, 3, 64), CUBE, 1, "SAME"),
    ((4, 18, 32, 64, 64), CUBE, 1, "SAME"),
    ((4, 18, 16, 64, 64), CUBE, 1, "SAME"),
    ((4, 18, 8, 64, 64), CUBE, 1, "SAME"),
    ((8, 8, 64, 3, 16), CUBE, 1, "SAME"),
    ((8, 8, 32, 16, 16), CUBE, 1, "SAME"),
    ((8, 8, 16, 16, 16), CUBE, 1, "SAME"),
    ((4, 10, 96, 3, 4), CUBE, 2, "SAME"),
    ((4, 10, 48, 4, 8), CUBE, 1, "SAME"),
    ((4, 10, 24, 24, 32), CUBE, 2, "SAME"),
    ((4, 10, 12, 32, 48), CUBE, 2, "VALID"),
    ((4, 10, 5, 16, 16), (3, 1, 7), 1, "SAME"),
    ((1, 10, 75, 192, 256), CUBE, 2, "SAME"),
)
WHAT = ("forward", "gradient of x", "gradient of the kernel")
STEPS, CALLS = 2, 9


def fastest(function: Callable) -> float:
    """Returns the milliseconds of the fastest call, after one that is not timed."""
    times = []
    for _ in range(CALLS + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times[1:]) * 1e3


def arrays(shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips, kernel and cotangent."""
    (clips, frames, side, fan_in, fan_out), kernel, stride, padding = shape
    rng = np.random.default_rng(0)
    sides = [sum(around) for around in around_pixels(shape)]
    out = [(side + more - taps) // stride + 1 for more, taps in zip(sides, kernel[1:], strict=True)]
    sizes = (clips, frames, side, side, fan_in), (*kernel, fan_in, fan_out)
    return tuple(
        rng.normal(size=size).astype(np.float32)
        for size in (*sizes, (clips, frames, *out, fan_out))
    )


def around_pixels(shape) -> list[tuple[int, int]]:
    """Zeros above and below, left and right."""
    (_, _, side, _, _), kernel, stride, padding = shape
    return paddings((0, 0, side, side, 0), kernel, stride, padding)[1:]


def in_a_loop(convolve: Callable, operands, which: int) -> float:
    """Returns the milliseconds of a step of a compiled loop.

    Args:
      convolve: `(x, kernel) -> y`.
      operands: x, kernel, cotangent.
      which: derivative by x (0) or by the kernel (1); -1 for the convolution itself.
    """
    x, kernel, cotangent = map(jnp.asarray, operands)

    def once(x, kernel, cotangent):
        if which < 0:
            return convolve(x, kernel)
        _, pull = jax.vjp(convolve, x, kernel)
        return pull(cotangent)[which]

    @jax.jit
    def loop(x, kernel, cotangent):
        def step(small, _):
            y = once(x, kernel + small, cotangent + small)
            return y.ravel()[0] * 1e-20, None  # the next step waits for it

        return jax.lax.scan(step, jnp.float32(0), None, length=STEPS)[0]

    return fastest(lambda: jax.block_until_ready(loop(x, kernel, cotangent))) / STEPS


def by_torch(shape, what: str) -> float:
    """Returns the milliseconds of a call."""
    order = (0, 4, 1, 2, 3), (4, 3, 0, 1, 2), (0, 4, 1, 2, 3)
    x, kernel, cotangent = (
        torch.from_numpy(array.transpose(axes)).contiguous(memory_format=torch.channels_last_3d)
        for array, axes in zip(arrays(shape), order, strict=True)
    )
    _, taps, stride, _ = shape
    rows, columns = around_pixels(shape)
    beyond = (0, columns[1] - columns[0], 0, rows[1] - rows[0])  # padding at one side only
    strides, around = (1, stride, stride), (taps[0] // 2, rows[0], columns[0])

    def padded():
        return torch.nn.functional.pad(x, beyond) if any(beyond) else x

    if what == "forward":
        return fastest(lambda: torch.conv3d(padded(), kernel, stride=strides, padding=around))
    x, wanted = padded(), [what == name for name in (*WHAT[1:], "")]
    options = (strides, around, [1] * 3, False, [0] * 3, 1)
    backward = torch.ops.aten.convolution_backward
    return fastest(lambda: backward(cotangent, x, kernel, None, *options, wanted))


def main() -> None:
    torch.set_num_threads(os.cpu_count())
    with_own = "ours" not in sys.argv[1:]
    names = ["XLA, ms"] * with_own + ["ours, ms", "PyTorch, ms", "ratio"]
    table = Table("clips, frames, side, channels; kernel, stride", "", *names)
    for shape in SHAPES:
        (*_, fan_in, _), kernel, stride, padding = shape
        for what in WHAT:
            if fan_in == 3 and what == "gradient of x":
                continue  # training does not need the gradient of pixels
            figures = []
            for convolve in [convolve_3d] * with_own + [convolve_3d_on_cpu]:
                convolve = functools.partial(convolve, stride=stride, padding=padding)
                figures.append(in_a_loop(convolve, arrays(shape), WHAT.index(what) - 1))
            figures.append(by_torch(shape, what))
            name = f"{shape[0]}; {kernel}, {stride} {padding}"
            ratio = f"{figures[-1] / figures[-2]:.2f}"
            table.add_row(name, what, *[f"{value:.1f}" for value in figures], ratio)
    console = Console(width=120)
    console.print(table)
    console.print(f"{os.cpu_count()} CPU cores, jax {jax.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
