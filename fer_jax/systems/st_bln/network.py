"""ST-BLN, the spatio-temporal bilinear network (Heidari & Iosifidis, MMSP 2021, section III).

Inside the network arrays are `[E, B, T, F]`, edges first and channels last: mixing the edges and
mixing the channels are then one matrix product each, without moving memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.common import (
    STRIDED_LAYERS,
    BatchNorm,
    Dense,
    Dropout,
    TemporalConv,
    channel_mix,
    every_other_frame,
)

U_INITS = {  # the paper says "random"; the published code has the other two
    "normal": nn.initializers.variance_scaling(1.0, "fan_in", "normal", batch_axis=0),
    "const_1e-6": nn.initializers.constant(1e-6),
    "uniform01": nn.initializers.uniform(1.0),
}


class BilinearMap(nn.Module):
    """Equation 1: `sum_s U_s H W_s`, `[E, B, T, Fi] -> [E, B, T, Fo]`."""

    features: int
    subsets: int = 3
    u_init: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        edges, channels = x.shape[0], x.shape[-1]
        std = (2.0 / (self.features * channels * self.subsets)) ** 0.5
        u = self.param("U", U_INITS[self.u_init], (self.subsets, edges, edges))
        kernel = self.param(
            "kernel", nn.initializers.normal(std), (self.subsets, channels, self.features)
        )
        bias = self.param("bias", nn.initializers.zeros, (self.subsets, self.features))
        u, kernel, bias = (each.astype(self.dtype) for each in (u, kernel, bias.sum(0)))
        if self.features < channels:  # fewer numbers to mix the edges of
            narrow = [channel_mix(x, kernel[s]) for s in range(self.subsets)]
            narrow = jnp.concatenate(narrow).reshape(self.subsets * edges, -1)
            mixed = u.reshape(-1, edges).T @ narrow
            return mixed.reshape(*x.shape[:-1], self.features) + bias
        stacked = u.transpose(1, 0, 2).reshape(edges, self.subsets * edges)
        mixed = (stacked.T @ x.reshape(edges, -1)).reshape(self.subsets, *x.shape)
        return sum(channel_mix(mixed[s], kernel[s]) for s in range(self.subsets)) + bias


class STBLL(nn.Module):
    """One spatio-temporal bilinear layer (figure 1): `[E, B, T, Fi] -> [E, B, T', Fo]`."""

    features: int
    subsets: int = 3
    kernel_size: int = 9
    stride: int = 1
    residual: bool = True  # around the whole layer (R2); the first layer has none
    u_init: str = "normal"
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def dense(value, name):
            return Dense(self.features, dtype=self.dtype, name=name)(value)

        def norm(value, name, **options):
            return BatchNorm(self.axis_name, name=name, **options)(value, train=train)

        same_width = x.shape[-1] == self.features
        z = BilinearMap(self.features, self.subsets, self.u_init, self.dtype, name="bilinear")(x)
        # A scale near zero: each layer starts as residual + temporal convolution.
        z = norm(z, "bilinear_norm", scale_init=nn.initializers.constant(1e-6))
        r1 = x if same_width else norm(dense(x, "r1"), "r1_norm")
        spatial = nn.relu(z + r1)
        conv = TemporalConv(
            self.features, self.kernel_size, self.stride, dtype=self.dtype, name="temporal"
        )
        y = norm(conv(spatial), "temporal_norm")
        if not self.residual:
            return nn.relu(y)
        if same_width and self.stride == 1:
            return nn.relu(y + x)
        kept = every_other_frame(x, self.stride)
        return nn.relu(y + norm(dense(kept, "r2"), "r2_norm"))


class STBLN(nn.Module):
    """ST-BLN: edge features `[B, T, E, 2]` (pixels) to logits `[B, classes]`.

    Attributes:
      classes: number of classes.
      widths: output channels of every layer.
      subsets: number of parallel bilinear maps (3 reproduces the published counts).
      kernel_size: taps of the temporal convolution.
      dropout: dropout rate.
      dropout_place: "after" every layer (paper) or "before" (published code).
      u_init: "normal" (std 1/sqrt(E)), "const_1e-6" or "uniform01" ([0, 1)).
      dtype: of activations and products; parameters and statistics stay float32.
      axis_name: name of the mapped device axis, if any.
    """

    classes: int
    widths: Sequence[int] = (8, 16, 16, 32, 32, 64, 64)
    subsets: int = 3
    kernel_size: int = 9
    dropout: float = 0.2
    dropout_place: str = "after"
    u_init: str = "normal"
    dtype: str = "float32"
    axis_name: str | None = None

    inputs = "edges"

    @nn.nowrap
    def check(self) -> None:
        """Refuses fields without meaning, see `layers.build`."""
        fields.positive(self, "subsets")
        fields.odd(self, "kernel_size")
        fields.positive_list(self, "widths", "the width of every layer", "(8, 16, 16)")
        fields.one_of(self, "dropout_place", ("after", "before"))
        fields.one_of(self, "u_init", sorted(U_INITS))

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        self.check()
        active = train if dropout is None else dropout
        drop = Dropout(self.dropout, batch_axis=1, axis_name=self.axis_name)
        batch, frames, edges, features = inputs.shape
        x = inputs.reshape(batch, frames, edges * features)
        x = BatchNorm(self.axis_name, name="data_norm")(x, train=train)
        x = x.reshape(inputs.shape).transpose(2, 0, 1, 3).astype(self.dtype)
        for index, width in enumerate(self.widths):
            if self.dropout_place == "before":
                x = drop(x, active=active)
            x = STBLL(
                features=width,
                subsets=self.subsets,
                kernel_size=self.kernel_size,
                stride=2 if index in STRIDED_LAYERS else 1,
                residual=index > 0,
                u_init=self.u_init,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=f"layer{index + 1}",
            )(x, train=train)
            if self.dropout_place == "after":
                x = drop(x, active=active)
        pooled = x.mean((0, 2), dtype=jnp.float32)
        head_init = nn.initializers.normal((2.0 / self.classes) ** 0.5)
        return Dense(self.classes, kernel_init=head_init, name="head")(pooled)
