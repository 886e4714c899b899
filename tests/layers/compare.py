"""Two forms of one function: equal values and derivatives."""

import unittest.mock

import jax
import numpy as np

from tests.quick import quick


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(ours, theirs, tolerance=1e-5):
    """Compares to a share of the largest value: sums of many products round by that."""
    assert ours.shape == theirs.shape
    atol = tolerance * max(np.abs(theirs).max(initial=0), 1)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def derivatives(function, *arguments):
    """Value and derivatives; the cotangent is drawn."""
    y, pull = jax.vjp(function, *arguments)
    return y, *pull(normal(9, *y.shape))


def both(ours, theirs, *arguments):
    """Value and derivatives of each, compiled together."""
    return quick(lambda *a: [derivatives(f, *a) for f in (ours, theirs)])(*arguments)


def assert_same(ours, theirs, *arguments, tolerance=1e-5):
    """Compares values and derivatives."""
    for mine, other in zip(*both(ours, theirs, *arguments), strict=True):
        assert_close(mine, other, tolerance)


def on_accelerator():
    """Makes the layers take an accelerator's paths while it is entered."""
    return unittest.mock.patch.object(jax, "default_backend", lambda: "gpu")


def assert_same_on_accelerator(function, *arguments, tolerance=1e-5):
    """Compares values and derivatives of a CPU's paths with those of an accelerator's."""

    def run(*arguments):
        found = derivatives(function, *arguments)
        with on_accelerator():
            return found, derivatives(function, *arguments)

    for mine, other in zip(*quick(run)(*arguments), strict=True):
        assert_close(mine, other, tolerance)


def assert_half_precision(layer, x):
    """Compares a layer in bfloat16 with itself in float32: half is the product alone."""
    variables = layer.init(jax.random.key(0), x)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {"float32"}
    y = quick(layer.clone(dtype="bfloat16").apply)(variables, x)
    assert y.dtype == "bfloat16"
    expected = quick(layer.apply)(variables, x)
    assert_close(np.asarray(y, np.float32), expected, 2e-2)
    assert np.abs(np.asarray(y, np.float32) - expected).max() > 1e-6
