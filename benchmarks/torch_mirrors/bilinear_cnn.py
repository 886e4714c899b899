"""The bilinear CNN in PyTorch, the reference for the Flax model. Nothing is tuned here.

Source: Zhou et al., arXiv 1805.01024; readings: docs/papers/bilinear_cnn.md.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors import fer_gcn as backbones
from benchmarks.torch_mirrors.fer_gcn import RESNET50_STAGES, VGG16_STAGES


class CutBottleneck(nn.Module):
    """A bottleneck block up to the ReLU of its 3x3 convolution."""

    def __init__(self, block: backbones.Bottleneck):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)), inplace=True)


def resnet50(stages=RESNET50_STAGES, cut=True, **options):
    """ResNet50, `cut` within its last block."""
    trunk = backbones.ResNet50(stages, **options)
    trunk.channels = 4 * stages[-1][0]
    if cut:
        layer = getattr(trunk, trunk.stages[-1])
        layer[-1] = CutBottleneck(layer[-1])
        trunk.channels = stages[-1][0]
    return trunk


class Head(nn.Module):
    """The part after the trunk: features of n positions `[N, c, n]` to values `[N, D]`."""

    def __init__(
        self, classes, channels, pooling="bilinear", compact="full", features=512, reduced=100,
        rank=8, dropout=0.3,
    ):  # fmt: skip
        super().__init__()
        self.pooling, self.compact, self.classes = pooling, compact, classes
        self.drop = nn.Dropout(dropout)
        size = channels
        if pooling == "bilinear" and compact == "low_rank":
            self.directions = nn.Linear(channels, classes * rank, bias=False)
            self.bias = nn.Parameter(torch.full((classes,), 5.0))
            return
        if pooling == "bilinear" and compact == "reduced":
            self.reduce, channels = nn.Conv1d(channels, reduced, 1), reduced
        if pooling == "bilinear":
            if compact == "triangle":
                rows, columns = torch.triu_indices(channels, channels)
                self.register_buffer("indices", rows * channels + columns, persistent=False)
                weights = torch.where(rows == columns, 1.0, 2.0**0.5)
                self.register_buffer("weights", weights, persistent=False)
            size = len(self.indices) if compact == "triangle" else channels**2
            if features:
                self.extra, size = nn.Linear(size, features), features
        self.output = nn.Linear(size, classes)
        nn.init.constant_(self.output.bias, 5.0)

    def forward(self, x):
        if self.pooling == "global":
            return self.output(self.drop(x.mean(2)))
        if self.compact == "low_rank":
            return self.low_rank(x)
        if self.compact == "reduced":
            x = self.reduce(x)
        y = torch.bmm(x, x.transpose(1, 2)).flatten(1)
        if self.compact == "triangle":
            y = y[:, self.indices]
        y = torch.sign(y) * torch.sqrt(y.abs() + 1e-8)
        if self.compact == "triangle":
            y = y * self.weights
        y = y / (y.norm(dim=1, keepdim=True) + 1e-5)
        if hasattr(self, "extra"):
            y = self.extra(y)
        return self.output(self.drop(y))

    def low_rank(self, x):
        norm = torch.bmm(x, x.transpose(1, 2)).flatten(1).norm(dim=1)
        x = x / torch.sqrt(norm + 1e-5)[:, None, None]
        squares = self.directions(x.transpose(1, 2)).square().sum(1)
        positive, negative = self.drop(squares).view(len(x), self.classes, 2, -1).sum(3).unbind(2)
        return positive - negative + self.bias


class BilinearCNN(nn.Module):
    """Clips `[B, T, 3, S, S]` to values of their frames `[B, T, D]`; options as in Flax."""

    def __init__(
        self, classes, trunk="vgg16", pooling="bilinear", stages=None, channels="rgb",
        stride_in_1x1=False, ceil_pool=False, **options,
    ):  # fmt: skip
        super().__init__()
        self.colours = [2, 1, 0] if channels == "bgr" else [0, 1, 2]
        if trunk == "vgg16":
            self.backbone = backbones.VGG16(stages or VGG16_STAGES, False, False)
        else:
            self.backbone = resnet50(
                stages or RESNET50_STAGES, cut=pooling == "bilinear",
                stride_in_1x1=stride_in_1x1, ceil_pool=ceil_pool,
            )  # fmt: skip
        self.head = Head(classes, self.backbone.channels, pooling, **options)

    def forward(self, x):
        maps = self.backbone(x.flatten(0, 1)[:, self.colours])
        return self.head(maps.flatten(2)).view(*x.shape[:2], -1)


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirror has it."""
    named = {}
    for name, part in tree.items():
        if name == "backbone":
            trunk = backbones.torch_names(part)
            named |= {f"backbone.{key}": leaf for key, leaf in trunk.items()}
            continue
        for leaf, values in part.items():
            values = np.array(np.asarray(values).T)  # a contiguous copy
            if name == "head" and set(part) == {"bias"}:
                named["head.bias"] = values
            else:
                module = {"head": "output"}.get(name, name)
                if module == "reduce" and leaf == "kernel":
                    values = values[:, :, None]
                named[f"head.{module}.{'weight' if leaf == 'kernel' else leaf}"] = values
    return named
