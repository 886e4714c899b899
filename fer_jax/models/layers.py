"""Layers that several systems share."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

# Convolution kernels are laid out [..., in, out]: "fan_out" counts taps times output channels.
he_normal_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, synchronised over devices.

    Differs from `flax.linen.BatchNorm` in one point: the running variance is the unbiased
    estimate, as in PyTorch, where the published systems were trained.

    Attributes:
      axis_name: name of the mapped device axis over which statistics are averaged, if any.
      scale_init: initialiser of the scale.
    """

    axis_name: str | None = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = x.shape[-1]
        scale = self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        var_state = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if not train:
            mean, var = mean_state.value, var_state.value
        else:
            axes = tuple(range(x.ndim - 1))
            mean, square = x.mean(axes), jnp.square(x).mean(axes)
            count = x.size // channels
            if self.axis_name is not None and not self.is_initializing():
                mean, square = jax.lax.pmean((mean, square), self.axis_name)
                count = count * jax.lax.axis_size(self.axis_name)
            var = jnp.maximum(square - jnp.square(mean), 0.0)
            if not self.is_initializing():
                keep = self.momentum
                unbiased = var * (count / max(count - 1, 1))
                mean_state.value = keep * mean_state.value + (1 - keep) * mean
                var_state.value = keep * var_state.value + (1 - keep) * unbiased
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        return x * factor + (bias - mean * factor)


@jax.custom_vjp
def channel_mix(x, w):
    return x @ w


def _fwd(x, w):
    return x @ w, (x, w)


def _bwd(res, dy):
    x, w = res
    dx = dy @ w.T
    dw = jax.lax.dot_general(x.reshape(-1, w.shape[0]), dy.reshape(-1, w.shape[1]), (((0,), (0,)), ((), ())))
    return dx, dw


channel_mix.defvjp(_fwd, _bwd)


def _hash32(i):
    i = (i ^ (i >> 16)) * jnp.uint32(0x7FEB352D)
    i = (i ^ (i >> 15)) * jnp.uint32(0x846CA68B)
    return i ^ (i >> 16)


class Dropout(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, active: bool) -> jax.Array:
        if not active or self.rate == 0.0:
            return x
        k = jax.random.bits(self.make_rng("dropout"), (2,))
        i = jax.lax.iota(jnp.uint32, x.size).reshape(x.shape)
        keep = _hash32(_hash32(i + k[0]) ^ k[1]) < jnp.uint32((1 - self.rate) * 2**32)
        return jnp.where(keep, x / (1.0 - self.rate), 0.0)


class Dense(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x):
        w = self.param("kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), (x.shape[-1], self.features))
        b = self.param("bias", nn.initializers.zeros, (self.features,))
        return channel_mix(x, w) + b
