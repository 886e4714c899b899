"""Who is who in a landmark CSV: numbers of faces that belong to one person."""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np

_MOVED = 0.5  # farthest from one row to the next, face widths
_GROWN = 1.3  # largest ratio of sizes
_AWAY = 90  # frames without a face after which the next face may be another person's
_AWAY_SECONDS = 3.0  # the same without frame numbers


def told_apart(face_ids, key, points, detected) -> tuple[np.ndarray | None, list[str]]:
    """Numbers faces by their place where their numbers do not tell the faces of a frame apart.

    Args:
      face_ids, points, detected: see `everyone`.
      key: `[N]` frame numbers.

    Returns:
      Numbers, `[N]`, `face_ids` as given if all faces of each frame have their own; and notes.
    """
    ids = np.full(len(key), -1.0) if face_ids is None else np.nan_to_num(face_ids, nan=-1.0)
    rows = np.flatnonzero(detected)
    rows = rows[np.lexsort((ids[rows], key[rows]))]
    shared = (np.diff(key[rows]) == 0) & (np.diff(ids[rows]) == 0)
    shared &= (np.diff(points[rows], axis=0) != 0).any((1, 2))
    if not shared.any():
        return face_ids, []
    first = key[rows][1:][shared][0]
    note = f"faces of a frame (the first: {first:g}) have one Identity: told apart by their place"
    return _by_place(key, points, rows), [note]


def _by_place(key, points, rows: np.ndarray) -> np.ndarray:
    """Numbers faces as the one before that is nearest in place, `[N]`; NaN for other rows.

    Args:
      rows: of the faces, in order of frames.
    """
    numbers, latest, count = np.full(len(key), np.nan), {}, 0
    centres, sizes = points.mean(1), np.ptp(points, axis=1).max(1)
    steps = np.diff(np.unique(key[rows]))  # more than one where frames are skipped
    away = max(_AWAY, np.median(steps) if len(steps) else 0)
    for frame in np.split(rows, np.flatnonzero(np.diff(key[rows])) + 1):
        latest = {n: row for n, row in latest.items() if key[frame[0]] - key[row] <= away}
        pairs = [
            (moved, row, number)
            for row in frame
            for number, last in latest.items()
            if (moved := _moved(centres, sizes, last, row)) <= _MOVED
        ]
        free = set(latest)
        for _, row, number in sorted(pairs):
            if np.isnan(numbers[row]) and number in free:
                numbers[row] = number
                free.remove(number)
        for row in frame[np.isnan(numbers[frame])]:
            same = [r for r in frame if r < row and (points[r] == points[row]).all()]
            numbers[row], count = (numbers[same[0]], count) if same else (count, count + 1)
        latest |= {numbers[row]: row for row in frame}
    return numbers


def _moved(centres, sizes, before: int, after: int) -> float:
    """How far a face has moved between two rows, face widths; infinite if its size has changed."""
    smaller, larger = sorted((sizes[before], sizes[after]))
    if larger > _GROWN * smaller:
        return np.inf
    return float(np.linalg.norm(centres[after] - centres[before]) / max(smaller, 1e-9))


class Person(NamedTuple):
    """Rows of one person.

    Attributes:
      rows: `[N]` bool.
      faces: number of frames that show the person.
      note: why several numbers are one person; empty if they are not.
    """

    rows: np.ndarray
    faces: int
    note: str = ""


def everyone(face_ids, key, points, detected, called="face_id") -> list[Person]:
    """Finds the people in the rows of a file, in the order in which they first appear.

    Numbers that are never seen in the same frame, and whose faces follow each other in place and
    size, are one person: the number changes where tracking was lost.

    Args:
      face_ids: `[N]` numbers of the faces, NaN where missing; None if the file has none.
      key: `[N]` frame numbers or stamps, None without either.
      points: `[N, 68, 2]`, pixels.
      detected: `[N]` bool.
      called: what notes call the numbers.
    """
    alone = [Person(np.ones(len(detected), bool), int(detected.sum()))]
    if face_ids is None:
        return alone
    ids = np.where(np.isnan(face_ids), -1, face_ids)
    seen = list(dict.fromkeys(ids[detected].tolist()))
    if len(seen) < 2:
        return alone
    groups = [[number] for number in seen]
    if key is not None:
        placed = detected & ~np.isnan(key)
        away = _AWAY if (key[placed] % 1 == 0).all() else _AWAY_SECONDS
        groups = _joined(seen, ids, key, points, np.flatnonzero(placed), away)
    every = rows_of_each(ids, np.arange(len(ids)))
    return [_person(group, every, detected, called) for group in groups] or alone


def rows_of_each(ids, rows: np.ndarray) -> dict[float, np.ndarray]:
    """Divides rows by the number of their face: number -> rows, in the order given."""
    ordered = rows[np.argsort(ids[rows], kind="stable")]
    parts = np.split(ordered, np.flatnonzero(np.diff(ids[ordered])) + 1)
    return {float(ids[own[0]]): own for own in parts if len(own)}


def _person(group: list, every: dict[float, np.ndarray], detected, called: str) -> Person:
    """Makes a person of several numbers, whose rows are in `every`."""
    rows, note = np.zeros(len(detected), bool), ""
    for number in group:
        rows[every[number]] = True
    if len(group) > 1:
        listed = ", ".join(f"{number:g}" for number in group)
        note = f"{called} {listed} taken for one person, as they follow each other in place"
    return Person(rows, int((detected & rows).sum()), note)


def _joined(seen: list, ids, key, points, rows: np.ndarray, away: float) -> list[list]:
    """Groups the numbers of each person, by the frame in which they are first seen.

    Args:
      seen: the numbers, in the order in which they first appear.
      rows: with a face and a frame number.
    """
    centres, sizes = np.zeros((len(key), 2)), np.zeros(len(key))
    centres[rows], sizes[rows] = points[rows].mean(1), np.ptp(points[rows], axis=1).max(1)
    ordered = rows[np.argsort(key[rows], kind="stable")]
    shown = rows_of_each(ids, ordered)
    seen = [number for number in seen if number in shown]
    groups: list[tuple[list, list[int]]] = []  # numbers and rows in order of time
    recent = []  # later numbers cannot follow the others
    for number in sorted(seen, key=lambda number: key[shown[number][0]]):
        own = shown[number]
        recent = [group for group in recent if key[own[0]] - key[group[1][-1]] <= away]
        for numbers, before in recent:
            if _follow(before, own, key, centres, sizes, away):
                numbers.append(number)
                break
        else:
            recent.append(([number], own.tolist()))
            groups.append(recent[-1])
    return [numbers for numbers, _ in groups]


def _follow(before: list[int], after: np.ndarray, key, centres, sizes, away: float) -> bool:
    """Adds rows to those of a person, if they share no frame and every change between them is a
    small one; returns whether that is so.

    Only the rows from the last before `after` to the first behind it are looked at.
    """
    first, last = key[after[0]], key[after[-1]]
    start = max(bisect.bisect_left(before, first, key=key.__getitem__) - 1, 0)
    end = bisect.bisect_right(before, last, key=key.__getitem__) + 1
    both = np.concatenate([before[start:end], after])
    order = np.argsort(key[both], kind="stable")
    rows, which = both[order], order < len(both) - len(after)
    changes = np.flatnonzero(which[1:] != which[:-1])
    one, other = rows[changes], rows[changes + 1]
    apart = key[other] - key[one]
    moved = np.linalg.norm(centres[other] - centres[one], axis=1)
    smaller, larger = np.minimum(sizes[one], sizes[other]), np.maximum(sizes[one], sizes[other])
    near = (moved <= _MOVED * smaller) & (larger <= _GROWN * smaller)
    if not (near & (apart > 0) & (apart <= away)).all():
        return False
    before[start:end] = rows.tolist()
    return True
