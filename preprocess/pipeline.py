"""Reads all clips of a dataset in parallel; caches finished clips, so that a run can resume."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import tempfile
import zipfile
from collections.abc import Iterator

import numpy as np

from fer_jax.faces.detector import LandmarkModelError
from fer_jax.faces.labels import impossible_labels
from fer_jax.faces.landmarks import ALIGNED
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.storage import open_regular, sha256

from . import PREPROCESS_VERSION
from .clip import Clip
from .read import Reader, is_face
from .workers import Crash

UNREAD = "not read"  # the reason of clips that are not finished where none are to be read
_FAILED = "failed"  # not cached: the next run may succeed
_CHECKED = 256  # cached clips that are checked in one task
_FARTHEST = 100_000  # pixels
_ARRAYS = ("landmarks", "detected", "frame_index", "times", "action_units")
_ARRAYS += ("crops", "crop_offsets", "crop_landmarks")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of reading a clip.

    Attributes:
      reason: why it was dropped, empty if it was kept; the same words for every such clip.
      detail: what is wrong with this clip.
      frames, detected: number of frames read, and of those with a face.
      other_faces: number of people seen besides the one kept.
      rotation: degrees by which frames were turned clockwise to be upright; landmarks refer to
        the turned frame.
      note: an observation that did not prevent use.
      crop_side: median side of the squares cut out, source pixels; 0 without crops.
      crop_bytes: total size of the JPEG files.
      reused: whether an earlier run finished it.
      person: number of the person kept, see `faces.people`; 0 where faces need not be searched.
      people: of all people seen the number (`person`), number of frames that show the face, first
        and last of them, and median box (left, top, right, bottom; pixels).
    """

    reason: str = ""
    detail: str = ""
    frames: int = 0
    detected: int = 0
    other_faces: int = 0
    rotation: int = 0
    note: str = ""
    crop_side: float = 0.0
    crop_bytes: int = 0
    reused: bool = False
    person: int = 0
    people: list[dict] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Job:
    """Clips of one source, by position, and the files that take them."""

    clips: dict[int, tuple[Clip, pathlib.Path]]
    model_path: pathlib.Path | None
    crop_size: int
    every_frame: bool


def cache_file(
    clip: Clip, cache: pathlib.Path, model: str, crop_size: int = 0, every_frame: bool = False
) -> pathlib.Path:
    """Returns the cache file of a clip; its name changes with the source and how it is read.

    Raises:
      ClipError: the source does not exist.
    """
    identity = [PREPROCESS_VERSION, model, clip.clip_id, clip.fps, clip.frame_size]
    source = clip.source
    paths = source if isinstance(source, tuple) else (source,)
    if isinstance(paths[0], pathlib.Path):
        identity += [_state(path) for path in paths]
    else:
        identity.append(repr(source))
        if isinstance(path := getattr(source, "path", None), pathlib.Path):
            identity.append(_state(path))
    # Added only if present, so that clips cached without them keep their names.
    if crop_size:
        identity.append(["crops", crop_size])
        identity += [tuple(clip.framing)] if clip.framing != ALIGNED else []
    identity += [["person", clip.person]] if clip.person else []
    identity += ["alone"] if clip.alone else []
    identity += ["every frame"] if every_frame else []
    if clip.codes:
        identity += [clip.codes.units, clip.codes.path and _state(clip.codes.path)]
    return cache / f"{sha256([repr(identity).encode()])[:24]}.npz"


def _named(model_path) -> str:
    """What names a landmark model in cache files."""
    return repr(_state(pathlib.Path(model_path))[:2]) if model_path else ""


def _state(path: pathlib.Path) -> list:
    """Returns name, size and time of a file, or of all files in a folder."""
    try:
        if path.is_dir():
            return [_state(file) for file in sorted(path.iterdir()) if file.is_file()]
        status = path.stat()
    except OSError as error:
        raise ClipError("missing file", f"{path}: {error.strerror}") from error
    return [path.name, status.st_size, status.st_mtime_ns]


def read_all(
    clips: list[Clip], cache: pathlib.Path, *, workers, model_path=None, crop_size: int = 0,
    every_frame: bool = False, only_finished: bool = False,
) -> Iterator[tuple[int, Outcome, pathlib.Path | None]]:  # fmt: skip
    """Reads clips and yields `(position, outcome, file)` as each is finished, in any order.

    A clip that is a face in memory is read in this process, and its file is None.

    Args:
      clips: the clips to read.
      cache: directory of finished clips; these are yielded first, without reading them again.
      workers: who reads, `workers.processes.Processes` or `workers.cluster.Cluster`.
      model_path: a dlib 68-point model, see `detector.landmark_model`.
      crop_size: side of the face crops, pixels; 0 for none.
      every_frame: searches every frame instead of following faces, see `tracker.Tracker`.
      only_finished: reads none; clips that are not finished are dropped as `UNREAD`.

    Raises:
      detector.LandmarkModelError: a clip needs dlib, but dlib or its model is missing.
    """
    cache.mkdir(parents=True, exist_ok=True)
    model = _named(model_path)
    files: dict[int, pathlib.Path] = {}
    for position, clip in enumerate(clips):
        try:
            if clip.problem:
                raise clip.problem
            if is_face(clip):
                yield position, _read(Reader(None, crop_size), clip)[0], None
                continue
            files[position] = cache_file(clip, cache, model, crop_size, every_frame)
        except ClipError as error:
            yield position, Outcome(error.reason, error.detail), None
    for position, outcome in _finished(files, cache, workers):
        yield position, dataclasses.replace(outcome, reused=True), files.pop(position)
    if only_finished:
        yield from ((position, Outcome(UNREAD), file) for position, file in files.items())
        return
    jobs: dict[object, _Job] = {}
    for position, file in files.items():
        clip = clips[position]
        source = clip.source.resolve() if clip.person else position  # one decoding for all
        job = jobs.setdefault(source, _Job({}, model_path, crop_size, every_frame))
        job.clips[position] = clip, file
    for job, outcomes in workers.each(_read_job, list(jobs.values()), again=_may_succeed):
        if isinstance(outcomes, Crash):
            outcomes = [Outcome("crashed", f"reading {outcomes.why}")] * len(job.clips)
        for (position, (_, file)), outcome in zip(job.clips.items(), outcomes, strict=True):
            yield position, outcome, file


def _finished(
    files: dict[int, pathlib.Path], cache: pathlib.Path, workers
) -> Iterator[tuple[int, Outcome]]:
    """Yields positions and outcomes of the clips that an earlier run finished."""
    there = set(os.listdir(cache))  # one request instead of one a clip
    cached = [(position, file) for position, file in files.items() if file.name in there]
    parts = [cached[start : start + _CHECKED] for start in range(0, len(cached), _CHECKED)]
    # a few take less time than starting a process
    few = len(parts) < 4
    checked = zip(parts, map(_check, parts), strict=True) if few else workers.each(_check, parts)
    for part, outcomes in checked:
        if not isinstance(outcomes, Crash):
            for (position, _), outcome in zip(part, outcomes, strict=True):
                if outcome:
                    yield position, outcome


def _check(part: list[tuple[int, pathlib.Path]]) -> list[Outcome | None]:
    return [load_outcome(file) for _, file in part]


def load_outcome(file: pathlib.Path) -> Outcome | None:
    """Returns the outcome of a finished clip, None if it is not finished or any part is damaged."""
    try:
        with open_regular(file) as stream:
            with zipfile.ZipFile(stream) as archive:
                if archive.testzip():
                    return None
            stream.seek(0)
            content = np.load(stream)
            outcome = Outcome(**json.loads(str(content["outcome"])))
            whole = outcome.reason or {"landmarks", "detected", "fps", "frame_size"} <= {*content}
            return outcome if whole else None
    except Exception:  # damaged bytes make zipfile and numpy fail in many ways
        return None


def load_sequence(file: pathlib.Path) -> Sequence:
    """Returns the landmark sequence of a finished clip that was kept."""
    with np.load(file) as content:
        arrays = {name: content[name] for name in _ARRAYS if name in content}
        width, height = content["frame_size"].tolist()
        return Sequence(**arrays, fps=float(content["fps"]), frame_size=(width, height))


def _save(file: pathlib.Path, outcome: Outcome, sequence: Sequence | None) -> None:
    content = {"outcome": json.dumps(dataclasses.asdict(outcome))}
    if sequence is not None:
        content |= {k: v for k, v in vars(sequence).items() if v is not None}
    # Renamed when complete: a kill leaves no half-written file under the final name.
    handle, partial = tempfile.mkstemp(suffix=".partial", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **content)
        os.replace(partial, file)
    except OSError as error:  # a full disk
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise OSError(error.errno, error.strerror, str(file.parent)) from None


def _read_job(job: _Job) -> list[Outcome]:
    reader, outcomes = Reader(job.model_path, job.crop_size, job.every_frame), []
    for clip, file in job.clips.values():
        outcome, sequence = _read(reader, clip)
        if outcome.reason and not _same_source(job, clip, file):
            here = f"{socket.gethostname()} finds other files or none"
            outcome = Outcome(_FAILED, f"{here}: {outcome.reason}, {outcome.detail}")
        if outcome.reason != _FAILED:
            _save(file, outcome, sequence)
        outcomes.append(outcome)
    return outcomes


def _same_source(job: _Job, clip: Clip, file: pathlib.Path) -> bool:
    """Whether a clip is what it was when it was listed, perhaps by another machine."""
    try:
        model = _named(job.model_path)
        return file == cache_file(clip, file.parent, model, job.crop_size, job.every_frame)
    except ClipError:
        return False


def _may_succeed(outcomes: list[Outcome]) -> bool:
    """Whether a clip failed as a slow file system makes it fail, and not for what is in it."""
    return any(outcome.reason == _FAILED for outcome in outcomes)


def _read(reader: Reader, clip: Clip) -> tuple[Outcome, Sequence | None]:
    try:
        sequence, notes = reader.read(clip)
        _check_landmarks(sequence)
        _check_units(sequence)
    except ClipError as error:
        return Outcome(error.reason, error.detail), None
    except LandmarkModelError:
        raise
    except Exception as error:  # a damaged file must not end the run
        return Outcome(_FAILED, f"{type(error).__name__}: {error}"), None
    frames, detected = len(sequence.detected), int(sequence.detected.sum())
    return Outcome(frames=frames, detected=detected, **notes), sequence


def _check_landmarks(sequence: Sequence) -> None:
    """Refuses landmarks that no picture can hold; a face without any was not searched for them."""
    points = sequence.landmarks[sequence.detected]
    points = points[~np.isnan(points).all((1, 2))]
    bad = ~(np.abs(points) < _FARTHEST).all((1, 2))
    if bad.any():
        raise ClipError(
            "impossible landmarks",
            f"{int(bad.sum())} of {len(points)} frames have NaN or points "
            f"more than {_FARTHEST} pixels away",
        )


def _check_units(sequence: Sequence) -> None:
    """Refuses action units that are neither intensities nor unknown."""
    units = sequence.action_units
    if units is None or not (bad := impossible_labels("action_units", units)).any():
        return
    frame, unit = np.argwhere(bad)[0]
    raise ClipError(
        "impossible code",
        f"action unit {unit + 1} of {units.shape[1]} is {units[frame, unit]:g} in frame "
        f"{sequence.frame_index[frame]}, not 0 to 1 or unknown",
    )
