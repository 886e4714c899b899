"""Codes of a clip's action units: a CSV with one row per frame and one column per action unit,
or a folder with one file per action unit, as in DISFA.
"""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Series

import numpy as np

from fer_jax.faces.labels import PRESENT_INTENSITY
from fer_jax.faces.sequence import ClipError
from fer_jax.storage import open_text

from . import folder_tree
from .clip import Codes

_UNIT = re.compile(r"(?:AU)?0*([1-9]\d?)(?:_c)?", re.IGNORECASE)  # _c: OpenFace's presence
_UNKNOWN = 9.0
_STRONGEST = 5  # intensity E
_LAST = np.iinfo(np.int32).max  # largest frame number
_FORM = "its first line must name columns like frame,AU01,AU02"


def coded_units(path: pathlib.Path) -> tuple[str, ...]:
    """Returns the action units that a CSV codes: names like AU01, in the order of its columns.

    Raises:
      ClipError: the file cannot be read, or its first line names no action unit or one twice.
    """
    return tuple(_columns(path, _lines(path))[1])


def read_codes(codes: Codes) -> dict[int, np.ndarray]:
    """Reads the codes of all frames.

    A CSV has the frame number in the column `frame`, or else in the first column. The column of an
    action unit is named `AU01`, `AU1`, `1` or, for OpenFace's presence, `AU01_c`; other columns,
    such as OpenFace's intensity `AU01_r` (0 to 5), are ignored. Values are 0 to 1; 9, nan, an empty
    cell and a missing column mean unknown.

    A folder `SN001` has one file per action unit, named like `SN001_au1.txt`. Its lines are frame
    and intensity, 0 to 5, and count from 1: line 1 is the frame at position 0 of the video.

    Returns:
      frame number -> `[A]` float32 in the order of `codes.units`, NaN where unknown. A folder gives
      as many frames as its shortest file has, with intensities scaled to 0 to 1.

    Raises:
      ClipError: the file cannot be read or has no rows, a row is incomplete or repeats a frame, or
        a value is impossible.
    """
    if codes.path is None:
        return {}
    if (
        codes.path.is_dir() and codes.path.suffix.lower() != ".csv"
    ):  # a folder named .csv is an error
        columns = [_intensities(_file_of(codes.path, unit)) for unit in codes.units]
        return dict(enumerate(np.array(list(zip(*columns, strict=False)), np.float32)))
    lines = _lines(codes.path)
    frame, columns, width = _columns(codes.path, lines)
    coded = [(unit, columns[name]) for unit, name in enumerate(codes.units) if name in columns]
    rows: dict[int, np.ndarray] = {}
    for line, cells in lines:
        where = f"{codes.path}, line {line}"
        if len(cells) < width or any(map(str.strip, cells[width:])):
            raise ClipError(
                "torn codes", f"{where}: {len(cells)} cells, the first line has {width}"
            )
        number = _frame_number(cells[frame], where)
        if number in rows:
            raise ClipError("frame coded twice", f"{where}: frame {number} was coded before")
        rows[number] = np.full(len(codes.units), np.nan, np.float32)
        for unit, column in coded:
            rows[number][unit] = _value(cells[column], codes.units[unit], where)
    if not rows:
        raise ClipError("no codes", f"{codes.path} has a header and no rows")
    return rows


def unequal_lengths(codes: Codes) -> str:
    """Notes that the files of a folder differ in length.

    Args:
      codes: a folder that `read_codes` can read.

    Returns:
      A note with the shortest and the longest file, empty if all are equally long.

    Raises:
      ClipError: a file is missing or cannot be read.
    """
    paths = [_file_of(codes.path, unit) for unit in codes.units]
    frames = {path.name: sum(1 for _ in _lines(path)) for path in paths}
    shortest, longest = min(frames, key=frames.get), max(frames, key=frames.get)
    if frames[shortest] == frames[longest]:
        return ""
    return (
        f"{shortest} codes {frames[shortest]} frames, {longest} {frames[longest]}: frames beyond "
        f"the shortest are left out"
    )


def units_at(rows: dict[int, np.ndarray], numbers: Iterable[int], codes: Codes) -> np.ndarray:
    """Returns the codes of a clip's frames.

    Args:
      rows: codes by frame number, see `read_codes`.
      numbers: frame numbers of the T frames, `Sequence.frame_index`.
      codes: where the rows were read.

    Returns:
      `[T, A]` float32, NaN for frames without codes.

    Raises:
      ClipError: there are codes, but none for these frames.
    """
    numbers = [int(number) for number in numbers]
    if rows and not rows.keys() & set(numbers):
        raise ClipError(
            "codes of other frames",
            f"{codes.path} codes frames {min(rows)} to {max(rows)}, the clip has "
            f"{min(numbers)} to {max(numbers)}",
        )
    unknown = np.full(len(codes.units), np.nan, np.float32)
    return np.stack([rows.get(number, unknown) for number in numbers])


def left_over(rows: dict[int, np.ndarray], numbers: Iterable[int]) -> str:
    """Notes coded frames that a clip lacks, for example if one counts from 1, the other from 0.

    Args:
      rows: codes by frame number, see `read_codes`.
      numbers: frame numbers of the clip, `Sequence.frame_index`.

    Returns:
      A note, empty if there are none.
    """
    gone = sorted(rows.keys() - {int(number) for number in numbers})
    return f"coded frames that the clip lacks: {len(gone)} (the first: {gone[0]})" if gone else ""


def base_rates(units: Series[str], tables: Iterable[np.ndarray]) -> list[str]:
    """Notes how often each action unit is present among the frames in which it is known.

    Args:
      units: names of the A action units.
      tables: `[T, A]` codes of each clip; a unit is present from `labels.PRESENT_INTENSITY` on.

    Returns:
      One note, or none without codes.
    """
    known, present = np.zeros(len(units), int), np.zeros(len(units), int)
    for table in tables:
        known += np.isfinite(table).sum(0)
        present += (table >= PRESENT_INTENSITY).sum(0)  # False for NaN
    if not known.any():
        return []
    shares = [
        f"{name} {there / of:.3f}" if of else f"{name} never known"
        for name, there, of in zip(units, present, known, strict=True)
    ]
    return [f"share of frames with an action unit among those coded for it: {', '.join(shares)}"]


def _file_of(folder: pathlib.Path, unit: str) -> pathlib.Path:
    """Finds the file of one action unit, whose name begins with that of its folder."""
    name = f"{folder.name}_au{int(unit.removeprefix('AU'))}.txt"
    try:
        files = [path for path in folder_tree.entries(folder) if path.name.lower() == name.lower()]
    except OSError as error:
        raise ClipError("unreadable codes", f"{folder}: {error.strerror}") from error
    if not files:
        raise ClipError("no codes", f"{folder} has no file of {unit} ({name})")
    return files[0]


def _intensities(path: pathlib.Path) -> list[float]:
    """Reads the file of one action unit: the intensity of every frame, 0 to 1."""
    values: list[float] = []
    for line, cells in _lines(path):
        where = f"{path}, line {line}"
        if len(cells) != 2:
            raise ClipError("torn codes", f"{where}: {len(cells)} cells, not frame and intensity")
        number = _frame_number(cells[0], where)
        if number != len(values) + 1:
            detail = f"{where}: frame {number}, expected {len(values) + 1}"
            raise ClipError("impossible frame number", detail)
        text = cells[1].strip()
        if text not in map(str, range(_STRONGEST + 1)):
            raise ClipError("impossible code", f"{where}: intensity {text[:20]!r}, not 0 to 5")
        values.append(int(text) / _STRONGEST)
    if not values:
        raise ClipError("no codes", f"{path} is empty")
    return values


def _lines(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Yields line numbers and cells; skips blank lines."""
    try:
        with open_text(path) as file:
            reader = csv.reader(file)
            for cells in reader:
                if "".join(cells).strip():
                    yield reader.line_num, cells
    except OSError as error:
        raise ClipError("unreadable codes", f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClipError("unreadable codes", f"{path} is not a CSV in UTF-8 ({error})") from error


def _columns(path: pathlib.Path, lines: Iterator) -> tuple[int, dict[str, int], int]:
    """Parses the first line: column of the frame number, columns of action units, width."""
    names = [cell.strip() for cell in next(lines, (0, []))[1]]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ClipError("no codes", f"{path} is empty")
    lower = [name.lower() for name in names]
    frame = lower.index("frame") if "frame" in lower else 0
    if lower[frame].startswith("au"):
        raise ClipError("no frame numbers", f"{path} begins with {names[0]}: {_FORM}")
    columns: dict[str, int] = {}
    for column, name in enumerate(names):
        match = _UNIT.fullmatch(name)
        if not match or column == frame:
            continue
        unit = f"AU{int(match[1]):02d}"
        if unit in columns:  # as in a file without a header
            raise ClipError("action unit twice", f"{path} names {unit} twice: {_FORM}")
        columns[unit] = column
    if not columns:
        shown = ", ".join(names[:6])[:60]
        raise ClipError("no action units", f"{path} names none ({shown}): {_FORM}")
    return frame, columns, len(names)


def _frame_number(text: str, where: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _LAST or number != int(number):
        raise ClipError("impossible frame number", f"{where}: {text[:20]!r} is no frame number")
    return int(number)


def _value(text: str, unit: str, where: str) -> float:
    try:
        value = float(text.strip() or "nan")
    except ValueError:
        value = -1.0
    if value == _UNKNOWN or np.isnan(value):
        return np.nan
    if not 0 <= value <= 1:
        raise ClipError("impossible code", f"{where}: {unit} is {text[:20]!r}, not 0 to 1 or 9")
    return value
