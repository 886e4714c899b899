"""Convolutions over frames and pixels as convolutions over pixels, with frames as channels.

For a CPU, and for strides, kernels of one row or column and few channels, to which Winograd's
algorithm does not apply. XLA:CPU is slow at convolutions over three axes and slower at their
derivatives inside a loop (`python -m benchmarks.volume`).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fer_jax.layers.cpu.tiles import Parts, cut, over_rows, side_by_side

FEW = 8  # input channels; below, two columns of the output are computed as one
_BYTES_AT_ONCE = 2**23  # of joined frames; more would not fit the caches


def convolve_frames(x: jax.Array, kernel: jax.Array, strides, padding) -> jax.Array:
    """Convolves, with derivatives that are fast on a CPU, also inside a loop.

    Args:
      x: `[B, T, H, W, Fi]`.
      kernel: `[Kt, Kh, Kw, Fi, Fo]`, Kt odd; frames are padded with zeros.
      strides: of rows and columns.
      padding: zeros `((above, below), (left, right))`.

    Returns:
      `[B, T, H', W', Fo]`.
    """
    if x.shape[-1] >= FEW:
        return _convolve(x, kernel, strides, padding)
    return _two_columns_as_one(x, kernel, strides, padding)


def _two_columns_as_one(x, kernel, strides, padding) -> jax.Array:
    """Doubles the channels: matrix products with very few of them are slow."""
    (row_stride, stride), (rows, (left, right)) = strides, padding
    *_, width, channels = x.shape
    taps, height, side, _, features = kernel.shape
    columns = (width + left + right - side) // stride + 1
    pairs, step = -(-columns // 2), 2 * stride  # input columns per pair of output columns
    reach = -(-(stride + side) // step)  # of these steps
    kernels = [
        jnp.pad(kernel, ((0, 0), (0, 0), (own, reach * step - side - own), (0, 0), (0, 0)))
        for own in (0, stride)
    ]
    kernel = jnp.stack(kernels, -2).reshape(taps, height, reach, step * channels, 2 * features)
    whole = (pairs + reach - 1) * step
    x = jnp.pad(x, ((0, 0),) * 3 + ((left, max(whole - left - width, 0)), (0, 0)))[..., :whole, :]
    x = x.reshape(*x.shape[:3], whole // step, step * channels)
    y = _convolve(x, kernel, (row_stride, 1), (rows, (0, 0)))
    return y.reshape(*y.shape[:3], 2 * pairs, features)[..., :columns, :]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x, kernel, strides, padding):
    taps, height, width, _, features = kernel.shape
    ends = _ends(_counts(x.shape, kernel.shape, strides, padding), kernel.shape, strides)
    ends, left_to_pad = _leave_some(ends, x.shape, kernel.shape, strides, padding)
    windows = _Windows.of(x, taps, padding, ends)
    matrix = kernel.transpose(1, 2, 0, 3, 4).reshape(height, width, -1, features)

    def outputs(index):
        frames = windows.take(index)
        if height == width == 1:
            return frames[:, :, :: strides[0], :: strides[1]] @ matrix[0, 0]
        y = jax.lax.conv_general_dilated(
            frames.reshape(-1, *frames.shape[2:]), matrix, strides, left_to_pad,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return y.reshape(*frames.shape[:2], *y.shape[1:])

    # Unlike elsewhere, a loop over a single part is slower here (`benchmarks.speed`).
    return outputs(0) if windows.parts.count == 1 else windows.parts.map(outputs)


def _forward(x, kernel, strides, padding):
    return _convolve(x, kernel, strides, padding), (x, kernel)


def _backward(strides, padding, saved, cotangent):
    x, kernel = saved
    return (
        _pixel_gradient(cotangent, kernel, strides, padding, x.shape[2:4]),
        _kernel_gradient(x, cotangent, kernel, strides, padding),
    )


_convolve.defvjp(_forward, _backward)


def _pixel_gradient(cotangent, kernel, strides, padding, size) -> jax.Array:
    """Gradient of `[B, T, H, W, Fi]`: a convolution for each offset within a stride."""
    kernel = kernel[::-1].swapaxes(-1, -2)
    if strides == (1, 1):
        around = [
            (taps - 1 - before, taps - 1 - after)
            for taps, (before, after) in zip(kernel.shape[1:3], padding, strict=True)
        ]
        return _convolve(cotangent, kernel[:, ::-1, ::-1], strides, tuple(around))
    sides = [side + sum(around) for side, around in zip(size, padding, strict=True)]
    counts = [-(-side // stride) for side, stride in zip(sides, strides, strict=True)]

    def at(row, column):
        own = kernel[:, row :: strides[0], column :: strides[1]]
        if not own.size:  # the kernel is smaller than the stride
            return jnp.zeros((*cotangent.shape[:2], *counts, own.shape[-1]), cotangent.dtype)
        around = [
            (taps - 1, count - given)
            for taps, count, given in zip(own.shape[1:3], counts, cotangent.shape[2:4], strict=True)
        ]
        return _convolve(cotangent, own[:, ::-1, ::-1], (1, 1), tuple(around))

    offsets = [[at(row, column) for column in range(strides[1])] for row in range(strides[0])]
    gradient = jnp.stack([jnp.stack(row, 4) for row in offsets], 3)
    gradient = gradient.reshape(
        *cotangent.shape[:2], strides[0] * counts[0], strides[1] * counts[1], -1
    )
    (top, _), (left, _) = padding
    return gradient[:, :, top : top + size[0], left : left + size[1]]


def _kernel_gradient(x, cotangent, kernel, strides, padding) -> jax.Array:
    """Gradient of `[Kt, Kh, Kw, Fi, Fo]`: a matrix product for each row of taps."""
    taps, height, width, channels, features = kernel.shape
    ends = _ends(cotangent.shape[2:4], kernel.shape, strides)
    windows = _Windows.of(x, taps, padding, ends, width)
    rows, columns = cotangent.shape[2:4]

    def beside(frames):
        """Joins the pixels under each column of taps."""
        last = (columns - 1) * strides[1] + 1
        return side_by_side([frames[..., tap : tap + last : strides[1], :] for tap in range(width)])

    def products(index):
        frames, own = windows.take(index), windows.parts.take(cotangent, index)
        if strides[0] > 1:
            last = (rows - 1) * strides[0] + 1
            touched = [frames[:, :, row : row + last : strides[0]] for row in range(height)]
            return jnp.stack([over_rows(own, beside(each)) for each in touched])
        shifted = jnp.zeros((*own.shape[:2], ends[0], columns, height, features), own.dtype)
        for row in range(height):
            shifted = shifted.at[:, :, row : row + rows, :, row].set(own)
        return over_rows(shifted.reshape(*shifted.shape[:4], -1), beside(frames))

    gradient = windows.parts.sum(products)
    gradient = gradient.reshape(height, features, width, taps, channels)
    return gradient.transpose(3, 0, 2, 4, 1).astype(kernel.dtype)


def _counts(shape, kernel, strides, padding) -> list[int]:
    """Rows and columns of the output."""
    sizes = zip(shape[2:4], kernel[1:3], strides, padding, strict=True)
    return [(side + sum(around) - taps) // stride + 1 for side, taps, stride, around in sizes]


def _ends(counts, kernel, strides) -> list[int]:
    """Rows and columns of the input, padding included, that the output depends on."""
    sizes = zip(counts, strides, kernel[1:3], strict=True)
    return [(count - 1) * stride + taps for count, stride, taps in sizes]


def _leave_some(ends, shape, kernel, strides, padding):
    """Leaves one row or column of zeros for the convolution to pad: XLA:CPU is slow without any.

    It is also slow with many if the output is larger than the input.

    Returns:
      Remaining rows and columns, and the padding of the convolution.
    """
    ends, left_to_pad = list(ends), [(0, 0), (0, 0)]
    for axis in range(2):
        zeros = ends[axis] - padding[axis][0] - shape[2 + axis]
        if kernel[1 + axis] > 1 and (zeros > 0 or strides[axis] > 1):
            ends[axis] -= zeros > 0  # otherwise no kernel reaches the padding
            left_to_pad[axis] = (0, 1)
            break
    return ends, left_to_pad


class _Windows(NamedTuple):
    """Padded frames of clips, the channels of neighbouring frames joined, part by part.

    Attributes:
      x: `[B, T, H, W, C]`, with frames of zeros before and after if parts are less than a clip.
      parts: division of the clips.
      taps: K, frames that are joined.
      starts: zeros above and left.
      ends: rows and columns in all; the rest is cut off.
    """

    x: jax.Array
    parts: Parts
    taps: int
    starts: tuple[int, int]
    ends: tuple[int, int]

    @classmethod
    def of(cls, x, taps: int, padding, ends, copies: int = 1) -> _Windows:
        """Divides the clips so that `copies` of a part's windows fit the caches."""
        parts = cut(x.shape, taps * copies * x.dtype.itemsize, _BYTES_AT_ONCE)
        if parts.across > 1:
            x = jnp.pad(x, ((0, 0), (taps // 2, taps // 2), (0, 0), (0, 0), (0, 0)))
        return cls(x, parts, taps, (padding[0][0], padding[1][0]), tuple(ends))

    def take(self, index) -> jax.Array:
        """Returns `[b, t, *ends, K C]`, updated in place as in `side_by_side`."""
        whole, (top, left) = self.parts.across == 1, self.starts
        part = self.parts.take(self.x, index, around=0 if whole else self.taps - 1)
        part = part[:, :, : self.ends[0] - top, : self.ends[1] - left]
        clips, _, rows, columns, channels = part.shape
        frames = self.parts.frames
        joined = jnp.zeros((clips, frames, *self.ends, self.taps, channels), part.dtype)
        for tap in range(self.taps):
            first = tap - self.taps // 2 if whole else tap  # frame under this tap
            own = part[:, max(first, 0) : first + frames]
            start = (0, max(-first, 0), top, left, tap, 0)
            joined = jax.lax.dynamic_update_slice(joined, own[:, :, :, :, None], start)
        return joined.reshape(clips, frames, *self.ends, -1)
