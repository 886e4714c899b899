"""The bundle: a folder with a trained model and everything needed to use it.

`model.json` describes the model, `weights.msgpack` holds its arrays.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
from etils import epath

from fer_jax.faces.landmarks import ALIGNED, Framing, Graph
from fer_jax.training.checkpoint import load_weights, save_weights

VERSION = 1
_MODEL, _WEIGHTS = "model.json", "weights.msgpack"


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """How a clip becomes the input of a model.

    Attributes:
      frames, frame_rule: number of frames per clip, and how they are chosen.
      features: "position" or "motion", see `data.model_inputs.model_inputs`.
      graph: the landmark graph.
      window_seconds: median length of the training clips.
      frames_per_second: thins a clip before frames are chosen; 0 keeps all frames.
      crop_size: side of the face crops that the model sees, pixels; 0 for landmark models.
      prepared_size: side of the prepared crops, of which it sees the middle `crop_size` pixels.
      framing: of the prepared crops; crops of new frames must have the same.
    """

    frames: int
    frame_rule: str
    features: str
    graph: Graph
    window_seconds: float
    frames_per_second: float = 0.0
    crop_size: int = 0
    prepared_size: int = 0
    framing: Framing = ALIGNED

    @classmethod
    def from_json(cls, info: dict) -> InputSpec:
        """Reads the fields of `model.json`; older bundles lack those with a default."""
        optional = ("frames_per_second", "crop_size", "prepared_size")
        graph = info["graph"]
        return cls(
            frames=info["frames"],
            frame_rule=info["frame_rule"],
            features=info["features"],
            graph=Graph(
                np.asarray(graph["edges"], np.int32),
                np.asarray(graph["reference_shape"], np.float32),
                graph["mode"],
            ),
            window_seconds=info["window_seconds"],
            framing=Framing(**info.get("framing", {})),
            **{name: info[name] for name in optional if name in info},
        )

    def to_json(self) -> dict:
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        graph = {
            "mode": self.graph.mode,
            "edges": self.graph.edges.tolist(),
            "reference_shape": self.graph.reference_shape.tolist(),
        }
        return {**fields, "graph": graph, "framing": self.framing._asdict()}


@dataclasses.dataclass(frozen=True)
class Record:
    """Where a model comes from.

    Attributes:
      metrics: of the evaluation.
      dataset: what it was trained on; `scaled`: landmarks were rescaled to frames 500 pixels wide;
        `preprocess_version`: of the program that prepared it.
      config: of the experiment, for the record only.
    """

    metrics: dict = dataclasses.field(default_factory=dict)
    dataset: dict = dataclasses.field(default_factory=dict)
    config: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A trained model.

    Attributes:
      name: name of the experiment.
      task: key of `tasks.TASKS`: what the outputs mean.
      model: `{"name": of the system, **constructor fields}`.
      classes: names of classes, action units or dimensions.
      spec: how a clip becomes the model's input.
      variables: `{"params", "batch_stats"}` as trained.
      recalibrated_stats: `batch_stats` re-estimated without dropout.
      threshold: largest entropy (of dimensions: uncertainty) without abstaining, or None; for
        action units one each.
      record: where the model comes from.
    """

    name: str
    task: str
    model: dict
    classes: tuple[str, ...]
    spec: InputSpec
    variables: dict
    recalibrated_stats: dict
    threshold: float | None | tuple[float | None, ...] = None
    record: Record = Record()

    def write(self, path) -> None:
        """Writes the bundle: the weights and, last, `model.json`.

        Args:
          path: directory, local or any that etils can write.
        """
        path = epath.Path(path)
        path.mkdir(parents=True, exist_ok=True)
        save_weights(path / _WEIGHTS, self.variables, self.recalibrated_stats)
        content = {
            "bundle_version": VERSION,
            "name": self.name,
            "task": self.task,
            "model": self.model,
            "classes": list(self.classes),
            **self.spec.to_json(),
            "threshold": self.threshold,
            **dataclasses.asdict(self.record),
        }
        (path / _MODEL).write_text(json.dumps(content, indent=1) + "\n")


def is_bundle(path) -> bool:
    """Tells whether a path is a bundle."""
    return (epath.Path(path) / _MODEL).exists()


def read_bundle(path) -> Bundle:
    """Reads a bundle of this or an older version.

    Args:
      path: directory, local or any that etils can read.

    Raises:
      FileNotFoundError: there is no bundle.
      ValueError: the bundle is damaged or of a newer version.
    """
    path = epath.Path(path)
    for file in (_MODEL, _WEIGHTS):
        if not (path / file).exists():
            raise FileNotFoundError(
                f"{path} is not a model bundle (it holds no {file}): give the folder model/ of a "
                "run, e.g. runs/NAME/model"
            )
    try:
        info = json.loads((path / _MODEL).read_text())
        version = info["bundle_version"]
        if version <= VERSION:
            return _parsed(info, *load_weights(path / _WEIGHTS))
    except Exception as error:
        raise damaged(path, error) from error
    raise ValueError(f"{path} was written by a newer fer_jax (bundle {version}): update")


def damaged(path, error: Exception) -> ValueError:
    """Makes the error for a bundle with damaged files."""
    return ValueError(f"the bundle {path} is damaged ({error}): copy it again")


def _parsed(info: dict, variables: dict, recalibrated_stats: dict) -> Bundle:
    threshold = info["threshold"]
    return Bundle(
        name=info["name"],
        task=info.get("task", "classification"),
        model=dict(info["model"]),
        classes=tuple(info["classes"]),
        spec=InputSpec.from_json(info),
        variables=variables,
        recalibrated_stats=recalibrated_stats,
        threshold=tuple(threshold) if isinstance(threshold, list) else threshold,
        record=Record(*(info.get(name, {}) for name in ("metrics", "dataset", "config"))),
    )
