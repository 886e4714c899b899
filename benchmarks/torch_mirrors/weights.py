"""Loads Flax variables into PyTorch mirrors; shared by all mirrors."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

LSTM_LEAVES = {"kernel": "weight_ih", "recurrent": "weight_hh", "bias": "bias_ih"}
NORM_LEAVES = {"scale": "weight", "mean": "running_mean", "var": "running_var"}


def names_of(mirror: nn.Module) -> Callable[[dict], dict[str, np.ndarray]]:
    """Returns `torch_names` of the file that defines a mirror's class."""
    return sys.modules[type(mirror).__module__].torch_names


def load(variables: dict, mirror: nn.Module) -> nn.Module:
    """Copies Flax variables into a mirror of the same sizes.

    Args:
      variables: `{"params", "batch_stats"}`; without BatchNorm `{"params"}`.
      mirror: is changed in place.

    Returns:
      `mirror`.

    Raises:
      RuntimeError: the trees do not fit; the message names the leaves.
    """
    names, own = names_of(mirror), mirror.state_dict()
    named = names(variables["params"]) | names(variables.get("batch_stats", {}))
    # PyTorch counts batches, and each gate of an LSTM has a second bias, which stays 0.
    kept = {name: own[name] for name in own if re.search("num_batches_tracked|bias_hh", name)}
    tensors = {name: torch.from_numpy(np.array(leaf)) for name, leaf in named.items()}
    mirror.load_state_dict(tensors | kept)
    return mirror


def named_leaves(prefix: str, leaves: dict) -> dict[str, np.ndarray]:
    """Renames one layer: a kernel `[..., Fi, Fo]` becomes a weight `[Fo, Fi, ...]`."""
    names = {"kernel": "weight", **NORM_LEAVES}
    named = {}
    for name, leaf in leaves.items():
        leaf = np.asarray(leaf)
        leaf = np.moveaxis(leaf, (-1, -2), (0, 1)) if leaf.ndim > 1 else leaf
        named[f"{prefix}.{names.get(name, name)}"] = np.ascontiguousarray(leaf)
    return named


def lstm_leaves(prefix: str, leaves: dict, suffix: str = "l0") -> dict[str, np.ndarray]:
    """Renames one LSTM; the suffix has PyTorch's layer and direction."""
    return {
        f"{prefix}.{LSTM_LEAVES[name]}_{suffix}": np.ascontiguousarray(np.asarray(leaf).T)
        for name, leaf in leaves.items()
    }


def channels_first(array: np.ndarray, axis: int = 1) -> torch.Tensor:
    """Moves the channels from the last axis to `axis`; the result is contiguous."""
    return torch.from_numpy(np.moveaxis(np.asarray(array), -1, axis).copy(order="C"))


def without_second_bias(lstm: nn.LSTM) -> nn.LSTM:
    """Freezes the second bias of each gate at zero."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("bias_hh"):
            nn.init.zeros_(parameter).requires_grad_(False)
    return lstm
