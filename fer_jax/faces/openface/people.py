"""Who is who in an OpenFace CSV: numbers of faces that belong to one person."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_MOVED = 0.5  # farthest from one row to the next, face widths
_GROWN = 1.3  # largest ratio of sizes
_AWAY = 90  # frames without a face after which the next face may be another person's
_AWAY_SECONDS = 3.0  # the same without frame numbers


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


def everyone(face_ids, key, points, detected) -> list[Person]:
    """Finds the people in the rows of a file, in the order in which they first appear.

    Numbers that are never seen in the same frame, and whose faces follow each other in place and
    size, are one person: the number changes where tracking was lost.

    Args:
      face_ids: `[N]` numbers of the faces, NaN where missing; None if the file has none.
      key: `[N]` frame numbers or stamps, None without either.
      points: `[N, 68, 2]`, pixels.
      detected: `[N]` bool.
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
    return [_person(group, ids, detected) for group in groups] or alone


def _person(group: list, ids, detected) -> Person:
    rows, note = np.isin(ids, group), ""
    if len(group) > 1:
        listed = ", ".join(f"{number:g}" for number in group)
        note = f"face_id {listed} taken for one person, as they follow each other in place"
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
