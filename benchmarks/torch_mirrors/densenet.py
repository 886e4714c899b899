"""DenseNet in PyTorch, the reference for the Flax model, with the names of torchvision's modules.

Source: Huang et al., CVPR 2017; readings: docs/papers/stc_nlstm.md.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors.weights import named_leaves

DENSENET121_BLOCKS = (6, 12, 24, 16)


class DenseLayer(nn.Module):
    """Adds `growth` channels to its input."""

    def __init__(self, fan_in, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(fan_in), _conv(fan_in, 4 * growth, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), _conv(4 * growth, growth, 3)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], dim=1)


class Transition(nn.Module):
    """Halves channels and sides."""

    def __init__(self, fan_in):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(fan_in), _conv(fan_in, fan_in // 2, 1)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNet(nn.Module):
    """Clips `[B, T, 3, H, W]` to logits of their frames `[B, T, classes]`."""

    def __init__(self, classes, blocks=DENSENET121_BLOCKS, growth=32, initial=64):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", _conv(3, initial, 7, 2))
        self.features.add_module("norm0", nn.BatchNorm2d(initial))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, padding=1))
        width = initial
        for index, layers in enumerate(blocks, 1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(f"denselayer{layer}", DenseLayer(width, growth))
                width += growth
            self.features.add_module(f"denseblock{index}", block)
            if index < len(blocks):
                self.features.add_module(f"transition{index}", Transition(width))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        maps = F.relu(self.features(x.flatten(0, 1)))
        return self.classifier(maps.mean(dim=(2, 3))).unflatten(0, x.shape[:2])


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirror has it."""
    named = {}
    for name, part in tree.get("cnn", {}).items():
        layers = {_path(name, layer): leaves for layer, leaves in part.items()}
        if name in ("stem_conv", "stem_norm", "last_norm"):
            layers = {{"stem_conv": "conv0", "stem_norm": "norm0"}.get(name, "norm5"): part}
        for layer, leaves in layers.items():
            named |= named_leaves(f"features.{layer}", leaves)
    return named | named_leaves("classifier", tree.get("head", {}))


def _path(name: str, layer: str) -> str:
    """Path of a layer of a block or a transition, e.g. of `block1_layer2`, `conv1`."""
    name = re.sub(r"block(\d+)_layer(\d+)", r"denseblock\1.denselayer\2", name)
    return f"{name}.{layer}"


def _conv(fan_in, fan_out, side, stride=1):
    return nn.Conv2d(fan_in, fan_out, side, stride, padding=side // 2, bias=False)
