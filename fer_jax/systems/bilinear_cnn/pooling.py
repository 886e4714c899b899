"""Bilinear pooling: second-order statistics of the channels over the positions of an image.

Source: Zhou et al., arXiv 1805.01024, section IV; roots and length: Lin et al., ICCV 2015, see
docs/papers/bilinear_cnn.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

ROOT_EPSILON = 1e-8
NORM_EPSILON = 1e-5
REFERENCE_EPSILON = 0.1
_LEAST = 1e-20  # lower bound of a squared norm, for finite derivatives at 0


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def bilinear_vector(x: jax.Array, triangle: bool = False, reference_grad: bool = False):
    """The bilinear feature: the sum of outer products, its signed square root, L2-normalised.

    The derivative is explicit, image by image on a CPU: intermediate values stay in the caches and
    are not stored.

    Args:
      x: `[N, n, c]` float32, the features of n positions.
      triangle: keeps the upper triangle of the symmetric matrix, row by row, with the elements off
        the diagonal times the root of two; inner products of vectors stay the same.
      reference_grad: the authors' derivative of the root, `0.5 / (sqrt(|y|) + 0.1)`, instead of
        that of `sqrt(|y| + 1e-8)`. Both are finite at 0.

    Returns:
      `[N, c * c]`, or `[N, c * (c + 1) / 2]`, of length 1.
    """
    return _forward(x, triangle, reference_grad)[0]


def _forward(x, triangle, reference_grad):
    c = x.shape[-1]

    def one(x):
        y = (x.T @ x).reshape(-1)
        y = y[_upper(c)] if triangle else y
        roots = jnp.sign(y) * jnp.sqrt(jnp.abs(y) + (0.0 if reference_grad else ROOT_EPSILON))
        roots = roots * _weights(c) if triangle else roots
        norm = jnp.sqrt(jnp.maximum(jnp.square(roots).sum(), _LEAST))
        return roots / (norm + NORM_EPSILON), norm

    vector, norm = _each(one, x)
    return vector, (x, vector, norm)


def _backward(triangle, reference_grad, saved, cotangent):
    c = saved[0].shape[-1]

    def one(x, vector, norm, cotangent):
        length = norm + NORM_EPSILON
        along = jnp.vdot(vector, cotangent) * length / norm
        slope = (cotangent - along * vector) / length  # derivative of the loss by the roots
        roots = jnp.abs(vector) * length
        if triangle:
            slope, roots = slope * _weights(c), roots / _weights(c)
        if reference_grad:
            slope = slope * (0.5 / (roots + REFERENCE_EPSILON))
        else:
            slope = jnp.where(roots > 0, slope * (0.5 / roots), 0.0)
        if triangle:  # gathered from the triangle: scattering to the square is slow on a CPU
            return x @ (slope[_pairs(c)].reshape(c, c) * (1 + jnp.eye(c)))
        slope = slope.reshape(c, c)
        return x @ (slope + slope.T)

    return (_each(one, *saved, cotangent),)


bilinear_vector.defvjp(_forward, _backward)


def scale_to_unit(x: jax.Array) -> jax.Array:
    """Scales features `[N, n, c]` so that X'X, which is not computed, has Frobenius norm 1."""
    gram = jnp.einsum("bnc,bmc->bnm", x, x)  # XX' has the same norm
    square = jnp.square(gram).sum((1, 2), keepdims=True)
    return x / jnp.sqrt(jnp.sqrt(jnp.maximum(square, _LEAST)) + NORM_EPSILON)


def _each(function: Callable, *arrays):
    """Applies a function of one image to each."""
    if jax.default_backend() != "cpu":
        return jax.vmap(function)(*arrays)
    return jax.lax.map(lambda each: function(*each), arrays)


@functools.cache
def _upper(c: int) -> np.ndarray:
    """Indices of the triangle's entries in the square, `[c * (c + 1) / 2]`."""
    rows, columns = np.triu_indices(c)
    return (rows * c + columns).astype(np.int32)


@functools.cache
def _pairs(c: int) -> np.ndarray:
    """Indices of the square's entries in the triangle, `[c * c]`."""
    pairs = np.zeros((c, c), np.int32)
    pairs[np.triu_indices(c)] = np.arange(c * (c + 1) // 2)
    return np.maximum(pairs, pairs.T).reshape(-1)


@functools.cache
def _weights(c: int) -> np.ndarray:
    rows, columns = np.triu_indices(c)
    return np.where(rows == columns, 1.0, np.sqrt(2.0)).astype(np.float32)
