"""Convolutions and pooling over images. Channels are always the last axis."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers.common import channel_mix, he_normal_fan_out
from fer_jax.layers.cpu.im2col import FEW, convolve_frames
from fer_jax.layers.cpu.winograd import convolve_on_cpu

_WIDE = 128  # input and output channels above which Winograd's algorithm is used, and the pixels
_MANY = 1024  # of all images: for few, transforming the kernel takes longer than the product
_BYTES_AT_ONCE = 2**24  # of the operands of a kernel's gradient; more would not fit the caches


def convolve_2d(x: jax.Array, kernel: jax.Array, padding, stride: int = 1) -> jax.Array:
    """Convolves images with zero padding, `[N, H, W, Fi], [Kh, Kw, Fi, Fo] -> [N, H', W', Fo]`."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_2d_on_cpu(x: jax.Array, kernel: jax.Array, padding) -> jax.Array:
    """`convolve_2d` of stride 1, faster on a CPU with few input channels and for derivatives.

    Args:
      padding: `((top, bottom), (left, right))`, each less than the kernel's side.
    """
    if x.shape[-1] >= FEW or not _is_known(x):
        return convolve_2d(x, kernel, padding)
    return convolve_frames(x[:, None], kernel[None], (1, 1), padding)[:, 0]


def _forward(x, kernel, padding):
    return convolve_2d_on_cpu(x, kernel, padding), (x, kernel)


def _backward(padding, saved, cotangent):
    x, kernel = saved
    height, width = kernel.shape[:2]
    (top, bottom), (left, right) = padding
    mirrored = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    around = ((height - 1 - top, height - 1 - bottom), (width - 1 - left, width - 1 - right))
    return convolve_2d(cotangent, mirrored, around), _kernel_gradient(x, cotangent, padding, kernel)


convolve_2d_on_cpu.defvjp(_forward, _backward)


def _kernel_gradient(x, cotangent, padding, kernel) -> jax.Array:
    """Gradient of a kernel `[Kh, Kw, Fi, Fo]`: one matrix product for each row of taps.

    The operand with fewer channels is repeated for each column of taps, a few images at a time.
    """
    height, width, channels, features = kernel.shape
    rows, columns = cotangent.shape[1:3]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    widen_x = channels < features
    if not widen_x:
        columns, spare = x.shape[2], width - 1
        cotangent = jnp.pad(cotangent, ((0, 0), (0, 0), (spare, spare), (0, 0)))

    def products(x, cotangent):
        if widen_x:
            x = jnp.concatenate([x[:, :, tap : tap + columns] for tap in range(width)], -1)
        else:  # column c of x meets column c - tap of the cotangent
            shifted = [cotangent[:, :, tap : tap + columns] for tap in reversed(range(width))]
            cotangent = jnp.concatenate(shifted, -1)
        outer = cotangent.reshape(-1, cotangent.shape[-1])
        inner = [x[:, row : row + rows].reshape(len(outer), -1) for row in range(height)]
        product = functools.partial(
            jax.lax.dot_general,
            dimension_numbers=(((0,), (0,)), ((), ())),  # over all pixels
            preferred_element_type=jnp.float32,
        )
        return jnp.stack([product(each, outer) for each in inner])

    gradient = _sum_over_images(products, x, cotangent, (width + 1) * max(channels, features))
    if widen_x:
        gradient = gradient.reshape(kernel.shape)
    else:
        gradient = gradient.reshape(height, channels, width, features).transpose(0, 2, 1, 3)
    return gradient.astype(kernel.dtype)


def _sum_over_images(function, x, y, channels: int) -> jax.Array:
    """Sums `function` over groups of images whose `channels` fit `_BYTES_AT_ONCE`."""
    limit = _BYTES_AT_ONCE // (x.shape[1] * x.shape[2] * channels * x.dtype.itemsize)
    some = max(n for n in range(1, max(1, min(limit, len(x))) + 1) if len(x) % n == 0)
    if some == len(x):
        return function(x, y)
    parts = [each.reshape(-1, some, *each.shape[1:]) for each in (x, y)]
    zeros = jnp.zeros_like(jax.eval_shape(function, *(each[0] for each in parts)))
    return jax.lax.scan(lambda sum_, part: (sum_ + function(*part), None), zeros, parts)[0]


class Conv2D(nn.Module):
    """A square convolution with zero padding of half its side: `[N, H, W, Fi] -> [N, H', W', Fo]`.

    Attributes:
      features: output channels.
      kernel_size: side of the kernel, odd.
      stride: in both directions.
      dtype: of the product; parameters stay float32.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = True
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        side = self.kernel_size
        shape = (side, side, x.shape[-1], self.features)
        kernel = self.param("kernel", he_normal_fan_out, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        if side == 1 and self.stride == 1:
            y = channel_mix(x, kernel[0, 0])
        elif jax.default_backend() != "cpu":
            y = convolve_2d(x, kernel, ((side // 2,) * 2,) * 2, self.stride)
        elif side == 1:
            y = channel_mix(x[:, :: self.stride, :: self.stride], kernel[0, 0])
        else:
            y = _strided(x, kernel, self.stride)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)


def _strided(x, kernel, stride: int) -> jax.Array:
    """Convolves with stride 1, `stride x stride` pixels being the channels of one pixel."""
    pad = len(kernel) // 2
    wide = _is_known(x) and min(kernel.shape[2:]) >= _WIDE and x[..., 0].size >= _MANY
    if stride == 1 and len(kernel) == 3 and wide:
        return convolve_on_cpu(x[:, None], kernel[None])[:, 0]
    if stride == 1:
        return convolve_2d_on_cpu(x, kernel, ((pad, pad), (pad, pad)))
    count, height, width, channels = x.shape
    front, back = -pad % stride, -(len(kernel) + -pad % stride) % stride
    kernel = jnp.pad(kernel, ((front, back), (front, back), (0, 0), (0, 0)))
    side = len(kernel) // stride
    kernel = kernel.reshape(side, stride, side, stride, channels, -1).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(side, side, stride * stride * channels, -1)
    x = jnp.pad(x, ((0, 0), (0, -height % stride), (0, -width % stride), (0, 0)))
    x = x.reshape(count, x.shape[1] // stride, stride, x.shape[2] // stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(count, x.shape[1], x.shape[3], -1)
    before = (pad + front) // stride
    return convolve_2d_on_cpu(x, kernel, ((before, side - 1 - before),) * 2)


def _is_known(x) -> bool:
    """False where a program for any number of images is made."""
    return isinstance(x.shape[0], int)


def max_pool_3(x: jax.Array, ceil: bool = False) -> jax.Array:
    """Max pooling of 3 x 3 pixels with stride 2 (ResNet); x must not be negative.

    Args:
      x: `[N, H, W, C]`.
      ceil: as in Caffe: no padding before the first pixel, and the last window may reach beyond the
        last one; False pads one pixel all around.
    """
    height, width = x.shape[1:3]
    if ceil:
        spare = [2 * (-(-max(side - 3, 0) // 2)) + 3 - side for side in (height, width)]
        x = jnp.pad(x, ((0, 0), (0, spare[0]), (0, spare[1]), (0, 0)))
        height, width = (side + more - 2 for side, more in zip((height, width), spare, strict=True))
    else:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = [x[:, row : row + height : 2] for row in range(3)]
    x = functools.reduce(jnp.maximum, rows)
    return functools.reduce(jnp.maximum, [x[:, :, c : c + width : 2] for c in range(3)])
