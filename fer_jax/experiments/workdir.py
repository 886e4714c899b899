"""The work directory of a run: paths of its files, and the config that it belongs to."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from fer_jax import hosts, storage
from fer_jax.data import crops
from fer_jax.data.clips import Clips
from fer_jax.experiments import schema
from fer_jax.machine import FileError, printable, whole_file, write_whole
from fer_jax.training.epoch_log import Hook
from fer_jax.training.loop import Files

_LOG = "metrics.jsonl"
# Fields that change how a run is computed but not its results: they may change on resuming.
_SAME_RUN = (
    ("data", "in_memory_gb"), ("model", "remat"), ("evaluation", "figure_clips"),
)  # fmt: skip
_ROWS = 4096  # of an array that are hashed at a time
# Sections whose fields are the same for all systems.
_SHARED_SECTIONS = ("data", "optimizer", "train", "protocol", "evaluation")


class WorkdirError(RuntimeError):
    """The work directory belongs to another experiment."""


def _inside(*names: str) -> property:
    """A path in the work directory."""
    return property(lambda workdir: workdir.path.joinpath(*names))


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of the files of a run.

    Attributes:
      path: the folder, which need not exist.
      hook: gets every row of the log as well.
      log: one row per epoch and fold.
      model: folder of the bundle.
      search_rows, search_table: finished stages of a search.
      found_config: config of the network that a search found.
    """

    path: pathlib.Path
    hook: Hook | None = None

    config = _inside("config.json")
    log = _inside(_LOG)
    metrics = _inside("metrics.json")
    predictions = _inside("predictions.csv")
    report = _inside("report.md")
    model = _inside("model")
    search_rows = _inside("search.jsonl")
    search_table = _inside("search.csv")
    found_config = _inside("found.py")

    def __str__(self) -> str:
        return str(self.path)

    def figure(self, name: str) -> pathlib.Path:
        """File of a figure; makes its folder."""
        folder = self.path / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.png"

    def table(self, name: str, suffix: str) -> pathlib.Path:
        """File of a table of the report."""
        return self.path / "tables" / f"{name}.{suffix}"

    def result(self, fold: str) -> pathlib.Path:
        """Results of a fold for the report; a fold is done when this file exists."""
        return self.path / "folds" / f"{fold}.npz"

    def save_result(self, fold: str, arrays: dict[str, np.ndarray]) -> None:
        """Saves the results of a fold, with a checksum; the fold is done then."""
        with whole_file(self.result(fold)) as file:
            np.savez_compressed(file, sha256=np.array(_checksum(arrays)), **arrays)

    def load_result(self, fold: str) -> dict[str, np.ndarray]:
        """Reads the results of a fold.

        Raises:
          FileError: they are missing or damaged.
        """
        try:
            # opened here: NumPy leaves the file of a damaged archive open
            with storage.open_regular(self.result(fold)) as file, np.load(file) as archive:
                arrays = dict(archive)
            if str(arrays.pop("sha256", "")) != _checksum(arrays):
                raise ValueError("it is not as it was written")
        except Exception as error:  # zip files and NumPy raise many kinds
            reason = str(error).strip().partition("\n")[0]
            raise FileError(f"{self.result(fold)} is damaged ({reason})") from error
        return arrays

    def weights(self, fold: str) -> pathlib.Path:
        """Weights that a fold was evaluated with."""
        return self.path / "folds" / f"{fold}.msgpack"

    def posterior(self, fold: str) -> pathlib.Path:
        """What a bundle needs of the posterior of a fold; with MC dropout there is no such file."""
        return self.path / "folds" / f"{fold}-posterior.msgpack"

    def training(self, group: str) -> Files:
        """Checkpoints of runs trained side by side, and the logs of all runs."""
        return self._files(self.path, group)

    def stage_training(self, stage: str) -> Files:
        """The same for a stage of a search, whose logs are separate."""
        return self._files(self.path / "search", stage)

    def _files(self, logs: pathlib.Path, group: str) -> Files:
        return Files(
            checkpoints=self.path / "checkpoints" / group,
            log=logs / _LOG,
            tensorboard=logs / "tensorboard",
            hook=self.hook,
        )

    def search_weights(self, stage: str) -> pathlib.Path:
        """Weights of a stage of a search."""
        return self.path / "search" / "weights" / f"{stage}.msgpack"


def _checksum(arrays: dict[str, np.ndarray]) -> str:

    def parts() -> Iterator[bytes]:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            yield f"{name} {array.dtype.str} {array.shape}".encode()
            yield np.ascontiguousarray(array).tobytes()

    return storage.sha256(parts())


def _fingerprint(clips: Clips) -> str:
    """Hash of the clips: names, splits, labels, landmarks; size and landmarks of their crops.

    It is the same wherever the landmarks are.
    """
    names = [clips.clip_ids, clips.subjects, clips.splits, clips.classes]
    arrays = [clips.labels, clips.landmarks, clips.graph.edges]
    if clips.crops is not None:
        arrays += [clips.crops.landmarks, np.array(clips.crops.frames.shape)]
    windows = [a for a in arrays if isinstance(a, crops.Shared) and clips.kind == "windows"]
    arrays = [array for array in arrays if not any(array is each for each in windows)]
    arrays += [part for each in windows for part in (each.values, each.chosen)]
    values = itertools.chain.from_iterable(map(_in_parts, arrays))
    return storage.sha256(itertools.chain([json.dumps(names).encode()], values))[:16]


def _in_parts(array) -> Iterator[bytes]:
    """The bytes of an array that may be in a file, a few rows at a time."""
    for first in range(0, len(array), _ROWS):
        rows = array[np.arange(first, min(first + _ROWS, len(array)))]
        yield np.ascontiguousarray(rows).tobytes()


@contextlib.contextmanager
def locked(workdir: Workdir) -> Iterator[None]:
    """Keeps other runs out of a work directory while one writes to it; process 0 holds the lock.

    The lock ends with its process, however that ends.

    Raises:
      WorkdirError: another process has it; names its host and its id.
    """
    try:
        with storage.lock(workdir.path) if hosts.is_writer() else contextlib.nullcontext():
            yield
    except storage.InUseError as error:
        raise WorkdirError(f"{printable(error)} (--workdir)") from None


def claim(workdir: Workdir, config: ConfigDict, clips: Clips, *, write: bool) -> None:
    """Writes config.json, or checks that the run in the work directory has the same config.

    Args:
      workdir, config, clips: of the run.
      write: False: only checks, also that all processes have the same.

    Raises:
      WorkdirError: it has another one, or one with fields that no longer exist.
      HostsError: another process has another one, or other clips.
    """
    own = {**recorded(config), "data_fingerprint": _fingerprint(clips)}
    content = json.dumps(own, indent=1, default=list) + "\n"
    if not write:
        hosts.check_same("config or dataset", json.loads(content))
    if not hosts.is_writer():
        return
    file = workdir.config
    if not file.exists():
        if write:
            write_whole(file, content)
        return
    try:
        old = schema.read_json(file)
        schema.check(schema.ConfigFields, old)
    except ValueError as error:
        raise WorkdirError(
            f"{file} is damaged ({error}), so nothing tells what the run in {workdir} is: name "
            f"another --workdir, or delete it"
        ) from error
    new = json.loads(content)
    if old == new:
        return
    if gone := _removed_fields(old, new):
        reason = f"was written by an earlier version of fer_jax (its config has {', '.join(gone)})"
    else:
        reason = f"holds a run with another config ({', '.join(hosts.differences(old, new))})"
    raise WorkdirError(f"{workdir} {reason}: name another --workdir, or delete it")


def recorded(config: ConfigDict) -> dict:
    """The fields of a config that make a run what it is, as config.json has them."""
    own = config.to_dict()
    for section, name in _SAME_RUN:
        own[section].pop(name, None)
    return own


def _removed_fields(old: dict, new: dict) -> list[str]:
    """Fields of the shared sections that only the old config has."""
    return [
        f"{section}.{name}"
        for section in _SHARED_SECTIONS
        for name in sorted(set(old.get(section, ())) - set(new.get(section, ())))
    ]
