"""Convolutions and pooling over images. Channels are always the last axis."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.models.layers import channel_mix, he_normal_fan_out


def convolve_2d(x: jax.Array, kernel: jax.Array, padding, stride: int = 1) -> jax.Array:
    """Convolves images, `[N, H, W, Fi], [Kh, Kw, Fi, Fo] -> [N, H', W', Fo]`, zeros padded on."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_2d_on_cpu(x: jax.Array, kernel: jax.Array, padding) -> jax.Array:
    """`convolve_2d` of stride 1, with derivatives that are fast on a CPU inside a loop too.

    Those that XLA:CPU derives itself are convolutions over other axes, for which it has no fast
    kernel there (`python -m benchmarks.convolution`).

    Args:
      padding: `((top, bottom), (left, right))`, each less than the kernel's side.
    """
    return convolve_2d(x, kernel, padding)


def _forward(x, kernel, padding):
    return convolve_2d(x, kernel, padding), (x, kernel)


def _backward(padding, saved, cotangent):
    x, kernel = saved
    height, width = kernel.shape[:2]
    (top, bottom), (left, right) = padding
    mirrored = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    around = ((height - 1 - top, height - 1 - bottom), (width - 1 - left, width - 1 - right))
    return convolve_2d(cotangent, mirrored, around), _kernel_gradient(x, cotangent, padding, kernel)


convolve_2d_on_cpu.defvjp(_forward, _backward)


def _kernel_gradient(x, cotangent, padding, kernel) -> jax.Array:
    """Gradient of a kernel `[Kh, Kw, Fi, Fo]`: one product of matrices a tap."""
    height, width, channels, features = kernel.shape
    rows, columns = cotangent.shape[1:3]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    outer = cotangent.reshape(-1, features)

    def tap(row, column):
        inner = x[:, row : row + rows, column : column + columns].reshape(-1, channels)
        return jax.lax.dot_general(inner, outer, (((0,), (0,)), ((), ())))

    taps = [tap(row, column) for row in range(height) for column in range(width)]
    return jnp.stack(taps).reshape(kernel.shape)


class Conv2D(nn.Module):
    """A square convolution with zero padding of half its side: `[N, H, W, Fi] -> [N, H', W', Fo]`.

    Attributes:
      features: channels out.
      kernel_size: side of the kernel, odd.
      stride: in both directions.
      use_bias: adds a bias.
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
        if side == 1:
            y = channel_mix(x[:, :: self.stride, :: self.stride], kernel[0, 0])
        elif jax.default_backend() != "cpu":
            y = convolve_2d(x, kernel, ((side // 2,) * 2,) * 2, self.stride)
        else:
            y = _strided(x, kernel, self.stride)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)


def _strided(x, kernel, stride: int) -> jax.Array:
    """Takes `stride x stride` pixels as one pixel with so many more channels."""
    pad = len(kernel) // 2
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


def max_pool_2(x: jax.Array) -> jax.Array:
    """The largest of every 2 x 2 pixels: `[N, H, W, C] -> [N, H / 2, W / 2, C]`, floors odd sides.

    Reshaped instead of windowed: XLA:CPU scatters the gradient of a window pixel by pixel.
    """
    count, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(count, height // 2, 2, width // 2, 2, channels).max((2, 4))


def max_pool_3(x: jax.Array) -> jax.Array:
    """The largest of 3 x 3 pixels around every second one (ResNet); x is not negative."""
    height, width = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = [x[:, row : row + height : 2] for row in range(3)]
    x = functools.reduce(jnp.maximum, rows)
    return functools.reduce(jnp.maximum, [x[:, :, c : c + width : 2] for c in range(3)])
