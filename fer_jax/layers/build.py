"""Makes a network of a class, its fields and a data set; tells what its parameters are."""

from __future__ import annotations

import dataclasses

import flax.linen as nn

# Names of the learnable matrices over nodes, edges or frames, which the papers' counts mostly leave
# out.
GRAPH_LEAVES = ("U", "P", "M", "S", "T", "A")

_GIVEN = ("edges", "frames", "axis_name")  # fields that the data and the devices set
_LINEN = ("name", "parent")


def is_kernel(leaf: str) -> bool:
    """Tells by its name whether a parameter multiplies inputs or states: no bias, norm or graph."""
    return leaf == "recurrent" or leaf.endswith("kernel")


def make_network(
    network: type[nn.Module], fields: dict, classes: int, graph, frames: int | None = None
) -> nn.Module:
    """Makes a network for a data set.

    Args:
      network: a Flax module with the field `classes`.
      fields: `{"name": of the network in messages, **constructor fields}`; lists stand for tuples.
      classes: number of classes of the data set.
      graph: its `landmarks.Graph`; networks with a field `edges` get the edges.
      frames: T of a clip, for networks that are tied to it.

    Returns:
      The module, bound to no device axis.

    Raises:
      ValueError: a field that it does not have, or another number of classes.
    """
    fields = dict(fields)
    name = fields.pop("name", network.__name__)
    if fields.pop("classes", classes) != classes:
        raise ValueError(f"the model has another number of classes than the data set's {classes}")
    own = {field.name for field in dataclasses.fields(network)}
    free = sorted(own - {"classes", *_GIVEN, *_LINEN})
    unknown = sorted(set(fields) - set(free))
    if unknown:
        raise ValueError(f"model {name!r} has no field {unknown[0]!r} to set: it has {free}")
    fields = {key: _frozen(value) for key, value in fields.items()}
    if "edges" in own:
        fields["edges"] = tuple((int(source), int(target)) for source, target in graph.edges)
    if "frames" in own and frames is not None:
        fields["frames"] = frames
    return network(classes=classes, **fields)


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value
