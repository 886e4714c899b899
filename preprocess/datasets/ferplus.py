"""FER-2013 with the votes of FER+: 35,711 gray stills of faces, each seen by ten people.

--source names a folder that holds, itself or in folders of its own, the votes

  fer2013new.csv              (github.com/microsoft/FERPlus)

and the images, in the table if that is there, else in files, and what is no file in archives:

  fer2013.csv                 (of the Kaggle challenge; joined row by row)
  FER2013Train/fer0000000.png, FER2013Valid/..., FER2013Test/...   (joined by name)
  any .zip that holds such images

Training, PublicTest and PrivateTest become split train, validation and test. The images are faces
already, 48 pixels a side: they become the crops as they are (another --crops resizes them), and no
landmarks are looked for. The class is the emotion with most votes; the votes themselves are kept.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from fer_jax.faces.emotion_ratings import FERPLUS_EMOTIONS
from fer_jax.faces.landmarks import FER2013
from fer_jax.faces.sequence import ClipError

from .. import folder_tree
from ..clip import Clip, SourceError
from . import fer2013_images

CLASSES = VOTES = FERPLUS_EMOTIONS
FRAMING = FER2013
CONFIG = "bilinear_ferplus:small"
_LABELS = "fer2013new.csv"
_SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_OFFICIAL = {"train": 28_559, "validation": 3_579, "test": 3_573}  # with a name and a vote
_COUNT = re.compile(r"[0-9]{1,3}(\.0*)?")  # with a point where a table program has saved it
_MOST = 100  # votes of a row; FER+ asked ten people
_INNER = {"fer2013train", "fer2013valid", "fer2013test"}
_LAYOUT = f"""Expected, in the folder or in folders of its own:
  {_LABELS} (github.com/microsoft/FERPlus) and
  {fer2013_images.TABLE} (Kaggle, Challenges in Representation Learning: unpacked), or
  FER2013Train/fer0000000.png, FER2013Valid/, FER2013Test/, or a .zip that holds them"""


class Row(NamedTuple):
    """A row of the file of votes.

    Attributes:
      index: counted from 0, as in fer2013.csv.
      usage: Training, PublicTest or PrivateTest.
      name: of the image, lower case; empty where FER+ leaves it out.
      votes: as written, in the order of `VOTES`.
    """

    index: int
    usage: str
    name: str
    votes: tuple[str, ...]


def add_options(parser) -> None:
    parser.set_defaults(crops=fer2013_images.SIDE)
    parser.add_argument(
        "--drop-duplicates",
        action="store_true",
        help="drop the validation and test images that are among the training images too",
    )


def clips(source, options) -> Iterator[Clip]:
    """Lists every row; images are read, since only pixels tell which of them are there twice."""
    for base in folder_tree.bases(source, _INNER, "FER+", _LAYOUT):
        if found := folder_tree.find(base, lambda folder: (folder / _LABELS).is_file()):
            break
    else:
        raise folder_tree.layout_error("FER+", source, f"no {_LABELS}", _LAYOUT)
    rows = read_labels(folder_tree.the_one(found, f"{_LABELS} of FER+") / _LABELS)
    owners = _owners(rows)
    images = _images(base, source, rows, owners)
    listed = [_clip(row, owners, image) for row, image in zip(rows, images, strict=True)]
    trained, copies = _trained(listed), _copies(listed)
    drop = getattr(options, "drop_duplicates", False)
    for clip in listed:
        if clip.problem is None and clip.split == "train":
            again = copies.get(clip.source.pixels, ())
            clip = dataclasses.replace(clip, source=dataclasses.replace(clip.source, copies=again))
        elif clip.problem is None and drop and clip.source.pixels in trained:
            problem = ClipError("duplicate image", "a training image has the same pixels")
            clip = dataclasses.replace(clip, problem=problem)
        yield clip


def notes(kept: list[Clip]) -> list[str]:
    """Says what FER-2013 does not tell, which images are there twice, and how many are missing."""
    size = collections.Counter(clip.split for clip in kept)
    trained = _trained(kept)
    # the training images know of their copies, which may have been dropped
    copies = {c.source.pixels: c.source.copies for c in kept if c.split == "train"}
    twice = collections.Counter(split for splits in copies.values() for split in splits)
    left = collections.Counter(
        c.split for c in kept if c.split != "train" and c.source.pixels in trained
    )
    size += twice - left
    texts = [
        "FER-2013 does not say who is seen: each image counts as a subject of its own",
        "classes are the emotion with most votes, for orientation; the votes are kept beside them",
        "no landmarks: only models of face crops can learn from these images",
    ]
    texts += [
        f"{twice[split]:,} of {size[split]:,} images in {split} have the pixels of one in train; "
        f"--drop-duplicates {'leaves' if left[split] else 'has left'} them out"
        for split in _OFFICIAL
        if twice[split]
    ]
    other = [f"{s} {size[s]:,} of {n:,}" for s, n in _OFFICIAL.items() if size[s] != n]
    return texts + ([f"not all FER+ images that have votes: {', '.join(other)}"] if other else [])


def _trained(clips: list[Clip]) -> set[bytes]:
    return {c.source.pixels for c in clips if c.problem is None and c.split == "train"}


def _copies(clips: list[Clip]) -> dict[bytes, tuple[str, ...]]:
    """Finds the usable images of validation and test by their pixels: pixels -> splits."""
    splits: dict[bytes, tuple[str, ...]] = {}
    for clip in clips:
        if clip.problem is None and clip.split != "train":
            splits[clip.source.pixels] = (*splits.get(clip.source.pixels, ()), clip.split)
    return splits


def read_labels(path: pathlib.Path) -> list[Row]:
    """Reads `fer2013new.csv`.

    Raises:
      SourceError: it cannot be read, lacks a column, or a row has an unknown usage.
    """
    cells = fer2013_images.read_cells(path, ["usage", "image name", *VOTES])
    rows = [
        Row(index, usage, name.lower(), tuple(votes))
        for index, (usage, name, *votes) in enumerate(cells)
    ]
    if not rows:
        raise SourceError(f"{path} holds no votes: take it from github.com/microsoft/FERPlus")
    for row in rows:
        if row.usage not in _SPLITS:
            raise SourceError(
                f"{path}: the usage of row {row.index} is {row.usage!r}, not {', '.join(_SPLITS)}"
            )
    return rows


def _owners(rows: list[Row]) -> dict[str, int]:
    """Which row a name belongs to: name -> row number.

    Four rows bear the name of another. Names never run ahead of their rows, and fall up to 85
    behind, so a name belongs to the first row from its number on (bilinear CNN specification,
    section 2.1).
    """

    def distance(row: Row) -> tuple[bool, int]:
        match = fer2013_images.NAME.fullmatch(row.name)
        index = int(match[1]) if match else row.index
        return index > row.index, row.index - index

    owners: dict[str, Row] = {}
    for row in rows:
        if row.name:
            owners[row.name] = min(owners.get(row.name, row), row, key=distance)
    return {name: row.index for name, row in owners.items()}


def _images(base, source, rows: list[Row], owners: dict[str, int]) -> list[bytes | ClipError]:
    """Gives the pixels of each row, or why they cannot be used.

    Raises:
      SourceError: there are no images, or they are those of other rows.
    """
    if table := fer2013_images.find_table(base):
        return _of_table(table, rows)
    named, damaged = fer2013_images.read_named(base)
    unread = f"; cannot be read: {', '.join(damaged)}" if damaged else ""
    if not named:
        text = (
            f"no images ({fer2013_images.TABLE}, fer0000000.png, or a .zip with such names){unread}"
        )
        raise folder_tree.layout_error("FER+", source, text, _LAYOUT)
    unclear, where = _unclear(rows), f"{base}{unread}"
    return [_of_name(row, named, owners, unclear, where) for row in rows]


def _unclear(rows: list[Row]) -> set[str]:
    """Finds the names of which it matters whose picture their file shows."""
    told = collections.defaultdict(set)
    for row in rows:
        told[row.name].add((row.usage, row.votes))
    return {name for name, several in told.items() if name and len(several) > 1}


def _of_table(path: pathlib.Path, rows: list[Row]) -> list[bytes | ClipError]:
    table = fer2013_images.read_table(path)
    if len(table) != len(rows):
        raise SourceError(
            f"{path} has {len(table):,} rows, {_LABELS} {len(rows):,}: they are joined row by row, "
            "so take both whole (35,887 rows)"
        )
    for row, (usage, _) in zip(rows, table, strict=True):
        if usage != row.usage:
            raise SourceError(
                f"row {row.index} of {path} is for {usage!r}, that of {_LABELS} for "
                f"{row.usage!r}: they are joined row by row, so take both in their official order"
            )
    return [pixels for _, pixels in table]


def _of_name(row: Row, named: dict, owners: dict, unclear: set, where: str) -> bytes | ClipError:
    if row.name in unclear:  # the file shows one of them; only fer2013.csv has all
        text = f"several rows with different votes bear the name {row.name}, and it has one picture"
        return ClipError("name of several rows", text)
    owner = owners.get(row.name)
    if owner != row.index:
        text = f"row {row.index} bears the name of row {owner}, {row.name}"
        return ClipError("name of another row", text)
    missing = ClipError("no image", f"there is no {row.name} in {where}")
    return named.get(row.name, missing)


def _clip(row: Row, owners: dict[str, int], image: bytes | ClipError) -> Clip:
    clip_id = row.name.removesuffix(".png") or f"row{row.index:05d}"
    if owners.get(row.name, row.index) != row.index:
        clip_id += f"_row{row.index:05d}"
    split, label = _SPLITS[row.usage], ""
    try:
        votes = _votes(row)
        label = VOTES[votes.index(max(votes))]
        if isinstance(image, ClipError):
            raise image
    except ClipError as problem:
        return Clip(clip_id, clip_id, label, None, split, problem=problem)
    return Clip(clip_id, clip_id, label, fer2013_images.Still(image), split, votes=votes)


def _votes(row: Row) -> tuple[float, ...]:
    """Reads how many people saw each of the eight emotions.

    Raises:
      ClipError: FER+ leaves the image out, or the votes are no counts, too many, or all 0.
    """
    where = f"row {row.index} of {_LABELS}"
    if not row.name:
        raise ClipError("no image name", f"{where}: FER+ leaves it out")
    votes = tuple(float(vote) if _COUNT.fullmatch(vote) else math.nan for vote in row.votes)
    if not sum(votes) <= _MOST:  # NaN neither
        what = f"no counts of {_MOST} people at most: {', '.join(row.votes)[:80]}"
        raise ClipError("impossible votes", f"{where}: {what}")
    if not any(votes):
        raise ClipError("no votes", f"{where}: nobody saw one of the eight emotions")
    return votes
