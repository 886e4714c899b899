"""Curvature of the loss in the weights of a last layer: generalised Gauss-Newton matrices.

The layer maps features with a one behind them, phi `[D + 1]`, to C outputs. An example adds
`Lambda (x) phi phi'`, Lambda `[C, C]` being the second derivative of its loss in the outputs. For
outputs that do not depend on each other Lambda is diagonal and so are the blocks of the sum.

Source: Daxberger et al., NeurIPS 2021, section 2; the Kronecker form: Ritter, Botev & Barber, ICLR
2018, equation 8.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LARGEST_BLOCK = 1024  # side of the largest block that is decomposed whole
MOST_ENTRIES = 2**22  # of all blocks together, 16 MiB
MOST_FEATURES = 8192  # of the Kronecker form: 256 MiB


class Blocks(NamedTuple):
    """The whole matrix: one block of all weights, or one for each output.

    Attributes:
      vectors: `[K, P, P]` eigenvectors, columns; K * P = C * (D + 1), outputs first.
      values: `[K, P]` eigenvalues, at least 0.
    """

    vectors: jax.Array
    values: jax.Array

    def draw(self, key: jax.Array, precision, count: int, outputs: int) -> jax.Array:
        """Draws `[count, D + 1, C]` from the normal distribution of this precision plus a prior's.

        Args:
          key, count: one draw per key split from it.
          precision: of the prior, for every weight.
          outputs: C.
        """
        noise = jax.random.normal(key, (count, *self.values.shape))
        drawn = jnp.einsum("kij,skj->ski", self.vectors, noise * (self.values + precision) ** -0.5)
        return drawn.reshape(count, outputs, -1).swapaxes(1, 2)


class Kronecker(NamedTuple):
    """A Kronecker product `B (x) A`: of the mean Lambda and the sum of `phi phi'`.

    Attributes:
      features: `[D + 1, D + 1]` eigenvectors of A, columns.
      outputs: `[C, C]` eigenvectors of B, columns.
      values: `[D + 1, C]` products of their eigenvalues, at least 0.
    """

    features: jax.Array
    outputs: jax.Array
    values: jax.Array

    def draw(self, key: jax.Array, precision, count: int, outputs: int) -> jax.Array:
        """See `Blocks.draw`."""
        del outputs
        noise = jax.random.normal(key, (count, *self.values.shape))
        scaled = noise * (self.values + precision) ** -0.5
        return jnp.einsum("ij,sjc,dc->sid", self.features, scaled, self.outputs)


def make_curvature(
    phi: np.ndarray, second: np.ndarray, weights: np.ndarray, largest_block: int
) -> Blocks | Kronecker:
    """Sums the curvature over examples and decomposes it: whole if small enough, else Kronecker's.

    Args:
      phi: `[N, D + 1]` features with a one behind them.
      second: Lambda of each example, `[N, C, C]`, or its diagonal, `[N, C]`.
      weights: of the examples, `[N]`.
      largest_block: side of the largest block that is decomposed whole.

    Raises:
      ValueError: there are too many features for either form.
    """
    kernel = phi.shape[1] - 1, second.shape[1]
    if check_size(*kernel, joint=second.ndim == 3, largest_block=largest_block):
        return _blocks(phi, (second.T * weights).T)
    return _kronecker(phi, second, weights)


def check_size(
    features: int, outputs: int, *, joint: bool, largest_block: int = LARGEST_BLOCK
) -> bool:
    """Tells whether the curvature of a layer is decomposed whole; else it is Kronecker's.

    Args:
      features, outputs: of the layer.
      joint: its outputs depend on each other (softmax).
      largest_block: see `make_curvature`.

    Raises:
      ValueError: there are too many features for either form.
    """
    count = features + 1
    blocks, side = (1, outputs * count) if joint else (outputs, count)
    if side <= largest_block and blocks * side**2 <= MOST_ENTRIES:
        return True
    if count > MOST_FEATURES:
        raise ValueError(
            f"the last layer takes {features} features: more than {MOST_FEATURES - 1} are too "
            "many for a Laplace approximation"
        )
    return False


def _blocks(phi: np.ndarray, second: np.ndarray) -> Blocks:
    outputs, count = second.shape[1], phi.shape[1]
    if second.ndim == 2:
        matrix = np.stack([phi.T @ (phi * second[:, c, None]) for c in range(outputs)])
    else:
        whole = np.empty((outputs, count, outputs, count))
        for c in range(outputs):
            for d in range(c + 1):
                whole[c, :, d] = phi.T @ (phi * second[:, c, d, None])
                whole[d, :, c] = whole[c, :, d].T
        matrix = whole.reshape(1, outputs * count, outputs * count)
    values, vectors = np.linalg.eigh(matrix)
    return Blocks(_float32(vectors), _float32(values.clip(0)))


def _kronecker(phi: np.ndarray, second: np.ndarray, weights: np.ndarray) -> Kronecker:
    mean = np.tensordot(weights / weights.sum(), second, 1)
    values, vectors = np.linalg.eigh(phi.T @ (phi * weights[:, None]))
    own, outputs = np.linalg.eigh(np.diag(mean) if mean.ndim == 1 else mean)
    products = values.clip(0)[:, None] * own.clip(0)
    return Kronecker(_float32(vectors), _float32(outputs), _float32(products))


def _float32(values: np.ndarray) -> jax.Array:
    return jnp.asarray(values, jnp.float32)
