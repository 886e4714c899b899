"""Convolution over the frames and the pixels of clips, pooling. Channels are the last axis."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.models.winograd import convolve_on_cpu


def convolve_3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves clips, `[B, T, H, W, Fi], [3, 3, 3, Fi, Fo] -> [B, T, H, W, Fo]`; zeros around."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )


@jax.custom_vjp
def max_pool_frames(x: jax.Array) -> jax.Array:
    """The largest of 2 x 2 pixels: `[..., H, W, C] -> [..., H / 2, W / 2, C]`, floors odd sides.

    Its derivative goes to the first of equal pixels, as PyTorch's, and stores where it was.
    """
    return functools.reduce(jnp.maximum, _quarters(x))


def _pool_forward(x):
    first, second, third, fourth = _quarters(x)
    upper, lower = jnp.maximum(first, second), jnp.maximum(third, fourth)
    column = jnp.where(upper >= lower, first < second, third < fourth)
    place = (2 * (upper < lower) + column).astype(jnp.int8)
    odd = jnp.zeros((x.shape[-3] % 2, x.shape[-2] % 2, 0))  # its shape says what was cut off
    return jnp.maximum(upper, lower), (place, odd)


def _pool_backward(saved, cotangent):
    place, odd = saved
    places = jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
    here = place[..., None, :, None, :] == places
    spread = jnp.where(here, cotangent[..., None, :, None, :], 0)
    *leading, height, _, width, _, channels = spread.shape
    spread = spread.reshape(*leading, 2 * height, 2 * width, channels)
    cut_off = [(0, 0)] * len(leading) + [(0, odd.shape[0]), (0, odd.shape[1]), (0, 0)]
    return (jnp.pad(spread, cut_off),)


max_pool_frames.defvjp(_pool_forward, _pool_backward)


def _quarters(x) -> list[jax.Array]:
    """Each of the 2 x 2 pixels, row by row."""
    *leading, height, width, channels = x.shape
    x = x[..., : height // 2 * 2, : width // 2 * 2, :]
    x = x.reshape(*leading, height // 2, 2, width // 2, 2, channels)
    return [x[..., row, :, column, :] for row in range(2) for column in range(2)]


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
        convolve = convolve_on_cpu if jax.default_backend() == "cpu" else convolve_3d
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)
