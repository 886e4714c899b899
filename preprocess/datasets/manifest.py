"""Your own data: --source names a CSV with the columns path, subject, label.

A path is relative to the CSV and names a video, a folder of frames, a still image or an OpenFace
CSV. Optional columns: split (train, validation or test; val and dev mean validation), fps (for
folders of frames), width and height (of the video behind an OpenFace CSV).
A value that contains a comma needs quotes.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterator

from preprocess.clip import Clip, ClipError, SourceError

REQUIRED = ("path", "subject", "label")
OPTIONAL = ("split", "fps", "width", "height")
_SPLITS = {name: name for name in ("train", "validation", "test")}
_SPLITS |= {"": "train", "val": "validation", "dev": "validation"}
_REST = "cells without a column"


def clips(source, options) -> Iterator[Clip]:
    """Lists the rows of the manifest; a row that cannot be used is listed with its problem."""
    if source is None:
        raise SourceError("--source is missing: name a CSV with the columns path, subject, label")
    source = pathlib.Path(source)
    seen: set[pathlib.Path] = set()
    for line, row in _rows(source):
        try:
            yield _clip(source.parent, line, row, seen)
        except ClipError as problem:
            path, subject, label = (row[name] for name in REQUIRED)
            yield Clip(f"line {line}: {path}", subject, label, None, problem=problem)


def _rows(source: pathlib.Path) -> Iterator[tuple[int, dict[str, str]]]:
    if not source.is_file():
        raise SourceError(f"manifest {source} does not exist: --source names a CSV file")
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, restkey=_REST)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in REQUIRED if name not in reader.fieldnames]
            if missing:
                raise SourceError(
                    f"{source} has no column {' and no column '.join(missing)} (found: "
                    f"{', '.join(reader.fieldnames) or 'nothing'}): its first line must name at "
                    "least path,subject,label"
                )
            for row in reader:
                cells = {name: (row[name] or "").strip() for name in reader.fieldnames}
                rest = "".join(row.get(_REST, ())).strip()
                yield reader.line_num, {**dict.fromkeys(OPTIONAL, ""), **cells, _REST: rest}
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{source} is no CSV in UTF-8 ({error}): save it as such") from error


def _clip(folder: pathlib.Path, line: int, row: dict[str, str], seen: set) -> Clip:
    if row[_REST]:  # every cell after an unquoted comma has slipped into the wrong column
        raise ClipError("too many cells", f"line {line}: quote values that contain commas")
    for name in REQUIRED:
        if not row[name]:
            raise ClipError(f"empty {name}", f"line {line} of the manifest")
    path = folder / row["path"]
    if path.resolve() in seen:
        raise ClipError("duplicate path", f"line {line}: {row['path']} was listed before")
    seen.add(path.resolve())
    if not path.exists():
        raise ClipError("missing file", f"line {line}: {path} does not exist")
    split = _SPLITS.get(row["split"].lower())
    if split is None:
        raise ClipError(
            "unknown split",
            f"line {line}: {row['split']!r} is not one of {', '.join(filter(None, _SPLITS))}",
        )
    size = round(_number(row, "width", line)), round(_number(row, "height", line))
    fps = _number(row, "fps", line)
    label = " ".join(row["label"].split())  # class names are stored one a line
    return Clip(row["path"], row["subject"], label, path, split, fps, size)


def _number(row: dict[str, str], column: str, line: int) -> float:
    try:
        value = float(row[column] or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100_000:
        raise ClipError(f"impossible {column}", f"line {line}: {row[column]!r} is no such number")
    return value
