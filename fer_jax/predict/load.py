"""Opens a model bundle."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import linen as nn

from fer_jax.data import model_inputs
from fer_jax.faces.landmarks import Framing, Graph
from fer_jax.predict.predictor import Predictor
from fer_jax.systems import SYSTEMS, build
from fer_jax.training.checkpoint import BUNDLE_VERSION, load_weights


def load_model(path) -> Predictor:
    """Opens a bundle.

    Args:
      path: directory that `run.py` wrote as `model/`, local or any that etils can read.

    Raises:
      FileNotFoundError: there is no bundle.
      ValueError: the bundle is damaged, of a newer version or of an unknown model.
    """
    path = epath.Path(path)
    for file in ("model.json", "weights.msgpack"):
        if not (path / file).exists():
            raise FileNotFoundError(
                f"{path} is no model bundle (no {file}): give the folder model/ of a run, "
                f"e.g. fer_jax.load_model('runs/stbln_synthetic/model')"
            )
    try:
        info = json.loads((path / "model.json").read_text())
        version, name = info["bundle_version"], info["model"]["name"]
    except Exception as error:
        raise _damaged(path, error) from error
    if version > BUNDLE_VERSION:
        raise ValueError(f"{path} was written by a newer fer_jax (bundle {version}): update")
    if name not in SYSTEMS:
        raise ValueError(f"{path} holds a model {name!r}; this version knows {sorted(SYSTEMS)}")
    try:
        return _predictor(info, *load_weights(path / "weights.msgpack"))
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path, error: Exception) -> ValueError:
    return ValueError(f"the bundle {path} is damaged ({error}): copy it again")


def _check_tree(module: nn.Module, found: dict, info: dict, edges) -> None:
    """Compares weights with what the model needs, leaf by leaf.

    Raises:
      ValueError: names the leaves that are missing, unknown or of another shape.
    """
    frames, size = info["frames"], info.get("crop_size", 0)
    batch = {
        "landmarks": jnp.zeros((1, frames, 68, 2)),
        "frames": jnp.zeros((1, frames, size, size, 3)),
        "crop_landmarks": jnp.zeros((1, frames, 68, 2)),
    }
    inputs = model_inputs.batch_inputs(batch, module, edges)
    expected = jax.eval_shape(lambda: module.init(jax.random.key(0), inputs, train=False))
    wanted, given = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (dict(expected), found))
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


def _predictor(info: dict, variables: dict, recalibrated_stats: dict) -> Predictor:
    fields, graph = dict(info["model"]), info["graph"]
    graph = Graph(
        np.asarray(graph["edges"], np.int32),
        np.asarray(graph["reference_shape"], np.float32),
        graph["mode"],
    )
    module = build(fields, len(info["classes"]), graph, info["frames"])
    _check_tree(module, variables, info, graph.edges)
    threshold = info["threshold"]
    variables, recalibrated_stats = jax.device_put((variables, recalibrated_stats))
    return Predictor(
        name=info["name"],
        module=module,
        variables=variables,
        recalibrated={**variables, "batch_stats": recalibrated_stats},
        task=info.get("task", "classification"),
        classes=tuple(info["classes"]),
        frames=info["frames"],
        frame_rule=info["frame_rule"],
        frames_per_second=info.get("frames_per_second", 0.0),
        input_features=info["features"],
        crop_size=info.get("crop_size", 0),
        prepared_size=info.get("prepared_size", 0),
        framing=Framing(**info.get("framing", {})),  # older bundles do not say it
        graph=graph,
        window_seconds=info["window_seconds"],
        threshold=tuple(threshold) if isinstance(threshold, list) else threshold,
        info=info,
    )
