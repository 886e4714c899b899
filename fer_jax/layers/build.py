"""Makes a network from a class, its fields and a dataset; the contract of such classes.

A network is a Flax module (`flax.linen`) whose fields a config sets by keyword.

It must have
  classes: field, number of outputs.
  axis_name: field, `str | None = None`: the mapped device axis. The network passes it to the
    `BatchNorm` and `Dropout` of `layers`, so that one and eight devices give the same run.
  inputs: class attribute: "edges" or "nodes" of the landmark graph, "frames" (face crops) or
    "faces" (crops with landmarks), see `data.model_inputs`.
  pixels: class attribute or field of a network of crops: a key of `data.model_inputs.PIXELS`.
  __call__(inputs, *, train, dropout=None): logits `[B, classes]`; `dropout` defaults to `train`,
    so that MC dropout keeps BatchNorm in inference mode.
A submodule with a parameter "kernel" returns what is linear in its "kernel" and "bias", as
prediction folds a BatchNorm behind it into them, see `batch_norm.fold`.

It may have
  edges, frames: fields set from the dataset: the landmark graph, the number of frames T.
  dropout: field, rate from 0 to 0.95. Without it, or at 0, no MC dropout is reported.
  dtype: field, "float32" or "bfloat16": of activations and products; parameters and statistics stay
    float32.
  remat: field, True stores only the input of each block and recomputes the rest in the backward
    pass.
  check(): refuses invalid fields by a `layers.fields.FieldError`; decorate it with `nn.nowrap` and
    call it first in `setup` or `__call__`.
  smallest_crop: attribute, side of the smallest valid crop, pixels.
  tasks: attribute, names of the tasks that its outputs suit; without it, any.
  gray: attribute, True converts crops to gray.
  pixels_for(fields, pretrained): static, chooses `pixels` where the config says "auto".
  before_dropout(inputs), after_dropout(x, dropout=): the part before the first dropout, which MC
    dropout then computes once, and the rest.
"""

from __future__ import annotations

import dataclasses
import inspect

import flax.linen as nn

from fer_jax.layers import fields as checks

# Learnable matrices over nodes, edges or frames; most papers exclude them from parameter counts.
GRAPH_LEAVES = ("U", "P", "M", "S", "T", "A")

_GIVEN = ("edges", "frames", "axis_name")  # fields set from the data and the devices
_LINEN = ("name", "parent")
CROPS = ("frames", "faces")
INPUTS = ("edges", "nodes", *CROPS)


def is_kernel(leaf: str) -> bool:
    """Tells by its name whether a parameter is a kernel (no bias, norm or graph matrix)."""
    return leaf == "recurrent" or leaf.endswith("kernel")


def make_network(
    network: type[nn.Module], fields: dict, classes: int, graph, frames: int | None = None
) -> nn.Module:
    """Makes a network for a dataset.

    Args:
      network: a class that fulfils the contract above.
      fields: `{"name": of the network in messages, **constructor fields}`; lists become tuples.
      classes: number of classes of the dataset.
      graph: its `landmarks.Graph`; networks with a field `edges` get the edges.
      frames: T of a clip, for networks with a field `frames`.

    Returns:
      The module, bound to no device axis.

    Raises:
      ValueError: the class violates the contract, a field is unknown or invalid (`FieldError`), or
        the number of classes differs.
    """
    own, given = _fields(network), {}
    if "edges" in own:
        given["edges"] = tuple((int(source), int(target)) for source, target in graph.edges)
    if "frames" in own and frames is not None:
        given["frames"] = frames
    if fields.get("classes", classes) != classes:
        raise ValueError(f"the model has another number of classes than the dataset's {classes}")
    return _make(network, fields, classes=classes, **given)


def check_fields(network: type[nn.Module], fields: dict) -> nn.Module:
    """Checks a class and its fields before there is data.

    Args:
      network, fields: see `make_network`.

    Returns:
      The network for one class and without edges, to read `smallest_crop` and `tasks` from.

    Raises:
      ValueError: see `make_network`.
    """
    stand_ins = {"edges": (), "frames": 1}
    given = {field: value for field, value in stand_ins.items() if field in _fields(network)}
    return _make(network, fields, classes=1, **given)


def _make(network: type[nn.Module], fields: dict, **given) -> nn.Module:
    fields = {key: _frozen(value) for key, value in fields.items() if key != "classes"}
    name = fields.pop("name", network.__name__)
    check_class(network)
    free = sorted(_fields(network) - {"classes", *_GIVEN, *_LINEN})
    unknown = sorted(set(fields) - set(free))
    if unknown:
        raise ValueError(f"model {name!r} has no field {unknown[0]!r} to set: it has {free}")
    needed = [field.name for field in dataclasses.fields(network) if _has_no_default(field)]
    missing = sorted(set(needed) - set(fields) - set(given) - set(_LINEN))
    if missing:
        raise ValueError(f"model {name!r} needs its field {missing[0]!r}: it has no default")
    module = network(**fields, **given)
    if "dropout" in free:
        checks.within(module, "dropout", 0.0, 0.95)
    if "dtype" in free:
        checks.one_of(module, "dtype", ("float32", "bfloat16"))
    if hasattr(module, "check"):
        module.check()
    return module


def check_class(network: type[nn.Module]) -> None:
    """Raises a ValueError that names what a class lacks for the contract of networks."""
    lacks, own = None, _fields(network)
    for field, what in (("classes", "int"), ("axis_name", "str | None = None")):
        if field not in own:
            lacks = f"the field `{field}: {what}`"
    if getattr(network, "inputs", None) not in INPUTS:
        lacks = f"the class attribute `inputs`, one of {INPUTS}"
    elif network.inputs in CROPS and not hasattr(network, "pixels"):
        lacks = "the class attribute `pixels`, how crops are scaled"
    parameters = inspect.signature(network.__call__).parameters
    for keyword in ("train", "dropout"):
        if keyword not in parameters:
            lacks = f"the argument {keyword!r} in `__call__(self, inputs, *, train, dropout=None)`"
    if lacks:
        raise ValueError(f"{network.__name__} lacks {lacks}: see the contract in {__name__}")


def has_dropout(module: nn.Module) -> bool:
    """Whether a network drops anything, so that its MC samples differ."""
    return bool(getattr(module, "dropout", 0.0))


def _fields(network: type[nn.Module]) -> set[str]:
    return {field.name for field in dataclasses.fields(network)}


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value
