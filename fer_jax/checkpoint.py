"""Training checkpoints (Orbax) and the model bundle that users share and load."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import linen as nn
from flax import serialization

from fer_jax import data, extract, uncertainty
from fer_jax.landmarks import Graph
from fer_jax.models import MODELS, build

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


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model with all that is needed to use it.

    Attributes:
      name: name of the experiment.
      module: the Flax module.
      variables: `{"params", "batch_stats"}` as trained; MC dropout uses them.
      recalibrated: the same with BatchNorm statistics re-estimated without dropout;
        deterministic prediction uses them.
      classes: class names.
      frames, frame_rule: how many frames a clip gives the model and how they are chosen.
      input_features: "position" or "motion", see `extract.model_inputs`.
      crop_size: side of the face crops that the model sees, pixels; 0 for landmark models.
      prepared_size: side of the crops it was trained on, from whose middle it sees `crop_size`.
      graph: the landmark graph.
      window_seconds: median length of the training clips.
      threshold: abstain where the entropy exceeds it (chosen on validation clips), or None.
      info: the whole `model.json`.
    """

    name: str
    module: nn.Module
    variables: dict
    recalibrated: dict
    classes: tuple[str, ...]
    frames: int
    frame_rule: str
    input_features: str
    crop_size: int
    prepared_size: int
    graph: Graph
    window_seconds: float
    threshold: float | None
    info: dict

    def select(self, detected) -> np.ndarray:
        """Chooses the `[T]` frames of a clip, see `data.select_frames`."""
        return data.select_frames(detected, self.frames, self.frame_rule)

    @property
    def takes_crops(self) -> bool:
        """Whether the model looks at face crops instead of landmarks."""
        return self.module.inputs == "frames"

    def features(self, clips, frame_width: int = 0) -> jax.Array:
        """Model inputs of clips whose frames `select` chose.

        Args:
          clips: landmarks `[B, T, 68, 2]`, source pixels; for a model that `takes_crops`, face
            crops `[B, T, S, S, 3]`, RGB, 0..255, as `preprocess.crops.cut_crop` makes them.
          frame_width: width of the source frame, pixels; 0 leaves the scale of landmarks as it is.

        Raises:
          ValueError: another shape, or landmarks that are not finite.
        """
        if self.takes_crops:
            return self._crop_features(np.asarray(clips))
        landmarks = np.asarray(clips, np.float32)
        if landmarks.ndim != 4 or landmarks.shape[1:] != (self.frames, 68, 2):
            raise ValueError(
                f"{self.name} takes landmarks [B, {self.frames}, 68, 2], got "
                f"{list(landmarks.shape)}: choose the frames with select()"
            )
        if not np.isfinite(landmarks).all():
            raise ValueError("landmarks hold NaN or infinity: leave such frames out in select()")
        batch = {"landmarks": data.scale_to_reference(landmarks, frame_width)}
        return jnp.asarray(
            extract.batch_inputs(batch, self.module, self.graph.edges, self.input_features)
        )

    def _crop_features(self, crops) -> jax.Array:
        size = self.prepared_size
        if crops.shape[1:] != (self.frames, size, size, 3):
            raise ValueError(
                f"{self.name} takes face crops [B, {self.frames}, {size}, {size}, 3], got "
                f"{list(crops.shape)}: choose the frames with select(), cut faces with "
                f"preprocess.crops.cut_crop(image, landmarks, {size})"
            )
        return jnp.asarray(
            extract.batch_inputs({"frames": crops}, self.module, None, crop_size=self.crop_size)
        )

    def samples(self, clips, *, passes: int = 100, seed: int = 0, frame_width: int = 0):
        """Probabilities `[S, B, C]` of S passes with dropout on; `clips` as for `features`."""
        inputs = self.features(clips, frame_width)
        return np.asarray(self._sampled(passes)(self.variables, inputs, jax.random.key(seed)))

    def predict(self, clips, *, passes: int = 100, seed: int = 0, frame_width: int = 0):
        """MC dropout: `uncertainty.Summary` of B clips, see `features`."""
        return uncertainty.summarise(
            self.samples(clips, passes=passes, seed=seed, frame_width=frame_width)
        )

    def deterministic(self, clips, *, frame_width: int = 0) -> np.ndarray:
        """Probabilities `[B, C]`, dropout off, recalibrated BatchNorm statistics."""
        inputs = self.features(clips, frame_width)
        return np.asarray(self._plain(self.recalibrated, inputs))

    @functools.cached_property
    def _plain(self):
        def plain(variables, inputs):
            return jax.nn.softmax(self.module.apply(variables, inputs, train=False), -1)

        return jax.jit(plain)

    @functools.cached_property
    def _compiled(self) -> dict:
        return {}

    def _sampled(self, passes: int):
        if passes not in self._compiled:
            self._compiled[passes] = jax.jit(
                functools.partial(uncertainty.sample, self.module, passes=passes)
            )
        return self._compiled[passes]


def save_bundle(
    path, *, name, model, variables, recalibrated_stats, classes, frames, frame_rule,
    features, graph, window_seconds, crop_size=0, prepared_size=0, threshold=None, metrics=None,
    dataset=None, config=None,
) -> None:  # fmt: skip
    """Writes a bundle: `weights.msgpack` and, last, `model.json`.

    Args:
      path: directory, local or any that etils can write.
      name: name of the experiment.
      model: `{"name": key of MODELS, **constructor fields}`.
      variables: `{"params", "batch_stats"}` as trained.
      recalibrated_stats: `batch_stats` re-estimated without dropout.
      classes, frames, frame_rule, features, graph, window_seconds, crop_size, prepared_size,
        threshold: see `Predictor`.
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
        "model": model,
        "classes": list(classes),
        "frames": frames,
        "frame_rule": frame_rule,
        "features": features,
        "crop_size": crop_size,
        "prepared_size": prepared_size,
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
    }
    inputs = extract.batch_inputs(batch, module, edges)
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
    variables, recalibrated_stats = jax.device_put((variables, recalibrated_stats))
    return Predictor(
        name=info["name"],
        module=module,
        variables=variables,
        recalibrated={**variables, "batch_stats": recalibrated_stats},
        classes=tuple(info["classes"]),
        frames=info["frames"],
        frame_rule=info["frame_rule"],
        input_features=info["features"],
        crop_size=info.get("crop_size", 0),
        prepared_size=info.get("prepared_size", 0),
        graph=graph,
        window_seconds=info["window_seconds"],
        threshold=info["threshold"],
        info=info,
    )
