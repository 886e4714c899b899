"""Convolutions over images and their written-out derivatives, pooling."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.layers.conv2d import Conv2D, convolve_2d, convolve_2d_on_cpu, max_pool_3
from fer_jax.layers.conv3d import max_pool_frames
from tests.quick import quick


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(ours, theirs, tolerance=1e-5):
    """Compares to a share of the largest value: sums of many products round by that."""
    assert ours.shape == theirs.shape
    atol = tolerance * max(np.abs(theirs).max(initial=0), 1)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


FORMS = (convolve_2d_on_cpu, convolve_2d)


def pulled(function, *arguments):
    """Value and derivatives; the last argument is the cotangent."""
    y, pull = jax.vjp(function, *arguments[:-1])
    return y, *pull(arguments[-1])


@pytest.mark.parametrize(
    ("size", "sides", "padding"),
    [
        ((6, 5), (3, 3), ((1, 1), (1, 1))),
        ((6, 5), (3, 3), ((0, 0), (0, 0))),
        ((3, 7), (2, 4), ((1, 0), (2, 1))),  # as a strided convolution becomes
        ((4, 4), (4, 4), ((2, 1), (0, 3))),
        ((2, 5), (3, 1), ((2, 2), (0, 0))),
    ],
)
def test_written_derivatives_are_those_of_jax(size, sides, padding):
    x, kernel = normal(0, 2, *size, 3), normal(1, *sides, 3, 4)
    shape = jax.eval_shape(lambda x, k: convolve_2d(x, k, padding), x, kernel).shape
    cotangent = normal(2, *shape)

    @quick
    def both(*arguments):
        return [pulled(lambda x, k, f=f: f(x, k, padding), *arguments, cotangent) for f in FORMS]

    for ours, theirs in zip(*both(x, kernel), strict=True):
        assert_close(ours, theirs)


def test_written_derivatives_under_vmap():
    """The runs of an experiment may lie side by side."""
    x, kernel = normal(0, 3, 2, 5, 5, 2), normal(1, 3, 3, 3, 2, 4)
    padding = ((1, 1), (1, 1))

    def gradients(function):
        def total(x, kernel):
            return (function(x, kernel, padding) ** 2).sum()

        return quick(jax.vmap(jax.grad(total, (0, 1))))(x, kernel)

    for ours, theirs in zip(*map(gradients, FORMS), strict=True):
        assert_close(ours, theirs)


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    side=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 3),
)
@settings(max_examples=12, deadline=None)
def test_conv2d_of_any_size_side_and_stride(height, width, side, stride):
    layer = Conv2D(3, side, stride)
    x, cotangent = normal(0, 2, height, width, 2), normal(3, 2, -(-height // stride), width, 3)
    params = {"kernel": normal(1, side, side, 2, 3), "bias": normal(2, 3)}
    padding = ((side // 2, side // 2),) * 2

    def plain(params, x):
        return convolve_2d(x, params["kernel"], padding, stride) + params["bias"]

    @quick
    def value_and_derivatives(params, x):
        results = []
        for function in (lambda params, x: layer.apply({"params": params}, x), plain):
            y, pull = jax.vjp(function, params, x)
            results.append((y, *jax.tree.leaves(pull(cotangent[:, :, : y.shape[2]]))))
        return results

    for ours, theirs in zip(*value_and_derivatives(params, x), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize(("side", "stride"), [(3, 2), (7, 2), (3, 1), (1, 2)])
def test_conv2d_is_the_same_on_a_cpu_and_an_accelerator(side, stride, size, monkeypatch):
    x, layer = normal(0, 1, *size, 2), Conv2D(3, side, stride)
    variables = {"params": {"kernel": normal(1, side, side, 2, 3), "bias": normal(2, 3)}}
    on_cpu = quick(layer.apply)(variables, x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert_close(on_cpu, layer.apply(variables, x))


def test_conv2d_without_bias():
    layer, x = Conv2D(3, use_bias=False), normal(0, 1, 4, 4, 2)
    assert set(jax.eval_shape(layer.init, jax.random.key(0), x)["params"]) == {"kernel"}
    variables = {"params": {"kernel": normal(1, 3, 3, 2, 3)}}
    assert not quick(layer.apply)(variables, 0 * x).any()


def test_half_precision_is_of_the_product_alone():
    layer, x = Conv2D(8, dtype="bfloat16"), normal(0, 2, 9, 9, 4)
    variables = quick(layer.init)(jax.random.key(0), x)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {"float32"}
    y = quick(layer.apply)(variables, x)
    assert y.dtype == "bfloat16"
    expected = quick(Conv2D(8).apply)(variables, x)
    assert_close(np.asarray(y, np.float32), expected, 2e-2)
    assert np.abs(np.asarray(y, np.float32) - expected).max() > 1e-6


# Pooling


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3), (1, 1)])
def test_pooling_of_three(size):
    x = np.abs(normal(0, 2, *size, 3)) + 0.1
    plain = lambda x: nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # noqa: E731
    cotangent = normal(1, *jax.eval_shape(plain, x).shape)
    both = quick(lambda x: [pulled(pool, x, cotangent) for pool in (max_pool_3, plain)])
    (y, gradient), (expected, other) = both(x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(gradient, other, rtol=1e-6, atol=1e-6)


def test_pooling_takes_images_as_it_takes_frames():
    x = normal(0, 2, 7, 9, 3)
    np.testing.assert_array_equal(
        quick(max_pool_frames)(x), quick(lambda x: nn.max_pool(x, (2, 2), (2, 2)))(x)
    )
