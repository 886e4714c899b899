"""What goes through preparation: a clip (who, what label, where), its landmark sequence, errors."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, NamedTuple

import numpy as np


class ClipError(Exception):
    """A clip that cannot be used. It is listed in the report and never ends the run.

    Attributes:
      reason: a few words, the same for all clips of this kind; reports count by it.
      detail: what is wrong with this clip, for the person who has to mend it.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class SourceError(Exception):
    """A source that holds nothing to prepare; the text says what was expected where."""


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Landmarks over time.

    Attributes:
      landmarks: `[T, 68, 2]` float32, pixels of the upright source frame; 0 where not detected, NaN
        where there is a face but nobody has looked for its points.
      detected: `[T]` bool.
      frame_index: `[T]` int32, the number by which the source knows the frame.
      fps: frames a second; 0 when the source does not say.
      frame_size: width and height of the upright source frame, pixels; 0 when unknown.
      action_units: `[T, A]` float32 intensities 0..1, NaN where unknown, or None.
      crops: the image files (JPEG or PNG) of all frames one after another, `[N]` uint8, or None.
      crop_offsets: `[T + 1]` int64; frame t is `crops[crop_offsets[t] : crop_offsets[t + 1]]`,
        empty where not detected.
      crop_landmarks: `[T, 68, 2]` float32, pixels of the crop; 0 or NaN as `landmarks`.
    """

    landmarks: np.ndarray
    detected: np.ndarray
    frame_index: np.ndarray
    fps: float
    frame_size: tuple[int, int]
    action_units: np.ndarray | None = None
    crops: np.ndarray | None = None
    crop_offsets: np.ndarray | None = None
    crop_landmarks: np.ndarray | None = None


class Codes(NamedTuple):
    """Where the action units of a clip's frames are coded, see `action_units.py`.

    Attributes:
      path: a CSV, or a folder with a file for each action unit; None where all are unknown.
      units: names of the action units, in the order of the columns of `Sequence.action_units`.
    """

    path: pathlib.Path | None
    units: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled clip of a data set, before anything is read.

    Attributes:
      clip_id: unique within the data set.
      subject: who is seen; folds never split a subject.
      label: class name.
      source: a video, a folder of frames, a still image, an OpenFace CSV; a tuple of frame files;
        or a small picklable object of the data set's own with `load() -> Sequence` (landmarks
        known), `frames() -> Frames` (faces to be found, see `video.py`) or `face(size) -> Sequence`
        (a picture that is a face crop already, held in memory: never cached); where it has a
        `path`, a change of that file makes it another source.
      split: "train", "validation", "test" or a name of the data set's own.
      fps: frames a second, where the source does not say (folders of frames).
      frame_size: width and height, where the source does not say (OpenFace CSV).
      problem: why the clip cannot be used, found while listing; None when it can.
      note: what was noticed while listing, but is no reason to drop the clip.
      codes: of the frames' action units, where they are not in the source itself.
      votes: how many raters chose each emotion, in the order of the data set's `VOTES`, or None.
    """

    clip_id: str
    subject: str
    label: str
    source: Any
    split: str = "train"
    fps: float = 0.0
    frame_size: tuple[int, int] = (0, 0)
    problem: ClipError | None = None
    note: str = ""
    codes: Codes | None = None
    votes: tuple[float, ...] | None = None
