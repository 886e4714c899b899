"""Reads all clips of a dataset in parallel; caches finished clips, so that a run can resume."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pathlib
import signal
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from fer_jax import stopping
from fer_jax.faces.detector import LandmarkModelError
from fer_jax.faces.landmarks import ALIGNED
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.storage import open_regular, sha256

from . import PREPROCESS_VERSION
from .clip import Clip
from .read import Reader, is_face

START_METHOD = "spawn"  # of worker processes
_FAILED = "failed"  # not cached: the next run may succeed
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
    clips: list[Clip], cache: pathlib.Path, *, workers: int, model_path=None, crop_size: int = 0,
    every_frame: bool = False,
) -> Iterator[tuple[int, Outcome, pathlib.Path | None]]:  # fmt: skip
    """Reads clips and yields `(position, outcome, file)` as each is finished, in any order.

    A clip that is a face in memory is read in this process, and its file is None.

    Args:
      clips: the clips to read.
      cache: directory of finished clips; these are yielded first, without reading them again.
      workers: number of processes.
      model_path: a dlib 68-point model, see `detector.landmark_model`.
      crop_size: side of the face crops, pixels; 0 for none.
      every_frame: searches every frame instead of following faces, see `tracker.Tracker`.

    Raises:
      detector.LandmarkModelError: a clip needs dlib, but dlib or its model is missing.
    """
    cache.mkdir(parents=True, exist_ok=True)
    model = repr(_state(pathlib.Path(model_path))[:2]) if model_path else ""
    jobs: dict[object, _Job] = {}
    for position, clip in enumerate(clips):
        try:
            if clip.problem:
                raise clip.problem
            if is_face(clip):
                yield position, _read(Reader(None, crop_size), clip)[0], None
                continue
            file = cache_file(clip, cache, model, crop_size, every_frame)
        except ClipError as error:
            yield position, Outcome(error.reason, error.detail), None
            continue
        finished = load_outcome(file)
        if finished:
            yield position, dataclasses.replace(finished, reused=True), file
        else:
            source = clip.source.resolve() if clip.person else position  # one decoding for all
            job = jobs.setdefault(source, _Job({}, model_path, crop_size, every_frame))
            job.clips[position] = clip, file
    for job, outcomes in _in_processes(list(jobs.values()), workers):
        for (position, (_, file)), outcome in zip(job.clips.items(), outcomes, strict=True):
            yield position, outcome, file


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
        if outcome.reason != _FAILED:
            _save(file, outcome, sequence)
        outcomes.append(outcome)
    return outcomes


def _read(reader: Reader, clip: Clip) -> tuple[Outcome, Sequence | None]:
    try:
        sequence, notes = reader.read(clip)
        _check_landmarks(sequence)
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


def _in_processes(jobs: list[_Job], workers: int) -> Iterator[tuple[_Job, list[Outcome]]]:
    """Reads clips in worker processes; drops a clip that kills its worker."""
    if not _can_start_workers():
        yield from ((job, _read_job(job)) for job in jobs)
        return
    waiting = collections.deque(jobs)
    while waiting:
        running: dict[futures.Future, _Job] = {}
        try:
            with _pool(min(workers, len(waiting))) as pool:
                while waiting or running:
                    while waiting and len(running) < 2 * workers:
                        running[_submit(pool, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                        outcomes = future.result()
                        yield running.pop(future), outcomes
        except BrokenProcessPool:
            for job in running.values():
                yield job, _alone(job)


def _alone(job: _Job) -> list[Outcome]:
    """Reads clips that may have killed their worker, alone in a new process."""
    try:
        with _pool(1) as pool:
            return _submit(pool, job).result()
    except BrokenProcessPool:
        why = "reading it killed the process (out of memory, or a decoder bug)"
        return [Outcome("crashed", why)] * len(job.clips)


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[futures.ProcessPoolExecutor]:
    context = multiprocessing.get_context(START_METHOD)
    pool = futures.ProcessPoolExecutor(workers, context, initializer=_start_worker)
    try:
        yield pool
        pool.shutdown()
    finally:
        # After an interrupt, unfinished clips are abandoned: the next run reads them again.
        workers = list((pool._processes or {}).values())  # other pools may have children as well
        pool.shutdown(wait=False, cancel_futures=True)
        for process in workers:
            process.kill()


def _submit(pool: futures.ProcessPoolExecutor, job: _Job) -> futures.Future:
    """Submits a job; a worker started by this leaves signals to end to the parent.

    A signal meanwhile is held back, not lost, and workers inherit that it is.
    """
    multiprocessing.resource_tracker.ensure_running()  # it would let interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    try:
        with _script_not_run_again():
            return pool.submit(_read_job, job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_STARTING = threading.Lock()


@contextlib.contextmanager
def _script_not_run_again() -> Iterator[None]:
    """Keeps new workers from importing the script that runs, which may prepare without a guard.

    `multiprocessing` finds the script by these two names; workers need nothing of it.
    """
    main = sys.modules["__main__"]
    with _STARTING:
        names = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
        try:
            vars(main).update(dict.fromkeys(names))
            yield
        finally:
            vars(main).update(names)


def _can_start_workers() -> bool:
    """Whether this process can have others: not inside a daemon, or without semaphores."""
    if multiprocessing.current_process().daemon:
        return False
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError):
        return False
    return True


def _start_worker() -> None:
    import cv2

    cv2.setNumThreads(1)
    for each in stopping.SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # the parent ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
