"""Bilinear pooling: its written-out derivative, the slope of the authors, scaled features."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.systems.bilinear_cnn.pooling import bilinear_vector, scale_to_unit
from tests.layers.compare import (
    assert_same,
    assert_same_on_accelerator,
    derivatives,
    normal,
    on_accelerator,
)
from tests.quick import quick


def features(count=3, positions=7, channels=8, seed=0):
    """As behind a ReLU: half are zero, and channel 2 is everywhere."""
    x = np.random.default_rng(seed).normal(size=(count, positions, channels))
    x = np.maximum(x, 0).astype(np.float32)
    x[:, :, 2] = 0
    return jnp.asarray(x)


def plain_vector(x, triangle, eps=1e-8):
    """The definition, whose derivative JAX finds itself."""
    y = jnp.einsum("bnc,bnd->bcd", x, x)
    if triangle:
        rows, columns = np.triu_indices(x.shape[-1])
        y = y[:, rows, columns]
    y = y.reshape(len(x), -1)
    safe = jnp.where(y == 0, 1.0, y)
    roots = jnp.where(y == 0, 0.0, jnp.sign(y) * jnp.sqrt(jnp.abs(safe) + eps))
    if triangle:
        roots *= np.where(rows == columns, 1, np.sqrt(2))
    return roots / (jnp.sqrt((roots**2).sum(1, keepdims=True)) + 1e-5)


@pytest.mark.parametrize("triangle", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_bilinear_vector_derivative_is_that_of_the_definition(triangle, signed):
    x = features() - (0.3 if signed else 0.0)
    assert (plain_vector(x, triangle).min() < 0) == signed
    ours, plain = (lambda x, f=f: f(x, triangle) for f in (bilinear_vector, plain_vector))
    assert_same(ours, plain, x, tolerance=2e-5)


@pytest.mark.parametrize("triangle", [False, True])
def test_bilinear_vector_has_the_authors_slope(triangle):
    """Autograd of PyTorch with the authors' backward pass in place of that of the root."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            ctx.save_for_backward(y)
            return y.sign() * y.abs().sqrt()

        @staticmethod
        def backward(ctx, cotangent):
            (y,) = ctx.saved_tensors
            return cotangent * 0.5 / (y.abs().sqrt() + 0.1)

    x = features() - 0.2
    tensor = torch.from_numpy(np.array(x)).requires_grad_()
    y = torch.einsum("bnc,bnd->bcd", tensor, tensor)
    rows, columns = np.triu_indices(8)
    y = y[:, rows, columns] if triangle else y.flatten(1)
    roots = Root.apply(y)
    if triangle:
        roots = roots * torch.from_numpy(np.where(rows == columns, 1, np.sqrt(2))).float()
    expected = roots / (roots.norm(dim=1, keepdim=True) + 1e-5)
    ours = lambda x: derivatives(lambda x: bilinear_vector(x, triangle, True), x)  # noqa: E731
    found, gradient = quick(ours)(x)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)
    expected.backward(torch.from_numpy(normal(9, *found.shape)))
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-5)


def test_bilinear_vector_is_the_same_on_an_accelerator():
    x = features()
    assert "scan" in str(jax.make_jaxpr(bilinear_vector)(x))
    with on_accelerator():  # another shape: nothing is taken from a cache
        assert "scan" not in str(jax.make_jaxpr(bilinear_vector)(x[:2]))
    assert_same_on_accelerator(bilinear_vector, x[:1], tolerance=1e-6)


def test_features_are_scaled_to_a_matrix_of_norm_one():
    x = 300 * features()
    unit = scale_to_unit(x)
    norms = jnp.linalg.norm(jnp.einsum("bnc,bnd->bcd", unit, unit), axis=(1, 2))
    np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_derivatives_at_zero_activations_are_finite():
    pools = [scale_to_unit]
    for triangle, reference_grad in itertools.product((False, True), repeat=2):
        pools.append(lambda x, a=triangle, b=reference_grad: bilinear_vector(x, a, b))
    found = quick(lambda x: [derivatives(pool, x) for pool in pools])(jnp.zeros((2, 4, 3)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
