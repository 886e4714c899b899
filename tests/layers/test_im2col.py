"""Convolutions of frames side by side: strides, any kernel and padding, against XLA's own."""

import functools

import jax
import numpy as np
import pytest

from fer_jax.layers.conv3d import Conv3D, convolve_3d, paddings
from fer_jax.layers.cpu import im2col
from fer_jax.layers.cpu.im2col import convolve_frames
from fer_jax.layers.cpu.tiles import Parts
from tests.layers.compare import assert_same, assert_same_on_accelerator, derivatives, normal
from tests.quick import quick

# Clips, frames, height, width, channels in and out; kernel, stride, padding.
CASES = {
    "stem": ((2, 4, 9, 8, 3, 5), (3, 3, 3), 2, "SAME"),
    "few channels": ((2, 3, 6, 7, 3, 4), (3, 3, 3), 1, "SAME"),
    "few, without padding": ((1, 3, 7, 8, 3, 4), (3, 3, 3), 2, "VALID"),
    "halved": ((2, 4, 8, 9, 9, 5), (3, 3, 3), 2, "SAME"),
    "reduction": ((2, 4, 8, 9, 9, 5), (3, 3, 3), 2, "VALID"),
    "one row": ((2, 3, 5, 6, 9, 4), (3, 1, 7), 1, "SAME"),
    "one column": ((2, 3, 5, 6, 9, 4), (3, 7, 1), 1, "SAME"),
    "kernel larger than the map": ((1, 2, 2, 1, 9, 4), (3, 7, 1), 1, "SAME"),
    "one frame": ((2, 3, 6, 5, 9, 4), (1, 3, 3), 2, "VALID"),
    "five": ((1, 2, 6, 6, 9, 4), (1, 5, 5), 1, "SAME"),
    "no padding at all": ((1, 3, 6, 5, 9, 4), (3, 3, 3), 1, "VALID"),
    "one pixel": ((1, 3, 5, 4, 9, 4), (3, 1, 1), 2, "SAME"),
}


def functions(case):
    """Ours, XLA's own, and their arguments: clips, kernel."""
    (*sizes, features), kernel, stride, padding = CASES[case]
    x, kernel = normal(0, *sizes), normal(1, *kernel, sizes[-1], features)
    theirs = functools.partial(convolve_3d, stride=stride, padding=padding)
    around = tuple(paddings(x.shape, kernel.shape, stride, padding)[1:])
    ours = functools.partial(convolve_frames, strides=(stride, stride), padding=around)
    return ours, theirs, x, kernel


@pytest.mark.parametrize("case", CASES)
def test_conv3d_is_the_same_on_a_cpu_and_an_accelerator(case):
    """Values and derivatives."""
    *_, x, kernel = functions(case)
    layer = Conv3D(kernel.shape[-1], "float32", kernel.shape[:3], *CASES[case][2:])

    def apply(x, kernel, bias):
        return layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)

    arguments = x, kernel, normal(2, kernel.shape[-1])
    assert_same_on_accelerator(apply, *arguments, tolerance=2e-5)


@pytest.mark.parametrize(
    ("case", "clips", "frames"),
    [("stem", 1, 1), ("reduction", 1, 2), ("one row", 1, 3), ("halved", 1, 1), ("stem", 1, 4)],
)
def test_values_and_derivatives_in_parts_of_any_size(case, clips, frames, monkeypatch):
    """One frame, some frames, one clip at a time."""

    def parts(shape, *_):
        across = shape[1] // frames
        return Parts(clips, frames, across, shape[0] // clips * across)

    monkeypatch.setattr(im2col, "cut", parts)
    assert_same(*functions(case), tolerance=2e-5)


@pytest.mark.parametrize("case", ["stem", "reduction"])
def test_runs_side_by_side_in_a_loop(case):
    """As runs are trained."""
    ours, theirs, x, kernel = functions(case)
    many = np.stack([x, 2 * x, -x]), np.stack([kernel, -kernel, kernel])

    def trained(function, *many):
        def step(total, _):
            y, *gradients = jax.vmap(functools.partial(derivatives, function))(*many)
            return total + gradients[1], (y, gradients[0])

        return jax.tree.leaves(jax.lax.scan(step, 0 * many[1], None, length=2))

    found = quick(lambda *many: [trained(function, *many) for function in (ours, theirs)])(*many)
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=2e-5 * np.abs(other).max())


def test_kernel_gradient_alone_costs_less():
    """Nobody asks for that of the pixels: it costs nothing."""
    ours, _, *arguments = functions("halved")

    def flops(which):
        function = quick(lambda *a: derivatives(ours, *a)[which])
        return function.lower(*arguments).compile().cost_analysis()["flops"]

    assert flops(2) < 0.8 * (flops(1) + flops(2))
