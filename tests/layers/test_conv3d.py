"""Convolution over frames and pixels: that of a CPU against that of an accelerator; pooling."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers.conv3d import (
    Conv3D,
    convolve_3d,
    largest,
    max_pool_3,
    max_pool_frames,
    mean_pool_3,
)
from fer_jax.layers.cpu import winograd
from fer_jax.layers.cpu.tiles import Parts, cut
from fer_jax.layers.cpu.winograd import convolve_on_cpu
from tests.layers.compare import (
    assert_close,
    assert_half_precision,
    assert_same,
    assert_same_on_accelerator,
    both,
    derivatives,
    normal,
)
from tests.quick import quick

# Patches serve few channels, tiles many; clips, frames, height, width, channels in.
SIZES = [(2, 4, 6, 5, 3), (2, 3, 8, 7, 9), (2, 1, 4, 4, 8), (1, 2, 1, 3, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_values_and_derivatives(size):
    assert_same(convolve_on_cpu, convolve_3d, normal(0, *size), normal(1, 3, 3, 3, size[-1], 4))


@pytest.mark.parametrize(("frames", "channels"), [(1, 2), (4, 2), (1, 8), (2, 8)])
def test_values_and_derivatives_in_parts_of_any_size(frames, channels, monkeypatch):
    """One frame, some frames, one clip at a time."""
    parts = Parts(1, frames, 4 // frames, 2 * 4 // frames)
    monkeypatch.setattr(winograd, "cut", lambda *_: parts)
    test_values_and_derivatives((2, 4, 6, 5, channels))


def test_parts_are_as_large_as_the_limit_allows():
    frame = 4 * 5 * 6 * 3
    for limit, parts in [
        (1, (1, 1, 4, 24)), (2 * frame, (1, 2, 2, 12)), (3.9 * frame, (1, 2, 2, 12)),
        (8 * frame, (2, 4, 1, 3)), (23 * frame, (3, 4, 1, 2)), (24 * frame, (6, 4, 1, 1)),
    ]:  # fmt: skip
        assert cut((6, 4, 5, 6, 3), 4, limit) == parts


@pytest.mark.parametrize("channels", [2, 8])
def test_derivatives_of_runs_side_by_side_in_a_loop(channels):
    """As runs are trained."""
    x, kernel = normal(0, 2, 3, 1, 3, 4, 5, channels), normal(1, 3, 3, 3, 3, channels, 3)

    def trained(function, x, kernel):
        def step(total, x):
            y, pixels, taps = jax.vmap(functools.partial(derivatives, function))(x, kernel)
            return total + taps, (y, pixels)

        return jax.tree.leaves(jax.lax.scan(step, 0 * kernel, x))

    run = quick(lambda *a: [trained(f, *a) for f in (convolve_on_cpu, convolve_3d)])
    found = run(x, kernel)
    for each, expected in zip(*found, strict=True):
        assert_close(each, expected)


def test_conv3d_is_the_same_on_a_cpu_and_an_accelerator():
    """Many output channels; other kernels: test_im2col."""
    x, layer = normal(0, 2, 3, 6, 5, 3), Conv3D(9)

    def apply(x, kernel):
        return layer.apply({"params": {"kernel": kernel, "bias": normal(2, 9)}}, x)

    assert_same_on_accelerator(apply, x, normal(1, 3, 3, 3, 3, 9))


def test_convolution_reaches_neighbouring_frames_alone():
    x = np.zeros((2, 6, 9, 9, 1), np.float32)
    x[1, 2, 4, 5] = 1
    y = quick(convolve_on_cpu)(x, np.ones((3, 3, 3, 1, 1), np.float32))
    touched = np.argwhere(y > 0.5)
    assert touched.min(0).tolist() == [1, 1, 3, 4, 0]
    assert touched.max(0).tolist() == [1, 3, 5, 6, 0]


def test_initial_kernel_is_glorots():
    init = quick(Conv3D(16).init)
    kernel = init(jax.random.key(0), normal(0, 1, 1, 2, 2, 8))["params"]["kernel"]
    limit = np.sqrt(6 / (27 * (8 + 16)))
    assert 0.98 * limit < np.abs(kernel).max() <= limit


@pytest.mark.parametrize("features", [4, 16])
def test_half_precision_is_of_the_product_alone(features):
    assert_half_precision(Conv3D(features), normal(0, 1, 2, 9, 9, 4))


# Pooling


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3)])
def test_pooling(size):
    plain = lambda x: nn.max_pool(x, (1, 2, 2), (1, 2, 2))  # noqa: E731
    for ours, theirs in zip(
        *both(max_pool_frames, plain, normal(0, 2, 3, *size, 4)), strict=True
    ):  # fmt: skip
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (4, 3)])
def test_overlapping_pooling(size, padding):
    """Equal pixels among them: the gradient goes to the first of these, as XLA's."""
    x = np.round(normal(0, 2, 3, *size, 4) - 2, 1)  # below zero: padding is minus infinity
    plain = lambda x: nn.max_pool(x, (1, 3, 3), (1, 2, 2), padding)  # noqa: E731
    assert_same(lambda x: max_pool_3(x, padding), plain, x, tolerance=1e-6)


def test_first_of_equal_pixels_gets_the_gradient():
    pixels = [[1, 1, 0, 2], [1, 1, 2, 2], [0, 0, 0, 0], [0, 3, 3, 3]]
    x = np.float32(pixels)[..., None]
    gradient = quick(jax.grad(lambda x: max_pool_frames(x).sum()))(x)[..., 0]
    np.testing.assert_array_equal(
        gradient, [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    )


def test_mean_pooling_leaves_the_padding_out():
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4, 1)
    found = np.asarray(quick(mean_pool_3)(x))[0, 0, :, :, 0]
    assert found[1, 1] == 5 and found[0, 0] == 2.5 and found[2, 3] == 8.5


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_largest_along_an_axis_and_its_derivative(axis):
    assert_same(lambda x: largest(x, axis), lambda x: jnp.max(x, axis), normal(0, 3, 4, 5, 2))


def test_largest_of_equal_values_passes_its_derivative_to_the_first():
    gradient = quick(jax.grad(lambda x: largest(x, 1).sum()))(jnp.ones((2, 3)))
    np.testing.assert_array_equal(gradient, [[1, 0, 0], [1, 0, 0]])
