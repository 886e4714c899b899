"""GEMEP-FERA 2011, emotion sub-challenge: 155 training portrayals by 7 actors.

--source names the folder that holds the unpacked downloads and a table of your own:

  training/RECORDING/*.jpg or training/RECORDING.avi   (split train)
  test/RECORDING/*.jpg or test/RECORDING.avi           (split test)
  subjects.csv                                         (first line: recording,subject,emotion;
                                                        separated by commas or semicolons)

File names do not reliably identify the actors, so list them in the table. An emotion left empty
there is taken from the second part of the recording's name between hyphens (..-anger-..), or else
from its images' names. Without a table, the first part is taken as the actor. Test recordings are
read if the table has their emotion.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterator

from fer_jax.faces.labels import FERA_CLASSES
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import IMAGE_SUFFIXES
from fer_jax.storage import open_text

from .. import folder_tree
from ..clip import Clip, SourceError

CLASSES = FERA_CLASSES
_COUNTS = dict(zip(CLASSES, (32, 31, 30, 31, 31), strict=True))
_ACTORS = 7
_TRAINING, _TEST = "training|train", "testing|test"
_INNER = {"training", "train", "testing", "test"}
_VIDEOS = {".avi", ".mp4", ".mov", ".mkv", ".mpg"}
_FRAME = r".*?(\d{1,9})"
_TABLE = "subjects.csv"
_LAYOUT = f"""Expected, unpacked from what the organisers of FERA 2011 hand out for emotions:
  training/RECORDING/*.jpg or training/RECORDING.avi
  {_TABLE}, a table of your own in or above training, first line recording,subject,emotion
  ({", ".join(CLASSES)}); without it, names like ACTOR-anger-1 of recordings or their images"""
IMAGES = 7_000  # as the 3D Inception-ResNet paper counts them, section 4.1


def clips(source, options) -> Iterator[Clip]:
    """Lists the recordings; one with unknown actor or emotion is listed with its problem."""
    training = _training(source)
    table = _table([training, training.parent, pathlib.Path(source)])
    rows = dict(table or {})
    test = folder_tree.folders(training.parent, _TEST)
    for folder in (training, *test):
        for name, path in _recordings(folder).items():
            clip_id = f"{folder.name}/{name}"
            keys = (_key(clip_id), _key(name))  # a bare name is that of a training recording
            row = rows.pop(next((key for key in keys if key in rows), ""), None)
            if folder != training and not (row and row["emotion"]):
                continue
            split = "train" if folder == training else "test"
            yield _clip(clip_id, path, split, row, listed=table is not None)
    for row in rows.values():
        name = row["recording"]
        problem = ClipError("not in the tree", f"{_TABLE} lists {name}, which does not exist")
        yield Clip(name, row["subject"], row["emotion"], None, problem=problem)


def notes(kept: list[Clip]) -> list[str]:
    """Notes where recordings or actors differ from the release."""
    actors = {clip.subject for clip in kept if clip.split == "train"}
    other = (
        f"{len(actors)} actors in train instead of the release's {_ACTORS}: subject folds are "
        f"meaningless unless {_TABLE} names the actors"
    )
    whole = "155 training recordings"
    official = folder_tree.official_note(kept, {"train": _COUNTS}, whole)
    size = sum(clip.split == "train" for clip in kept)
    paper = f"{size} recordings of {len(actors)} people (3D Inception-ResNet paper: 87 of 7)"
    return [*official, *([other] if len(actors) != _ACTORS else []), paper]


def _training(source) -> pathlib.Path:
    """Finds the folder of training recordings."""
    wanted = {"training recordings": (_holds_recordings, "folders of images, or videos")}
    return folder_tree.parts(source, _INNER, "GEMEP-FERA", _LAYOUT, wanted)[0]


def _holds_recordings(folder: pathlib.Path) -> bool:
    if folder.name.casefold() not in _TRAINING.split("|"):
        return False
    return any(path.is_file() or _images(path) for path in _recordings(folder).values())


def _recordings(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Lists videos and folders by name; a video takes precedence over a folder of its name."""
    found = {path.name: path for path in folder_tree.folders(folder)}
    videos = [path for path in folder_tree.entries(folder) if path.suffix.lower() in _VIDEOS]
    found |= {path.stem: path for path in videos if path.is_file()}
    return dict(sorted(found.items()))


def _images(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in folder_tree.entries(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def _table(folders: list[pathlib.Path]) -> dict[str, dict[str, str]] | None:
    """Reads the table: key of a recording, see `_key`, -> row; None if there is no table.

    Raises:
      SourceError: it cannot be read or lacks a column.
    """
    path = _table_file(folders)
    if path is None:
        return None
    rows: dict[str, dict[str, str]] = {}
    try:
        with open_text(path) as file:
            head = file.readline()
            file.seek(0)
            cut = (
                ";" if ";" in head and "," not in head else ","
            )  # some spreadsheets write semicolons
            reader = csv.DictReader(file, delimiter=cut, skipinitialspace=True, restval="")
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            if missing := {"recording", "subject"} - {*reader.fieldnames}:
                raise SourceError(
                    f"{path} has no column {' and no column '.join(sorted(missing))}: its first "
                    f"line must be recording,subject,emotion, separated by commas or semicolons"
                )
            for cells in reader:
                row = {name: (cells.get(name) or "").strip() for name in ("subject", "emotion")}
                row["recording"] = (cells["recording"] or "").strip()
                row["twice"] = _key(row["recording"]) in rows
                rows[_key(row["recording"])] = row
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} is not a CSV in UTF-8 ({error}): save it as such") from error
    rows.pop("", None)
    return rows


def _table_file(folders: list[pathlib.Path]) -> pathlib.Path | None:
    """Finds the table, whatever the case of its name, in the first folder that has it."""
    for folder in folders:
        try:
            named = [path for path in folder_tree.entries(folder) if path.name.casefold() == _TABLE]
        except OSError as error:
            raise SourceError(f"{folder} cannot be read: {error.strerror}") from error
        if len(named) > 1:
            raise SourceError(
                f"{folder} has two tables, {named[0].name} and {named[1].name}: keep one"
            )
        if named:
            return named[0]
    return None


def _key(name: str) -> str:
    """Returns the key of a recording: lower case, no suffix, forward slashes."""
    path = pathlib.PurePosixPath(name.replace("\\", "/").casefold())
    return str(path.with_suffix("") if path.suffix in _VIDEOS else path) if name else ""


def _clip(clip_id: str, path: pathlib.Path, split: str, row: dict | None, listed: bool) -> Clip:
    """Makes the clip of a recording from its row of the table or its name."""
    row = row or {}
    subject, emotion = row.get("subject", ""), row.get("emotion", "").lower()
    try:
        if row.get("twice"):
            raise ClipError("listed twice", f"{_TABLE} has two rows of {clip_id}")
        if listed and not subject:
            what = "no subject for" if row else "no row of"
            raise ClipError("unknown subject", f"{_TABLE} has {what} {clip_id}")
        source = path if path.is_file() else folder_tree.frames(path, _FRAME, "0001.jpg")
        first, second = _named(path)
        subject, emotion = subject or first, emotion or second
        if emotion not in CLASSES:
            where = _TABLE if row.get("emotion") else "second part of the name between hyphens"
            detail = f"{clip_id}: {emotion!r} ({where}) is none of {', '.join(CLASSES)}"
            raise ClipError("unknown emotion", detail)
        if not subject:
            raise ClipError("unknown subject", f"{clip_id}: nothing before the first hyphen")
    except ClipError as problem:
        label = emotion if emotion in CLASSES else ""
        return Clip(clip_id, subject, label, None, split, problem=problem)
    return Clip(clip_id, subject, emotion, source, split)


def _named(path: pathlib.Path) -> tuple[str, str]:
    """Returns actor and emotion from the name of a recording, or else of its first image."""
    names = [path.stem] if path.is_file() else [path.name, *(p.stem for p in _images(path)[:1])]
    parts = [[*name.split("-"), ""][:2] for name in names]
    first, second = next((p for p in parts if p[1].lower() in CLASSES), parts[0])
    return first, second.lower()
