"""ST-GCN on landmarks: as the ST-BLN paper compares it, and as Yan et al. (AAAI 2018) published it.

The ST-BLN paper's ST-GCN is the block of 2s-AGCN (Shi et al., CVPR 2019) without its attention:
this block has the published number of parameters. Readings: docs/papers/graph_baselines.md.

Arrays inside are `[V, B, T, F]`, nodes first and channels last, see `layers.graph`.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import numpy as np

from fer_jax.layers import fields
from fer_jax.layers.common import channel_mix
from fer_jax.layers.graph import SMALL, GraphNetwork

Edges = tuple[tuple[int, int], ...]

SUBSETS = 3


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
    """Returns `[E', 2]`: each pair of nodes once, in its first direction; no self loops."""
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
    """Returns the constant matrices A: identity, inward, outward (2s-AGCN).

    Args:
      edges: pairs (i, j) from source to target; repeated, reversed and self edges add nothing.
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
    """Returns the constant matrices of the original ST-GCN (Yan et al.).

    A node gathers the mean over itself and its neighbours in three subsets: itself, the neighbours
    that are as many hops from the centre or more, and the nearer ones.

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

    Nodes are mixed on the narrower side of the channel product. With so few nodes, one subset after
    another is as fast as one stacked product and needs a third of its memory.

    Args:
      matrices: B, `[S, V, V]`.
      x: `[V, B, T, Fi]`; its dtype is that of the products.
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
    """Of 2s-AGCN, without attention: `sum_s W_s (x B_s)`, `B_s = A_s + P_s`.

    `[V, B, T, Fi] -> [V, B, T, Fo]`.
    """

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
    """Yan et al.: a convolution to 3 Fo, then `B_s = A_s * M_s`, M the importance of the edges."""

    features: int
    edges: Edges
    nodes: int
    centre: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        constant = spatial_partition(self.edges, self.nodes, self.centre)
        matrices = constant * self.param("M", nn.initializers.ones, constant.shape)
        kernel, bias = subset_weights(self, x.shape[-1])
        # The bias comes before the graph: a node gets it times its column's sum.
        gathered = matrices.sum(1).T @ bias
        return graph_product(matrices, x, kernel) + gathered[:, None, None, :].astype(x.dtype)


class NodeNetwork(GraphNetwork):
    """A network on node coordinates `[B, T, V, 2]` (pixels).

    Attributes:
      edges: pairs (source, target) of nodes, hashable: a tuple of tuples.
      nodes: V.
    """

    edges: Edges = ()
    nodes: int = 51

    inputs = "nodes"

    @nn.nowrap
    def check(self) -> None:
        super().check()
        fields.positive(self, "nodes")

    @nn.nowrap
    def check_inputs(self, inputs: jax.Array) -> None:
        if inputs.ndim != 4 or inputs.shape[2:] != (self.nodes, 2):
            raise ValueError(f"inputs are [B, T, {self.nodes}, 2] coordinates, not {inputs.shape}")


class STGCN(NodeNetwork):
    """ST-GCN: `[B, T, V, 2]` node coordinates (pixels) to logits `[B, classes]`.

    Attributes:
      original: the block of Yan et al. instead of the ST-BLN paper's.
      centre: node from which the original counts hops; 16 is the nose tip among the 51 points.
    """

    original: bool = False
    centre: int = 16

    @nn.nowrap
    def check(self) -> None:
        super().check()
        if self.original:
            fields.within(self, "centre", 0, self.nodes - 1)

    def layer_options(self) -> dict:
        if self.original:
            graph = functools.partial(
                OriginalGraphConv, edges=self.edges, nodes=self.nodes, centre=self.centre
            )
            return {"graph": graph, "down": False}
        return {"graph": functools.partial(GraphConv, edges=self.edges, nodes=self.nodes)}
