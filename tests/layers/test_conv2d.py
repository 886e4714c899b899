"""Convolutions over images and their written-out derivatives, pooling."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from fer_jax.layers import conv2d
from fer_jax.layers.conv2d import Conv2D, convolve_2d, convolve_2d_on_cpu, max_pool_3
from fer_jax.layers.conv3d import max_pool_frames
from tests.layers.compare import (
    assert_half_precision,
    assert_same,
    assert_same_on_accelerator,
    both,
    normal,
)
from tests.quick import quick


@pytest.mark.parametrize(
    ("size", "sides", "padding"),
    [
        ((6, 5), (3, 3), ((0, 0), (0, 0))),
        ((3, 7), (2, 4), ((1, 0), (2, 1))),  # as a strided convolution becomes
        ((4, 4), (4, 4), ((2, 1), (0, 3))),
        ((2, 5), (3, 1), ((2, 2), (0, 0))),
    ],
)
def test_written_derivatives_are_those_of_jax(size, sides, padding):
    ours, theirs = (
        lambda x, k, f=f: f(x, k, padding) for f in (convolve_2d_on_cpu, convolve_2d)
    )  # fmt: skip
    assert_same(ours, theirs, normal(0, 2, *size, 3), normal(1, *sides, 3, 4))


def test_written_derivatives_under_vmap():
    """The runs of an experiment may lie side by side."""
    ours, theirs = (
        jax.vmap(lambda x, k, f=f: f(x, k, ((1, 1), (1, 1))))
        for f in (convolve_2d_on_cpu, convolve_2d)
    )
    assert_same(ours, theirs, normal(0, 3, 2, 5, 5, 2), normal(1, 3, 3, 3, 2, 4))


@pytest.mark.parametrize(
    ("size", "side", "stride"),
    [((8, 7), 3, 1), ((8, 8), 3, 2), ((7, 9), 3, 2), ((8, 9), 7, 2), ((1, 2), 7, 2), ((5, 6), 5, 3),
     ((7, 8), 1, 2), ((4, 11), 1, 3), ((3, 1), 1, 1)],
)  # fmt: skip
def test_conv2d_is_the_same_on_a_cpu_and_an_accelerator(size, side, stride):
    layer = Conv2D(3, side, stride)

    def apply(x, kernel, bias):
        return layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)

    arguments = normal(0, 2, *size, 2), normal(1, side, side, 2, 3), normal(2, 3)
    assert_same_on_accelerator(apply, *arguments)


def test_conv2d_without_bias():
    layer, x = Conv2D(3, use_bias=False), normal(0, 1, 4, 4, 2)
    assert set(jax.eval_shape(layer.init, jax.random.key(0), x)["params"]) == {"kernel"}
    variables = {"params": {"kernel": normal(1, 3, 3, 2, 3)}}
    assert not quick(layer.apply)(variables, 0 * x).any()


@pytest.mark.parametrize("side", [3, 16])
def test_wide_convolution_of_few_and_of_many_pixels(side, monkeypatch):
    x, kernel = normal(0, 4, side, side, 128), normal(1, 3, 3, 128, 128) / 30
    layer, used = Conv2D(128, use_bias=False), []
    own = conv2d.convolve_on_cpu
    monkeypatch.setattr(conv2d, "convolve_on_cpu", lambda *each: used.append(1) or own(*each))
    y = quick(layer.apply)({"params": {"kernel": kernel}}, x)
    assert bool(used) == (side == 16)
    expected = quick(lambda x: convolve_2d(x, kernel, ((1, 1), (1, 1))))(x)
    np.testing.assert_allclose(y, expected, atol=2e-4)


def test_half_precision_is_of_the_product_alone():
    assert_half_precision(Conv2D(8), normal(0, 2, 9, 9, 4))


# Pooling


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3), (1, 1)])
def test_pooling_of_three(size):
    x = np.abs(normal(0, 2, *size, 3)) + 0.1
    assert_same(max_pool_3, lambda x: nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1))), x)


def test_pooling_takes_images_as_it_takes_frames():
    found = both(max_pool_frames, lambda x: nn.max_pool(x, (2, 2), (2, 2)), normal(0, 2, 7, 9, 3))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
