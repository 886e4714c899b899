"""3D Inception-ResNet in PyTorch, the reference for the Flax model.

Volumes have the axes `[B, C, T, H, W]`. Pooling works on frames, which is faster in PyTorch than on
volumes; nothing else is tuned here. Names are those of the Flax model.

Source: Hasani & Mahoor, CVPRW 2017; readings: docs/papers/inception_resnet_3d.md.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors.weights import lstm_leaves, named_leaves, without_second_bias
from fer_jax.systems.inception_resnet_3d.network import WIDTHS

SQUARE, FIVE, POINT = (3, 3), (5, 5), (1, 1)
SIZES = {  # rows and columns of the kernels of each branch; "half" halves the sides
    "stem": {
        "v1": [[("half", SQUARE), SQUARE, SQUARE, POINT, SQUARE, ("half", SQUARE)]],
        "v2": [[("half", SQUARE), SQUARE, SQUARE, POINT, SQUARE], [POINT], [POINT, FIVE],
               [POINT, SQUARE, SQUARE], [POINT]],
    },
    "inception_a": [[POINT], [POINT, SQUARE], [POINT, SQUARE, SQUARE]],
    "reduction_a": [[("half", SQUARE)], [POINT, SQUARE, ("half", SQUARE)]],
    "inception_b": [[POINT], [POINT, (1, 7), (7, 1)]],
    "reduction_b": [[POINT, ("half", SQUARE)]] * 2 + [[POINT, SQUARE, ("half", SQUARE)]],
    "inception_c": [[POINT], [POINT, (1, 3), (3, 1)]],
}  # fmt: skip


class Unit(nn.Module):
    """Convolution, BatchNorm or bias, ReLU; "SAME" as TensorFlow counts it, or no padding."""

    def __init__(self, fan_in, width, size, frames, stride, same, norm):
        super().__init__()
        taps = 1 if size == POINT else frames
        self.taps, self.size, self.stride, self.same = taps, size, stride, same
        self.conv = nn.Conv3d(fan_in, width, (taps, *size), (1, stride, stride), bias=not norm)
        self.norm = nn.BatchNorm3d(width) if norm else nn.Identity()

    def forward(self, x):
        around = [(0, 0), (0, 0)]
        if self.same:
            around = [
                _same(n, k, self.stride) for n, k in zip(x.shape[-2:], self.size, strict=True)
            ]
        if any(before != after for before, after in around):
            x = F.pad(x, (*around[1], *around[0]))
            around = [(0, 0), (0, 0)]
        self.conv.padding = (self.taps // 2, around[0][0], around[1][0])
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Block(nn.Module):
    """The branches of a block, and its linear convolution where it has one."""

    def __init__(self, fan_in, widths, sizes, frames, factorised, norm, linear, same, fans=()):
        super().__init__()
        self.branches = nn.ModuleList()
        for index, (branch, kernels) in enumerate(zip(widths, sizes, strict=True)):
            units, channels = nn.ModuleList(), fans[index] if fans else fan_in
            for width, size in zip(branch, kernels, strict=True):
                stride, size = (2, size[1]) if size[0] == "half" else (1, size)
                taps = frames if size[0] == size[1] else factorised
                units.append(Unit(channels, width, size, taps, stride, same or stride == 1, norm))
                channels = width
            self.branches.append(units)
        self.out = sum(branch[-1] for branch in widths)
        if linear:
            self.linear = nn.Conv3d(self.out, fan_in, 1)

    def run(self, index, x):
        for unit in self.branches[index]:
            x = unit(x)
        return x

    def join(self, x):
        return torch.cat([self.run(index, x) for index in range(len(self.branches))], 1)


class Stem(Block):
    def forward(self, x):
        for index, unit in enumerate(self.branches[0]):
            x = max_pool(unit(x), True) if index == 2 else unit(x)
        if len(self.branches) == 1:
            return x
        x = max_pool(x, True)
        mean = F.avg_pool3d(x, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
        branches = [self.run(index, x) for index in (1, 2, 3)]
        return torch.cat([*branches, self.run(4, mean)], 1)


class Inception(Block):
    scale = 1.0

    def forward(self, x, weights=None):
        shortcut = x if weights is None else weights * x
        return F.relu(shortcut + self.scale * self.linear(self.join(x)), inplace=True)


class Reduction(Block):
    def forward(self, x):
        return torch.cat([max_pool(x, False), self.join(x)], 1)


class InceptionResNet3D(nn.Module):
    """Face crops `[B, 3, T, H, W]` and weights of the shortcuts to logits; options as in Flax."""

    def __init__(
        self, classes, version="v1", divisor=1, factorised=3, still=False, batch_norm=True,
        hidden=200, residual_scale=(1.0, 1.0, 1.0),
    ):  # fmt: skip
        super().__init__()
        self.still, frames = still, 1 if still else 3
        factorised = 1 if still else factorised

        def make(kind, name, fan_in, **fields):
            own = WIDTHS[version][name.removeprefix("inception_")]
            widths = [[width // divisor for width in branch] for branch in own]
            sizes = SIZES[name][version] if name == "stem" else SIZES[name]
            fields = {"linear": kind is Inception, "same": kind is Stem, **fields}
            return kind(fan_in, widths, sizes, frames, factorised, batch_norm, **fields)

        after = WIDTHS[version]["stem"][0][-1] // divisor
        self.stem = make(Stem, "stem", 3, fans=[3, after, after, after, after])
        channels = sum(b[-1] // divisor for b in WIDTHS[version]["stem"][-4:])
        self.inception_a = make(Inception, "inception_a", channels)
        self.reduction_a = make(Reduction, "reduction_a", channels)
        channels += self.reduction_a.out
        self.inception_b = make(Inception, "inception_b", channels)
        self.reduction_b = make(Reduction, "reduction_b", channels)
        channels += self.reduction_b.out
        self.inception_c = make(Inception, "inception_c", channels)
        blocks = (self.inception_a, self.inception_b, self.inception_c)
        for block, scale in zip(blocks, residual_scale, strict=True):
            block.scale = scale
        if not still:
            self.lstm = without_second_bias(nn.LSTM(channels, hidden, batch_first=True))
        self.head = nn.Linear(channels if still else hidden, classes)

    def forward(self, x, weights_a=None, weights_b=None):
        """Weights `[B, 1, T, S, S]`; logits of clips, or of frames `[B, T, classes]` if still."""
        x = self.reduction_a(self.inception_a(self.stem(x), weights_a))
        x = self.inception_c(self.reduction_b(self.inception_b(x, weights_b)))
        x = x.mean((3, 4)).transpose(1, 2)
        return self.head(x if self.still else self.lstm(x)[0][:, -1])


def max_pool(x, same):
    """Max pooling of 3 x 3 pixels with stride 2."""
    frames = x.transpose(1, 2).flatten(0, 1)
    odd = [side % 2 for side in x.shape[-2:]]
    if same and odd[0] != odd[1]:
        raise ValueError(f"frames are squares here, not {tuple(x.shape[-2:])}")
    padding = odd[0] if same else 0  # an even side gets its padding from `ceil_mode`
    frames = F.max_pool2d(frames, 3, 2, padding, ceil_mode=same)
    return frames.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


def _same(side, kernel, stride):
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirror has it."""
    named = {}
    for name, part in tree.items():
        if name == "lstm":
            named |= lstm_leaves(name, part)
        elif name == "head":
            named |= named_leaves(name, part)
        else:
            for unit, leaves in part.items():
                path = re.sub(r"branch(\d)_(\d)_(\w+)", r"branches.\1.\2.\3", unit)
                named |= named_leaves(f"{name}.{path}", leaves)
    return named
