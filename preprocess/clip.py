"""A clip of a dataset before it is read: subject, label, source and codes of action units."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, NamedTuple

from fer_jax.faces.landmarks import ALIGNED, Framing
from fer_jax.faces.sequence import ClipError, Sequence


class SourceError(RuntimeError):
    """There is nothing to prepare in a source; the message says what was expected where."""


class UsageError(SourceError, ValueError):
    """An option is missing or cannot be what it is."""


class Codes(NamedTuple):
    """Where the action units of a clip are coded, see `annotations.py`.

    Attributes:
      path: a CSV, or a folder with one file per action unit; None if all are unknown.
      units: names of the action units, in the order of the columns of `Sequence.action_units`.
    """

    path: pathlib.Path | None
    units: tuple[str, ...]


class LandmarkSource:
    """A source whose landmarks are known."""

    def load(self) -> Sequence:
        raise NotImplementedError


class FaceSource:
    """A picture in memory that already is a face crop; it is never cached."""

    def face(self, size: int) -> Sequence:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled clip of a dataset, before anything is read.

    Attributes:
      clip_id: unique within the dataset.
      subject: who is seen; folds never split a subject.
      label: class name.
      source: a video, a folder of frames, a still image, a landmark CSV; a tuple of frame files;
        or a picklable `LandmarkSource`, `FaceSource` or `faces.video.FrameSource` of the dataset's
        own; where it has a `path`, a change of that file makes it another source.
      split: "train", "validation", "test" or a name of the dataset's own.
      fps: frames per second, used if the source has none (folders of frames).
      frame_size: width and height, pixels, used if the source has none (landmark CSV).
      problem: why the clip cannot be used, found while listing; None if it can.
      note: an observation made while listing that is no reason to drop the clip.
      codes: action units of the frames, if they are not in the source itself.
      votes: how many raters chose each emotion, in the order of the dataset's `VOTES`, or None.
      framing: of the crops that are cut from it, if any are.
      person: number of the person in the source, see `faces.people`; 0: the one whose face is
        largest.
      alone: whether to drop the clip if its source shows several people and `person` names none.
      other_votes: how many raters chose none of them, in the order of the dataset's `OTHER_VOTES`.
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
    framing: Framing = ALIGNED
    person: int = 0
    alone: bool = False
    other_votes: tuple[float, ...] = ()
