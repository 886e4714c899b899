"""ST-BLN, the spatio-temporal bilinear network (Heidari & Iosifidis, MMSP 2021, section III).

Arrays inside are `[E, B, T, F]`, edges first and channels last, see `layers.graph`.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers import fields
from fer_jax.layers.common import channel_mix
from fer_jax.layers.graph import GraphNetwork

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
        if self.features < channels:  # mixing edges costs most: do it on the narrower side of W
            narrow = [channel_mix(x, kernel[s]) for s in range(self.subsets)]
            narrow = jnp.concatenate(narrow).reshape(self.subsets * edges, -1)
            mixed = u.reshape(-1, edges).T @ narrow
            return mixed.reshape(*x.shape[:-1], self.features) + bias
        stacked = u.transpose(1, 0, 2).reshape(edges, self.subsets * edges)
        mixed = (stacked.T @ x.reshape(edges, -1)).reshape(self.subsets, *x.shape)
        return sum(channel_mix(mixed[s], kernel[s]) for s in range(self.subsets)) + bias


class STBLN(GraphNetwork):
    """ST-BLN: edge features `[B, T, E, 2]` (pixels) to logits `[B, classes]`.

    Its layer, ST-BLL (figure 1), is a `GraphLayer` around a `BilinearMap`, residuals R1 and R2.

    Attributes:
      subsets: number of parallel bilinear maps (3 reproduces the published counts).
      dropout_place: "after" every layer (paper) or "before" (published code).
      u_init: "normal" (std 1/sqrt(E)), "const_1e-6" or "uniform01" ([0, 1)).
    """

    subsets: int = 3
    dropout: float = 0.2
    dropout_place: str = "after"
    u_init: str = "normal"

    inputs = "edges"

    @nn.nowrap
    def check(self) -> None:
        super().check()
        fields.within(self, "subsets", 1, 64)
        fields.one_of(self, "dropout_place", ("after", "before"))
        fields.one_of(self, "u_init", sorted(U_INITS))

    def layer_options(self) -> dict:
        bilinear = functools.partial(
            BilinearMap, subsets=self.subsets, u_init=self.u_init, dtype=self.dtype
        )
        return {"graph": bilinear, "names": ("bilinear", "r1", "r2")}
