"""Convolution over frames and pixels: that of a CPU against that of an accelerator; pooling."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers import cpu_winograd
from fer_jax.layers.conv3d import (
    Conv3D,
    convolve_3d,
    largest,
    max_pool_3,
    max_pool_frames,
    mean_pool_3,
)
from fer_jax.layers.cpu_winograd import convolve_on_cpu
from tests.quick import quick

# Patches serve few channels, tiles many; clips, frames, height, width, channels in and out.
SIZES = [(2, 4, 6, 5, 3, 4), (2, 3, 8, 7, 9, 2), (2, 1, 4, 4, 8, 12), (1, 2, 1, 3, 1, 5)]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(ours, theirs, tolerance=1e-5):
    """Compares to a share of the largest value: sums of many products round by that."""
    assert ours.shape == theirs.shape
    atol = tolerance * max(np.abs(theirs).max(initial=0), 1)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def derivatives(function, *arguments):
    """Value and derivatives; the last argument is the cotangent."""
    y, pull = jax.vjp(function, *arguments[:-1])
    return y, *pull(arguments[-1])


def pooled(function, x):
    """Value and derivative of a pooling."""
    shape = jax.eval_shape(function, x).shape
    return quick(lambda x, cotangent: derivatives(function, x, cotangent))(x, normal(1, *shape))


@pytest.mark.parametrize(("clips", "frames", "height", "width", "fan_in", "fan_out"), SIZES)
def test_values_and_derivatives(clips, frames, height, width, fan_in, fan_out):
    x, kernel = normal(0, clips, frames, height, width, fan_in), normal(1, 3, 3, 3, fan_in, fan_out)
    cotangent = normal(2, clips, frames, height, width, fan_out)

    @quick
    def both(*arguments):
        return [derivatives(f, *arguments) for f in (convolve_on_cpu, convolve_3d)]

    for ours, theirs in zip(*both(x, kernel, cotangent), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("size", [(2, 4, 6, 6, 2, 3), (4, 6, 6, 6, 8, 3)])
@pytest.mark.parametrize("bytes_at_once", [1, 2**15, 2**17])
def test_values_and_derivatives_in_parts_of_any_size(bytes_at_once, size, monkeypatch):
    """One frame, some frames, some clips at a time."""
    monkeypatch.setattr(cpu_winograd, "_BYTES_AT_ONCE", bytes_at_once)
    test_values_and_derivatives(*size)


@pytest.mark.parametrize("channels", [2, 8])
def test_derivatives_inside_a_loop(channels):
    """Training runs in one."""
    x, kernel = normal(0, 3, 1, 4, 6, 6, channels), normal(1, 3, 3, 3, channels, 3)
    cotangent = normal(2, 3, 1, 4, 6, 6, 3)

    def summed(function):
        def step(total, inputs):
            y, x_gradient, kernel_gradient = derivatives(function, inputs[0], kernel, inputs[1])
            return total + kernel_gradient, (y, x_gradient)

        return quick(lambda: jax.lax.scan(step, 0 * kernel, (x, cotangent)))()

    ours, theirs = (jax.tree.leaves(summed(f)) for f in (convolve_on_cpu, convolve_3d))
    for each, expected in zip(ours, theirs, strict=True):
        assert_close(each, expected)


@pytest.mark.parametrize("channels", [2, 8])
def test_derivatives_under_vmap(channels):
    x, kernel = normal(0, 3, 1, 3, 5, 5, channels), normal(1, 3, 3, 3, 3, channels, 4)

    def gradients(function):
        total = jax.grad(lambda x, k: (function(x, k) ** 2).sum(), (0, 1))
        return quick(jax.vmap(total))(x, kernel)

    for ours, theirs in zip(gradients(convolve_on_cpu), gradients(convolve_3d), strict=True):
        assert_close(ours, theirs)


def test_conv3d_is_the_same_on_a_cpu_and_an_accelerator(monkeypatch):
    layer, x = Conv3D(4), normal(0, 2, 3, 6, 5, 3)
    variables = {"params": {"kernel": normal(1, 3, 3, 3, 3, 4), "bias": normal(2, 4)}}
    on_cpu = quick(layer.apply)(variables, x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert_close(on_cpu, layer.clone().apply(variables, x))


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


def test_half_precision_is_of_the_product_alone():
    layer, x = Conv3D(8, "bfloat16"), normal(0, 1, 2, 9, 9, 4)
    variables = quick(layer.init)(jax.random.key(0), x)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {"float32"}
    y = quick(layer.apply)(variables, x)
    assert y.dtype == "bfloat16"
    expected = quick(Conv3D(8).apply)(variables, x)
    assert_close(np.asarray(y, np.float32), expected, 2e-2)


# Pooling


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3)])
def test_pooling(size):
    x = normal(0, 2, 3, *size, 4)
    plain = pooled(lambda x: nn.max_pool(x, (1, 2, 2), (1, 2, 2)), x)
    for ours, theirs in zip(pooled(max_pool_frames, x), plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (4, 3)])
def test_overlapping_pooling(size, padding):
    """Equal pixels among them: the gradient goes to the first of these, as XLA's."""
    x = np.round(normal(0, 2, 3, *size, 4) - 2, 1)  # below zero: padding is minus infinity
    y, gradient = pooled(lambda x: max_pool_3(x, padding), x)
    expected, other = pooled(lambda x: nn.max_pool(x, (1, 3, 3), (1, 2, 2), padding), x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(gradient, other, atol=1e-6)


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
    x = normal(0, 3, 4, 5, 2)
    y, gradient = pooled(lambda x: largest(x, axis), x)
    np.testing.assert_array_equal(y, x.max(axis))
    np.testing.assert_allclose(gradient, pooled(lambda x: jnp.max(x, axis), x)[1], rtol=1e-6)


def test_largest_of_equal_values_passes_its_derivative_to_the_first():
    gradient = quick(jax.grad(lambda x: largest(x, 1).sum()))(jnp.ones((2, 3)))
    np.testing.assert_array_equal(gradient, [[1, 0, 0], [1, 0, 0]])
