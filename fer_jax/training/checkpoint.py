"""Training checkpoints (Orbax) and the model bundle that users share and load."""

from __future__ import annotations

import json
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization

from fer_jax.faces.landmarks import ALIGNED

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
      model: `{"name": of the system, **constructor fields}`.
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
