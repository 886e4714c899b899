"""ST-GCN on landmarks: the row of the ST-BLN paper, and the original of Yan et al. (AAAI 2018).

The row is the block of 2s-AGCN (Shi et al., CVPR 2019) without its attention: that one has the
published number of parameters. Source: graph baselines specification, sections 2 to 4.

Inside, arrays are `[V, B, T, F]`, nodes first and channels last, as in ST-BLN.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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

Edges = tuple[tuple[int, int], ...]

SUBSETS = 3
SMALL = nn.initializers.constant(1e-6)


def checked_edges(edges: Edges, nodes: int) -> np.ndarray:
    """Returns the edges as `[E, 2]`, int.

    Raises:
      ValueError: there are none, or one names a node that does not exist.
    """
    pairs = np.asarray(edges, int).reshape(-1, 2)
    if not len(pairs):
        raise ValueError("the landmark graph has no edges: pass edges=((source, target), ...)")
    if pairs.min() < 0 or pairs.max() >= nodes:
        raise ValueError(
            f"an edge names node {pairs.min() if pairs.min() < 0 else pairs.max()}, "
            f"but the nodes are 0..{nodes - 1} (nodes={nodes})"
        )
    return pairs


def distinct_edges(edges: Edges, nodes: int) -> np.ndarray:
    """Returns `[E', 2]`: every pair of nodes once, in its first direction, and no self loops."""
    pairs = checked_edges(edges, nodes)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)[1]
    return pairs[np.sort(first)]


def normalised_columns(matrix: np.ndarray) -> np.ndarray:
    """Divides every column by its sum; columns of zeros stay."""
    sums = matrix.sum(-2, keepdims=True)
    return matrix / np.where(sums > 0, sums, 1)


@functools.lru_cache
def partition(edges: Edges, nodes: int) -> np.ndarray:
    """Returns the constant matrices A: identity, inward, outward (section 2).

    Args:
      edges: pairs (i, j) from source to target; repeats, turned repeats and self loops add nothing.
      nodes: V.

    Returns:
      `[3, V, V]` float32; node w gathers `sum_v x_v A[s, v, w]`. Inward has `[j, i]` for i -> j.
    """
    source, target = distinct_edges(edges, nodes).T
    inward = np.zeros((nodes, nodes))
    inward[target, source] = 1
    normalised = [normalised_columns(matrix) for matrix in (inward, inward.T)]
    return np.stack([np.eye(nodes), *normalised]).astype(np.float32)


@functools.lru_cache
def spatial_partition(edges: Edges, nodes: int, centre: int) -> np.ndarray:
    """Returns the constant matrices of the original ST-GCN (section 4).

    A node gathers the mean over itself and its neighbours, split by their distance in hops from
    the centre: itself; neighbours as far or farther than it; nearer ones.

    Args:
      edges, nodes: see `partition`; directions do not matter.
      centre: the node from which hops are counted.

    Returns:
      `[3, V, V]` float32, as `partition`; the sum of the three has columns of sum 1.

    Raises:
      ValueError: the centre is no node.
    """
    if not 0 <= centre < nodes:
        raise ValueError(f"centre={centre} is not among the nodes 0..{nodes - 1}")
    adjacency = np.eye(nodes)
    source, target = distinct_edges(edges, nodes).T
    adjacency[source, target] = adjacency[target, source] = 1
    hops, reached = np.full(nodes, nodes), np.eye(nodes)[centre] > 0
    for hop in range(nodes):
        hops[reached] = np.minimum(hops[reached], hop)
        reached = adjacency @ reached > 0
    mean = normalised_columns(adjacency)
    itself, nearer = np.eye(nodes, dtype=bool), hops[:, None] < hops
    return np.stack([mean * itself, mean * ~(itself | nearer), mean * nearer]).astype(np.float32)


def graph_product(matrices: jax.Array, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Sums over the subsets: `y_w = sum_s (sum_v x_v B[s, v, w]) W_s`.

    Nodes are mixed on the narrower side of the channel product. There are few, so one subset after
    another is as fast as one stacked product and needs a third of its memory.

    Args:
      matrices: B, `[S, V, V]`.
      x: `[V, B, T, Fi]`, whose dtype the products have.
      kernel: W, `[S, Fi, Fo]`.

    Returns:
      `[V, B, T, Fo]`.
    """
    matrices, kernel = matrices.astype(x.dtype), kernel.astype(x.dtype)

    def node_mix(values, matrix):
        return (matrix.T @ values.reshape(len(values), -1)).reshape(values.shape)

    pairs = list(zip(matrices, kernel, strict=True))
    if x.shape[-1] <= kernel.shape[-1]:
        return sum(channel_mix(node_mix(x, matrix), weight) for matrix, weight in pairs)
    return sum(node_mix(channel_mix(x, weight), matrix) for matrix, weight in pairs)


def subset_weights(module: nn.Module, channels: int) -> tuple[jax.Array, jax.Array]:
    """Declares W `[3, Fi, Fo]` and its biases `[3, Fo]` as parameters of a graph convolution."""
    std = (2.0 / (module.features * channels * SUBSETS)) ** 0.5
    shape = (SUBSETS, channels, module.features)
    kernel = module.param("kernel", nn.initializers.normal(std), shape)
    bias = module.param("bias", nn.initializers.zeros, (SUBSETS, module.features))
    return kernel, bias


class GraphConv(nn.Module):
    """Section 3: `sum_s W_s (x B_s)`, `B_s = A_s + P_s`; `[V, B, T, Fi] -> [V, B, T, Fo]`."""

    features: int
    edges: Edges
    nodes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        constant = partition(self.edges, self.nodes)
        learned = self.param("P", SMALL, constant.shape)
        kernel, bias = subset_weights(self, x.shape[-1])
        return graph_product(constant + learned, x, kernel) + bias.sum(0).astype(x.dtype)


class OriginalGraphConv(nn.Module):
    """Section 4: one convolution to 3 Fo, then `B_s = A_s * M_s`, M the importance of the edges."""

    features: int
    edges: Edges
    nodes: int
    centre: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        constant = spatial_partition(self.edges, self.nodes, self.centre)
        matrices = constant * self.param("M", nn.initializers.ones, constant.shape)
        kernel, bias = subset_weights(self, x.shape[-1])
        # The bias stands before the graph: a node gets it as often as the column sums.
        gathered = matrices.sum(1).T @ bias
        return graph_product(matrices, x, kernel) + gathered[:, None, None, :].astype(x.dtype)


class GraphLayer(nn.Module):
    """Graph convolution, then convolution over time, each `BN(conv) + residual`, then ReLU.

    Attributes:
      graph: makes the graph convolution, `(features, name=...) -> module`.
      features: Fo.
      kernel_size, stride: of the convolution over time, axis 2.
      residual: around the whole layer; the first layer has none.
      down: residual around the graph convolution (not in the original ST-GCN).
      dtype: see `GraphNetwork`.
      axis_name: name of the mapped device axis, if any.
    """

    graph: functools.partial
    features: int
    kernel_size: int = 9
    stride: int = 1
    residual: bool = True
    down: bool = True
    dtype: str = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def dense(value, name):
            return Dense(self.features, dtype=self.dtype, name=name)(value)

        def norm(value, name, scale_init=nn.initializers.ones):
            return BatchNorm(self.axis_name, scale_init, name=name)(value, train=train)

        same_width = x.shape[-1] == self.features
        z = self.graph(self.features, name="graph")(x)
        if self.down:
            # A scale near zero: each layer starts as residual + temporal convolution.
            z = norm(z, "graph_norm", SMALL)
            z = z + (x if same_width else norm(dense(x, "down"), "down_norm"))
        else:
            z = norm(z, "graph_norm")
        conv = TemporalConv(
            self.features, self.kernel_size, self.stride, dtype=self.dtype, name="temporal"
        )
        y = norm(conv(nn.relu(z)), "temporal_norm")
        if not self.residual:
            return nn.relu(y)
        if same_width and self.stride == 1:
            return nn.relu(y + x)
        kept = every_other_frame(x, self.stride)
        return nn.relu(y + norm(dense(kept, "residual"), "residual_norm"))


class GraphNetwork(nn.Module):
    """What ST-GCN and AGCN share: node coordinates `[B, T, V, 2]` (pixels) to logits.

    A subclass says which graph convolution its layers have.

    Attributes:
      classes: number of classes.
      edges: pairs (source, target) of nodes, hashable: a tuple of tuples.
      nodes: V.
      widths: output channels of every layer.
      kernel_size: taps of the temporal convolution.
      dropout: rate of element-wise dropout after every layer; the published systems have none.
      dtype: of activations and products; parameters and statistics stay float32.
      axis_name: name of the mapped device axis, if any.
    """

    classes: int
    edges: Edges
    nodes: int = 51
    widths: Sequence[int] = (8, 16, 16, 32, 32, 64, 64)
    kernel_size: int = 9
    dropout: float = 0.0
    dtype: str = "float32"
    axis_name: str | None = None

    inputs = "nodes"
    batch_axis = 1  # of the arrays inside; the nodes have the other of 0 and 1

    def layer_options(self) -> dict:
        """Returns the fields of `GraphLayer` in which the systems differ."""
        raise NotImplementedError

    @nn.nowrap
    def check(self) -> None:
        """Refuses fields without meaning, see `layers.build`."""
        check_layers(self)

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        self.check()
        check_inputs(inputs, self.nodes)
        active = train if dropout is None else dropout
        drop = Dropout(self.dropout, batch_axis=self.batch_axis, axis_name=self.axis_name)
        norm = BatchNorm(self.axis_name, name="data_norm")
        x = norm(inputs.reshape(*inputs.shape[:2], -1), train=train).reshape(inputs.shape)
        x = jnp.moveaxis(x, (0, 2), (self.batch_axis, 1 - self.batch_axis)).astype(self.dtype)
        for index, width in enumerate(self.widths):
            x = GraphLayer(
                features=width,
                kernel_size=self.kernel_size,
                stride=2 if index in STRIDED_LAYERS else 1,
                residual=index > 0,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=f"layer{index + 1}",
                **self.layer_options(),
            )(x, train=train)
            x = drop(x, active=active)
        pooled = x.mean((1 - self.batch_axis, 2), dtype=jnp.float32)
        return classifier(self.classes)(pooled)


def check_layers(network: nn.Module) -> None:
    """Checks the fields that ST-GCN, AGCN and DGNN share."""
    fields.positive(network, "nodes")
    fields.odd(network, "kernel_size")
    fields.positive_list(network, "widths", "the width of every layer", "(8, 16, 16)")


def check_inputs(inputs: jax.Array, nodes: int) -> None:
    """Raises `ValueError` unless inputs are `[B, T, nodes, 2]`."""
    if inputs.ndim != 4 or inputs.shape[2:] != (nodes, 2):
        raise ValueError(f"inputs are [B, T, {nodes}, 2] node coordinates, not {inputs.shape}")


def classifier(classes: int) -> Dense:
    """Makes the last layer, `[B, F] -> [B, classes]`."""
    return Dense(classes, nn.initializers.normal((2.0 / classes) ** 0.5), name="head")


class STGCN(GraphNetwork):
    """ST-GCN: `[B, T, V, 2]` node coordinates (pixels) to logits `[B, classes]`.

    Attributes:
      original: the block of Yan et al. (section 4) instead of the one that was counted (section 3).
      centre: node from which the original counts hops; 16 is the nose among the 51 points.
    """

    original: bool = False
    centre: int = 16

    @nn.nowrap
    def check(self) -> None:
        check_layers(self)
        if self.original:
            fields.within(self, "centre", 0, self.nodes - 1)

    def layer_options(self) -> dict:
        if self.original:
            graph = functools.partial(
                OriginalGraphConv, edges=self.edges, nodes=self.nodes, centre=self.centre
            )
            return {"graph": graph, "down": False}
        return {"graph": functools.partial(GraphConv, edges=self.edges, nodes=self.nodes)}
