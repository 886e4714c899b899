"""Convolutions over frames and pixels as matrix products, which are fast on a CPU.

XLA:CPU is slow at such convolutions and slower at their derivatives inside a loop (`python -m
benchmarks.volume`). Clips are processed in parts, so that intermediate values stay in the caches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fer_jax.layers.cpu.tiles import Parts, cut, frames_around, over_rows, side_by_side

_FEW = 8  # channels; below, patches are faster than tiles
_BYTES_AT_ONCE = 2**23  # of tiles or patches; more would not fit the caches

# Winograd's F(2, 3): two outputs of three taps by four products instead of six, without a relevant
# loss of precision. Source: Lavin & Gray, arXiv 1509.09308, section 4.1.
_TILE = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_TAPS = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))


@jax.custom_vjp
def convolve_on_cpu(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves in float32, with derivatives that are fast on a CPU, also inside a loop.

    Args:
      x: `[B, T, H, W, Fi]`; it is padded with zeros.
      kernel: `[K, 3, 3, Fi, Fo]`, K odd.

    Returns:
      `[B, T, H, W, Fo]`.
    """
    method = _method(x, len(kernel))
    parts, padded = _cut(x, method), _pad(x, len(kernel))
    matrices = method.matrices(kernel.astype(jnp.float32))

    def outputs(index):
        window = parts.take(padded, index, around=len(kernel) - 1).astype(jnp.float32)
        rows = method.spread(window)
        return method.gather([*map(jnp.matmul, rows, matrices)], x.shape[2:4])

    return parts.map(outputs).astype(x.dtype)


def _forward(x, kernel):
    return convolve_on_cpu(x, kernel), (x, kernel)


def _backward(saved, cotangent):
    x, kernel = saved
    mirrored = kernel[::-1, ::-1, ::-1].swapaxes(-1, -2)
    return convolve_on_cpu(cotangent, mirrored), _kernel_gradient(x, cotangent, kernel)


convolve_on_cpu.defvjp(_forward, _backward)


def _kernel_gradient(x, cotangent, kernel) -> jax.Array:
    method = _method(x, len(kernel))
    parts, padded = _cut(x, method), _pad(x, len(kernel))
    zeros = jnp.zeros(kernel.shape, jnp.float32)
    matrices = [jnp.zeros(each.shape) for each in jax.eval_shape(method.matrices, zeros)]
    turned = matrices[0].shape[0] > matrices[0].shape[1]

    def products(index):
        window = parts.take(padded, index, around=len(kernel) - 1).astype(jnp.float32)
        rows = method.spread(window)
        shapes = jax.eval_shape(lambda: [*map(jnp.matmul, rows, matrices)])
        scatter = jax.linear_transpose(lambda y: method.gather(y, x.shape[2:4]), shapes)
        cotangents = scatter(parts.take(cotangent, index).astype(jnp.float32))[0]
        sides = (cotangents, rows) if turned else (rows, cotangents)
        return [*map(over_rows, *sides)]

    totals = [each.T if turned else each for each in parts.sum(products)]
    gradient = jax.linear_transpose(method.matrices, zeros)(totals)[0]
    return gradient.astype(kernel.dtype)


def _pad(x, taps: int) -> jax.Array:
    """Pads frames and pixels with zeros, to even sides of a frame."""
    height, width = x.shape[2:4]
    return jnp.pad(
        x, ((0, 0), (taps // 2, taps // 2), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0))
    )


def _cut(x, method: _Method) -> Parts:
    return cut(x.shape, 4 * method.floats, _BYTES_AT_ONCE)


class _Method(NamedTuple):
    """A convolution as `gather(spread(window) @ matrices(kernel))`, all three linear.

    Attributes:
      spread: `[b, t + K - 1, H + 2, W + 2, Fi] ->` arrays of rows.
      matrices: `[K, 3, 3, Fi, Fo] ->` a matrix for each of these arrays.
      gather: the products and (H, W) `-> [b, t, H, W, Fo]`.
      floats: elements of the rows per element of the input.
    """

    spread: Callable
    matrices: Callable
    gather: Callable
    floats: int


def _method(x, taps: int) -> _Method:
    if x.shape[-1] < _FEW:
        spread = functools.partial(_spread_patches, taps=taps)
        return _Method(spread, _patch_matrices, _gather_patches, 6 * taps)
    spread = functools.partial(_spread_tiles, taps=taps)
    return _Method(spread, _tile_matrices, _gather_tiles, 4 * taps)


def _spread_tiles(window: jax.Array, taps: int) -> list[jax.Array]:
    """Returns the 16 elements of each tile of 2 x 2 outputs, `[b, t, H / 2, W / 2, K Fi]` each."""
    rows = _combine(_TILE, _every_second(frames_around(window, taps), 2))
    return [element for row in rows for element in _combine(_TILE, _every_second(row, 3))]


def _tile_matrices(kernel: jax.Array) -> list[jax.Array]:
    """Returns 16 matrices `[K Fi, Fo]`, over frame and channel."""
    taps = jnp.asarray(_TAPS, kernel.dtype)
    matrices = jnp.einsum("ih,jw,thwcf->ijtcf", taps, taps, kernel)
    return list(matrices.reshape(16, -1, kernel.shape[-1]))


def _gather_tiles(products: list[jax.Array], size: tuple[int, int]) -> jax.Array:
    rows = [_combine(_OUTPUT, products[row : row + 4]) for row in range(0, 16, 4)]
    columns = [_combine(_OUTPUT, column) for column in zip(*rows, strict=True)]
    y = jnp.stack([jnp.stack(column, 3) for column in columns], 5)
    b, t, height, _, width, _, features = y.shape
    return y.reshape(b, t, 2 * height, 2 * width, features)[:, :, : size[0], : size[1]]


def _spread_patches(window: jax.Array, taps: int) -> list[jax.Array]:
    """Returns the inputs of two neighbouring outputs of a row, `[b, t, H, W / 2, 12 K Fi]`."""
    *leading, width, channels = window.shape
    pairs = window.reshape(*leading, width // 2, 2 * channels)
    x = frames_around(side_by_side([pairs[..., :-1, :], pairs[..., 1:, :]]), taps)
    return [side_by_side([x[:, :, row : x.shape[2] - 2 + row] for row in range(3)])]


def _patch_matrices(kernel: jax.Array) -> list[jax.Array]:
    """Returns `[12 K Fi, 2 Fo]`, over row, frame, four pixels and channel."""
    pair = [jnp.pad(kernel, ((0, 0), (0, 0), (n, 1 - n), (0, 0), (0, 0))) for n in range(2)]
    return [jnp.stack(pair, -2).swapaxes(0, 1).reshape(-1, 2 * kernel.shape[-1])]


def _gather_patches(products: list[jax.Array], size: tuple[int, int]) -> jax.Array:
    b, t, height, width, features = products[0].shape
    y = products[0].reshape(b, t, height, 2 * width, features // 2)
    return y[:, :, : size[0], : size[1]]


def _every_second(x: jax.Array, axis: int) -> list[jax.Array]:
    """Returns elements 0, 1, 2 and 3 of each tile along an axis."""
    last = x.shape[axis] - 3
    return [jax.lax.slice_in_dim(x, start, start + last, 2, axis) for start in range(4)]


def _combine(matrix: Sequence[Sequence[int]], arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Multiplies a matrix of 0, 1 and -1 by a list of arrays."""
    combined = []
    for row in matrix:
        first, *rest = [(sign, x) for sign, x in zip(row, arrays, strict=True) if sign]
        total = first[1] if first[0] > 0 else -first[1]
        for sign, x in rest:
            total = total + x if sign > 0 else total - x
        combined.append(total)
    return combined
