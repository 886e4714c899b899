"""The order of frame files, by all numbers in their names, and what the numbers tell."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from fer_jax.faces.media.clock import Clock, make_clock

_NUMBERS = re.compile(r"(\d+)")
# Seconds since 1970 with decimals, or milli-, micro- or nanoseconds: years 2001 to 2065.
_EPOCH = re.compile(
    r"(?P<before>(?:.*\D)?)(?P<seconds>[12]\d{9})(?:(?P<point>[._])(\d{1,9})|(\d{3}|\d{6}|\d{9}))\D*"
)
_DECIMAL = re.compile(r"(\D*)(\d+)\.(\d+)")
_LARGEST = np.iinfo(np.int32).max
_LONGEST_STEP = 60.0  # seconds between frames of one clip
_SHORTEST_STEP = 0.001  # seconds; shorter ones count frames


@dataclasses.dataclass(frozen=True)
class Numbering:
    """What the names of ordered frame files tell.

    Attributes:
      indices: a number for each frame, ascending.
      clock: when each frame begins, if the names are times; else None.
      note: what is doubtful; empty if nothing is.
    """

    indices: list[int]
    clock: Clock | None
    note: str


def in_order(paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Sorts frame files by the text in their names and, as numbers, by all numbers in them."""
    matches = [_DECIMAL.fullmatch(path.stem) for path in paths]
    # 0.033 before 0.1 are seconds, 1.9 before 1.10 are not.
    if all(matches) and any(len(m[3]) > 1 and m[3].startswith("0") for m in matches):
        return sorted(paths, key=_decimal_order)
    if stamps := _epochs(paths):
        return sorted(paths, key=lambda path: _epoch_order(path, stamps[path]))
    if _signed(paths):
        return sorted(paths, key=lambda path: _natural_order(path, sign="-"))
    return sorted(paths, key=_natural_order)


def _signed(paths) -> bool:
    """Whether a minus before the first number is a sign: names differ by nothing else in form."""
    forms = {tuple(_NUMBERS.split(path.stem)[::2]) for path in paths}
    if len(forms) != 2:
        return False
    plain, signed = sorted(forms, key=lambda form: form[0].endswith("-"))
    return len(plain) > 1 and signed == (f"{plain[0]}-", *plain[1:])


def _decimal_order(path: pathlib.Path) -> tuple:
    text, whole, decimals = _DECIMAL.fullmatch(path.stem).groups()
    return text.casefold(), int(whole), decimals, path.name


def _epoch_order(path: pathlib.Path, stamp: int) -> tuple:
    return _natural(_EPOCH.fullmatch(path.stem)["before"]), stamp, path.name


def _natural_order(path: pathlib.Path, sign: str = "") -> tuple:
    return _natural(path.stem, sign), path.name


def _natural(name: str, sign: str = "") -> list[tuple[str, int]]:
    parts = _NUMBERS.split(name)
    texts = [text.casefold() for text in parts[::2]]
    numbers = [*map(int, parts[1::2]), -1]
    if sign and texts[0].endswith(sign):
        texts[0], numbers[0] = texts[0][: -len(sign)], -numbers[0]
    return list(zip(texts, numbers, strict=True))


def frame_number(path: pathlib.Path, default: int) -> int:
    """Returns the last number of a frame's file name, `default` if there is none."""
    numbers = [int(number) for number in _NUMBERS.findall(path.stem)]
    return numbers[-1] if numbers and numbers[-1] <= _LARGEST else default


def number_frames(paths: Sequence[pathlib.Path]) -> Numbering:
    """Numbers frames whose files are in order: by the last number of the names that ascends."""
    positions = list(range(len(paths)))
    if len(paths) == 1:
        return Numbering([frame_number(paths[0], 0)], None, "")
    if (clock := _epoch_clock(paths)) is not None:
        return Numbering(
            positions, clock, _joined(["the time stamps in the names are used", clock.note])
        )
    columns = _columns(paths)
    changing = [column for column in columns if len(np.unique(column)) > 1]
    notes = [_doubles(paths), _unclear(paths, changing)]
    for column in reversed(changing):
        if (np.diff(column) > 0).all() and column[-1] <= _LARGEST:
            notes.append(_gaps(column))
            return Numbering([int(number) for number in column], None, _joined(notes))
    return Numbering(positions, None, _joined(notes))


def _joined(notes: list[str]) -> str:
    return "; ".join(filter(None, notes))


def _columns(paths) -> list[np.ndarray]:
    """The numbers at each place of the names, `[N]` each; none if the names differ in form."""
    rows = [[int(number) for number in _NUMBERS.findall(path.stem)] for path in paths]
    if len({len(row) for row in rows}) != 1:
        last = [row[-1:] for row in rows]  # the last number is common to most names
        rows = last if all(last) else []
    return [np.array(column, object) for column in zip(*rows, strict=True)] if rows else []


def _doubles(paths) -> str:
    keys = [_natural_order(path)[0] for path in paths]
    doubled = sum(one == other for one, other in zip(keys, keys[1:], strict=False))
    return f"{doubled} pictures have the same number as another: all are used" if doubled else ""


def _unclear(paths, changing) -> str:
    """Notes an order that somebody may have meant otherwise."""
    ends = f"from {paths[0].name} to {paths[-1].name}"
    if _signed(paths):
        return f"numbers after a minus are negative: read {ends}"
    series = len({tuple(part.casefold() for part in _NUMBERS.split(p.stem)[::2]) for p in paths})
    if series > 1:
        return f"the names are of {series} kinds: read {ends}, one kind after the other"
    if len(changing) > 1 and (np.diff(changing[-1]) <= 0).any():
        return f"{len(changing)} numbers change in the names: read {ends}, the first counts most"
    return ""


def _gaps(column: np.ndarray) -> str:
    steps = np.diff(column)
    missing = int((steps // steps.min() - 1).sum())
    if not missing:
        return ""
    return f"its numbers have gaps ({missing} missing between {column[0]} and {column[-1]})"


def _epochs(paths) -> dict[pathlib.Path, int]:
    """The times in the names of files, nanoseconds since 1970; empty if they are none."""
    matches = {path: _EPOCH.fullmatch(path.stem) for path in paths}
    if not all(matches.values()):
        return {}
    decimals = {path: match[4] or match[5] for path, match in matches.items()}
    counted = {m["point"] for m in matches.values()} == {"_"}  # the time of a start, and a number
    if counted and len({len(digits) for digits in decimals.values()}) > 1:
        return {}
    return {
        path: int(match["seconds"]) * 10**9 + int(decimals[path].ljust(9, "0"))
        for path, match in matches.items()
    }


def _epoch_clock(paths) -> Clock | None:
    found = _epochs(paths)
    if not found:
        return None
    stamps = [found[path] for path in paths]
    steps = np.diff(stamps) / 1e9
    if (steps <= 0).any() or steps.max() > _LONGEST_STEP or np.median(steps) <= _SHORTEST_STEP:
        return None
    return make_clock([(stamp - stamps[0]) / 1e9 for stamp in stamps])
