"""FER-2013 with the votes of FER+: 35,711 gray stills of faces, each rated by ten people.

--source names a folder that holds, directly or in subfolders, the votes

  fer2013new.csv              (github.com/microsoft/FERPlus)

and the images, in a table, or else in files, or else in archives:

  fer2013.csv                 (from the Kaggle challenge; joined row by row)
  FER2013Train/fer0000000.png, FER2013Valid/..., FER2013Test/...   (joined by name)
  any .zip that holds such images

Training, PublicTest and PrivateTest become the splits train, validation and test. The images are
already faces of 48 pixels a side and become the crops unchanged (another --crops resizes them),
without landmarks. The class is the emotion with most votes. All ten columns of votes are stored,
too, also "unknown" and "NF" (not a face): --config.data.vote_rule chooses the class by them.
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
OTHER_VOTES = ("unknown", "NF")  # NF: not a face
LABEL_FROM_VOTES = True
FRAMING = FER2013
CONFIG = "bilinear_ferplus:small"
_LABELS = "fer2013new.csv"
_SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_OFFICIAL = {"train": 28_559, "validation": 3_579, "test": 3_573}  # with a name and a vote
_COUNT = re.compile(r"[0-9]{1,3}(\.0*)?")  # spreadsheets may add a point
_MOST = 100  # votes in a row; FER+ asked ten people
_INNER = {"fer2013train", "fer2013valid", "fer2013test"}
_LAYOUT = f"""Expected, in the folder or in its subfolders:
  {_LABELS} (github.com/microsoft/FERPlus) and
  {fer2013_images.TABLE} (Kaggle, Challenges in Representation Learning: unpacked), or
  FER2013Train/fer0000000.png, FER2013Valid/, FER2013Test/, or a .zip that holds them"""


class Row(NamedTuple):
    """A row of the file of votes.

    Attributes:
      index: counted from 0, as in fer2013.csv.
      usage: Training, PublicTest or PrivateTest.
      name: file name of the image, lower case; empty if FER+ leaves it out.
      votes: as written, in the order of `VOTES`.
      other_votes: the same of `OTHER_VOTES`.
    """

    index: int
    usage: str
    name: str
    votes: tuple[str, ...]
    other_votes: tuple[str, ...] = ()


def add_options(parser) -> None:
    parser.set_defaults(crops=fer2013_images.SIDE)
    parser.add_argument(
        "--drop-duplicates",
        action="store_true",
        help="drop validation and test images that are also training images",
    )


def clips(source, options) -> Iterator[Clip]:
    """Lists every row; reads the images, because only pixels show duplicates."""
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
    for clip in listed:
        if clip.problem is None and clip.split == "train":
            again = copies.get(clip.source.pixels, ())
            clip = dataclasses.replace(clip, source=dataclasses.replace(clip.source, copies=again))
        elif clip.problem is None and options.drop_duplicates and clip.source.pixels in trained:
            problem = ClipError("duplicate image", "a training image has the same pixels")
            clip = dataclasses.replace(clip, problem=problem)
        yield clip


def notes(kept: list[Clip]) -> list[str]:
    """Notes what is unknown, how many images are duplicates, and how many are missing."""
    size = collections.Counter(clip.split for clip in kept)
    trained = _trained(kept)
    # training images list their copies, which may have been dropped
    copies = {c.source.pixels: c.source.copies for c in kept if c.split == "train"}
    twice = collections.Counter(split for splits in copies.values() for split in splits)
    left = collections.Counter(
        c.split for c in kept if c.split != "train" and c.source.pixels in trained
    )
    size += twice - left
    texts = [
        "FER-2013 does not identify people: each image counts as a subject of its own",
        "the class is the emotion with most votes, for orientation; the votes are stored, too",
        "no landmarks: only models of face crops can be trained on these images",
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
    """Returns the splits of usable validation and test images by their pixels."""
    splits: dict[bytes, tuple[str, ...]] = {}
    for clip in clips:
        if clip.problem is None and clip.split != "train":
            splits[clip.source.pixels] = (*splits.get(clip.source.pixels, ()), clip.split)
    return splits


def read_labels(path: pathlib.Path) -> list[Row]:
    """Reads `fer2013new.csv`.

    Raises:
      SourceError: it cannot be read, lacks a column, or has an unknown usage.
    """
    emotions, votes = len(VOTES), [*VOTES, *map(str.lower, OTHER_VOTES)]
    cells = fer2013_images.read_cells(path, ["usage", "image name", *votes])
    rows = [
        Row(index, usage, name.lower(), tuple(votes[:emotions]), tuple(votes[emotions:]))
        for index, (usage, name, *votes) in enumerate(cells)
    ]
    if not rows:
        raise SourceError(f"{path} contains no votes: get it from github.com/microsoft/FERPlus")
    for row in rows:
        if row.usage not in _SPLITS:
            raise SourceError(
                f"{path}: the usage of row {row.index} is {row.usage!r}, not {', '.join(_SPLITS)}"
            )
    return rows


def _owners(rows: list[Row]) -> dict[str, int]:
    """Returns the row that each name belongs to: name -> row index.

    Four rows have the name of another row. The number in a name is never above its row index, and
    at most 85 below it, so a name belongs to the first row from its number on (see
    docs/data/datasets.md).
    """

    def distance(row: Row) -> tuple[bool, int]:
        match = fer2013_images.NAME.fullmatch(row.name)
        number = int(match[1]) if match else row.index
        return number > row.index, row.index - number

    owners: dict[str, Row] = {}
    for row in rows:
        if row.name:
            owners[row.name] = min(owners.get(row.name, row), row, key=distance)
    return {name: row.index for name, row in owners.items()}


def _images(base, source, rows: list[Row], owners: dict[str, int]) -> list[bytes | ClipError]:
    """Returns the pixels of each row, or why they cannot be used.

    Raises:
      SourceError: there are no images, or they do not match the rows.
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
    """Returns the names that several rows with different usage or votes share."""
    meanings = collections.defaultdict(set)
    for row in rows:
        meanings[row.name].add((row.usage, row.votes))
    return {name for name, several in meanings.items() if name and len(several) > 1}


def _of_table(path: pathlib.Path, rows: list[Row]) -> list[bytes | ClipError]:
    table = fer2013_images.read_table(path)
    if len(table) != len(rows):
        raise SourceError(
            f"{path} has {len(table):,} rows, {_LABELS} {len(rows):,}: they are joined row by row, "
            "so both must be complete (35,887 rows)"
        )
    for row, (usage, _) in zip(rows, table, strict=True):
        if usage != row.usage:
            raise SourceError(
                f"row {row.index} of {path} is for {usage!r}, that of {_LABELS} for "
                f"{row.usage!r}: they are joined row by row, so both need their official order"
            )
    return [pixels for _, pixels in table]


def _of_name(row: Row, named: dict, owners: dict, unclear: set, where: str) -> bytes | ClipError:
    if row.name in unclear:  # the file shows only one of them; fer2013.csv has all
        text = (
            f"several rows with different votes have the name {row.name}, but there is one picture"
        )
        return ClipError("name of several rows", text)
    owner = owners.get(row.name)
    if owner != row.index:
        text = f"row {row.index} has the name of row {owner}, {row.name}"
        return ClipError("name of another row", text)
    missing = ClipError("no image", f"there is no {row.name} in {where}")
    return named.get(row.name, missing)


def _clip(row: Row, owners: dict[str, int], image: bytes | ClipError) -> Clip:
    clip_id = row.name.removesuffix(".png") or f"row{row.index:05d}"
    if owners.get(row.name, row.index) != row.index:
        clip_id += f"_row{row.index:05d}"
    split, label = _SPLITS[row.usage], ""
    try:
        votes, other = _votes(row)
        label = VOTES[votes.index(max(votes))]
        if isinstance(image, ClipError):
            raise image
    except ClipError as problem:
        return Clip(clip_id, clip_id, label, None, split, problem=problem)
    still = fer2013_images.Still(image)
    return Clip(clip_id, clip_id, label, still, split, votes=votes, other_votes=other)


def _votes(row: Row) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the votes for each of the eight emotions, and those for none of them.

    Raises:
      ClipError: FER+ leaves the image out, or the votes are not counts, too many, or all 0.
    """
    where = f"row {row.index} of {_LABELS}"
    if not row.name:
        raise ClipError("no image name", f"{where}: FER+ leaves it out")
    written = (*row.votes, *row.other_votes)
    counts = tuple(float(vote) if _COUNT.fullmatch(vote) else math.nan for vote in written)
    if not sum(counts) <= _MOST:  # also true for NaN
        what = f"not counts of at most {_MOST} people: {', '.join(written)[:80]}"
        raise ClipError("impossible votes", f"{where}: {what}")
    votes, other = counts[: len(VOTES)], counts[len(VOTES) :]
    if not any(votes):
        raise ClipError("no votes", f"{where}: no votes for the eight emotions")
    return votes, other
