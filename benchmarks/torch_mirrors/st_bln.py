"""The published ST-BLN in PyTorch, the yardstick for the speed and the numbers of the Flax model.

It computes what the published code computes, in the same order and layout ([N, C, T, E], one
matrix product and one 1x1 convolution per subset, one whole forward pass per dropout sample),
so that a ratio against it says what a user of that code would gain. Nothing is tuned here.

Source: Heidari & Iosifidis, "Progressive Spatio-Temporal Bilinear Network with Monte Carlo
Dropout for Landmark-based Facial Expression Recognition", MMSP 2021, sections III.B-D.

Parameter names and shapes (i = layer, s = subset):
    data_bn.*                             [E * C], channel e * C + c
    layers.i.u                            [S, E, E], contracts its first edge axis
    layers.i.conv.s.*                     [Fo, Fi, 1, 1], the W of subset s
    layers.i.bn_s.*                       [Fo], after the sum over the subsets
    layers.i.residual_s.{conv,bn}.*       R1, absent where it is the identity
    layers.i.temporal.*, layers.i.bn_t.*  [Fo, Fo, K, 1], [Fo]
    layers.i.residual_t.{conv,bn}.*       R2, absent where it is the identity or nothing
    fc.*                                  [classes, F of the last layer]
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors.weights import named_leaves

WIDTHS = (8, 16, 16, 32, 32, 64, 64)
STRIDED_LAYERS = (4, 7)  # 0-based: these halve the time axis
PLACES = {  # name of a layer in the Flax model -> here
    "temporal": "temporal", "bilinear_norm": "bn_s", "temporal_norm": "bn_t",
    "r1": "residual_s.conv", "r1_norm": "residual_s.bn",
    "r2": "residual_t.conv", "r2_norm": "residual_t.bn",
}  # fmt: skip
BILINEAR_GAMMA = 1e-6  # each layer starts as residual + temporal convolution


class Projection(nn.Module):
    """Residual branch that changes width or time step: 1x1 convolution and BatchNorm."""

    def __init__(self, fan_in, fan_out, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(fan_in, fan_out, 1, stride=(stride, 1))
        self.bn = nn.BatchNorm2d(fan_out)
        init_conv(self.conv)

    def forward(self, x):
        return self.bn(self.conv(x))


class SpatioTemporalBilinearLayer(nn.Module):
    """ST-BLL: bilinear map over edges and channels (eq. 1), then a convolution over time."""

    def __init__(self, edges, fan_in, fan_out, *, stride, subsets, kernel, first):
        super().__init__()
        self.u = nn.Parameter(torch.randn(subsets, edges, edges) / math.sqrt(edges))
        self.conv = nn.ModuleList(nn.Conv2d(fan_in, fan_out, 1) for _ in range(subsets))
        for conv in self.conv:
            init_conv(conv, std=math.sqrt(2 / (fan_out * fan_in * subsets)))
        self.bn_s = nn.BatchNorm2d(fan_out)
        nn.init.constant_(self.bn_s.weight, BILINEAR_GAMMA)
        self.residual_s = _residual(fan_in, fan_out)

        padding = (kernel - 1) // 2
        self.temporal = nn.Conv2d(
            fan_out, fan_out, (kernel, 1), stride=(stride, 1), padding=(padding, 0)
        )
        init_conv(self.temporal)
        self.bn_t = nn.BatchNorm2d(fan_out)
        self.residual_t = None if first else _residual(fan_in, fan_out, stride)

    def forward(self, x):
        n, c, t, e = x.shape
        rows = x.reshape(n, c * t, e)
        z = None
        for s, conv in enumerate(self.conv):
            z_s = conv(torch.matmul(rows, self.u[s]).view(n, c, t, e))
            z = z_s if z is None else z + z_s
        h = F.relu(self.bn_s(z) + self.residual_s(x), inplace=True)
        y = self.bn_t(self.temporal(h))
        if self.residual_t is not None:
            y = y + self.residual_t(x)
        return F.relu(y, inplace=True)


class STBLN(nn.Module):
    """Spatio-temporal bilinear network.

    Args:
      edges: number of graph edges E (312 AFEW, 309 Oulu-CASIA, 303 CK+ in the published sizes).
      classes: number of classes.
      widths: output channels of each layer.
      strides: time stride of each layer; None gives 2 at layers 5 and 8, else 1.
      subsets: number of parallel bilinear maps S.
      kernel: frames of the temporal convolution K, odd.
      dropout: probability of dropping an element.
      dropout_place: "after" each layer (paper) or "before" each layer (published code).
      in_channels: coordinates of an edge feature.

    Input [N, in_channels, T, E], output logits [N, classes].
    """

    def __init__(
        self,
        edges,
        classes,
        widths=WIDTHS,
        strides=None,
        subsets=3,
        kernel=9,
        dropout=0.2,
        dropout_place="after",
        in_channels=2,
    ):
        super().__init__()
        if dropout_place not in ("after", "before"):
            raise ValueError(f'dropout_place is {dropout_place!r}; use "after" or "before".')
        if strides is None:
            strides = [2 if i in STRIDED_LAYERS else 1 for i in range(len(widths))]
        if len(strides) != len(widths):
            raise ValueError(
                f"{len(strides)} strides for {len(widths)} widths; give one stride per layer."
            )
        self.dropout_place = dropout_place
        self.data_bn = nn.BatchNorm1d(edges * in_channels)
        fan_ins = (in_channels, *widths[:-1])
        self.layers = nn.ModuleList(
            SpatioTemporalBilinearLayer(
                edges, fan_in, width, stride=stride, subsets=subsets, kernel=kernel, first=i == 0
            )
            for i, (fan_in, width, stride) in enumerate(zip(fan_ins, widths, strides, strict=True))
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[-1], classes)
        nn.init.normal_(self.fc.weight, std=math.sqrt(2 / classes))
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        n, c, t, e = x.shape
        flat = x.permute(0, 3, 1, 2).reshape(n, e * c, t)
        x = self.data_bn(flat).view(n, e, c, t).permute(0, 2, 3, 1).contiguous()
        for layer in self.layers:
            if self.dropout_place == "before":
                x = self.dropout(x)
            x = layer(x)
            if self.dropout_place == "after":
                x = self.dropout(x)
        return self.fc(x.mean(dim=(2, 3)))


def make_optimizer(model, lr):
    """The paper's SGD: momentum 0.9, L2 weight decay 5e-4 on every parameter, constant lr."""
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)


def train_step(model, optimizer, x, y):
    """Takes one step on the cross-entropy of a batch.

    Args:
      model: the network; it is put in training mode.
      optimizer: from `make_optimizer`.
      x: [N, C, T, E] edge features, pixels.
      y: [N] int64 class indices.

    Returns:
      The mean loss before the step, a scalar tensor without gradient.
    """
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def mc_dropout(model, x, mc_samples):
    """Samples class probabilities with dropout active and BatchNorm on its stored statistics.

    Args:
      model: the network; its training flag is as before on return.
      x: [N, C, T, E] edge features, pixels.
      mc_samples: number of stochastic forward passes S.

    Returns:
      [S, N, classes] softmax probabilities.

    Source: section III.D of the paper.
    """
    was_training = model.training
    model.eval()
    model.dropout.train()
    probabilities = torch.stack([model(x).softmax(dim=-1) for _ in range(mc_samples)])
    model.train(was_training)
    return probabilities


def count_parameters(model):
    """Returns (all parameters, parameters without the edge maps U); papers quote the second."""
    total = sum(p.numel() for p in model.parameters())
    return total, total - sum(layer.u.numel() for layer in model.layers)


def _residual(fan_in, fan_out, stride=1):
    if fan_in == fan_out and stride == 1:
        return nn.Identity()
    return Projection(fan_in, fan_out, stride)


def init_conv(conv, std=None):
    if std is None:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    else:
        nn.init.normal_(conv.weight, std=std)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirror has them."""
    named = {}
    for module, leaves in tree.items():
        if module == "data_norm":
            named |= named_leaves("data_bn", leaves)
        elif module == "head":
            named |= named_leaves("fc", leaves)
        else:
            named |= _layer(f"layers.{int(module.removeprefix('layer')) - 1}", leaves)
    return {name: np.ascontiguousarray(value) for name, value in named.items()}


def _layer(prefix: str, leaves: dict) -> dict[str, np.ndarray]:
    named = {}
    for name, leaf in leaves.items():
        if name == "bilinear":
            named[f"{prefix}.u"] = leaf["U"]
            for s, (kernel, bias) in enumerate(zip(leaf["kernel"], leaf["bias"], strict=True)):
                named |= _convolution(f"{prefix}.conv.{s}", {"kernel": kernel, "bias": bias})
        else:
            named |= _convolution(f"{prefix}.{PLACES[name]}", leaf)
    return named


def _convolution(prefix: str, leaves: dict) -> dict[str, np.ndarray]:
    """One convolution, its kernel with four axes, or one BatchNorm."""
    named = named_leaves(prefix, leaves)
    return {
        name: leaf[(..., *[None] * (4 - leaf.ndim))] if leaf.ndim > 1 else leaf
        for name, leaf in named.items()
    }
