"""Your own data: --source names a CSV with the columns path, subject, label.

A path is relative to the CSV and names a video, a folder of frames, a still image or an OpenFace
CSV. Optional columns: split (train, validation, test), fps (for folders of frames), width and
height (of the video behind an OpenFace CSV).
"""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Iterator

from preprocess.clip import Clip, ClipError, SourceError

REQUIRED = ("path", "subject", "label")
OPTIONAL = ("split", "fps", "width", "height")
_SPLIT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


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
            reader = csv.DictReader(file, skipinitialspace=True)
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
                yield reader.line_num, {**dict.fromkeys(OPTIONAL, ""), **cells}
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{source} is no CSV in UTF-8 ({error}): save it as such") from error


def _clip(folder: pathlib.Path, line: int, row: dict[str, str], seen: set) -> Clip:
    for name in REQUIRED:
        if not row[name]:
            raise ClipError(f"empty {name}", f"line {line} of the manifest")
    path = folder / row["path"]
    if path.resolve() in seen:
        raise ClipError("duplicate path", f"line {line}: {row['path']} was listed before")
    seen.add(path.resolve())
    if not path.exists():
        raise ClipError("missing file", f"line {line}: {path} does not exist")
    split = row["split"] or "train"
    if not _SPLIT.fullmatch(split) or split == "all":
        raise ClipError(
            "impossible split", f"line {line}: a split is letters and digits, not {split!r}"
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
