"""Convolutions of frames side by side: strides, any kernel and padding, against XLA's own."""

import functools

import jax
import numpy as np
import pytest

from fer_jax.layers import cpu_im2col
from fer_jax.layers.conv3d import Conv3D, convolve_3d, paddings
from fer_jax.layers.cpu_im2col import convolve_frames
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


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def functions(case):
    """Ours, XLA's own, and their arguments: clips, kernel, cotangent."""
    (*sizes, features), kernel, stride, padding = CASES[case]
    x, kernel = normal(0, *sizes), normal(1, *kernel, sizes[-1], features)
    theirs = functools.partial(convolve_3d, stride=stride, padding=padding)
    around = tuple(paddings(x.shape, kernel.shape, stride, padding)[1:])

    def ours(x, kernel):
        return convolve_frames(x, kernel, (stride, stride), around)

    return ours, theirs, (x, kernel, normal(2, *jax.eval_shape(theirs, x, kernel).shape))


def derivatives(function, x, kernel, cotangent):
    y, pull = jax.vjp(function, x, kernel)
    return y, *pull(cotangent)


def assert_close(ours, theirs):
    """Compares to a share of the largest value: sums of many products round by that."""
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=0, atol=2e-5 * max(np.abs(other).max(), 1))


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives(case):
    ours, theirs, arguments = functions(case)
    found = quick(lambda *a: [derivatives(f, *a) for f in (ours, theirs)])(*arguments)
    assert_close(*found)


@pytest.mark.parametrize("bytes_at_once", [1, 2**12, 2**15])
@pytest.mark.parametrize("case", ["stem", "reduction", "one row"])
def test_values_and_derivatives_in_parts_of_any_size(case, bytes_at_once, monkeypatch):
    """One frame, some frames, some clips at a time."""
    monkeypatch.setattr(cpu_im2col, "_BYTES_AT_ONCE", bytes_at_once)
    test_values_and_derivatives(case)


@pytest.mark.parametrize("case", ["stem", "reduction"])
def test_runs_side_by_side_in_a_loop(case):
    """As runs are trained."""
    ours, theirs, (x, kernel, _) = functions(case)
    many = np.stack([x, 2 * x, -x]), np.stack([kernel, -kernel, kernel])

    def trained(function, *many):
        gradients = jax.vmap(jax.grad(lambda x, k: (function(x, k) ** 2).mean(), (0, 1)))

        def step(total, _):
            return total + gradients(*many)[1], None

        return jax.lax.scan(step, 0 * many[1], None, length=2)[0], *gradients(*many)

    found = quick(lambda *many: [trained(function, *many) for function in (ours, theirs)])
    assert_close(*found(*many))


def test_kernel_gradient_alone_costs_less():
    """Nobody asks for that of the pixels: it costs nothing."""
    ours, _, (x, kernel, cotangent) = functions("halved")

    def flops(which):
        function = jax.jit(lambda *a: derivatives(ours, *a)[which])
        return function.lower(x, kernel, cotangent).compile().cost_analysis()["flops"]

    assert flops(2) < 0.8 * (flops(1) + flops(2))


@pytest.mark.parametrize("case", CASES)
def test_conv3d_is_the_same_on_a_cpu_and_an_accelerator(case, monkeypatch):
    (*sizes, features), kernel, stride, padding = CASES[case]
    layer = Conv3D(features, "float32", kernel, stride, padding)
    x, variables = normal(0, *sizes), {"kernel": normal(1, *kernel, sizes[-1], features)}
    variables = {"params": {**variables, "bias": normal(2, features)}}
    on_cpu = quick(layer.apply)(variables, x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert_close([on_cpu], [layer.apply(variables, x)])


def test_half_precision_stays_half():
    ours, _, (x, kernel, _) = functions("halved")
    half = quick(ours)(x.astype(jax.numpy.bfloat16), kernel.astype(jax.numpy.bfloat16))
    assert half.dtype == "bfloat16"
    whole = quick(ours)(x, kernel)
    assert np.abs(np.float32(half) - whole).max() < 2e-2 * np.abs(whole).max()
