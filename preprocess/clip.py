"""What goes through preparation: a clip (who, what label, where) and its codes; an error."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, NamedTuple

from fer_jax.faces.sequence import ClipError, Sequence


class SourceError(Exception):
    """A source that holds nothing to prepare; the text says what was expected where."""


class Codes(NamedTuple):
    """Where the action units of a clip's frames are coded, see `annotations.py`.

    Attributes:
      path: a CSV, or a folder with a file for each action unit; None where all are unknown.
      units: names of the action units, in the order of the columns of `Sequence.action_units`.
    """

    path: pathlib.Path | None
    units: tuple[str, ...]


class LandmarkSource:
    """A source whose landmarks are known."""

    def load(self) -> Sequence:
        raise NotImplementedError


class FaceSource:
    """A picture that is a face crop already, held in memory: never cached."""

    def face(self, size: int) -> Sequence:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled clip of a dataset, before anything is read.

    Attributes:
      clip_id: unique within the dataset.
      subject: who is seen; folds never split a subject.
      label: class name.
      source: a video, a folder of frames, a still image, an OpenFace CSV; a tuple of frame files;
        or a picklable `LandmarkSource`, `FaceSource` or `faces.video.FrameSource` of the dataset's
        own; where it has a `path`, a change of that file makes it another source.
      split: "train", "validation", "test" or a name of the dataset's own.
      fps: frames a second, where the source does not say (folders of frames).
      frame_size: width and height, where the source does not say (OpenFace CSV).
      problem: why the clip cannot be used, found while listing; None when it can.
      note: what was noticed while listing, but is no reason to drop the clip.
      codes: of the frames' action units, where they are not in the source itself.
      votes: how many raters chose each emotion, in the order of the dataset's `VOTES`, or None.
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
