"""STC-NLSTM in PyTorch, the reference for the Flax model.

Volumes have the axes `[B, C, T, H, W]`. Pooling works on frames, which is faster in PyTorch than on
volumes in both memory layouts; nothing else is tuned here.

Source: Yu et al., Neurocomputing 317 (2018); readings: docs/papers/stc_nlstm.md.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors.weights import lstm_leaves, named_leaves, without_second_bias

WIDTHS = (64, 64, 64, 64, 64)
NORMED, POOLED = (1, 2), (1, 2, 4)  # convolutions with BatchNorm; convolutions before pooling
BINS = (8, 4, 2)
UNITS = 18


class Layer(nn.Module):
    """Convolution, BatchNorm if `norm`, ReLU."""

    def __init__(self, fan_in, width, norm):
        super().__init__()
        self.conv = nn.Conv3d(fan_in, width, 3, padding=1)
        self.norm = nn.BatchNorm3d(width) if norm else nn.Identity()

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)), inplace=True)


class TwoLevelLSTM(nn.LSTM):
    """Two stacked LSTMs, the last hidden state: `[B, T, d] -> [B, H]`."""

    def __init__(self, fan_in, hidden):
        super().__init__(fan_in, hidden, num_layers=2, batch_first=True)
        without_second_bias(self)

    def forward(self, x):
        return super().forward(x)[0][:, -1]


class STCNLSTM(nn.Module):
    """STC-NLSTM: face crops `[B, 3, T, H, W]` to logits; options as in Flax.

    `frames` and `side` (of a crop) set the size of the layer that takes maps as they are.
    """

    def __init__(
        self, classes, channels=WIDTHS, hidden=128, nesting="nested", flat=False, frames=18, side=64
    ):
        super().__init__()
        self.nesting, self.flat, layers, lengths = nesting, flat, [], []
        for index, (fan_in, width) in enumerate(zip((3, *channels), channels, strict=False), 1):
            layers.append(Layer(fan_in, width, index in NORMED))
            lengths.append(width * sum(n * n for n in BINS))
        self.layers = nn.ModuleList(layers)
        for index in range(1, len(channels)):
            side = side // 2 if index in POOLED else side
        if nesting == "nested":
            self.t_lstms = nn.ModuleList(TwoLevelLSTM(length, hidden) for length in lengths)
            self.c_lstm = TwoLevelLSTM(hidden, hidden)
        elif nesting == "none":
            self.units = nn.Linear(frames * side * side * channels[-1], UNITS)
        else:
            self.t_lstm = TwoLevelLSTM(side * side * channels[-1] if flat else lengths[-1], hidden)
        self.head = nn.Linear(UNITS if nesting == "none" else hidden, classes)

    def forward(self, x):
        maps = []
        for index, layer in enumerate(self.layers, 1):
            maps.append(layer(x))
            x = maps[-1]
            if index in POOLED and index < len(self.layers):
                pooled = F.max_pool2d(_frames(x), 2)
                x = pooled.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)
        if self.nesting == "none":
            return self.head(self.units(maps[-1].permute(0, 2, 3, 4, 1).flatten(1)))
        if self.nesting == "last":
            flat = maps[-1].permute(0, 2, 3, 4, 1).flatten(2)
            return self.head(self.t_lstm(flat if self.flat else mspp(maps[-1])))
        if self.nesting == "sum":
            return self.head(self.t_lstm(sum(mspp(each) for each in maps)))
        states = [lstm(mspp(each)) for lstm, each in zip(self.t_lstms, maps, strict=True)]
        return self.head(self.c_lstm(torch.stack(states, 1)))


def mspp(maps):
    """`[B, C, T, H, W] -> [B, T, 84 C]`: 8 x 8, 4 x 4, 2 x 2 bins, each by row, column, channel."""
    frames = _frames(maps)
    pooled = [F.adaptive_max_pool2d(frames, bins).permute(0, 2, 3, 1).flatten(1) for bins in BINS]
    return torch.cat(pooled, 1).unflatten(0, (maps.shape[0], maps.shape[2]))


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirror has it."""
    named = {}
    for name, part in tree.items():
        if name.startswith("layer"):
            index = int(name.removeprefix("layer")) - 1
            for block, leaves in part.items():
                named |= named_leaves(f"layers.{index}.{block}", leaves)
        elif "lstm" in name:
            index = name.removeprefix("t_lstm")
            prefix = f"t_lstms.{int(index) - 1}" if index.isdigit() else name
            for level, leaves in part.items():
                named |= lstm_leaves(prefix, leaves, f"l{int(level.removeprefix('level')) - 1}")
        else:
            named |= named_leaves(name, part)
    return named


def _frames(volume):
    return volume.transpose(1, 2).flatten(0, 1)
