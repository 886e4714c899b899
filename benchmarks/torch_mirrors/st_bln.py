"""The published ST-BLN in PyTorch, the reference for speed and numbers of the Flax model.

It computes what the published code computes, in the same order and layout ([N, C, T, E], one
matrix product and one 1x1 convolution per subset, one whole forward pass per dropout sample),
so that a speed ratio is the gain of a user of that code. Nothing is tuned here. Modules have
the names of `graph_baselines.GraphLayer`.

Source: Heidari & Iosifidis, "Progressive Spatio-Temporal Bilinear Network with Monte Carlo
Dropout for Landmark-based Facial Expression Recognition", MMSP 2021, sections III.B-D.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_mirrors import graph_baselines
from benchmarks.torch_mirrors.graph_baselines import WIDTHS, init_conv, normalised

NAMES = {  # of the parts of a layer in the Flax model -> here
    "bilinear": "graph", "bilinear_norm": "graph_norm", "r1": "down", "r1_norm": "down_norm",
    "r2": "residual", "r2_norm": "residual_norm",
}  # fmt: skip


class BilinearMap(nn.Module):
    """Equation 1, over edges and channels: U contracts its first edge axis."""

    def __init__(self, edges, fan_in, fan_out, subsets):
        super().__init__()
        self.U = nn.Parameter(torch.randn(subsets, edges, edges) / math.sqrt(edges))
        self.conv = nn.ModuleList(nn.Conv2d(fan_in, fan_out, 1) for _ in range(subsets))
        for conv in self.conv:
            init_conv(conv, std=math.sqrt(2 / (fan_out * fan_in * subsets)))

    def forward(self, x):
        n, c, t, e = x.shape
        rows = x.reshape(n, c * t, e)
        z = None
        for s, conv in enumerate(self.conv):
            z_s = conv(torch.matmul(rows, self.U[s]).view(n, c, t, e))
            z = z_s if z is None else z + z_s
        return z


class STBLN(graph_baselines.GraphNetwork):
    """ST-BLN: edge features `[N, 2, T, E]` to logits `[N, classes]`; options as in Flax.

    The published numbers of edges are 312 (AFEW), 309 (Oulu-CASIA) and 303 (CK+).
    """

    def __init__(
        self, edges, classes, widths=WIDTHS, subsets=3, kernel=9, dropout=0.2, dropout_place="after"
    ):
        if dropout_place not in ("after", "before"):
            raise ValueError(f'dropout_place is {dropout_place!r}; use "after" or "before".')

        def make_graph(fan_in, fan_out):
            return BilinearMap(edges, fan_in, fan_out, subsets)

        super().__init__(make_graph, edges, classes, widths, kernel)
        self.dropout, self.dropout_place = nn.Dropout(dropout), dropout_place

    def forward(self, x):
        x = normalised(self.data_norm, x)
        for name in self.layers:
            before, after = self.dropout, getattr(self, name)
            if self.dropout_place == "after":
                before, after = after, before
            x = after(before(x))
        return self.head(x.mean(dim=(2, 3)))


def make_optimizer(model, lr):
    """The paper's SGD: momentum 0.9, L2 weight decay 5e-4 on every parameter, constant lr."""
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)


def train_step(model, optimizer, x, y):
    """Takes one step on the cross-entropy of a batch `[N, 2, T, E]` with class indices `[N]`.

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
      model: the network; its training flag is restored.
      x: `[N, 2, T, E]` edge features, pixels.
      mc_samples: number of stochastic forward passes S.

    Returns:
      `[S, N, classes]` softmax probabilities.

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
    return total, total - sum(getattr(model, name).graph.U.numel() for name in model.layers)


def torch_names(tree: dict) -> dict[str, np.ndarray]:
    """Renames and reshapes a tree of params, gradients or batch_stats as the mirror has them."""
    renamed = {
        module: {NAMES.get(name, name): leaf for name, leaf in leaves.items()}
        for module, leaves in tree.items()
    }
    return graph_baselines.torch_names(renamed)
