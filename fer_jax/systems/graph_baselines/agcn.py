"""AGCN on landmarks: the block of 2s-AGCN (Shi et al., CVPR 2019), whose graph depends on the clip.

Readings: docs/papers/graph_baselines.md.

Arrays inside are `[B, V, T, F]`, examples first: each mixes its nodes with its own matrices.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.layers.common import channel_mix
from fer_jax.layers.graph import SMALL
from fer_jax.systems.graph_baselines.st_gcn import (
    SUBSETS,
    Edges,
    NodeNetwork,
    partition,
    subset_weights,
)

EMBEDDING_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal", batch_axis=0)


class AdaptiveGraphConv(nn.Module):
    """`sum_s W_s (x B_s)`, `B_s = A_s + P_s + softmax_v(theta_s(x_v) phi_s(x_w) / (Fo/4 T))`.

    `[B, V, T, Fi] -> [B, V, T, Fo]`. Matrices are transposed, `[B, w, v]`, so that the softmax
    runs over the last axis.
    """

    features: int
    edges: Edges
    nodes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        constant = partition(self.edges, self.nodes)
        learned = self.param("P", SMALL, constant.shape)
        kernel, bias = (each.astype(x.dtype) for each in subset_weights(self, x.shape[-1]))
        theta, phi = self._embeddings(x)
        rows = x.reshape(*x.shape[:2], -1)
        total = bias.sum(0)
        for s in range(SUBSETS):
            scores = phi[s] @ theta[s].swapaxes(1, 2) / theta[s].shape[-1]
            matrix = (constant[s] + learned[s]).T + nn.softmax(scores.astype(jnp.float32), axis=-1)
            total = total + channel_mix((matrix.astype(x.dtype) @ rows).reshape(x.shape), kernel[s])
        return total

    def _embeddings(self, x: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        """Returns theta and phi of every subset, each `[B, V, T * (Fo // 4)]`, by one product."""
        channels, width = x.shape[-1], max(self.features // 4, 1)
        kernels, biases = [], []
        for name in ("theta", "phi"):
            shape = (SUBSETS, channels, width)
            kernels.append(self.param(f"{name}_kernel", EMBEDDING_INIT, shape))
            biases.append(self.param(f"{name}_bias", nn.initializers.zeros, (SUBSETS, width)))
        kernel = jnp.concatenate(kernels).transpose(1, 0, 2).reshape(channels, -1).astype(x.dtype)
        embedded = channel_mix(x, kernel) + jnp.concatenate(biases).reshape(-1).astype(x.dtype)
        parts = [part.reshape(*x.shape[:2], -1) for part in jnp.split(embedded, 2 * SUBSETS, -1)]
        return parts[:SUBSETS], parts[SUBSETS:]


class AGCN(NodeNetwork):
    """AGCN: `[B, T, V, 2]` node coordinates (pixels) to logits `[B, classes]`."""

    batch_axis = 0

    def layer_options(self) -> dict:
        return {"graph": functools.partial(AdaptiveGraphConv, edges=self.edges, nodes=self.nodes)}
