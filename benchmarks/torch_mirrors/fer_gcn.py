"""VGG16, ResNet50 and FER-GCN in PyTorch, references for the Flax models. Nothing is tuned here.

The backbones have the names of torchvision's modules (`features.0.weight`,
`layer1.0.conv1.weight`) without its classifiers, so that their `state_dict` equals a file of
ImageNet weights.

Source: Simonyan & Zisserman, arXiv 1409.1556; He et al., CVPR 2016; Liu, Zhang & Zhou, ICPR 2020;
readings: docs/papers/fer_gcn.md.
"""

from __future__ import annotations

import functools
import re

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors import weights
from benchmarks.torch_mirrors.weights import named_leaves

VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
RESNET50_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels, blocks
# `[..., H, W, 3] -> [..., 3, H, W]`
channels_first = functools.partial(weights.channels_first, axis=-3)


class VGG16(nn.Module):
    """Convolutional part of VGG16: `[N, 3, H, W] -> [N, C, H / 32, W / 32]`; options as in Flax."""

    def __init__(self, stages=VGG16_STAGES, batch_norm=True, last_pool=True):
        super().__init__()
        layers, fan_in = [], 3
        for index, (width, convolutions) in enumerate(stages, 1):
            for _ in range(convolutions):
                layers.append(nn.Conv2d(fan_in, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width)] * batch_norm + [nn.ReLU(inplace=True)]
                fan_in = width
            if last_pool or index < len(stages):
                layers.append(nn.MaxPool2d(2))
        self.features, self.channels = nn.Sequential(*layers), fan_in

    def forward(self, x):
        return self.features(x)


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut; the middle one strides, or the first as in Caffe."""

    def __init__(self, fan_in, width, stride, stride_in_1x1=False):
        super().__init__()
        wide, strides = 4 * width, (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1, self.bn1 = _conv(fan_in, width, 1, strides[0]), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, strides[1]), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, wide, 1), nn.BatchNorm2d(wide)
        self.downsample = None
        if stride > 1 or fan_in != wide:
            self.downsample = nn.Sequential(_conv(fan_in, wide, 1, stride), nn.BatchNorm2d(wide))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class ResNet50(nn.Module):
    """ResNet50 without its classifier: `[N, 3, H, W] -> [N, 2048, H / 32, W / 32]`."""

    def __init__(self, stages=RESNET50_STAGES, stride_in_1x1=False, ceil_pool=False):
        super().__init__()
        fan_in = stages[0][0]
        self.conv1, self.bn1 = _conv(3, fan_in, 7, 2), nn.BatchNorm2d(fan_in)
        self.maxpool = nn.MaxPool2d(3, 2, padding=0 if ceil_pool else 1, ceil_mode=ceil_pool)
        self.stages = []
        for index, (width, blocks) in enumerate(stages, 1):
            layer = []
            for block in range(blocks):
                stride = 2 if index > 1 and block == 0 else 1
                layer.append(Bottleneck(fan_in, width, stride, stride_in_1x1))
                fan_in = 4 * width
            self.add_module(f"layer{index}", nn.Sequential(*layer))
            self.stages.append(f"layer{index}")

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for name in self.stages:
            x = getattr(self, name)(x)
        return x


class Equation6(nn.Module):
    """Equation 6 frame by frame, on the states of two LSTMs: `[B, N, d] -> [B, N, d]`."""

    def __init__(self, d):
        super().__init__()
        self.cells = nn.ModuleDict({"f": nn.LSTMCell(d, d), "b": nn.LSTMCell(d, d)})
        for cell in self.cells.values():
            nn.init.zeros_(cell.bias_hh).requires_grad_(False)
        self.U = nn.ModuleDict({way: nn.Linear(2 * d, d // 2, bias=False) for way in "fb"})
        self.V = nn.ModuleDict({way: nn.Linear(d // 2, d, bias=False) for way in "fb"})
        self.b = nn.Parameter(torch.zeros(d))

    def forward(self, x):
        embedded = {}
        for way, order in (("f", range(x.shape[1])), ("b", reversed(range(x.shape[1])))):
            state = 2 * (torch.zeros_like(x[:, 0]),)
            for frame in order:
                pair = torch.cat([state[0], x[:, frame]], dim=1)
                embedded[way, frame] = self.V[way](torch.sigmoid(self.U[way](pair)))
                state = self.cells[way](x[:, frame], state)
        frames = [embedded["f", i] + embedded["b", i] + self.b for i in range(x.shape[1])]
        return torch.tanh(torch.stack(frames, dim=1))


class GraphModule(nn.Module):
    """Equations 1 to 4 and a recurrence: `A [N, N], [B, N, d] -> [B, N, d]`."""

    def __init__(self, features, recurrence):
        super().__init__()
        self.W = nn.Parameter(torch.empty(features, features))
        nn.init.xavier_uniform_(self.W)
        if recurrence == "eq6":
            self.equation6 = Equation6(features)
        else:
            self.bilstm = weights.without_second_bias(
                nn.LSTM(features, features // 2, batch_first=True, bidirectional=True)
            )

    def forward(self, adjacency, x):
        x = F.leaky_relu(torch.matmul(adjacency, torch.matmul(x, self.W)), 0.2)
        return self.equation6(x) if hasattr(self, "equation6") else self.bilstm(x)[0]


class FERGCN(nn.Module):
    """FER-GCN: face crops `[B, N, 3, H, W]` to logits `[B, classes]`; options as in Flax."""

    def __init__(
        self, classes, frames=16, features=256, modules=2, fusion=True, stages=VGG16_STAGES,
        recurrence="concat",
    ):  # fmt: skip
        super().__init__()
        self.backbone = VGG16(stages)
        self.reduce = nn.Linear(stages[-1][0], features)
        self.A = nn.Parameter(torch.eye(frames)) if modules else None
        self.graph_modules = nn.ModuleList(
            GraphModule(features, recurrence) for _ in range(modules)
        )
        self.fusion = fusion and modules > 0
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        maps = self.backbone(x.flatten(0, 1))
        x = F.relu(self.reduce(maps.mean(dim=(2, 3)))).view(*x.shape[:2], -1)
        for module in self.graph_modules:
            x = module(self.A, x)
        if not self.fusion:
            return self.head(x.mean(dim=1))
        weights = self.A.detach().mean(dim=0).softmax(dim=0)
        return self.head((weights[:, None] * x).sum(dim=1))


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirrors have it."""
    tree = {name: tree[name] for name in sorted(tree, key=_natural)}
    named = {}
    if "stage1" in tree:
        return _vgg_names(tree)
    for name, part in tree.items():
        if name == "A":
            named["A"] = np.asarray(part)
        elif name == "backbone":
            named |= {f"backbone.{key}": array for key, array in torch_names(part).items()}
        elif name.startswith("graph_modules_"):
            named |= _graph_module(f"graph_modules.{name.removeprefix('graph_modules_')}", part)
        elif "_block" in name:
            stage, block = map(int, re.findall(r"\d+", name))
            for layer, leaves in part.items():
                layer = layer.replace("shortcut_conv", "downsample.0")
                layer = layer.replace("shortcut_norm", "downsample.1").replace("norm", "bn")
                named |= named_leaves(f"layer{stage}.{block - 1}.{layer}", leaves)
        else:
            named |= named_leaves({"stem_conv": "conv1", "stem_norm": "bn1"}.get(name, name), part)
    return named


def _vgg_names(tree: dict) -> dict[str, np.ndarray]:
    """Counts the modules of `features`; batch_stats have norms only."""
    named, index = {}, 0
    for layers in tree.values():
        step = 3 if "norm1" in layers else 2  # convolution, norm, ReLU
        for convolution in range(1, max(int(name[4:]) for name in layers) + 1):
            for offset, layer in enumerate((f"conv{convolution}", f"norm{convolution}")):
                named |= named_leaves(f"features.{index + offset}", layers.get(layer, {}))
            index += step
        index += 1  # pooling
    return named


def _graph_module(prefix: str, part: dict) -> dict[str, np.ndarray]:
    named = {f"{prefix}.W": np.asarray(part["kernel"])}
    if "equation6" in part:
        return named | _equation6(f"{prefix}.equation6", part["equation6"])
    for direction, suffix in (("forward", "l0"), ("backward", "l0_reverse")):
        named |= weights.lstm_leaves(f"{prefix}.bilstm", part["bilstm"][direction], suffix)
    return named


def _equation6(prefix: str, part: dict) -> dict[str, np.ndarray]:
    named = {f"{prefix}.b": np.asarray(part["bias"])}
    for way, direction in (("f", "forward"), ("b", "backward")):
        for leaf, array in weights.lstm_leaves(f"{prefix}.cells.{way}", part[direction]).items():
            named[leaf.removesuffix("_l0")] = array
        for matrix in "UV":
            named |= named_leaves(f"{prefix}.{matrix}.{way}", part[f"{matrix}_{way}"])
    return named


def _natural(name: str):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _conv(fan_in, fan_out, side, stride=1):
    return nn.Conv2d(fan_in, fan_out, side, stride, padding=side // 2, bias=False)
