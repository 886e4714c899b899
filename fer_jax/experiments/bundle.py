"""The bundle: a folder with a trained model and everything needed to use it.

`model.json` describes the model, `weights.msgpack` holds its arrays. The other networks of a deep
ensemble are in `weights-member1.msgpack` and so on, draws from a posterior over the weights in
`posterior.msgpack` (`posterior-member1.msgpack` ...), what tells unfamiliar clips in
`familiarity.msgpack` and `turns.msgpack`. `model.json` also has the SHA-256 of all: of the files of
weights, and of its own content in a canonical form.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Callable

import numpy as np
from etils import epath
from flax import serialization

from fer_jax import shipped
from fer_jax.experiments import schema
from fer_jax.experiments.schema import BundleFields
from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.faces.landmarks import ALIGNED, Framing, Graph
from fer_jax.machine import FileError, write_whole
from fer_jax.storage import sha256
from fer_jax.training.checkpoint import parse_weights, serialise_weights
from fer_jax.uncertainty import Familiarity, LayerDraws, WeightDraws

# 3 has no turns; 2 also MC dropout, no calibration, sets and promise; 1 also a single network
VERSION = 4
MAX_WEIGHT_BYTES = 2**32
_MODEL, _WEIGHTS = "model.json", "weights.msgpack"
_POSTERIOR, _DRAWS = "posterior.msgpack", {"swag": WeightDraws, "laplace": LayerDraws}
_FAMILIARITY, _TURNS = "familiarity.msgpack", "turns.msgpack"
_MOST_FAMILIARITY = 2**20  # bytes


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """How a clip becomes the input of a model.

    Attributes:
      frames, frame_rule: number of frames per clip, and how they are chosen.
      features: one of `data.model_inputs.FEATURES`.
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
    def from_fields(cls, info: BundleFields) -> InputSpec:
        """Takes the fields of `model.json`."""
        own = {each.name: getattr(info, each.name) for each in dataclasses.fields(cls)}
        graph = Graph(
            np.asarray(info.graph.edges, np.int32),
            np.asarray(info.graph.reference_shape, np.float32),
            info.graph.mode,
        )
        return cls(**own | {"graph": graph, "framing": Framing(**info.framing.model_dump())})

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
      other_members: the variables and recalibrated statistics of the other networks of a deep
        ensemble.
      posterior: over the weights, of `config.uncertainty.posterior`.
      draws: from it, of each network; () for "mc_dropout" and "swa".
      familiarity, turns: where features, and mean yaw and pitch (degrees), of training clips lie.
      threshold: largest entropy (of dimensions: uncertainty) without abstaining, or None; for
        action units one each.
      trust: calibration, prediction sets, and what is promised of the threshold.
      record: where the model comes from.
    """

    name: str
    task: str
    model: dict
    classes: tuple[str, ...]
    spec: InputSpec
    variables: dict
    recalibrated_stats: dict
    other_members: tuple[tuple[dict, dict], ...] = ()
    threshold: float | None | tuple[float | None, ...] = None
    record: Record = Record()
    familiarity: Familiarity | None = None
    turns: Familiarity | None = None
    trust: StoredTrust = StoredTrust()
    posterior: str = "mc_dropout"
    draws: tuple[WeightDraws | LayerDraws, ...] = ()

    def write(self, path, half: bool = False) -> None:
        """Writes the bundle: the weights and, last, `model.json`.

        Args:
          path: directory, local or any that etils can write.
          half: stores the weights of the networks as float16, half the size; they are read as
            float32.
        """
        path = epath.Path(path)
        path.mkdir(parents=True, exist_ok=True)
        networks = [(self.variables, self.recalibrated_stats), *self.other_members]
        names = _member_files(_WEIGHTS, len(networks))
        weights = {
            name: serialise_weights(*network, path / name, half)
            for name, network in zip(names, networks, strict=True)
        }
        for name, draws in zip(_member_files(_POSTERIOR, len(self.draws)), self.draws, strict=True):
            weights[name] = serialization.msgpack_serialize(draws.to_arrays())
        for name, told in ((_FAMILIARITY, self.familiarity), (_TURNS, self.turns)):
            if told is not None:
                weights[name] = serialization.msgpack_serialize(told.to_arrays())
        trust, with_dropout = self.trust.to_json(), self.posterior == "mc_dropout"
        older = 3 if trust or not with_dropout else 2 if len(weights) > 1 else 1
        content = {
            "bundle_version": VERSION if self.turns is not None else older,
            **({} if with_dropout else {"posterior": self.posterior}),
            **({"members": len(networks)} if self.other_members else {}),
            **({"familiarity": True} if self.familiarity is not None else {}),
            **({"turns": True} if self.turns is not None else {}),
            "name": self.name,
            "task": self.task,
            "model": self.model,
            "classes": list(self.classes),
            **self.spec.to_json(),
            "threshold": self.threshold,
            **trust,
            **dataclasses.asdict(self.record),
        }
        sums = {name: sha256([data]) for name, data in weights.items()}
        content["sha256"] = {**sums, _MODEL: _own(content)}
        text = json.dumps(content, indent=1) + "\n"
        for name, data in (weights | {_MODEL: text.encode()}).items():
            file = path / name
            if "://" in os.fspath(file):
                file.write_bytes(data)
            else:
                write_whole(pathlib.Path(file), data)


def _member_files(first: str, members: int) -> list[str]:
    """Names of the files that each member of an ensemble has, from that of the first one."""
    stem = first.removesuffix(".msgpack")
    return [first, *(f"{stem}-member{index}.msgpack" for index in range(1, members))][:members]


def _own(content: dict) -> str:
    """SHA-256 of the content of `model.json`, however it is formatted."""
    content = {name: value for name, value in content.items() if name != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256([text.encode("utf-8", "surrogatepass")])


def is_bundle(path) -> bool:
    """Tells whether a path is a bundle."""
    return (epath.Path(path) / _MODEL).exists()


def read_bundle(path, say: Callable[[str], None] | None = None) -> Bundle:
    """Reads a bundle of this or an older version.

    Args:
      path: directory, local or any that etils can read.
      say: takes a note on an older bundle, one line; default: prints to stderr.

    Raises:
      FileNotFoundError: there is no bundle.
      ValueError: the bundle is damaged, its fields make no sense, or it is of a newer version.
    """
    path = epath.Path(path)
    say = say or functools.partial(print, file=sys.stderr)
    for file in (_MODEL, _WEIGHTS):
        _check_there(path, file)
    try:
        content = schema.read_json(path / _MODEL)
        version = content.get("bundle_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > VERSION:
            newer = f"bundle {str(version)[:20]}"
            raise FileError(f"{path} was written by a newer fer_jax ({newer}): update")
        info = schema.check(BundleFields, content)
        names = _member_files(_WEIGHTS, info.members)
        drawn = _member_files(_POSTERIOR, info.members) if info.posterior in _DRAWS else []
        names += drawn + [_FAMILIARITY] * info.familiarity + [_TURNS] * info.turns
        for name in names[1:]:
            if not _exists(path / name):
                raise ValueError(f"its file {name} is missing")
            _check_inside(path, name)
        weights = {name: schema.read_bytes(path / name, MAX_WEIGHT_BYTES) for name in names}
        if info.sha256 is None:
            say(f"note: the bundle {path} has no checksums, so damage to its numbers goes unseen")
        else:
            sums = {name: sha256([data]) for name, data in weights.items()}
            _check_sums(info.sha256, {_MODEL: _own(content), **sums})
        told = {
            field: _parse_familiarity(name, weights.pop(name))
            for field, name in (("familiarity", _FAMILIARITY), ("turns", _TURNS))
            if name in weights
        }
        draws = [_restored(name, weights.pop(name)) for name in drawn]
        networks = [parse_weights(data, path / name) for name, data in weights.items()]
        kept = tuple(_DRAWS[info.posterior].from_arrays(arrays) for arrays in draws)
        return dataclasses.replace(_parsed(info, networks), draws=kept, **told)
    except (FileError, FileNotFoundError):
        raise
    except Exception as error:  # msgpack and NumPy raise many kinds
        raise damaged(path, error) from error


def _check_there(path, file: str) -> None:
    """Raises FileNotFoundError if a bundle lacks a file, FileError if that lies elsewhere."""
    if not _exists(path / file):
        raise FileNotFoundError(
            f"{path} is not a model bundle (it holds no {file}): give the folder model/ of a run, "
            f"e.g. runs/NAME/model, or a name of `fer-jax models`: {', '.join(shipped.names())}"
        )
    _check_inside(path, file)


def _exists(file) -> bool:
    """Whether a file of a bundle is there.

    Raises:
      FileError: nobody can tell, as its folder may not be read.
    """
    if "://" in os.fspath(file):
        return file.exists()
    try:
        return bool(os.stat(file))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with NUL
        return False
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}") from error


def _check_inside(path, file: str) -> None:
    """Refuses a file that is a link to somewhere outside its bundle."""
    if "://" in os.fspath(path):
        return
    folder, target = (os.path.realpath(each) for each in (path, path / file))
    if not target.startswith(os.path.join(folder, "")):
        raise FileError(f"{path / file} is a link out of its bundle: copy the file itself there")


def _check_sums(wanted: dict[str, str], found: dict[str, str]) -> None:
    """Compares checksums by file.

    Raises:
      ValueError: names the file that has changed since it was written.
    """
    for file, own in found.items():
        if wanted.get(file) != own:
            raise ValueError(
                f"{file} is not as it was written; without the field sha256 of {_MODEL} it is "
                "read as it is"
            )


def damaged(path, error: Exception) -> ValueError:
    """Makes the error for a bundle with damaged files."""
    return FileError(f"the bundle {path} is damaged ({error}): copy it again")


def _parse_familiarity(name: str, data: bytes) -> Familiarity:
    if len(data) > _MOST_FAMILIARITY:
        raise ValueError(f"{name} has {len(data):,} bytes")
    found = Familiarity.from_arrays(_restored(name, data))
    if not np.isfinite(found.threshold):
        raise ValueError(f"{name} has no threshold")
    return found


def _restored(name: str, data: bytes) -> dict:
    """Reads a file of arrays; raises a ValueError that names it."""
    try:
        arrays = serialization.msgpack_restore(data)
    except Exception as error:  # of msgpack and NumPy, many kinds
        raise ValueError(f"{name} is no file of arrays: {error}") from error
    if not isinstance(arrays, dict):
        raise ValueError(f"{name} is no file of arrays: it holds a {type(arrays).__name__}")
    return arrays


def _parsed(info: BundleFields, networks: list[tuple[dict, dict]]) -> Bundle:
    threshold, ((variables, recalibrated_stats), *others) = info.threshold, networks
    return Bundle(
        name=info.name,
        task=info.task,
        model=info.model,
        classes=tuple(info.classes),
        spec=InputSpec.from_fields(info),
        variables=variables,
        recalibrated_stats=recalibrated_stats,
        other_members=tuple(others),
        threshold=tuple(threshold) if isinstance(threshold, list) else threshold,
        record=Record(info.metrics, info.dataset, info.config),
        trust=StoredTrust.from_fields(info),
        posterior=info.posterior,
    )
