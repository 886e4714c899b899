"""Training checkpoints (Orbax) and the model bundle that users share and load."""

from __future__ import annotations

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import linen as nn
from flax import serialization

from fer_jax.data import model_inputs
from fer_jax.faces.framing import ALIGNED, Framing
from fer_jax.faces.landmarks import Graph
from fer_jax.predict.predictor import Predictor
from fer_jax.systems import MODELS, build

BUNDLE_VERSION = 1


class Checkpoints:
    """The last training state of one fold, saved so that a kill loses what came after it only.

    Args:
      directory: created when missing; a newer checkpoint replaces the older one.
    """

    def __init__(self, directory):
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(pathlib.Path(directory).absolute(), options=options)

    def save(self, epoch: int, state, history: list[dict]) -> None:
        """Saves a state (any pytree) and the history that led to it."""
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), history=ocp.args.JsonSave(history)
        )
        self._manager.save(epoch, args=items)

    def restore(self, state) -> tuple[object, list[dict]]:
        """Returns the saved state and history, or `(state, [])` when there is none.

        Args:
          state: a fresh state of the same structure.
        """
        epoch = self._manager.latest_step()
        if epoch is None:
            return state, []
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), history=ocp.args.JsonRestore()
        )
        saved = self._manager.restore(epoch, args=items)
        return saved["state"], list(saved["history"])

    def close(self) -> None:
        self._manager.close()


def save_bundle(
    path, *, name, model, variables, recalibrated_stats, classes, frames, frame_rule,
    features, graph, window_seconds, task="classification", crop_size=0, prepared_size=0,
    framing=ALIGNED, frames_per_second=0.0, threshold=None, metrics=None, dataset=None, config=None,
) -> None:  # fmt: skip
    """Writes a bundle: `weights.msgpack` and, last, `model.json`.

    Args:
      path: directory, local or any that etils can write.
      name: name of the experiment.
      model: `{"name": key of MODELS, **constructor fields}`.
      variables: `{"params", "batch_stats"}` as trained.
      recalibrated_stats: `batch_stats` re-estimated without dropout.
      task, classes, frames, frame_rule, frames_per_second, features, graph, window_seconds,
        crop_size, prepared_size, framing, threshold: see `Predictor`.
      metrics: figures of the evaluation, for the record.
      dataset: what it was trained on; `scaled` says whether landmarks were rescaled to frames
        500 wide, `preprocess_version` how they were found.
      config: of the experiment, for the record.
    """
    path = epath.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(path / "weights.msgpack", variables, recalibrated_stats)
    content = {
        "bundle_version": BUNDLE_VERSION,
        "name": name,
        "task": task,
        "model": model,
        "classes": list(classes),
        "frames": frames,
        "frame_rule": frame_rule,
        "frames_per_second": frames_per_second,
        "features": features,
        "crop_size": crop_size,
        "prepared_size": prepared_size,
        "framing": framing._asdict(),
        "graph": {
            "mode": graph.mode,
            "edges": graph.edges.tolist(),
            "reference_shape": graph.reference_shape.tolist(),
        },
        "window_seconds": window_seconds,
        "threshold": threshold,
        "metrics": metrics or {},
        "dataset": dataset or {},
        "config": config or {},
    }
    (path / "model.json").write_text(json.dumps(content, indent=1) + "\n")


def save_weights(file, variables: dict, recalibrated_stats: dict) -> None:
    """Writes `{"params", "batch_stats"}` and the recalibrated statistics as one msgpack file."""
    weights = {**variables, "recalibrated_stats": recalibrated_stats}
    weights = serialization.to_state_dict(jax.tree.map(np.asarray, weights))
    file = epath.Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(serialization.msgpack_serialize(weights))


def load_weights(file) -> tuple[dict, dict]:
    """Reads what `save_weights` wrote: `(variables, recalibrated_stats)`."""
    weights = serialization.msgpack_restore(epath.Path(file).read_bytes())
    return {name: weights[name] for name in ("params", "batch_stats")}, weights[
        "recalibrated_stats"
    ]


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
    if name not in MODELS:
        raise ValueError(f"{path} holds a model {name!r}; this version knows {sorted(MODELS)}")
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
