"""Convolution over frames and pixels of clips, and pooling. Channels are the last axis."""

from __future__ import annotations

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers.common import channel_mix
from fer_jax.layers.cpu.im2col import FEW, convolve_frames
from fer_jax.layers.cpu.winograd import convolve_on_cpu


def convolve_3d(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: str = "SAME"):
    """Convolves clips, `[B, T, H, W, Fi], [Kt, Kh, Kw, Fi, Fo] -> [B, T, H', W', Fo]`.

    Args:
      x, kernel: Kt is odd; frames are padded with zeros.
      stride: of the pixels; that of the frames is 1.
      padding: of the pixels, "SAME" (zeros, as TensorFlow counts them) or "VALID" (none).
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, stride, stride),
        paddings(x.shape, kernel.shape, stride, padding),
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )


def convolve_3d_on_cpu(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: str = "SAME"):
    """`convolve_3d` by algorithms that are fast on a CPU, also in a loop and for derivatives."""
    fits_tiles = kernel.shape[1:3] == (3, 3) and (stride, padding) == (1, "SAME")
    if fits_tiles and max(kernel.shape[-2:]) > FEW:
        return convolve_on_cpu(x, kernel)
    around = paddings(x.shape, kernel.shape, stride, padding)[1:]
    return convolve_frames(x, kernel, (stride, stride), tuple(around))


def paddings(shape, kernel, stride: int, padding: str) -> list[tuple[int, int]]:
    """Zeros before and after the frames, rows and columns of `[B, T, H, W, C]`."""
    (taps, *sides), strides = kernel[:3], (stride, stride)
    pixels = jax.lax.padtype_to_pads(shape[2:4], sides, strides, padding)
    return [(taps // 2, taps // 2), *pixels]


@jax.custom_vjp
def max_pool_frames(x: jax.Array) -> jax.Array:
    """Max pooling of 2 x 2 pixels: `[..., H, W, C] -> [..., H / 2, W / 2, C]`, sides rounded down.

    The derivative goes to the first of equal pixels, as in PyTorch, whose index is stored.
    """
    # With `x.max` over two axes XLA:CPU is slower (STC-NLSTM in docs/speed.md).
    return functools.reduce(jnp.maximum, _quarters(x))


def _pool_forward(x):
    first, second, third, fourth = _quarters(x)
    upper, lower = jnp.maximum(first, second), jnp.maximum(third, fourth)
    column = jnp.where(upper >= lower, first < second, third < fourth)
    index = (2 * (upper < lower) + column).astype(jnp.int8)
    odd = jnp.zeros((x.shape[-3] % 2, x.shape[-2] % 2, 0))  # its shape: rows, columns cut off
    return jnp.maximum(upper, lower), (index, odd)


def _pool_backward(saved, cotangent):
    index, odd = saved
    here = index[..., None, :, None, :] == jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
    spread = jnp.where(here, cotangent[..., None, :, None, :], 0)
    *leading, height, _, width, _, channels = spread.shape
    spread = spread.reshape(*leading, 2 * height, 2 * width, channels)
    cut_off = [(0, 0)] * len(leading) + [(0, odd.shape[0]), (0, odd.shape[1]), (0, 0)]
    return (jnp.pad(spread, cut_off),)


max_pool_frames.defvjp(_pool_forward, _pool_backward)


def _quarters(x) -> list[jax.Array]:
    """Returns each of the 2 x 2 pixels, row by row."""
    *leading, height, width, channels = x.shape
    x = x[..., : height // 2 * 2, : width // 2 * 2, :]
    x = x.reshape(*leading, height // 2, 2, width // 2, 2, channels)
    return [x[..., row, :, column, :] for row in range(2) for column in range(2)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def largest(x: jax.Array, axis: int) -> jax.Array:
    """The largest value along a short axis, which is removed.

    The derivative goes to the first of equal values, whose index is stored. JAX's own derivative
    searches for values equal to the maximum: where a compiler computes them twice with different
    rounding, it finds none and divides by zero.
    """
    return x.max(axis)


def _largest_forward(x, axis):
    value, first = _first_largest(
        [jax.lax.index_in_dim(x, n, axis, False) for n in range(x.shape[axis])]
    )
    return value, (first, jnp.zeros((x.shape[axis], 0)))  # its shape: the length of the axis


def _first_largest(arrays: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Element-wise maximum of several arrays, and the index of the first array that has it."""
    kind = jnp.int8 if len(arrays) < 128 else jnp.int32
    value, first = arrays[0], jnp.zeros(arrays[0].shape, kind)
    for index, each in enumerate(arrays[1:], 1):
        first = jnp.where(each > value, kind(index), first)
        value = jnp.maximum(value, each)
    return value, first


def _largest_backward(axis, saved, cotangent):
    first, length = saved[0], saved[1].shape[0]
    axis %= first.ndim + 1
    indices = jnp.arange(length, dtype=first.dtype).reshape(-1, *[1] * (first.ndim - axis))
    here = jnp.expand_dims(first, axis) == indices
    return (jnp.where(here, jnp.expand_dims(cotangent, axis), 0),)


largest.defvjp(_largest_forward, _largest_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool_3(x: jax.Array, padding: str) -> jax.Array:
    """Max pooling of 3 x 3 pixels with stride 2, `[B, T, H, W, C] -> [B, T, H', W', C]`.

    The derivative goes to the first of equal pixels, as in PyTorch, whose index is stored.

    Args:
      x: maps.
      padding: "SAME" (minus infinity around the pixels) or "VALID" (none).
    """
    return functools.reduce(jnp.maximum, _ninths(x, padding))


def _pool_3_forward(x, padding):
    value, first = _first_largest(_ninths(x, padding))
    return value, (first, jnp.zeros((*x.shape[2:4], 0)))  # its shape: the size of the maps


def _pool_3_backward(padding, saved, cotangent):
    first, (height, width, _) = saved[0], saved[1].shape
    rows, columns = first.shape[2:4]
    around = ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
    first = jnp.pad(first, around, constant_values=-1)
    cotangent = jnp.pad(cotangent, around)
    parity = jnp.arange(2, dtype=jnp.int8)
    gradient = 0
    for i, j in itertools.product(range(2), repeat=2):  # the window of a pixel, or the one before
        row, column = parity + 2 * i, parity + 2 * j  # of the pixel in that window
        index = jnp.where(row < 3, 3 * row, 9)[:, None] + jnp.where(column < 3, column, 9)
        window = (..., slice(1 - i, rows + 2 - i), slice(1 - j, columns + 2 - j), slice(None))
        here = first[window][:, :, :, None, :, None] == index[:, None, :, None]
        gradient += jnp.where(here, cotangent[window][:, :, :, None, :, None], 0)
    *leading, _, _, _, _, channels = gradient.shape
    gradient = gradient.reshape(*leading, 2 * (rows + 1), 2 * (columns + 1), channels)
    (top, _), (left, _) = _pool_padding((height, width), padding)
    spare = [(0, 0), (0, 0), (0, height), (0, width), (0, 0)]  # more than any window reaches
    return (jnp.pad(gradient, spare)[:, :, top : top + height, left : left + width],)


max_pool_3.defvjp(_pool_3_forward, _pool_3_backward)


def _pool_padding(size: tuple[int, int], padding: str) -> list[tuple[int, int]]:
    return jax.lax.padtype_to_pads(size, (3, 3), (2, 2), padding)


def _ninths(x, padding: str) -> list[jax.Array]:
    """Returns each of the 3 x 3 pixels, row by row."""
    around = _pool_padding(x.shape[2:4], padding)
    x = jnp.pad(x, ((0, 0), (0, 0), *around, (0, 0)), constant_values=-jnp.inf)
    rows, columns = (x.shape[2] - 1) // 2 * 2 - 1, (x.shape[3] - 1) // 2 * 2 - 1
    return [
        x[:, :, row : row + rows : 2, column : column + columns : 2]
        for row in range(3)
        for column in range(3)
    ]


def mean_pool_3(x: jax.Array) -> jax.Array:
    """Averages the 3 x 3 pixels around each pixel, without padding, `[B, T, H, W, C]`."""
    frames = x.reshape(-1, *x.shape[2:])
    return nn.avg_pool(frames, (3, 3), (1, 1), "SAME", count_include_pad=False).reshape(x.shape)


class Conv3D(nn.Module):
    """A convolution over frames and pixels: `[B, T, H, W, Fi] -> [B, T, H', W', Fo]`.

    Attributes:
      features: output channels.
      dtype: of the product; parameters stay float32.
      kernel_size: frames, rows and columns.
      stride, padding: see `convolve_3d`.
    """

    features: int
    dtype: str = "float32"
    kernel_size: tuple[int, int, int] = (3, 3, 3)
    stride: int = 1
    padding: str = "SAME"
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        if self.kernel_size == (1, 1, 1) and self.stride == 1:
            y = channel_mix(x, kernel[0, 0, 0])
        elif jax.default_backend() != "cpu":
            y = convolve_3d(x, kernel, self.stride, self.padding)
        else:
            y = convolve_3d_on_cpu(x, kernel, self.stride, self.padding)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
