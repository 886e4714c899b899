"""Convolution over the frames and the pixels of clips. Channels are always the last axis.

An accelerator has kernels of its own for it. On a CPU, where XLA's is slow and its derivatives
slower still, products of matrices do the same work, a part of the clips at a time so that what
stands between them stays in the caches (`python -m benchmarks.volume`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

_FEW = 8  # channels; below, products of tiles are too thin and patches are used instead
_BYTES_AT_ONCE = 2**23  # of tiles or patches; more than that leaves the caches

# Winograd's F(2, 3): two outputs of three taps by four products instead of six. Its constants lose
# no digits that count. Source: Lavin & Gray, arXiv 1509.09308, section 4.1.
_TILE = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_TAPS = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))


def convolve_3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves clips, `[B, T, H, W, Fi], [3, 3, 3, Fi, Fo] -> [B, T, H, W, Fo]`; zeros around."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )


@jax.custom_vjp
def convolve_3d_on_cpu(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`convolve_3d` in float32, with derivatives that are fast on a CPU inside a loop too."""
    method = _method(x)
    matrices = method.matrices(kernel.astype(jnp.float32))
    window_of, parts = _cut(x, method.floats)

    def outputs(part):
        tiles = method.spread(window_of(part))
        return method.gather([*map(jnp.matmul, tiles, matrices)], x.shape[2:4])

    y = jax.lax.map(outputs, jnp.arange(math.prod(parts)))
    return y.reshape(*x.shape[:-1], -1).astype(x.dtype)


def _forward(x, kernel):
    return convolve_3d_on_cpu(x, kernel), (x, kernel)


def _backward(saved, cotangent):
    x, kernel = saved
    mirrored = kernel[::-1, ::-1, ::-1].swapaxes(-1, -2)
    return convolve_3d_on_cpu(cotangent, mirrored), _kernel_gradient(x, cotangent, kernel)


convolve_3d_on_cpu.defvjp(_forward, _backward)


def _kernel_gradient(x, cotangent, kernel) -> jax.Array:
    method = _method(x)
    window_of, parts = _cut(x, method.floats)
    zeros = jnp.zeros(kernel.shape, jnp.float32)
    matrices = jax.eval_shape(method.matrices, zeros)

    def step(totals, given):
        part, own = given
        tiles = method.spread(window_of(part))
        products = jax.eval_shape(lambda: [*map(jnp.matmul, tiles, map(jnp.zeros_like, matrices))])
        scatter = jax.linear_transpose(lambda p: method.gather(p, x.shape[2:4]), products)
        pairs = zip(totals, tiles, scatter(own.astype(jnp.float32))[0], strict=True)
        return [total + _over_rows(tile, product) for total, tile, product in pairs], None

    def _over_rows(tile, product):
        """The wider side of the product to the right: XLA:CPU turns round the left one."""
        sides = [each.reshape(-1, each.shape[-1]) for each in (tile, product)]
        return jax.lax.dot_general(*sorted(sides, key=_width), (((0,), (0,)), ((), ())))

    count = math.prod(parts)
    shape = (count, len(x) // parts[0], x.shape[1] // parts[1], *cotangent.shape[2:])
    given = jnp.arange(count), cotangent.reshape(shape)
    turned = matrices[0].shape[0] > matrices[0].shape[1]
    totals = [jnp.zeros(each.shape[:: -1 if turned else 1]) for each in matrices]
    totals, _ = jax.lax.scan(step, totals, given)
    pull = jax.linear_transpose(method.matrices, zeros)
    gradient = pull([total.T for total in totals] if turned else totals)[0]
    return gradient.astype(kernel.dtype)


def _width(rows) -> int:
    return rows.shape[-1]


def _cut(x, floats: int) -> tuple[Callable, tuple[int, int]]:
    """Cuts clips into parts.

    Args:
      x: `[B, T, H, W, Fi]`.
      floats: that a part takes for each of x.

    Returns:
      `number of a part -> [b, t + 2, H + 2, W + 2, Fi]`, what its outputs touch, H and W made even;
      the numbers of parts of all clips and of all frames.
    """
    clips, frames, height, width, channels = x.shape
    limit = _BYTES_AT_ONCE // (4 * floats * channels * height * width)
    t = _divisor(frames, limit)
    b = _divisor(clips, limit // frames) if t == frames else 1
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)))
    across = frames // t

    def window_of(part):
        start = (part // across * b, part % across * t, 0, 0, 0)
        shape = (b, t + 2, *padded.shape[2:])
        return jax.lax.dynamic_slice(padded, start, shape).astype(jnp.float32)

    return window_of, (clips // b, across)


def _divisor(number: int, limit: int) -> int:
    """Largest divisor of a number within a limit, at least 1."""
    return max(n for n in range(1, max(1, min(number, limit)) + 1) if number % n == 0)


class _Method(NamedTuple):
    """A convolution as `gather(spread(window) @ matrices(kernel))`, all three linear.

    Attributes:
      spread: `[b, t + 2, H + 2, W + 2, Fi] ->` rows of inputs.
      matrices: `[3, 3, 3, Fi, Fo] ->` one for each of the arrays of rows.
      gather: the products and (H, W) `-> [b, t, H, W, Fo]`.
      floats: of the rows for each of the inputs.
    """

    spread: Callable
    matrices: Callable
    gather: Callable
    floats: int


def _method(x) -> _Method:
    if x.shape[-1] < _FEW:
        return _Method(_spread_patches, _patch_matrices, _gather_patches, 18)
    return _Method(_spread_tiles, _tile_matrices, _gather_tiles, 12)


def _spread_tiles(window: jax.Array) -> list[jax.Array]:
    """The 16 places of the tiles that each yield 2 x 2 pixels, `[b, t, H / 2, W / 2, 3 Fi]`."""
    rows = _combine(_TILE, _every_second(_three_frames(window), 2))
    return [place for row in rows for place in _combine(_TILE, _every_second(row, 3))]


def _tile_matrices(kernel: jax.Array) -> list[jax.Array]:
    """16 times `[3 Fi, Fo]`, over frame and channel."""
    taps = jnp.asarray(_TAPS, kernel.dtype)
    matrices = jnp.einsum("ih,jw,thwcf->ijtcf", taps, taps, kernel)
    return list(matrices.reshape(16, -1, kernel.shape[-1]))


def _gather_tiles(products: list[jax.Array], size: tuple[int, int]) -> jax.Array:
    rows = [_combine(_OUTPUT, products[row : row + 4]) for row in range(0, 16, 4)]
    columns = [_combine(_OUTPUT, column) for column in zip(*rows, strict=True)]
    y = jnp.stack([jnp.stack(column, 3) for column in columns], 5)
    b, t, height, _, width, _, features = y.shape
    return y.reshape(b, t, 2 * height, 2 * width, features)[:, :, : size[0], : size[1]]


def _spread_patches(window: jax.Array) -> list[jax.Array]:
    """All that two pixels of a row touch, `[b, t, H, W / 2, 36 Fi]`."""
    *leading, width, channels = window.shape
    pairs = window.reshape(*leading, width // 2, 2 * channels)
    x = _three_frames(_side_by_side([pairs[..., :-1, :], pairs[..., 1:, :]]))
    return [_side_by_side([x[:, :, row : x.shape[2] - 2 + row] for row in range(3)])]


def _patch_matrices(kernel: jax.Array) -> list[jax.Array]:
    """`[36 Fi, 2 Fo]`, over row, frame, four pixels and channel."""
    pair = [jnp.pad(kernel, ((0, 0), (0, 0), (n, 1 - n), (0, 0), (0, 0))) for n in range(2)]
    return [jnp.stack(pair, -2).swapaxes(0, 1).reshape(-1, 2 * kernel.shape[-1])]


def _gather_patches(products: list[jax.Array], size: tuple[int, int]) -> jax.Array:
    b, t, height, width, features = products[0].shape
    y = products[0].reshape(b, t, height, 2 * width, features // 2)
    return y[:, :, : size[0], : size[1]]


def _three_frames(x: jax.Array) -> jax.Array:
    """`[b, t + 2, ..., C] -> [b, t, ..., 3 C]`."""
    return _side_by_side([x[:, tap : x.shape[1] - 2 + tap] for tap in range(3)])


def _side_by_side(arrays: Sequence[jax.Array]) -> jax.Array:
    """Joins arrays of as many channels; XLA:CPU writes a concatenation element by element."""
    *shape, channels = arrays[0].shape
    joined = jnp.zeros((*shape, len(arrays) * channels), arrays[0].dtype)
    for place, each in enumerate(arrays):
        start = place * channels
        joined = jax.lax.dynamic_update_slice_in_dim(joined, each, start, axis=-1)
    return joined


def _every_second(x: jax.Array, axis: int) -> list[jax.Array]:
    """Places 0, 1, 2 and 3 of each tile along an axis."""
    last = x.shape[axis] - 3
    return [jax.lax.slice_in_dim(x, place, place + last, 2, axis) for place in range(4)]


def _combine(matrix: Sequence[Sequence[int]], arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Multiplies a matrix of 0, 1 and -1 with a list of arrays."""
    combined = []
    for row in matrix:
        first, *rest = [(sign, x) for sign, x in zip(row, arrays, strict=True) if sign]
        total = first[1] if first[0] > 0 else -first[1]
        for sign, x in rest:
            total = total + x if sign > 0 else total - x
        combined.append(total)
    return combined


class Conv3D(nn.Module):
    """A 3 x 3 x 3 convolution, zeros around: `[B, T, H, W, Fi] -> [B, T, H, W, Fo]`.

    Attributes:
      features: channels out.
      dtype: of the product; parameters stay float32.
    """

    features: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (3, 3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        convolve = convolve_3d_on_cpu if jax.default_backend() == "cpu" else convolve_3d
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)
