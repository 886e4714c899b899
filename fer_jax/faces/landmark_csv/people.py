"""Who is who in a landmark CSV: numbers of faces that belong to one person."""

from __future__ import annotations

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
    seen = list(dict.fromkeys(ids[detected]))
    if len(seen) < 2:
        return alone
    groups = [[number] for number in seen]
    if key is not None:
        placed = detected & ~np.isnan(key)
        seen = [number for number in seen if (ids[placed] == number).any()]
        away = _AWAY if (key[placed] % 1 == 0).all() else _AWAY_SECONDS
        groups = _joined(seen, ids, key, points, placed, away)
    return [_person(group, ids, detected, called) for group in groups] or alone


def _person(group: list, ids, detected, called: str) -> Person:
    rows, note = np.isin(ids, group), ""
    if len(group) > 1:
        listed = ", ".join(f"{number:g}" for number in group)
        note = f"{called} {listed} taken for one person, as they follow each other in place"
    return Person(rows, int((detected & rows).sum()), note)


def _joined(seen: list, ids, key, points, detected, away: float) -> list[list]:
    """Groups the numbers of each person, by the frame in which they are first seen."""
    first = {number: key[detected & (ids == number)].min() for number in seen}
    groups: list[list] = []
    for number in sorted(seen, key=first.get):
        rows = detected & (ids == number)
        for group in groups:
            if _follow(detected & np.isin(ids, group), rows, key, points, away):
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _follow(before: np.ndarray, after: np.ndarray, key, points, away: float) -> bool:
    """Whether two sets of rows share no frame and every change between them is a small one."""
    order = np.flatnonzero(before | after)
    order = order[np.argsort(key[order], kind="stable")]
    times, which = key[order], before[order]
    changes = np.flatnonzero(which[1:] != which[:-1])
    if np.intersect1d(key[before], key[after]).size or not len(changes):
        return False
    centres, sizes = points[order].mean(1), np.ptp(points[order], axis=1).max(1)
    moved = np.linalg.norm(centres[changes + 1] - centres[changes], axis=1)
    grown = np.maximum(sizes[changes + 1] / sizes[changes], sizes[changes] / sizes[changes + 1])
    near = moved <= _MOVED * np.minimum(sizes[changes + 1], sizes[changes])
    soon = times[changes + 1] - times[changes] <= away
    return bool((near & (grown <= _GROWN) & soon).all())
