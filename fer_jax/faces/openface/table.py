"""The table of an OpenFace CSV: its separator, its columns, and rows that are whole."""

from __future__ import annotations

import csv
import itertools
import operator
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fer_jax.faces.sequence import ClipError

POINTS = tuple(f"{axis}_{point}" for axis in "xy" for point in range(68))
_OTHERS = ("frame", "face_id", "timestamp", "confidence", "success")
_SEPARATORS = (",", ";", "\t", "|", " ")
_EXPORT = "export it with OpenFace's FeatureExtraction -2Dfp"
_BATCH = 2000  # rows whose text is held at a time
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_CLOCK = re.compile(r"(?:\S+[T ])?(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)Z?")  # h:mm:ss.s
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+")


class Table(NamedTuple):
    """The columns that are used.

    Attributes:
      columns: name -> `[N]` float64, NaN where a cell holds no number; only columns with a number.
      points: `[N, 136]` float64, all x, then all y; pixels.
      notes: what was noticed while reading.
    """

    columns: dict[str, np.ndarray]
    points: np.ndarray
    notes: list[str]


def read_table(path: pathlib.Path) -> Table:
    """Reads the columns of a CSV whose cells are separated by commas, semicolons, tabs or bars.

    Blanks, quotes and capitals in column names do not matter. Decimal commas are read where cells
    are separated by something else. Rows with too few cells, as a killed program leaves, are noted.

    Raises:
      ClipError: the file cannot be read, lacks a landmark column, has no rows, or has a row with
        more cells than columns.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ClipError("unreadable", f"{path} is no regular file")
        with path.open("rb") as file:
            _check_start(path, file.read(4))
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parsed(path, file)
    except FileNotFoundError as error:
        raise ClipError("missing file", f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise ClipError("unreadable", f"{path} is not a CSV file in UTF-8: save it so") from error
    except (OSError, ValueError, csv.Error) as error:  # a name with NUL, bytes that are no UTF-8
        raise ClipError("unreadable", f"{path} is not a CSV file ({error})") from error


def _check_start(path: pathlib.Path, start: bytes) -> None:
    if not start:
        raise ClipError("unreadable", f"{path} is empty")
    if start[:2] in (b"\x1f\x8b", b"PK"):
        raise ClipError("unreadable", f"{path} is packed, or of a spreadsheet: save it as CSV")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(start) == 4 and b"\0" in start):
        raise ClipError("unreadable", f"{path} is not in UTF-8 but in UTF-16: save it as UTF-8")


def _parsed(path: pathlib.Path, file) -> Table:
    line, first = 1, file.readline()
    # blank lines, comments, and a line that Excel writes
    while first and (not first.strip() or first.lower().startswith(("#", "sep="))):
        line, first = line + 1, file.readline()
    separator = max(_SEPARATORS, key=lambda each: len(_named(first, each).keys() & {*POINTS}))
    names = next(_cells([first], separator), [])
    place = _named(first, separator)
    _check_columns(path, place, names)
    kept = [name for name in _OTHERS if name in place]
    wanted = [place[name] for name in (*kept, *POINTS)]
    batches, torn = [], []
    rows = _whole_rows(path, _cells(file, separator), names, max(wanted) + 1, torn, line)
    while batch := list(itertools.islice(map(operator.itemgetter(*wanted), rows), _BATCH)):
        batches.append(_numbers(batch))
    if not batches:
        what = f"{len(torn)} rows with too few cells" if torn else "no rows"
        raise ClipError("no frames", f"{path} has a header and {what}")
    values = np.concatenate(batches)
    columns = {name: values[:, index] for index, name in enumerate(kept)}
    blank = [name for name in kept if not np.isfinite(columns[name]).any()]
    notes = [f"column {name} holds no numbers and is ignored" for name in blank]
    if torn:
        notes.append(f"rows with too few cells left out: {len(torn)} (the first: line {torn[0]})")
    columns = {name: column for name, column in columns.items() if name not in blank}
    return Table(columns, values[:, len(kept) :], notes)


def _cells(lines, separator: str) -> Iterator[list[str]]:
    if separator == " ":
        return (line.split() for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def _named(header: str, separator: str) -> dict[str, int]:
    """Position of every column; one that differs in capitals only counts where none is exact."""
    names = [name.strip() for name in next(_cells([header], separator), [])]
    place = {name: position for position, name in enumerate(names)}
    if len(place) < len(names):
        for name in {*POINTS, *_OTHERS}:
            if names.count(name) > 1:
                raise ClipError(
                    "column twice", f"its header names {name} {names.count(name)} times"
                )
    if "Z_0" in names:  # X_0 is then a point in space, millimetres
        return place
    return {name.lower(): position for name, position in place.items()} | place


def _check_columns(path: pathlib.Path, place: dict[str, int], names: list[str]) -> None:
    missing = [name for name in POINTS if name not in place]
    if not missing and not {"x_68", "y_68"} & place.keys():
        return
    if not missing:
        raise ClipError(
            "other landmarks",
            f"{path} has more than 68 points, so not those of OpenFace: {_EXPORT}",
        )
    shown = ", ".join(name.strip() for name in names[:4])[:60]
    raise ClipError(
        "no landmark columns",
        f"{path} has no column {missing[0]} ({len(missing)} of 136 landmark columns are missing; "
        f"it begins with {shown!r}): {_EXPORT}, cells separated by commas, semicolons or tabs",
    )


def _whole_rows(path, rows, names: list[str], needed: int, torn: list[int], header: int):
    """Yields rows with all cells below the header; lists the lines of others in `torn`."""
    first, width = names[0].strip().lower(), len(names)
    for line, cells in enumerate(rows, header + 1):
        text = "".join(cells).strip()
        if not text or cells[0].strip().lower() == first:  # the header of a file appended to it
            continue
        if len(cells) >= needed:
            if len(cells) > width and "".join(cells[width:]).strip():
                raise ClipError(
                    "too many cells",
                    f"{path}, line {line}: {len(cells)} cells, the header has {width}: save "
                    "numbers with decimal points, or separate the cells by semicolons",
                )
            yield cells
        else:
            torn.append(line)


def _numbers(rows: list[tuple[str, ...]]) -> np.ndarray:
    """Numbers of the cells, `[N, C]` float64; NaN where there is none."""
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError:
        _refuse_thousands([cell.strip() for row in rows for cell in row[-len(POINTS) :]])
        return np.array([[_number(cell) for cell in row] for row in rows])


def _refuse_thousands(cells: list[str]) -> None:
    """Refuses landmarks in which a comma need not be a decimal one, as in 1,234 and 1.234,5."""
    commas = [cell for cell in cells if "," in cell]
    both = [cell for cell in commas if "." in cell or cell.count(",") > 1]
    if not both and len(commas) < len(cells) and all(map(_THOUSANDS.fullmatch, commas)):
        both = commas
    if both:
        raise ClipError(
            "thousands separators",
            f"numbers such as {both[0]!r} may be split into thousands: save them without it",
        )


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        if clock := _CLOCK.fullmatch(cell.strip()):
            hours, minutes, seconds = clock.groups()
            return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
        return _WORDS.get(cell.strip().lower(), np.nan)
