"""Your own data: --source names a CSV with the columns path, subject, label.

A path is relative to the CSV and names a video, a folder of frames, a still image or a landmark
CSV (OpenFace, py-feat). Optional columns: split (train, validation or test; val and dev mean
validation), fps (for folders of frames), width and height (of the video behind a landmark CSV),
action_units (a CSV with the first line frame,AU01,AU02,... and values 0 to 1, also relative to the
manifest; clips may code different units), person (the number of the person that the row is about:
1, 2, ... as in report.json and in the table of `fer-jax predict --people all`; a file of several
people may have a row for each), votes_CLASS for every class (how many people chose it, for
--config.task=distribution).
--crops needs pictures; --render draws them for a landmark CSV.
A value that contains a comma needs quotes.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from fer_jax.faces.sequence import LEAST_FPS, MOST_FPS, ClipError, Sequence
from fer_jax.faces.video import Frames, FrameSource
from fer_jax.machine import printable
from fer_jax.storage import open_text, sha256
from fer_jax.synthetic.clips import FRAME_SIZE, fit_to_frame, make_identity, render

from ..annotations import base_rates, coded_units, read_codes
from ..clip import Clip, Codes, SourceError, UsageError
from ..folder_tree import resolved
from ..read import needs_detection, read_landmarks

REQUIRED = ("path", "subject", "label")
VOTES = "votes_"  # prefix of the columns of votes, before the name of a class
OPTIONAL = ("split", "fps", "width", "height", "action_units", "person")
_SPLITS = {name: name for name in ("train", "validation", "test")}
_SPLITS |= {"": "train", "val": "validation", "dev": "validation"}
_REST = "cells without a column"


@dataclasses.dataclass(frozen=True)
class DrawnPerson(FrameSource):
    """A drawn video of a person with the motion of a landmark CSV; its face has to be detected.

    Attributes:
      path: the CSV.
      subject: the person, who looks the same in all clips.
      fps: frames per second, used if the CSV has no timestamps.
      person, alone: see `Clip`; a clip with them has another name in caches.
    """

    path: pathlib.Path = dataclasses.field(repr=False)  # caches must not depend on the folder
    subject: str
    fps: float = 0.0
    person: int = dataclasses.field(default=0, repr=False)
    alone: bool = dataclasses.field(default=False, repr=False)

    def frames(self) -> Frames:
        """Opens the video.

        Raises:
          ClipError: the CSV cannot be read, or there is no face in it, or not the person.
        """
        clip = Clip("", self.subject, "", self.path, fps=self.fps)
        clip = dataclasses.replace(clip, person=self.person, alone=self.alone)
        sequence, _ = read_landmarks(clip, self.path)
        length = len(sequence.detected)
        if not sequence.detected.any():
            raise ClipError("no face", f"none in {length} frames")
        side = FRAME_SIZE
        return Frames(sequence.fps, (side, side), length, 0, self._images(sequence))

    def _images(self, sequence: Sequence) -> Iterator[tuple[int, np.ndarray]]:
        """Draws every frame; one without a detected face stays empty."""
        seed = int(sha256([self.subject.encode()])[:8], 16)
        person = make_identity(seed, 0)
        side = FRAME_SIZE
        points = fit_to_frame(sequence.landmarks[sequence.detected])
        # a point far outside the frame would take seconds to draw
        near = np.abs(points - side / 2).max((1, 2)) < 2 * side
        faces = render(points[near], person, seed=seed)
        seen = sequence.detected.copy()
        seen[seen] = near
        empty = np.full((side, side, 3), person.appearance.background, np.uint8)
        for index, shown in zip(sequence.frame_index, seen, strict=True):
            yield int(index), next(faces) if shown else empty


def add_options(parser) -> None:
    parser.add_argument(
        "--render",
        action="store_true",
        help="draw the landmark CSVs as video and detect the landmarks in it; videos and images "
        "are read as they are",
    )
    parser.add_argument(
        "--people",
        type=_people,
        default="largest",
        metavar="{largest,all}",
        help="rows without a number in the column person are about the largest face (default), or "
        "are dropped where the file shows several people",
    )


def _people(text: str) -> str:
    if text not in ("largest", "all"):
        raise argparse.ArgumentTypeError(f"{text} is neither largest nor all")
    return "" if text == "largest" else text  # what is off is no part of a request


def clips(source, options) -> Iterator[Clip]:
    """Lists the rows of the manifest; a row that cannot be used is listed with its problem.

    A shard looks at no files of others, which may be millions: the merge says what is wrong with
    them. But people of one file have to be in one shard, and all clips have the same action units.
    """
    if source is None:
        raise UsageError("--source is missing: name a CSV with the columns path, subject, label")
    source = pathlib.Path(source)
    names = _columns(source)
    shard = None if options.dry_run or {"person", "action_units"} & {*names} else options.shard
    seen: dict[pathlib.Path, set[int]] = {}
    listed, detects = [], False
    for position, (line, row) in enumerate(_rows(source, names)):
        own = shard is None or shard.has(position)
        clip = _listed(source.parent, line, row, seen if own else None, options)
        if not own and not detects and needs_detection(clip):
            # a missing video must not make this shard alone search for faces
            clip = _listed(source.parent, line, row, seen, options)
        detects = detects or needs_detection(clip)
        listed.append(clip)
    units = tuple(sorted({unit for clip in listed if clip.codes for unit in clip.codes.units}))
    yield from (_with_units(clip, units) if units else clip for clip in listed)


def _listed(folder: pathlib.Path, line: int, row: dict[str, str], seen, options) -> Clip:
    """The clip of a row, see `_clip`; with its problem if it cannot be used."""
    try:
        clip = _clip(folder, row, seen)
        clip = dataclasses.replace(clip, alone=bool(options.people) and not clip.person)
    except ClipError as problem:
        path, subject, label = (printable(row[name]) for name in REQUIRED)
        clip = Clip(f"line {line}: {path}", subject, label, None, problem=problem)
    return _drawn(clip) if options.render else clip


def vote_names(options) -> tuple[str, ...]:
    """Returns the classes that the manifest has columns of votes for, in its order."""
    return _voted(_columns(options.source))


def _voted(columns: list[str]) -> tuple[str, ...]:
    return tuple(name.removeprefix(VOTES) for name in columns if name.startswith(VOTES))


def _names(head: str) -> list[str]:
    """Returns the columns of the first line in lower case, but for the classes of votes."""
    names = [(name.strip(), name.strip().lower()) for name in _cells(head)]
    start = len(VOTES)
    return [VOTES + n[start:].strip() if low.startswith(VOTES) else low for n, low in names]


def notes(kept: list[Clip]) -> list[str]:
    """Notes how often each action unit is present, if any are coded."""
    tables = []
    for clip in kept:
        with contextlib.suppress(ClipError):  # moved away since it was read
            if clip.codes and (rows := read_codes(clip.codes)):
                tables.append(np.stack(list(rows.values())))
    return base_rates(kept[0].codes.units, tables) if tables else []


def _columns(source: pathlib.Path) -> list[str]:
    """Returns the columns of a manifest, see `_names`; raises a `SourceError` if it is none."""
    if not source.is_file():
        what = "is no file" if source.exists() else "does not exist"
        raise SourceError(f"manifest {source} {what}: --source names a CSV file")
    with open_text(source, "surrogateescape") as file:
        head = file.readline()
    if not _is_utf8(head):
        raise SourceError(f"{source} is not a CSV in UTF-8: save it as such")
    names = _names(head)
    _check_names(source, names)
    return names


def _rows(source: pathlib.Path, names: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with open_text(source, "surrogateescape") as file:
        file.readline()
        for line, text in enumerate(file, 2):  # line by line: an open quote swallows no others
            if not text.strip():
                continue
            cells = [cell.strip() for cell in _cells(text)]
            rest = "".join(cells[len(names) :])
            row = dict(zip(names, cells + [""] * len(names), strict=False))
            yield line, {**dict.fromkeys(OPTIONAL, ""), **row, _REST: rest}


def _is_utf8(text: str) -> bool:
    """Whether a text read with "surrogateescape" was UTF-8."""
    return not any("\udc80" <= each <= "\udcff" for each in text)


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True), [])
    except csv.Error:  # a cell longer than any path or name
        return [line[:100]]


def _check_names(source: pathlib.Path, names: list[str]) -> None:
    for name in (*REQUIRED, *OPTIONAL, *(name for name in names if name.startswith(VOTES))):
        if names.count(name) > 1:
            raise SourceError(f"{source} has two columns {name}: keep one")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        if len(names) == 1 and (other := re.search(r"[;\t|]", names[0])):
            raise SourceError(
                f"{source} separates its cells by {other[0]!r}: separate them by commas"
            )
        raise SourceError(
            f"{source} has no column {' and no column '.join(missing)} (found: "
            f"{', '.join(names) or 'nothing'}): its first line must name at least "
            "path,subject,label"
        )
    if VOTES in names or len(_voted(names)) == 1:
        raise SourceError(
            f"{source}: columns of votes are named {VOTES}CLASS, for two classes or more"
        )


def _clip(folder: pathlib.Path, row: dict[str, str], seen) -> Clip:
    """Returns the clip of a row, or raises a `ClipError`.

    Args:
      folder: of the manifest.
      row: column -> cell.
      seen: file -> people listed of it so far; None: the file is not looked at.
    """
    if not _is_utf8("".join(row.values())):
        raise ClipError("not in UTF-8", "the row has bytes that are no UTF-8: save the CSV as such")
    if row[_REST]:  # an unquoted comma shifts all later cells
        raise ClipError("too many cells", "quote values that contain commas")
    for name in REQUIRED:
        if not row[name]:
            raise ClipError(f"empty {name}", "every clip needs one")
        if row[name] != printable(row[name]):
            raise ClipError(f"unprintable {name}", f"{printable(row[name])} has control characters")
    path = folder / row["path"]
    people = set()
    if seen is not None:
        people = seen.setdefault(resolved(path, f"there is none in {folder}"), people)
    person = _person(row["person"])
    _check_doubles(people, person)
    split = _SPLITS.get(row["split"].lower())
    if split is None:
        raise ClipError(
            "unknown split",
            f"{row['split']!r} is not one of {', '.join(filter(None, _SPLITS))}",
        )
    size = round(_number(row, "width")), round(_number(row, "height"))
    fps = _number(row, "fps")
    if fps and not LEAST_FPS <= fps <= MOST_FPS:
        raise ClipError("impossible fps", f"{row['fps']} frames a second: at most {MOST_FPS:g}")
    label = " ".join(row["label"].split())  # class names are stored one a line
    codes = _codes(folder, row["action_units"]) if row["action_units"] else None
    name = f"{row['path']} (person {person})" if person else row["path"]
    given = {"codes": codes, "votes": _votes(row), "person": person}
    clip = Clip(name, row["subject"], label, path, split, fps, size, **given)
    people.add(person)
    return clip


def _votes(row: dict[str, str]) -> tuple[float, ...] | None:
    """Returns the votes of a row, None if the manifest has none; empty cells are 0."""
    cells = {name: cell for name, cell in row.items() if name.startswith(VOTES)}
    if not cells:
        return None
    votes = tuple(_number(row, name) for name in cells)
    for name, vote in zip(cells, votes, strict=True):
        if vote % 1:
            raise ClipError(f"impossible {name}", f"{vote} is no number of people")
    if not any(votes):
        raise ClipError("no votes", f"every clip needs votes in {', '.join(cells)}")
    return votes


def _person(cell: str) -> int:
    """Number of the person of a row, 0 without one."""
    try:
        number = float(cell or 0)  # spreadsheets write 2.0
    except ValueError:
        number = -1.0
    if number % 1 or not (0 < number < 1000 or not cell):
        raise ClipError(
            "impossible person",
            f"{printable(cell)!r} is no number of a person: give 1, 2, ... (report.json lists the "
            "people of every file), or rename the column",
        )
    return int(number)


def _check_doubles(listed: set[int], person: int) -> None:
    """Refuses a row for a person who has one already; `listed` are those of the same file."""
    if person and person in listed:
        raise ClipError("duplicate path", f"a line above lists person {person} of the same file")
    if listed and (not person or 0 in listed):
        raise ClipError(
            "duplicate path",
            "a line above lists the same file; if it shows several people, every row needs a "
            "number in the column person",
        )


def _codes(folder: pathlib.Path, name: str) -> Codes:
    path = folder / name
    if resolved(path, f"its action_units {path} does not exist").is_dir():
        raise ClipError("missing file", f"its action_units {path} is a folder")
    return Codes(path, coded_units(path))


def _with_units(clip: Clip, units: tuple[str, ...]) -> Clip:
    """Extends the action units of a clip to those of all clips; uncoded units are unknown."""
    codes = clip.codes or Codes(None, units)
    uncoded = [unit for unit in units if unit not in codes.units]
    note = f"not coded, so unknown: {', '.join(uncoded)}" if uncoded else clip.note
    return dataclasses.replace(clip, codes=codes._replace(units=units), note=note)


def _drawn(clip: Clip) -> Clip:
    if clip.problem or clip.source.suffix.lower() != ".csv":
        return clip
    drawn = DrawnPerson(clip.source, clip.subject, clip.fps, clip.person, clip.alone)
    return dataclasses.replace(clip, source=drawn, person=0)  # nobody else is drawn


def _number(row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column] or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100_000:
        raise ClipError(f"impossible {column}", f"{row[column]!r} is not a valid number")
    return value
