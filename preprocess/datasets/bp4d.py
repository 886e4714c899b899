"""BP4D with the partition of FERA 2015: 11 action units per frame, 41 people, 8 tasks.

--source names the folder that holds the unpacked downloads:

  AU_OCC/F001_T1.csv            (occurrence codes; the folder may also be named AUCoding)
  Sequences/F001/T1/2440.jpg    (images; subjects may be in any folder, or in the source itself)

A clip is one task of one person, reduced to its coded frames. People with odd numbers are in split
train, the others in split validation. 9 means unknown. There is no emotion: the class is the task.
"""

from __future__ import annotations

import collections
import contextlib
import pathlib
import re
from collections.abc import Iterator

from fer_jax.faces.labels import BP4D_ACTION_UNITS
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import IMAGE_SUFFIXES

from .. import folder_tree
from ..annotations import base_rates, coded_units, read_codes, units_at
from ..clip import Clip, Codes

ACTION_UNITS = BP4D_ACTION_UNITS
CLASSES = tuple(f"T{task}" for task in range(1, 9))
_FRAMES = {"train": 75_586, "validation": 71_261}
_SUBJECTS = {"train": 21, "validation": 20}
_CODES = {"au_occ", "aucoding"}
_INNER = _CODES | {"sequences", "2d+3d"}
_SUBJECT, _TASK, _FRAME = r"[FM]\d{3}", r"T[1-8]", r"(\d{1,9})"
_FPS = 25.0
_LAYOUT = """Expected, unpacked from what Binghamton University hands out:
  AU_OCC/F001_T1.csv (F001 to F023, M001 to M018; T1 to T8; or AUCoding/F001_T1.csv)
  Sequences/F001/T1/2440.jpg (any number of zeros in front; or 2D+3D/F001/..., or F001/...)"""


def clips(source, options) -> Iterator[Clip]:
    """Lists the tasks of all people; one without codes or images is listed with its problem."""
    codes, images = _parts(source)
    tables = {path.stem.upper(): path for path in _tables(codes)}
    folders = {f"{f.parent.name}_{f.name}".upper(): f for f in _tasks(images)}
    for clip_id in sorted(tables.keys() | folders.keys()):
        subject, task = clip_id.split("_")
        split = "train" if int(subject[1:]) % 2 else "validation"
        try:
            if clip_id not in tables:
                raise ClipError("no codes", f"there is no {clip_id}.csv in {codes}")
            if clip_id not in folders:
                raise ClipError("no frames", f"there is no folder {images / subject / task}")
            frames, note = _coded_frames(tables[clip_id], folders[clip_id])
        except ClipError as problem:
            yield Clip(clip_id, subject, task, None, split, problem=problem)
            continue
        own = Codes(tables[clip_id], ACTION_UNITS)
        yield Clip(clip_id, subject, task, frames, split, _FPS, note=note, codes=own)


def notes(kept: list[Clip]) -> list[str]:
    """Notes what the classes are, how many frames are coded, and how often each unit is present."""
    official = {split: dict.fromkeys(CLASSES, count) for split, count in _SUBJECTS.items()}
    whole = "328: 8 tasks of 21 people in train, of 20 in validation"
    frames, left_out, tables = collections.Counter(), 0, []
    for clip in kept:
        with contextlib.suppress(ClipError):  # moved away since it was read
            numbers = [_number(path) for path in clip.source]
            tables.append(units_at(read_codes(clip.codes), numbers, clip.codes))
            left_out += len(_images(clip.source[0].parent)) - len(numbers)
            frames[clip.split] += len(numbers)
    counts = ", ".join(f"{frames[s]:,} in {s} (FERA 2015: {_FRAMES[s]:,})" for s in _FRAMES)
    return [
        "classes are tasks, not emotions: use the action units",
        *folder_tree.official_note(kept, official, whole),
        f"coded frames: {counts}; {left_out:,} images without codes are left out",
        *base_rates(ACTION_UNITS, tables),
    ]


def _parts(source) -> list[pathlib.Path]:
    """Finds the folders of codes and of images."""
    wanted = {
        "occurrence codes": (_holds_tables, "F001_T1.csv, named AU_OCC or AUCoding"),
        "images": (_holds_images, "F001/T1/2440.jpg"),
    }
    return folder_tree.parts(source, _INNER, "BP4D", _LAYOUT, wanted)


def _holds_tables(folder: pathlib.Path) -> bool:
    return folder.name.casefold() in _CODES and bool(_tables(folder))


def _tables(folder: pathlib.Path) -> list[pathlib.Path]:
    named = re.compile(rf"{_SUBJECT}_{_TASK}\.csv", re.IGNORECASE)
    return [path for path in folder_tree.entries(folder) if named.fullmatch(path.name)]


def _holds_images(folder: pathlib.Path) -> bool:
    """Returns whether the folder has images: other files, e.g. 3D landmarks, have the same tree."""
    return any(_is_frame(path) for task in _tasks(folder) for path in task.iterdir())


def _tasks(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        task
        for subject in folder_tree.folders(folder, _SUBJECT)
        for task in folder_tree.folders(subject, _TASK)
    ]


def _is_frame(path: pathlib.Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.stem.isdecimal()


def _images(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    return folder_tree.frames(folder, _FRAME, "2440.jpg")


def _number(path: pathlib.Path) -> int:
    return int(path.stem)


def _coded_frames(table: pathlib.Path, folder: pathlib.Path) -> tuple[tuple, str]:
    """Returns the images of the coded frames in order, and a note on what is missing.

    Raises:
      ClipError: codes or images cannot be read, are ambiguous, or do not match.
    """
    codes = Codes(table, ACTION_UNITS)
    rows, images = read_codes(codes), {}
    for path in _images(folder):
        if (other := images.setdefault(_number(path), path)) != path:
            raise ClipError("frame twice", f"{folder}: {other.name} and {path.name}")
    units_at(rows, images, codes)  # raises if no frame has both
    gone = sorted(rows.keys() - images.keys())
    uncoded = [name for name in ACTION_UNITS if name not in coded_units(table)]
    if len(uncoded) == len(ACTION_UNITS):
        raise ClipError("no action units", f"{table} codes none of {', '.join(ACTION_UNITS)}")
    missing = f"{len(gone)} coded frames have no image (the first: {gone[0]})" if gone else ""
    unknown = f"not coded, so unknown: {', '.join(uncoded)}" if uncoded else ""
    frames = tuple(path for number, path in images.items() if number in rows)
    return frames, "; ".join(filter(None, (missing, unknown)))
