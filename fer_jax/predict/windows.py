"""Predicts a stream of faces in sliding windows."""

from __future__ import annotations

import collections
import dataclasses
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_jax.data.frame_selection import CUT
from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.tasks import TASKS


class Face(NamedTuple):
    """A face in one frame.

    Attributes:
      landmarks: `[68, 2]`, pixels of the frame.
      crop: `[S, S, 3]` uint8 RGB, None for landmark models.
      crop_landmarks: `[68, 2]`, pixels of the crop.
    """

    landmarks: np.ndarray
    crop: np.ndarray | None = None
    crop_landmarks: np.ndarray | None = None


Faces = dict[int, Face]  # faces of one frame by track, which stays the same over time


class ClipProblem(Exception):
    """A clip that cannot be predicted; the message gives the reason."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How clips are read and predicted; see `predict_clips`."""

    mc_samples: int = 100
    window: float | None = None
    stride: float | None = None
    threshold: float | None = None
    seed: int = 0
    fps: float = UNKNOWN_FPS
    width: int = 0
    landmark_model: str | os.PathLike | None = None


@dataclasses.dataclass
class Source:
    """An opened clip.

    Attributes:
      path: as given.
      faces: the faces of every frame, in order; read once.
      pictures: makes a new iterator over the frames, `[H, W, 3]` uint8 RGB upright.
      fps: frames per second.
      width: of a frame, pixels; 0: unknown.
      announced: number of frames according to the file; 0: unknown.
      first: index of the first frame, if the clip was cut from a longer one.
      remarks: returns notes on the clip, after it has been read.
    """

    path: str
    faces: Iterable[Faces]
    pictures: Callable[[], Iterator[np.ndarray]]
    fps: float
    width: int
    announced: int
    first: int = 0
    remarks: Callable[[], list[str]] = list


def sliding(frames: Iterable[Faces], length: int, stride: int) -> Iterator[tuple[int, list[Faces]]]:
    """Cuts a stream into windows of `length` frames, one every `stride` frames.

    The last window ends with the stream; a stream shorter than a window is one window.

    Args:
      frames: the faces of every frame.
      length: frames per window.
      stride: frames from one start to the next.

    Yields:
      Index of the window's first frame, and the faces of its frames.
    """
    recent: collections.deque[Faces] = collections.deque(maxlen=length)
    seen, covered = 0, 0
    for faces in frames:
        recent.append(faces)
        seen += 1
        if seen >= length and (seen - length) % stride == 0:
            covered = seen
            yield seen - length, list(recent)
    if seen > covered:
        yield seen - len(recent), list(recent)


def largest_face(window: list[Faces]) -> tuple[int | None, np.ndarray]:
    """Picks the face with the largest sum of sizes over the frames of a window.

    Args:
      window: the faces of `L` frames.

    Returns:
      Its track (None without any face), and the frames that show it, `[L]` bool.
    """
    size: dict[int, float] = {}
    for faces in window:
        for track, face in faces.items():
            size[track] = size.get(track, 0.0) + float(np.ptp(face.landmarks, axis=0).sum())
    track = max(size, key=size.get, default=None)
    return track, np.array([track in faces for faces in window], bool)


def stack_faces(faces: Sequence[Face], inputs: str) -> np.ndarray | dict[str, np.ndarray]:
    """Stacks the T chosen faces of one clip for `Predictor.features`.

    Args:
      faces: of T frames.
      inputs: attribute of the network.
    """
    if inputs == "faces":
        return {
            "frames": np.stack([face.crop for face in faces])[None],
            "crop_landmarks": np.stack([face.crop_landmarks for face in faces])[None],
        }
    name = "crop" if inputs == "frames" else "landmarks"
    return np.stack([getattr(face, name) for face in faces])[None]


def at_equal_steps(window: list[Faces], step: float, frames: int) -> list[Faces]:
    """Chooses T frames of a window at the frame rate of training, up to its last frame.

    Args:
      window: the faces of `L` frames.
      step: frames from one to the next; fractional if the clip's frame rate differs.
      frames: T.

    Returns:
      The faces of T frames; the first frame of the window replaces those before it.
    """
    back = np.round(np.arange(frames)[::-1] * step).astype(int)
    return [window[position] for position in np.maximum(len(window) - 1 - back, 0)]


def columns(classes: Sequence[str], task: str = "classification") -> list[str]:
    """Names the columns of the table of predictions."""
    names = ["clip", "start", "end", *TASKS[task].columns(classes), "frames", "abstained"]
    if len(set(names)) < len(names):
        raise ValueError(f"a class is named like a column of the table: {names}")
    return names


def predict_source(
    predictor, source: Source, options: Options, say, advance=None, before_window=None, spool=None
) -> pd.DataFrame:
    """Predicts one opened clip; memory does not grow with its length.

    Args:
      predictor, options: see `predict_clips`.
      source: of `open_source`.
      say: takes each note, one line.
      advance: called after every frame.
      before_window: called before a window is predicted.
      spool: binary file for the landmarks of every frame, to draw them later.

    Returns:
      The clip's rows of the table of `predict_clips`; `attrs["faces"]` holds the track of the face
      predicted in each window.

    Raises:
      ClipProblem: no frame shows a face.
    """
    rows, tracks = [], []
    frames = _watched(source.faces, advance, spool)
    for row, track in predict_windows(
        predictor,
        frames,
        options,
        fps=source.fps,
        width=source.width,
        first=source.first,
        before_window=before_window,
    ):
        rows.append({"clip": source.path} | row)
        tracks.append(track)
    if not any(row["frames"] for row in rows):
        raise ClipProblem("no face in it")
    for remark in source.remarks():
        say(f"note: {source.path}: {remark}")
    table = pd.DataFrame(rows, columns=columns(predictor.classes, predictor.task))
    table.attrs["faces"] = tracks
    return table


def _watched(frames: Iterable[Faces], advance, spool) -> Iterator[Faces]:
    for faces in frames:
        if spool is not None:
            # without the crops, which would fill the disk: drawing reads the pictures again
            pickle.dump({track: face.landmarks for track, face in faces.items()}, spool)
        if advance is not None:
            advance()
        yield faces


def predict_windows(
    predictor,
    frames: Iterable[Faces],
    options: Options,
    *,
    fps: float,
    width: int,
    first: int = 0,
    before_window: Callable[[], None] | None = None,
) -> Iterator[tuple[dict, int | None]]:
    """Predicts a stream window by window, each as soon as it is complete.

    Args:
      predictor, options: see `predict_clips`.
      frames: the faces of every frame; at most one window of them is held.
      fps: frames per second.
      width: of a frame, pixels; 0: unknown.
      first: index of the first frame.
      before_window: called before a window is predicted.

    Yields:
      A row of the table of `predict_clips` without its clip, and the track of the predicted face.
    """
    spec, window = predictor.spec, options.window or predictor.spec.window_seconds
    stride = options.stride or window / 2
    length, step = (max(1, round(seconds * fps)) for seconds in (window, stride))
    for position, faces in sliding(frames, length, step):
        start = (first + position) / fps
        row = {"start": start, "end": start + len(faces) / fps}
        if spec.frame_rule in CUT:
            faces = at_equal_steps(faces, window * fps / spec.frames, spec.frames)
        track, detected = largest_face(faces)
        if before_window is not None and track is not None:
            before_window()
        row |= _predict_window(predictor, faces, track, detected, fps, width, options)
        del faces  # frees its crops before the next window fills
        yield row, track


def _predict_window(
    predictor, window: list[Faces], track, detected, fps: float, width: int, options: Options
) -> dict:
    row, task = {"frames": int(detected.sum())}, TASKS[predictor.task]
    if track is None:
        return row | task.blank_row(predictor.classes)
    chosen = [window[position][track] for position in predictor.select(detected, fps)]
    # One window at a time: its MC samples fill the processor, and rows stay independent.
    summary = predictor.predict(
        stack_faces(chosen, predictor.module.inputs),
        mc_samples=options.mc_samples,
        seed=options.seed,
        frame_width=width,
    )
    return row | task.row(summary, predictor.classes, chosen_threshold(predictor, options))


def chosen_threshold(predictor, options: Options) -> float | None | tuple[float | None, ...]:
    """The user's threshold, else the bundle's, above which predictions abstain."""
    own, asked = predictor.threshold, options.threshold
    return TASKS[predictor.task].abstain_threshold(own, asked, predictor.classes)


def warn_of_threshold(predictor, options: Options, setting: str, say) -> None:
    """Says that predictions never abstain for lack of a threshold, and which setting gives one."""
    threshold = chosen_threshold(predictor, options)
    if warning := TASKS[predictor.task].threshold_warning(threshold, predictor.classes):
        say(f"note: {warning} ({setting} sets one)")
