"""Begins with the weights of a trained model: fine-tuning, and training in stages."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fer_jax.training import checkpoint
from fer_jax.training.initial_weights import PretrainedError

_OUTPUTS = "head"  # a model's last layer, one column an output


def is_bundle(source: str) -> bool:
    """Tells a bundle from a file or the name of other weights."""
    return (pathlib.Path(source).expanduser() / "model.json").is_file()


def load_weights(source: str, classes: Sequence[str], variables: dict) -> tuple[dict, str]:
    """Takes what a network has in common with that of a bundle.

    A leaf is taken where name and shape are the same; of the last layer the columns of the outputs
    that are named alike, if the bundle has all of them. So a network for valence and arousal begins
    with one that tells dominance too, and a larger head with the trunk of a smaller one.

    Args:
      source: folder that `run.py` wrote as `model/`.
      classes: names of the network's outputs.
      variables: `{"params", "batch_stats"}` of the network, arrays or shapes.

    Returns:
      A part of a tree like `variables`, and what is to be said of it.

    Raises:
      PretrainedError: the bundle cannot be read or has nothing in common with the network.
    """
    path = pathlib.Path(source).expanduser()
    try:
        known = json.loads((path / "model.json").read_text())["classes"]
        given = flatten_dict(checkpoint.load_weights(path / "weights.msgpack")[0])
    except (OSError, ValueError, KeyError) as error:
        raise PretrainedError(f"the bundle {path} cannot be read: {error}") from error
    wanted = flatten_dict(variables)
    taken = {}
    for name, leaf in wanted.items():
        array = given.get(name)
        if array is not None and _OUTPUTS in name and array.shape[-1:] == (len(known),):
            array = _columns(array, known, classes)
        if array is not None and array.shape == leaf.shape:
            taken[name] = np.asarray(array, leaf.dtype)
    if not taken:
        raise PretrainedError(f"no weights of {path} have the name and shape of the network's own")
    new = ["/".join(name[1:]) for name in wanted if name not in taken]
    note = f"begins with {len(taken)} of {len(wanted)} arrays of {path}"
    return unflatten_dict(taken), note + (f"; new are {', '.join(new)}" if new else "")


def _columns(array, known: Sequence[str], classes: Sequence[str]):
    """The outputs by name, None where the bundle lacks one."""
    if not set(classes) <= set(known):
        return None
    return array[..., [list(known).index(name) for name in classes]]
