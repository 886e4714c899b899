"""ST-BLN: spatio-temporal bilinear network (Heidari & Iosifidis, MMSP 2021, section III-B)."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.models.layers import BatchNorm, Dense, Dropout, channel_mix, he_normal_fan_out


class TemporalConv(nn.Module):
    features: int
    kernel_size: int = 9
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        edges, batch, frames, channels = x.shape
        size, stride = self.kernel_size, self.stride
        kernel = self.param("kernel", he_normal_fan_out, (size, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        pad = size // 2
        out_frames = (frames - 1) // stride + 1
        if frames < size:
            taps = np.arange(frames)[:, None] - stride * np.arange(out_frames)[None] + pad
            inside = (taps >= 0) & (taps < size)
            toeplitz = kernel[np.clip(taps, 0, size - 1)] * inside[..., None, None]
            toeplitz = toeplitz.transpose(0, 2, 1, 3).reshape(frames * channels, -1)
            y = channel_mix(x.reshape(edges * batch, frames * channels), toeplitz)
        else:
            y = jax.lax.conv_general_dilated(
                x.reshape(edges * batch, frames, 1, channels),
                kernel[:, None],
                (stride, 1),
                [(pad, pad), (0, 0)],
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        return y.reshape(edges, batch, out_frames, self.features) + bias


class BilinearMap(nn.Module):
    features: int
    subsets: int
    u_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        edges, channels = x.shape[0], x.shape[-1]
        s = self.subsets
        u = self.param("U", self.u_init, (s, edges, edges))
        w = self.param("kernel", nn.initializers.normal((2 / (self.features * channels * s)) ** 0.5),
                       (s, channels, self.features))
        b = self.param("bias", nn.initializers.zeros, (s, self.features))
        um = u.transpose(1, 0, 2).reshape(edges, s * edges)
        p = (um.T @ x.reshape(edges, -1)).reshape(s, *x.shape)
        y = sum(channel_mix(p[i], w[i]) for i in range(s))
        return y + b.sum(0)


class Block(nn.Module):
    features: int
    stride: int
    first: bool
    subsets: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        bn = lambda name, **k: BatchNorm(self.axis_name, name=name, **k)
        uinit = nn.initializers.normal(1 / x.shape[0] ** 0.5)
        z = BilinearMap(self.features, self.subsets, uinit, name="bilinear")(x)
        z = bn("bn_s", scale_init=nn.initializers.constant(1e-6))(z, train=train)
        r = x
        if x.shape[-1] != self.features:
            r = Dense(self.features, name="r1")(x)
            r = bn("bn_r1")(r, train=train)
        h = nn.relu(z + r)
        y = TemporalConv(self.features, stride=self.stride, name="temporal")(h)
        y = bn("bn_t")(y, train=train)
        if not self.first:
            r = x
            if x.shape[-1] != self.features or self.stride != 1:
                r = Dense(self.features, name="r2")(x[:, :, :: self.stride])
                r = bn("bn_r2")(r, train=train)
            y = y + r
        return nn.relu(y)


class STBLN(nn.Module):
    classes: int
    widths: Sequence[int] = (8, 16, 16, 32, 32, 64, 64)
    subsets: int = 3
    rate: float = 0.2
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, *, train, dropout=None):
        dropout = train if dropout is None else dropout
        b, t, e, c = x.shape
        x = BatchNorm(self.axis_name, name="data_bn")(x.reshape(b, t, e * c), train=train)
        x = x.reshape(b, t, e, c).transpose(2, 0, 1, 3)
        for i, w in enumerate(self.widths):
            x = Block(w, 2 if i in (4, 7) else 1, i == 0, self.subsets, self.axis_name, name=f"layer{i+1}")(x, train)
            x = Dropout(self.rate)(x, active=dropout)
        x = x.mean((0, 2))
        return nn.Dense(self.classes, name="head")(x)
