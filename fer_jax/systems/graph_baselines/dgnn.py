"""DGNN on landmarks: nodes and directed edges that feed each other (Shi et al., CVPR 2019).

The variant with the published number of parameters: nodes and edges each have a temporal
convolution and a residual of their own, without bias.
Readings: docs/papers/graph_baselines.md.

Arrays inside are `[V, B, T, F]` for nodes and `[E, B, T, F]` for edges.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.layers.batch_norm import BatchNorm
from fer_jax.layers.common import Dropout, TemporalConv, channel_mix, he_normal_fan_out
from fer_jax.layers.graph import STRIDED_LAYERS, classifier, normalised
from fer_jax.systems.graph_baselines.st_gcn import Edges, NodeNetwork, checked_edges


def incidence(edges: Edges, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first S and T: 1 at the source and target, divided by the node's degree.

    Args:
      edges: pairs (source, target); repeats count.
      nodes: V.

    Returns:
      S and T, `[V, E]` float32; 1e-6 is added to every element.
    """
    ends = np.eye(nodes)[checked_edges(edges, nodes)].transpose(1, 2, 0)
    degree = np.maximum(ends.sum((0, 2)), 1)[:, None]
    source, target = (ends / degree + 1e-6).astype(np.float32)
    return source, target


class DirectedLayer(nn.Module):
    """One layer: nodes and edges exchange features, then each is convolved in time.

    Its fields are those of `layers.graph.GraphLayer`; residuals are convolved in time, too.
    """

    features: int
    edges: Edges
    nodes: int
    kernel_size: int = 9
    stride: int = 1
    residual: bool = True
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, v: jax.Array, e: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        new_v, new_e = self._exchange(v, e)
        new_v = nn.relu(BatchNorm(self.axis_name, name="node_norm")(new_v, train=train))
        new_e = nn.relu(BatchNorm(self.axis_name, name="edge_norm")(new_e, train=train))
        return (
            self._over_time("node", new_v, v, train=train),
            self._over_time("edge", new_e, e, train=train),
        )

    def _exchange(self, v: jax.Array, e: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`v' = H_v[v; e S'; e T']`, `e' = H_e[e; v S; v T]`, both from the old v and e.

        Channels of exchanged features are mixed on the side of the nodes, which are fewer.
        """
        source, target = incidence(self.edges, self.nodes)
        s = self.param("S", lambda _: jnp.asarray(source))
        t = self.param("T", lambda _: jnp.asarray(target))
        ends = jnp.concatenate([s, t]).astype(self.dtype)
        from_v, bias_v = self._linear("H_v", v.shape[-1])
        from_e, bias_e = self._linear("H_e", e.shape[-1])

        gathered = (ends @ e.reshape(len(e), -1)).reshape(2, *v.shape)
        new_v = channel_mix(v, from_v[0]) + bias_v
        new_v += channel_mix(gathered[0], from_v[1]) + channel_mix(gathered[1], from_v[2])

        sent = jnp.concatenate([channel_mix(v, from_e[1]), channel_mix(v, from_e[2])])
        spread = (ends.T @ sent.reshape(len(sent), -1)).reshape(*e.shape[:-1], -1)
        return new_v, channel_mix(e, from_e[0]) + spread + bias_e

    def _linear(self, name: str, channels: int) -> tuple[jax.Array, jax.Array]:
        """Declares H: kernel, split in three `[3, Fi, Fo]`, and bias `[Fo]`."""
        kernel = self.param(f"{name}_kernel", he_normal_fan_out, (3 * channels, self.features))
        bias = self.param(f"{name}_bias", nn.initializers.zeros, (self.features,))
        kernel = kernel.reshape(3, channels, self.features)
        return kernel.astype(self.dtype), bias.astype(self.dtype)

    def _over_time(self, name: str, new: jax.Array, old: jax.Array, *, train: bool) -> jax.Array:
        def convolved(x, part):
            conv = TemporalConv(
                self.features, self.kernel_size, self.stride, False, self.dtype,
                name=f"{name}_{part}",
            )  # fmt: skip
            return BatchNorm(self.axis_name, name=f"{name}_{part}_norm")(conv(x), train=train)

        y = convolved(new, "temporal")
        if not self.residual:
            return nn.relu(y)
        if old.shape[-1] == self.features and self.stride == 1:
            return nn.relu(y + old)
        return nn.relu(y + convolved(old, "residual"))


class DGNN(NodeNetwork):
    """DGNN: `[B, T, V, 2]` node coordinates (pixels) to logits `[B, classes]`.

    The features of the edges, source minus target, are computed here.
    """

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        self.check()
        self.check_inputs(inputs)
        source, target = checked_edges(self.edges, self.nodes).T
        active = train if dropout is None else dropout
        drop = Dropout(self.dropout, batch_axis=1, axis_name=self.axis_name)

        v = normalised(self, inputs, "node_data_norm", train=train)
        e = inputs[:, :, source] - inputs[:, :, target]
        e = normalised(self, e, "edge_data_norm", train=train)
        for index, width in enumerate(self.widths):
            layer = DirectedLayer(
                features=width,
                edges=self.edges,
                nodes=self.nodes,
                kernel_size=self.kernel_size,
                stride=2 if index in STRIDED_LAYERS else 1,
                residual=index > 0,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=f"layer{index + 1}",
            )
            v, e = (drop(x, active=active) for x in layer(v, e, train=train))
        pooled = [x.mean((0, 2), dtype=jnp.float32) for x in (v, e)]
        return classifier(self.classes)(jnp.concatenate(pooled, axis=-1))
