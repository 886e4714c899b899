"""Predicts a stream of faces in sliding windows."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_jax.data.frame_selection import CUT, at_equal_steps
from fer_jax.faces.boxes.placed import Boxed
from fer_jax.predict.options import Options, chosen_threshold, make_smoother
from fer_jax.predict.people import (
    COLUMNS,
    Numbers,
    choose_people,
    describe,
    why_unreadable,
    with_reason,
)
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import NonFiniteOutputError

_ROUNDED = 0.00055  # seconds: many containers round time stamps to a millisecond


class Face(NamedTuple):
    """A face in one frame.

    Attributes:
      landmarks: `[68, 2]`, pixels of the frame.
      crop: `[S, S, 3]` uint8 RGB, None for landmark models.
      crop_landmarks: `[68, 2]`, pixels of the crop.
      fit: score of the detector at the landmarks, 0..1 of a landmark CSV; NaN if they were given.
      sharpness: see `quality.sharpness`, NaN without a picture.
      boxed: of a face known without landmarks, which are then those of an average face; None: they
        are the face's own.
    """

    landmarks: np.ndarray
    crop: np.ndarray | None = None
    crop_landmarks: np.ndarray | None = None
    fit: float = math.nan
    sharpness: float = math.nan
    boxed: Boxed | None = None


Faces = dict[int, Face]  # faces of one frame by track, which stays the same over time


class Frame(NamedTuple):
    """A frame of a stream.

    Attributes:
      start, end: seconds at which it begins and ends.
      faces: the faces in it.
    """

    start: float
    end: float
    faces: Faces


class Window(NamedTuple):
    """Frames that are predicted together.

    Attributes:
      start, end: seconds.
      frames: those that begin between the two, in order; at least one.
    """

    start: float
    end: float
    frames: list[Frame]


class ClipProblem(Exception):
    """A clip that cannot be predicted; the message gives the reason."""


@dataclasses.dataclass
class Source:
    """An opened clip.

    Attributes:
      path: as given.
      frames: the faces of every frame, with their time, in order; read once.
      pictures: makes a new iterator over the frames, `[H, W, 3]` uint8 RGB upright.
      fps: frames per second, on average if the rate varies.
      width: of a frame, pixels; 0: unknown.
      announced: number of frames according to the file; 0: unknown.
      steady: whether the frame rate is constant.
      remarks: returns notes on the clip, after it has been read.
      numbers: the same for the number of the person of each track; None: as they come.
    """

    path: str
    frames: Iterable[Frame]
    pictures: Callable[[], Iterator[np.ndarray]]
    fps: float
    width: int
    announced: int
    steady: bool = True
    remarks: Callable[[], list[str]] = list
    numbers: Callable[[], dict[int, int]] | None = None


def points_of(face: Face) -> np.ndarray:
    """Points of a face to draw: its 68 landmarks, or two corners of its box, `[2, 2]`."""
    return face.landmarks if face.boxed is None else face.boxed.box.reshape(2, 2)


def at_rate(stream: Iterable[Faces], fps: float, first: int = 0) -> Iterator[Frame]:
    """Gives the frames of a constant rate their time; the first has the index `first`."""
    for index, faces in enumerate(stream, first):
        yield Frame(index / fps, (index + 1) / fps, faces)
        del faces  # frees its crops before the next frame is read


def sliding(frames: Iterable[Frame], length: float, stride: float) -> Iterator[Window]:
    """Cuts a stream into windows of `length` seconds, one every `stride` seconds.

    The last window ends with the stream; a stream shorter than a window is one window. A stretch in
    which no frame begins has no window, and costs nothing however long it is.

    Args:
      frames: of the stream; those of one window are held.
      length: seconds of a window.
      stride: seconds from one start to the next.
    """
    slack = min(_ROUNDED, length / 4)
    recent: collections.deque[Frame] = collections.deque()
    origin, turn, covered = None, 0, -math.inf
    for frame in frames:
        origin = frame.start if origin is None else origin
        recent.append(frame)
        del frame  # frees its crops as soon as no window needs them
        end = recent[-1].end
        _drop(recent, min(origin + turn * stride, end - length) - slack)
        while (start := origin + turn * stride) + length <= end + slack:
            _drop(recent, min(start, end - length) - slack)
            if recent[-1].start < start - slack:  # it lasts longer than the window: skip to its end
                turn = max(turn, math.floor((end + slack - length - origin) / stride)) + 1
                continue
            if (first := recent[0].start) >= start + length:  # a gap: skip to its end
                turn = max(turn + 1, math.floor((first - length - origin) / stride))
                continue
            turn, covered = turn + 1, start + length
            if window := _window(recent, start, start + length, slack):
                yield window
            del window
    if recent and recent[-1].end > covered + slack:
        end = recent[-1].end
        yield _window(recent, max(origin, min(end - length, recent[-1].start)), end, -slack)


def _drop(recent: collections.deque[Frame], before: float) -> None:
    while len(recent) > 1 and recent[0].start < before:
        recent.popleft()


def _window(recent, start: float, end: float, slack: float) -> Window | None:
    """Makes the window of the frames that begin in it; None if there are none.

    Args:
      slack: seconds by which frames may begin before `start`, and have to begin before `end`;
        negative for the last window, to whose end all frames belong.
    """
    inside = [frame for frame in recent if start - abs(slack) <= frame.start < end - slack]
    if not inside:
        return None
    # Frames that fit give the exact time, to which no rounding adds up.
    first, last = inside[0].start, inside[-1].end
    start = first if abs(first - start) <= abs(slack) else start
    return Window(start, last if abs(last - end) <= abs(slack) else end, inside)


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


def columns(classes: Sequence[str], task: str = "classification") -> list[str]:
    """Names the columns of the table of predictions."""
    names = ["clip", "start", "end", "person", *TASKS[task].columns(classes)]
    names += ["frames", "abstained", "reason", "unfamiliarity", *COLUMNS]
    if len(set(names)) < len(names):
        raise ValueError(f"a class is named like a column of the table: {names}")
    return names


def predict_source(
    predictor, source: Source, options: Options, say, advance=None, before_window=None, spool=None,
    keep=None,
) -> pd.DataFrame:  # fmt: skip
    """Predicts one opened clip; memory does not grow with its length.

    Args:
      predictor, options: see `predict_clips`.
      source: of `open_source`.
      say: takes each note, one line.
      advance: called after every frame.
      before_window: called before a window is predicted.
      spool: binary file for time and landmarks of every frame, to draw them later.
      keep: called with what `Predictor.predict` was given of each window that shows a face.

    Returns:
      The clip's rows of the table of `predict_clips`; `attrs["faces"]` holds the track of the face
      predicted in each window.

    Raises:
      ClipProblem: no frame shows a face.
    """
    rows, tracks = [], []
    clip = os.fsencode(source.path).decode("utf-8", "backslashreplace")  # tables take UTF-8 only
    frames = _watched(source.frames, advance, spool)
    fps = source.fps if source.steady else 0.0
    for row, track in predict_windows(
        predictor, frames, options, fps=fps, width=source.width, before_window=before_window
    ):
        if (inputs := row.pop("inputs", None)) is not None and keep is not None:
            keep(inputs)
        rows.append({"clip": clip} | row)
        tracks.append(track)
    for remark in source.remarks():  # also of a clip without a face: they may say why
        say(f"note: {source.path}: {remark}")
    if not any(row["frames"] for row in rows):
        raise ClipProblem("no face in it")
    table = pd.DataFrame(rows, columns=columns(predictor.classes, predictor.task))
    table.attrs["faces"] = tracks
    if source.numbers is not None:
        table["person"] = [source.numbers().get(track, 0) for track in tracks]
    return table


def _watched(frames: Iterable[Frame], advance, spool) -> Iterator[Frame]:
    for frame in frames:
        if spool is not None:
            # without the crops, which would fill the disk: drawing reads the pictures again
            landmarks = {track: points_of(face) for track, face in frame.faces.items()}
            pickle.dump((frame.start, frame.end, landmarks), spool)
        if advance is not None:
            advance()
        yield frame
        del frame


def predict_windows(
    predictor, frames: Iterable[Frame], options: Options, *, fps: float, width: int,
    before_window: Callable[[], None] | None = None,
) -> Iterator[tuple[dict, int | None]]:  # fmt: skip
    """Predicts a stream window by window, each as soon as it is complete.

    Args:
      predictor, options: see `predict_clips`.
      frames: the faces of every frame; at most one window of them is held.
      fps: frames per second if the rate is constant, to whose frames windows are rounded; else 0.
      width: of a frame, pixels; 0: unknown.
      before_window: called before a window is predicted.

    Yields:
      A row of `predict_clips` without its clip, with `inputs`, and the track of the predicted face.
    """
    numbers, smoother = Numbers(), make_smoother(predictor, options)
    spec, seconds = predictor.spec, options.window or predictor.spec.window_seconds
    stride = options.stride or seconds / 2
    length, step = (_whole_frames(time, fps) for time in (seconds, stride))
    for window in sliding(frames, length, step):
        chosen = window.frames
        if spec.frame_rule in CUT:
            starts = [frame.start for frame in chosen]
            indices = at_equal_steps(starts, seconds / spec.frames, spec.frames)
            chosen = [chosen[index] for index in indices]
        rows = []
        for track in choose_people([frame.faces for frame in chosen], options.people, numbers):
            if before_window is not None and track is not None:
                before_window()
            row = {"start": window.start, "end": window.end, "person": numbers.of(track)}
            row |= describe(window.frames, track) | _face_of(predictor, chosen, track)
            reason = why_unreadable(row, window.frames, track, spec.features, width)
            smooth = smoother and functools.partial(smoother.update, track, window.end)
            rows.append((_answer(predictor, row, reason, width, options, smooth), track))
        del window, chosen  # frees their crops before the next window fills
        yield from rows


def _whole_frames(seconds: float, fps: float) -> float:
    """Rounds a time to whole frames of a constant rate, at least one."""
    return max(1, round(seconds * fps)) / fps if fps else seconds


def _face_of(predictor, window: list[Frame], track) -> dict:
    """Returns in how many frames a person's face is, and the inputs of the model, or None."""
    detected = np.array([track in frame.faces for frame in window], bool)
    row = {"frames": int(detected.sum()), "inputs": None}
    if track is None:
        return row
    times = np.array([frame.start for frame in window])
    chosen = [window[position].faces[track] for position in predictor.select(detected, times)]
    return row | {"inputs": stack_faces(chosen, predictor.module.inputs)}


def _answer(predictor, row: dict, reason: str, width: int, options: Options, smooth) -> dict:
    """Returns the row of a person with the columns of the task, abstained and its reason.

    Args:
      predictor, options: see `predict_clips`.
      row: of `describe`, with `inputs`.
      reason: of `why_unreadable`.
      width: of a frame, pixels; 0: unknown.
      smooth: of `Predictor.predict`, None: nothing is smoothed.
    """
    task, inputs, distance = TASKS[predictor.task], row["inputs"], None
    if inputs is None:
        return with_reason(row | task.blank_row(predictor.classes), reason, predictor, width)
    if predictor.familiarity is not None:
        distance = predictor.unfamiliarity(inputs, frame_width=width)[0]
    how = {"mc_samples": options.mc_samples, "seed": options.seed, "frame_width": width}
    if smooth is not None and not reason and (distance is None or distance <= 1):
        how["smooth"] = smooth  # what is withheld weighs nothing
    try:
        # one window at a time: its MC samples fill the processor, no later window changes them
        summary = predictor.predict(inputs, **how)
        threshold = chosen_threshold(predictor, options)
        row |= task.row(summary, predictor.classes, threshold, predictor.trust.sets)
    except NonFiniteOutputError as error:
        where = f"the window {row['start']:.2f} to {row['end']:.2f} s"
        raise ClipProblem(f"{where} has no answer: {error}") from error
    return with_reason(row, reason, predictor, width, distance)
