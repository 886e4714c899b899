"""The head of the bilinear CNN without its trunk, which dominates the time of the whole network.

A trainable scale of each channel replaces the trunk, so that gradients pass through the whole head.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import torch

from benchmarks.torch_mirrors import bilinear_cnn
from fer_jax.systems.bilinear_cnn.network import BilinearCNN

CHANNELS = 512  # of VGG16's last maps


class Head(nn.Module):
    """Ours: maps `[B, n, C]` to values `[B, D]`."""

    model: BilinearCNN
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, dropout: bool | None = None) -> jax.Array:
        x = x * self.param("scale", nn.initializers.ones, (x.shape[-1],))
        dropout = train if dropout is None else dropout
        return self.model.of_frames(self.model.pool(x), dropout=dropout)


class MirrorHead(torch.nn.Module):
    """The mirror: `[B, C, H, W]` to `[B, 1, D]`."""

    def __init__(self, classes: int, compact: str):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(CHANNELS, 1, 1))
        self.head = bilinear_cnn.Head(classes, CHANNELS, compact=compact)

    def forward(self, x):
        return self.head((x * self.scale).flatten(2))[:, None]
