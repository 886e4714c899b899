"""ST-GCN, AGCN, the original ST-GCN and DGNN in PyTorch, references for the Flax models.

They compute what the published code of these systems computes, in the same order and layout
([N, C, T, V], one matrix product and one 1x1 convolution per subset, aggregated features
concatenated before a linear layer). Nothing is tuned here. The constant matrices are built
element by element, so that they check those of the Flax models.

Modules have the names of the Flax modules; `torch_names` renames their parameters.

Readings: docs/papers/graph_baselines.md.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors.weights import NORM_LEAVES
from fer_jax.layers.build import GRAPH_LEAVES

WIDTHS = (8, 16, 16, 32, 32, 64, 64)
STRIDED_LAYERS = (4, 7)  # 0-based: these halve the time axis
SUBSETS = 3


def partition(pairs, nodes: int) -> torch.Tensor:
    """Identity, inward and outward matrices `[3, V, V]`, columns of sum 1 or 0."""
    seen, a = set(), torch.zeros(SUBSETS, nodes, nodes)
    for source, target in pairs:
        if source != target and frozenset((source, target)) not in seen:
            seen.add(frozenset((source, target)))
            a[1, target, source] = 1
            a[2, source, target] = 1
    for s in (1, 2):
        for column in range(nodes):
            if a[s, :, column].sum() > 0:
                a[s, :, column] /= a[s, :, column].sum()
    a[0] = torch.eye(nodes)
    return a


def spatial_partition(pairs, nodes: int, centre: int) -> torch.Tensor:
    """Itself, equally far or farther, nearer neighbours `[3, V, V]` of the original ST-GCN."""
    neighbours = [{node} for node in range(nodes)]
    for source, target in pairs:
        neighbours[source].add(target)
        neighbours[target].add(source)
    hops, frontier = {centre: 0}, [centre]
    for node in frontier:
        for other in sorted(neighbours[node] - hops.keys()):
            hops[other] = hops[node] + 1
            frontier.append(other)
    a = torch.zeros(SUBSETS, nodes, nodes)
    for node in range(nodes):
        for other in neighbours[node]:
            far = hops.get(other, math.inf) >= hops.get(node, math.inf)
            subset = 0 if other == node else 1 if far else 2
            a[subset, other, node] = 1 / len(neighbours[node])
    return a


class GraphConv(nn.Module):
    """Graph convolution of 2s-AGCN with learned masks P, and attention where `adaptive`."""

    def __init__(self, fan_in, fan_out, pairs, nodes, adaptive):
        super().__init__()
        self.register_buffer("a", partition(pairs, nodes), persistent=False)
        self.P = nn.Parameter(torch.full((SUBSETS, nodes, nodes), 1e-6))
        self.conv = nn.ModuleList(nn.Conv2d(fan_in, fan_out, 1) for _ in range(SUBSETS))
        for conv in self.conv:
            init_conv(conv, math.sqrt(2 / (fan_out * fan_in * SUBSETS)))
        self.adaptive = adaptive
        if adaptive:
            for name in ("theta", "phi"):
                convs = nn.ModuleList(nn.Conv2d(fan_in, fan_out // 4, 1) for _ in range(SUBSETS))
                for conv in convs:
                    init_conv(conv)
                self.add_module(name, convs)

    def forward(self, x):
        n, c, t, v = x.shape
        y = None
        for s, conv in enumerate(self.conv):
            b = self.a[s] + self.P[s]
            if self.adaptive:
                left = self.theta[s](x).permute(0, 3, 1, 2).reshape(n, v, -1)
                right = self.phi[s](x).reshape(n, -1, v)
                b = b + torch.softmax(torch.matmul(left, right) / left.size(-1), dim=-2)
            y_s = conv(torch.matmul(x.reshape(n, c * t, v), b).view(n, c, t, v))
            y = y_s if y is None else y + y_s
        return y


class OriginalGraphConv(nn.Module):
    """One convolution to three times the channels, then A times the importance M."""

    def __init__(self, fan_in, fan_out, pairs, nodes, centre):
        super().__init__()
        self.register_buffer("a", spatial_partition(pairs, nodes, centre), persistent=False)
        self.M = nn.Parameter(torch.ones(SUBSETS, nodes, nodes))
        self.conv = nn.Conv2d(fan_in, SUBSETS * fan_out, 1)
        init_conv(self.conv, math.sqrt(2 / (fan_out * fan_in * SUBSETS)))

    def forward(self, x):
        n, _, t, v = x.shape
        y = self.conv(x).view(n, SUBSETS, -1, t, v)
        return torch.einsum("nkctv,kvw->nctw", y, self.a * self.M).contiguous()


class GraphLayer(nn.Module):
    """Graph convolution, then convolution over time, with their residuals."""

    def __init__(self, graph, fan_in, fan_out, *, stride, kernel, first, down):
        super().__init__()
        self.graph, self.graph_norm = graph, nn.BatchNorm2d(fan_out)
        self.first, self.has_down = first, down
        if down:
            nn.init.constant_(self.graph_norm.weight, 1e-6)
        if down and fan_in != fan_out:
            self.down, self.down_norm = _conv_and_norm(fan_in, fan_out, 1, 1)
        self.temporal, self.temporal_norm = _conv_and_norm(fan_out, fan_out, kernel, stride)
        if not first and (fan_in != fan_out or stride > 1):
            self.residual, self.residual_norm = _conv_and_norm(fan_in, fan_out, 1, stride)

    def forward(self, x):
        z = self.graph_norm(self.graph(x))
        if self.has_down:
            z = z + _shortcut(self, "down", x)
        y = self.temporal_norm(self.temporal(F.relu(z, inplace=True)))
        if not self.first:
            y = y + _shortcut(self, "residual", x)
        return F.relu(y, inplace=True)


class GraphNetwork(nn.Module):
    """ST-GCN, AGCN or the original ST-GCN: `[N, 2, T, V]` coordinates to logits.

    Args:
      make_graph: makes a graph convolution, `(fan_in, fan_out) -> module`.
      nodes, classes, widths, kernel, down: as in the Flax models; nodes may be edges.
    """

    def __init__(self, make_graph, nodes, classes, widths=WIDTHS, kernel=9, down=True):
        super().__init__()
        self.data_norm = nn.BatchNorm1d(nodes * 2)
        self.layers = []
        for i, (fan_in, fan_out) in enumerate(zip((2, *widths[:-1]), widths, strict=True)):
            layer = GraphLayer(
                make_graph(fan_in, fan_out), fan_in, fan_out,
                stride=2 if i in STRIDED_LAYERS else 1, kernel=kernel, first=i == 0, down=down,
            )  # fmt: skip
            self.add_module(f"layer{i + 1}", layer)
            self.layers.append(f"layer{i + 1}")
        self.head = _classifier(widths[-1], classes)

    def forward(self, x):
        x = normalised(self.data_norm, x)
        for name in self.layers:
            x = getattr(self, name)(x)
        return self.head(x.mean(dim=(2, 3)))


class DirectedLayer(nn.Module):
    """Nodes and edges exchange features, then each has a convolution over time."""

    def __init__(self, pairs, nodes, fan_in, fan_out, *, stride, kernel, first):
        super().__init__()
        s, t = torch.zeros(nodes, len(pairs)), torch.zeros(nodes, len(pairs))
        for index, (source, target) in enumerate(pairs):
            s[source, index] = 1
            t[target, index] = 1
        degree = (s + t).sum(1, keepdim=True)
        self.S = nn.Parameter(s / degree + 1e-6)
        self.T = nn.Parameter(t / degree + 1e-6)
        self.H_v, self.H_e = nn.Linear(3 * fan_in, fan_out), nn.Linear(3 * fan_in, fan_out)
        for linear in (self.H_v, self.H_e):
            nn.init.kaiming_normal_(linear.weight, mode="fan_out")
            nn.init.zeros_(linear.bias)
        self.node_norm, self.edge_norm = nn.BatchNorm2d(fan_out), nn.BatchNorm2d(fan_out)
        self.first = first
        parts = {"temporal": fan_out}
        if not first and (fan_in != fan_out or stride > 1):
            parts["residual"] = fan_in
        for name in (f"{stream}_{part}" for stream in ("node", "edge") for part in parts):
            width = parts[name[5:]]
            conv, norm = _conv_and_norm(width, fan_out, kernel, stride, bias=False)
            self.add_module(name, conv)
            self.add_module(f"{name}_norm", norm)

    def forward(self, v, e):
        from_e = [torch.einsum("ncte,ve->nctv", e, matrix) for matrix in (self.S, self.T)]
        from_v = [torch.einsum("nctv,ve->ncte", v, matrix) for matrix in (self.S, self.T)]
        new_v, new_e = torch.cat([v, *from_e], dim=1), torch.cat([e, *from_v], dim=1)
        new_v = self.H_v(new_v.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        new_e = self.H_e(new_e.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        new_v, new_e = F.relu(self.node_norm(new_v)), F.relu(self.edge_norm(new_e))
        return self._over_time("node", new_v, v), self._over_time("edge", new_e, e)

    def _over_time(self, stream, new, old):
        y = _shortcut(self, f"{stream}_temporal", new)
        if not self.first:
            y = y + _shortcut(self, f"{stream}_residual", old)
        return F.relu(y, inplace=True)


class DGNN(nn.Module):
    """DGNN: `[N, 2, T, V]` coordinates, from which it computes edge features, to logits."""

    def __init__(self, pairs, nodes, classes, widths=WIDTHS, kernel=9):
        super().__init__()
        self.register_buffer("pairs", torch.tensor(pairs), persistent=False)
        self.node_data_norm = nn.BatchNorm1d(nodes * 2)
        self.edge_data_norm = nn.BatchNorm1d(len(pairs) * 2)
        self.layers = []
        for i, (fan_in, fan_out) in enumerate(zip((2, *widths[:-1]), widths, strict=True)):
            stride = 2 if i in STRIDED_LAYERS else 1
            layer = DirectedLayer(
                pairs, nodes, fan_in, fan_out, stride=stride, kernel=kernel, first=i == 0
            )
            self.add_module(f"layer{i + 1}", layer)
            self.layers.append(f"layer{i + 1}")
        self.head = _classifier(2 * widths[-1], classes)

    def forward(self, x):
        e = x[..., self.pairs[:, 0]] - x[..., self.pairs[:, 1]]
        v, e = normalised(self.node_data_norm, x), normalised(self.edge_data_norm, e)
        for name in self.layers:
            v, e = getattr(self, name)(v, e)
        return self.head(torch.cat([v.mean(dim=(2, 3)), e.mean(dim=(2, 3))], dim=1))


def make_mirror(kind, pairs, nodes, classes, centre=16, **options) -> nn.Module:
    """Makes the mirror of "st_gcn", "agcn", "original" or "dgnn"; options as in Flax."""
    pairs = [(int(source), int(target)) for source, target in pairs]
    if kind == "dgnn":
        return DGNN(pairs, nodes, classes, **options)

    def make_graph(fan_in, fan_out):
        if kind == "original":
            return OriginalGraphConv(fan_in, fan_out, pairs, nodes, centre)
        return GraphConv(fan_in, fan_out, pairs, nodes, kind == "agcn")

    return GraphNetwork(make_graph, nodes, classes, down=kind != "original", **options)


def torch_names(tree: dict, prefix: str = "") -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of Flax params, gradients or batch_stats as the mirrors have it.

    Args:
      tree: nested dicts of arrays.
      prefix: name of the module, with a dot.
    """
    named = {}
    for name, leaf in tree.items():
        if isinstance(leaf, dict):
            named |= torch_names(leaf, f"{prefix}{name}.")
        else:
            single = "M" in tree or prefix.split(".")[-2] != "graph"
            named |= {prefix + key: value for key, value in _leaf(name, leaf, single, prefix)}
    return {name: np.ascontiguousarray(value) for name, value in named.items()}


def _leaf(name: str, leaf: np.ndarray, single: bool, prefix: str):
    """Yields the mirror's names and arrays for one leaf; of `[S, ...]` one per subset."""
    stem, _, kind = name.rpartition("_")
    if name in NORM_LEAVES or leaf.ndim == 1 or name in GRAPH_LEAVES:
        key = NORM_LEAVES.get(name, name)
        yield (key if not stem else f"{stem}.{kind}"), leaf  # H_v_bias is H_v.bias
    elif stem in ("H_v", "H_e"):
        yield f"{stem}.weight", leaf.T
    elif not single:  # graph convolutions of three subsets
        stem = stem or "conv"
        for s, part in enumerate(leaf):
            yield f"{stem}.{s}.{'bias' if kind == 'bias' else 'weight'}", _weight(part)
    elif prefix.endswith("graph."):  # three subsets in one convolution
        if kind == "bias":
            yield "conv.bias", leaf.reshape(-1)
        else:
            yield "conv.weight", _weight(np.moveaxis(leaf, 0, 1).reshape(leaf.shape[1], -1))
    elif prefix == "head.":
        yield "weight", leaf.T
    else:
        yield "weight", _weight(leaf)


def _weight(kernel: np.ndarray) -> np.ndarray:
    """Turns `[Fi, Fo]` or `[K, Fi, Fo]` into `[Fo, Fi, K, 1]`; a bias `[Fo]` stays."""
    if kernel.ndim == 1:
        return kernel
    return np.moveaxis(kernel.reshape(-1, *kernel.shape[-2:]), 0, -1).swapaxes(0, 1)[..., None]


def normalised(norm, x):
    n, c, t, v = x.shape
    flat = norm(x.permute(0, 3, 1, 2).reshape(n, v * c, t))
    return flat.view(n, v, c, t).permute(0, 2, 3, 1).contiguous()


def _shortcut(layer, name, x):
    """Applies a convolution and its BatchNorm where the layer has them."""
    if not hasattr(layer, name):
        return x
    return getattr(layer, f"{name}_norm")(getattr(layer, name)(x))


def init_conv(conv, std=None):
    if std is None:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    else:
        nn.init.normal_(conv.weight, std=std)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _conv_and_norm(fan_in, fan_out, kernel, stride, bias=True):
    conv = nn.Conv2d(
        fan_in, fan_out, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0), bias=bias
    )
    init_conv(conv)
    return conv, nn.BatchNorm2d(fan_out)


def _classifier(features, classes):
    head = nn.Linear(features, classes)
    nn.init.normal_(head.weight, std=math.sqrt(2 / classes))
    nn.init.zeros_(head.bias)
    return head
