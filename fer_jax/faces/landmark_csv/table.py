"""The table of a landmark CSV: its separator, its columns, and rows that are whole."""

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

from fer_jax.faces.landmark_csv.naming import TEXTS, Naming, naming_of
from fer_jax.faces.sequence import ClipError

POINTS = tuple(f"{axis}_{point}" for axis in "xy" for point in range(68))
_SEPARATORS = (",", ";", "\t", "|", " ")
_EXPORT = "export it with OpenFace's FeatureExtraction -2Dfp or py-feat's Detector"
_BATCH = 2000  # rows whose text is held at a time
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_CLOCK = re.compile(r"(?:\S+[T ])?(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)Z?")  # h:mm:ss.s
_PERSON = re.compile(r"(?:Person_)?(\d+)(?:\.0*)?", re.IGNORECASE)  # a face of py-feat
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+")


class Table(NamedTuple):
    """The columns that are used.

    Attributes:
      columns: what a column holds, see `Naming.columns` -> `[N]` float64, NaN where a cell holds no
        number; only columns with a number. Faces and files that have names are numbered.
      points: `[N, 136]` float64, all x, then all y; pixels.
      notes: what was noticed while reading.
      naming: of the program that wrote it.
    """

    columns: dict[str, np.ndarray]
    points: np.ndarray
    notes: list[str]
    naming: Naming


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
    naming = naming_of({name.lower() for name in place})
    held = {what: place[name] for what, name in naming.columns.items() if name in place}
    wanted = _wanted(names, [*held.values()], [place[name] for name in POINTS])
    torn: list[int] = []
    rows = _whole_rows(path, _cells(file, separator), names, wanted, torn, line)
    read = _columns_of(path, rows, names, wanted)
    if not read:
        what = f"{len(torn)} rows with too few cells" if torn else "no rows"
        raise ClipError("no frames", f"{path} has a header and {what}")
    blank = [what for what, at in held.items() if not np.isfinite(read[at]).any()]
    notes = [
        f"column {names[held[what]].strip()} holds no numbers and is ignored"
        for what in blank
        if held[what] not in wanted.texts  # which py-feat may leave empty
    ]
    if torn:
        notes.append(f"rows with too few cells left out: {len(torn)} (the first: line {torn[0]})")
    columns = {what: read[at] for what, at in held.items() if what not in blank}
    return Table(columns, np.stack([read[place[name]] for name in POINTS], axis=1), notes, naming)


class _Wanted(NamedTuple):
    """Positions of the columns to read.

    Attributes:
      numeric: of those with numbers; the landmarks are the last.
      texts: of those with names.
      twins: of columns that have the name of another -> that one. pandas writes its index, which is
        the number of the frame for py-feat, beside the column of that name.
      first: of the first landmark.
    """

    numeric: list[int]
    texts: list[int]
    twins: dict[int, int]
    first: int


def _wanted(names: list[str], others: list[int], points: list[int]) -> _Wanted:
    names = [name.strip() for name in names]
    named = {names[position]: position for position in (*others, *points)}
    twins = {
        position: named[name]
        for position, name in enumerate(names)
        if name in named and position != named[name]
    }
    used = [*others, *twins, *points]
    texts = [position for position in used if names[position].lower() in TEXTS]
    return _Wanted([at for at in used if at not in texts], texts, twins, points[0])


def _columns_of(path, rows, names: list[str], wanted: _Wanted) -> dict[int, np.ndarray]:
    """Reads columns by their position, `[N]` float64 each; none without rows.

    Raises:
      ClipError: columns of one name say different things.
    """
    numeric, texts = wanted.numeric, wanted.texts
    cells, batches = map(operator.itemgetter(*numeric, *texts), rows), []
    words: list[list[str]] = [[] for _ in texts]
    while batch := list(itertools.islice(cells, _BATCH)):
        for index, column in enumerate(words, len(numeric)):
            column += [row[index] for row in batch]
        batches.append(_numbers([row[: len(numeric)] for row in batch] if texts else batch))
    if not batches:
        return {}
    read = dict(zip(numeric, np.concatenate(batches).T, strict=True))
    read |= dict(zip(texts, map(_numbered, words), strict=True))
    for position, twin in wanted.twins.items():
        if not np.array_equal(read[position], read[twin], equal_nan=True):
            name = names[twin].strip()
            raise ClipError(
                "column twice",
                f"{path} has several columns {name} with different values: keep the right one",
            )
    return read


def _numbered(cells: list[str]) -> np.ndarray:
    """Numbers of names, NaN of empty cells: that in `Person_3`, else by the order of the cells."""
    cells = [cell.strip() for cell in cells]
    distinct = [cell for cell in dict.fromkeys(cells) if cell.lower() not in ("", "nan", "none")]
    matches = [_PERSON.fullmatch(cell) for cell in distinct]
    numbers = [int(match[1]) for match in matches] if all(matches) else range(len(distinct))
    number = dict(zip(distinct, numbers, strict=True))
    return np.array([number.get(cell, np.nan) for cell in cells], np.float64)


def _cells(lines, separator: str) -> Iterator[list[str]]:
    if separator == " ":
        return (line.split() for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def _named(header: str, separator: str) -> dict[str, int]:
    """Position of every column; one that differs in capitals only counts where none is exact."""
    names = [name.strip() for name in next(_cells([header], separator), [])]
    place = {name: position for position, name in enumerate(names)}
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
            f"{path} has more than 68 points, so not those of OpenFace or py-feat's Detector: "
            f"{_EXPORT}",
        )
    shown = ", ".join(name.strip() for name in names[:4])[:60]
    raise ClipError(
        "no landmark columns",
        f"{path} has no column {missing[0]} ({len(missing)} of 136 landmark columns are missing; "
        f"it begins with {shown!r}): {_EXPORT}, cells separated by commas, semicolons or tabs",
    )


def _whole_rows(path, rows, names, wanted: _Wanted, torn: list[int], header: int):
    """Yields rows with all cells that are used; lists the lines of others in `torn`.

    Left out are blank rows, and the header of a file that was appended to it.
    """
    needed, width = max(*wanted.numeric, *wanted.texts) + 1, len(names)
    first = wanted.first
    for line, cells in enumerate(rows, header + 1):
        if not "".join(cells).strip():
            continue
        if len(cells) > first and cells[first].strip().lower() == POINTS[0]:
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
