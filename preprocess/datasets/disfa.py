"""DISFA: 27 people watching films; emotions derived by EMFACS from 12 action units.

--source names the folder that holds the unpacked downloads:

  Videos_LeftCamera/LeftVideoSN001_comp.avi      (or Videos_RightCamera/RightVideo...)
  ActionUnit_Labels/SN001/SN001_au1.txt          (lines of frame and intensity, 0 to 5)

A clip is a run of at least 10 frames that show one emotion. Frames that fit no rule are left out
and counted in a note. For training on action units: --whole-videos.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from fer_jax.faces.labels import DISFA_ACTION_UNITS, DISFA_CLASSES
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import VideoPart, open_frames

from .. import folder_tree
from ..annotations import base_rates, read_codes, unequal_lengths
from ..clip import Clip, Codes
from .emfacs import emfacs

_WHOLE = "video"  # the class of whole videos
_SUBJECTS = 27
_SHORTEST = 10  # frames; the shortest clip of the paper
# Frames; a longer run is divided, because a model that streams crops reads the whole clip for each
# piece. A multiple of 10.
_LONGEST = 300
_SUBJECT = r"SN\d{3}"
_INNER = {"videos_leftcamera", "videos_rightcamera", "actionunit_labels", "landmark_points"}
_LAYOUT = """Expected, unpacked from what the owners of DISFA hand out:
  Videos_LeftCamera/LeftVideoSN001_comp.avi (SN001 to SN032, 27 people; with --camera right
  Videos_RightCamera/RightVideoSN001_comp.avi)
  ActionUnit_Labels/SN001/SN001_au1.txt (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)"""


class Tally(NamedTuple):
    """Numbers of frames of a video by what was done with them.

    Attributes:
      labelled: emotion -> frames.
      unlabelled: frames that fit no rule.
      in_short_runs, short_runs: labelled frames that are left out, and the number of their runs.
      beyond: frames without a label, or labels without a frame, at the end.
    """

    labelled: collections.Counter
    unlabelled: int
    in_short_runs: int
    short_runs: int
    beyond: int


@dataclasses.dataclass(frozen=True)
class Run(VideoPart):
    """Consecutive frames of one emotion, with the tally of their video."""

    tally: Tally = dataclasses.field(repr=False)


IMAGES = 89_000  # as the 3D Inception-ResNet paper counts them, section 4.1


def add_options(parser) -> None:
    parser.add_argument(
        "--camera", choices=("left", "right"), default="left", help="(default: left)"
    )
    parser.add_argument(
        "--present",
        type=int,
        choices=range(1, 6),
        default=1,
        help="intensity from which an action unit counts as present for an emotion (default: 1)",
    )
    parser.add_argument(
        "--chin-anger",
        action="store_true",
        help="count action units 4 and 17 without 1, 2, 9, 15 as anger, too",
    )
    parser.add_argument(
        "--whole-videos",
        action="store_true",
        help="for action units: each clip is a whole video with intensities, without emotion",
    )


def class_names(options) -> tuple[str, ...]:
    """Returns the class names: emotions, or the only class of whole videos."""
    return (_WHOLE,) if options.whole_videos else DISFA_CLASSES


def has_own_configs(options) -> bool:
    """Returns False for whole videos, which lack the emotions that its configs need."""
    return not options.whole_videos


def clips(source, options) -> Iterator[Clip]:
    """Lists the runs of all people; a video that cannot be used is listed with its problem."""
    videos, labels = _parts(source, options.camera)
    folders = {folder.name.upper(): folder for folder in folder_tree.folders(labels, _SUBJECT)}
    files = _videos(videos, options.camera)
    for subject in sorted(folders.keys() | files.keys()):
        try:
            if subject not in folders:
                raise ClipError("no codes", f"there is no folder {labels / subject}")
            if subject not in files:
                raise ClipError("no video", f"there is no video of {subject} in {videos}")
            if len(files[subject]) > 1:
                names = " and ".join(path.name for path in files[subject])
                raise ClipError("video twice", f"{videos}: {names}")
            codes = Codes(folders[subject], DISFA_ACTION_UNITS)
            yield from _clips(subject, files[subject][0], codes, options)
        except ClipError as problem:
            yield Clip(subject, subject, "", None, problem=problem)


def notes(kept: list[Clip]) -> list[str]:
    """Notes which emotions or action units the frames show, and which frames are left out."""
    subjects = len({clip.subject for clip in kept})
    few = [f"{subjects} people instead of {_SUBJECTS}"] if subjects != _SUBJECTS else []
    tables = []
    for clip in kept:
        with contextlib.suppress(ClipError):  # moved away since it was read
            if clip.codes:
                tables.append(np.stack(list(read_codes(clip.codes).values())))
    tallies = {c.subject: c.source.tally for c in kept if isinstance(c.source, Run)}.values()
    frames = _frames_note(tallies) if tallies else []
    return [*few, *frames, *base_rates(DISFA_ACTION_UNITS, tables)]


def _frames_note(tallies: Collection[Tally]) -> list[str]:
    labelled = sum((tally.labelled for tally in tallies), collections.Counter())
    unlabelled, short, runs, beyond = np.sum([tally[1:] for tally in tallies], 0)
    shown = ", ".join(f"{name} {labelled[name]:,}" for name in DISFA_CLASSES)
    total = labelled.total()
    return [
        f"frames by emotion in {len(tallies)} videos: {shown}; in all {total:,} of "
        f"{total + unlabelled:,} (the paper: about 89,000 of 130,800)",
        f"left out: {unlabelled:,} frames that fit no rule; {short:,} in {runs:,} runs of fewer "
        f"than {_SHORTEST}; {beyond:,} frames without a label or labels without a frame",
    ]


def _clips(subject: str, video: pathlib.Path, codes: Codes, options) -> Iterator[Clip]:
    """Cuts a video into runs.

    Raises:
      ClipError: the video or its labels cannot be read, or it has no run.
    """
    rows = np.stack(list(read_codes(codes).values()))
    note = unequal_lengths(codes)
    frames = open_frames(video).announced or len(rows)
    intensities = np.rint(5 * rows[:frames])
    if options.whole_videos:
        part = VideoPart(video, 0, len(intensities))
        yield Clip(subject, subject, _WHOLE, part, note=note, codes=codes)
        return
    labels = emfacs(intensities, options.present, options.chin_anger)
    runs = [run for run in _runs(labels) if labels[run.start] >= 0]
    short = [len(run) for run in runs if len(run) < _SHORTEST]
    counts = {name: int((labels == index).sum()) for index, name in enumerate(DISFA_CLASSES)}
    tally = Tally(
        labelled=collections.Counter(counts),
        unlabelled=int((labels < 0).sum()),
        in_short_runs=sum(short),
        short_runs=len(short),
        beyond=abs(frames - len(rows)),
    )
    if len(short) == len(runs):
        raise ClipError("no emotion", f"{video}: no run of {_SHORTEST} frames shows the same one")
    for run in runs:
        for part in _divided(run):
            clip_id = f"{subject}_{part.start + 1:04d}-{part.stop:04d}"
            own = Run(video, part.start, len(part), tally)
            yield Clip(clip_id, subject, DISFA_CLASSES[labels[part.start]], own, note=note)


def _runs(labels: np.ndarray) -> Iterator[range]:
    """Yields the runs of consecutive equal labels."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return (range(start, stop) for start, stop in zip(edges, edges[1:], strict=False))


def _divided(run: range) -> Iterator[range]:
    """Divides a run into parts of `_LONGEST`; a remainder below `_SHORTEST` joins the last part."""
    while len(run) >= _SHORTEST:
        size = _LONGEST if len(run) >= _LONGEST + _SHORTEST else len(run)
        yield run[:size]
        run = run[size:]


def _parts(source, camera: str) -> list[pathlib.Path]:
    """Finds the folders of videos and of labels."""
    example = f"{camera.title()}VideoSN001_comp.avi"
    wanted = {
        f"videos of the {camera} camera": (lambda folder: bool(_videos(folder, camera)), example),
        "action unit labels": (_holds_labels, "SN001/SN001_au1.txt"),
    }
    return folder_tree.parts(source, _INNER, "DISFA", _LAYOUT, wanted)


def _videos(folder: pathlib.Path, camera: str) -> dict[str, list[pathlib.Path]]:
    """Finds the videos of a camera in a folder, by person."""
    named = re.compile(rf"{camera}Video({_SUBJECT}).*\.(avi|mp4|mov|mkv)", re.IGNORECASE)
    found = collections.defaultdict(list)
    for path in folder_tree.entries(folder):
        if match := named.fullmatch(path.name):
            found[match[1].upper()].append(path)
    return found


def _holds_labels(folder: pathlib.Path) -> bool:
    named = re.compile(rf"{_SUBJECT}_au\d+\.txt", re.IGNORECASE)
    subjects = folder_tree.folders(folder, _SUBJECT)
    return any(
        named.fullmatch(path.name) for subject in subjects for path in folder_tree.entries(subject)
    )
