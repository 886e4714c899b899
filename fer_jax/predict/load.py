"""Loads a model bundle."""

from __future__ import annotations

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from fer_jax import shipped, uncertainty
from fer_jax.data import model_inputs
from fer_jax.experiments.bundle import Bundle, InputSpec, damaged, read_bundle
from fer_jax.predict.options import of_type
from fer_jax.predict.predictor import Predictor
from fer_jax.systems import SYSTEMS, build


def load_model(path, say: Callable[[str], None] | None = None) -> Predictor:
    """Loads a bundle.

    Args:
      path: name of a model that comes with the package, see `fer-jax models`, or the directory
        `model/` of a run, local or any that etils can read.
      say: takes a note on an older bundle, one line; default: prints to stderr.

    Raises:
      TypeError: it is no path.
      FileNotFoundError: there is no bundle.
      ValueError: the bundle is damaged, of a newer version or of an unknown model.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"the path of a model is {of_type(path)}: give the folder model/ of a run, or a name: "
            f"{', '.join(shipped.names())}"
        )
    path = shipped.locate(path)
    bundle = read_bundle(path, say)
    name = bundle.model.get("name")
    if name not in SYSTEMS:
        raise ValueError(f"{path} holds a model {name!r}; this version knows {sorted(SYSTEMS)}")
    try:
        return _predictor(bundle)
    except Exception as error:
        raise damaged(path, error) from error


def _predictor(bundle: Bundle) -> Predictor:
    spec = bundle.spec
    module = build(bundle.model, len(bundle.classes), spec.graph, spec.frames)
    networks = [(bundle.variables, bundle.recalibrated_stats), *bundle.other_members]
    for network in networks:
        _check_tree(module, *network, spec)
    if len({len(jax.tree.leaves(draws)[0]) for draws in bundle.draws}) > 1:
        raise ValueError("its members have different numbers of draws")
    for draws, network in zip(bundle.draws, networks, strict=bool(bundle.draws)):
        _check_draws(draws, module, *network, spec)
    if bundle.familiarity is not None:
        _check_familiarity(module, bundle)
    if bundle.turns is not None:
        _check_turns(module, bundle.turns)
    networks = [
        (variables, {**variables, "batch_stats": stats})
        for variables, stats in jax.device_put(networks)
    ]
    variables, recalibrated = networks[0]
    return Predictor(
        name=bundle.name,
        task=bundle.task,
        classes=bundle.classes,
        spec=spec,
        threshold=bundle.threshold,
        module=module,
        variables=variables,
        recalibrated=recalibrated,
        ensemble=uncertainty.stack_members(networks) if len(networks) > 1 else None,
        record=bundle.record,
        draws=bundle.draws,
        familiarity=bundle.familiarity,
        turns=bundle.turns,
        trust=bundle.trust,
    )


def _check_tree(module: nn.Module, variables: dict, stats: dict, spec: InputSpec) -> None:
    """Compares the weights with the model's parameters, leaf by leaf; allocates nothing.

    Raises:
      ValueError: leaves are missing, unknown or of another shape or type; names them.
    """

    def init():
        return module.init(jax.random.key(0), _blank_inputs(module, spec), train=False)

    found = {**variables, "recalibrated_stats": stats}
    with nn.intercept_methods(_at_most(4 * len(jax.tree.leaves(found)) + 200)):
        expected = {"params": {}, "batch_stats": {}, **jax.eval_shape(init)}
    expected["recalibrated_stats"] = expected["batch_stats"]
    wanted, given = (
        {jax.tree_util.keystr(path): f"{leaf.dtype} {leaf.shape}" for path, leaf in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (expected, found))
    )
    faults = [f"missing {name}" for name in sorted(wanted.keys() - given.keys())]
    faults += [f"unknown {name}" for name in sorted(given.keys() - wanted.keys())]
    faults += [
        f"{name} is {given[name]}, not {wanted[name]}"
        for name in sorted(wanted.keys() & given.keys())
        if wanted[name] != given[name]
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ValueError(f"its weights do not fit its model: {'; '.join(faults[:5])}{more}")


def _check_draws(draws, module: nn.Module, variables: dict, stats: dict, spec: InputSpec) -> None:
    """Compares draws from a posterior with the network that they are of. Raises a ValueError."""
    if isinstance(draws, uncertainty.LayerDraws):
        layer = uncertainty.locate_last_layer(module, variables, _blank_inputs(module, spec))
        features, outputs = layer.kernel.shape
        found = draws.heads.shape[1:]
        if found != (features + 1, outputs):
            raise ValueError(
                f"its last layers are {list(found)}, its model has {[features + 1, outputs]}"
            )
        return
    for name, found, own, axes in (
        ("variance", draws.variance, variables["params"], ()),
        ("batch_stats", draws.batch_stats, stats, (draws.count,)),
    ):
        if _shapes(found) != _shapes(own, *axes):
            raise ValueError(f"{name} of its draws do not fit its weights")


def _shapes(tree, *first: int) -> dict[str, tuple[int, ...]]:
    """Shape of each leaf by its path, with further axes in front."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): (*first, *leaf.shape) for path, leaf in leaves}


def _check_familiarity(module: nn.Module, bundle: Bundle) -> None:
    """Compares the number of features; allocates nothing. Raises a ValueError."""

    def spread(variables):
        return uncertainty.activation_spread(module, variables, _blank_inputs(module, bundle.spec))

    count, found = jax.eval_shape(spread, bundle.variables).shape[1], len(bundle.familiarity.centre)
    if count != found:
        raise ValueError(f"its familiarity is of {found} features, its model has {count}")


def _check_turns(module: nn.Module, turns: uncertainty.Familiarity) -> None:
    """Raises a ValueError if they cannot be those of the model's clips."""
    if model_inputs.takes_crops(module):
        raise ValueError("it has turns of the head, but its model takes face crops")
    if len(turns.centre) != 2:
        raise ValueError(f"its turns have {len(turns.centre)} angles, not yaw and pitch")


def _blank_inputs(module: nn.Module, spec: InputSpec):
    """Inputs of one clip, all zeros; for shapes."""
    frames, size = spec.frames, spec.crop_size
    batch = {
        "landmarks": jnp.zeros((1, frames, 68, 2)),
        "frames": jnp.zeros((1, frames, size, size, 3)),
        "crop_landmarks": jnp.zeros((1, frames, 68, 2)),
    }
    return model_inputs.batch_inputs(batch, module, spec.graph.edges, spec.features)


def _at_most(calls: int) -> Callable:
    """Stops describing a network that calls its layers more often than its weights can explain."""
    left = iter(range(calls))

    def counted(call, args, kwargs, context):
        del context
        if next(left, None) is None:
            raise ValueError("its model has far more layers than weights")
        return call(*args, **kwargs)

    return counted
