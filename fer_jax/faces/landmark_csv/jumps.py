"""Jumps of a face whose landmarks are given, as at a cut; its number in a CSV may not change."""

from __future__ import annotations

import numpy as np

from fer_jax.faces.landmark_csv.people import rows_of_each

_MOVED, _GROWN = 1.0, 1.5  # face sizes, factor: what nobody moves or grows within ...
_SIZE = 3.0  # of a face, medians of the distance of its points from its centre
_SOON = 0.2  # seconds
_FRAMES = 3  # frames where no stamps tell the time
# The same from one frame to the next. Measured: people who shake their heads move at most 0.31.
_MOVED_AT_ONCE, _AT_ONCE = 0.5, 0.05  # face sizes, seconds


def split_at_jumps(face_ids, key, seconds, points, detected) -> tuple[np.ndarray | None, list[str]]:
    """Gives the rows of a number after a jump a number of their own.

    Args:
      face_ids: `[N]` numbers of the faces, NaN where missing; None if the file has none.
      key: `[N]` frame numbers or stamps, None without either: then rows are in order.
      seconds: `[N]` stamps, None without.
      points: `[N, 68, 2]`, pixels.
      detected: `[N]` bool.

    Returns:
      The numbers, `[N]`, as given if nothing jumps, and notes.
    """
    ids = np.full(len(detected), -1.0) if face_ids is None else np.nan_to_num(face_ids, nan=-1.0)
    key = np.arange(len(ids), dtype=np.float64) if key is None else key
    new, latest, first, count = ids.copy(), ids.max(initial=0), np.nan, 0
    for rows in rows_of_each(ids, np.flatnonzero(detected & ~np.isnan(key))).values():
        rows = rows[np.argsort(key[rows], kind="stable")]
        if len(np.unique(key[rows])) < max(2, len(rows)):
            continue  # doubled frames are told apart, or refused, later
        starts = jumps(points[rows], key[rows], None if seconds is None else seconds[rows])
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=False):
            latest += 1
            new[rows[start:end]] = latest
            first = np.fmin(first, key[rows[start]])
            count += 1
    if not count:
        return face_ids, []
    return new, [f"a face jumps {count} times (the first at {first:g}): taken for another person"]


def jumps(points, key, seconds) -> list[int]:
    """Returns the positions at which a face jumps, so that another one follows.

    Args:
      points: `[N, 68, 2]`, pixels, in order of time.
      key: `[N]` frame numbers or stamps, ascending.
      seconds: `[N]` stamps, None without.
    """
    centres = np.median(points, axis=1)  # a point that is far off moves no face
    sizes = _SIZE * np.median(np.linalg.norm(points - centres[:, None], axis=2), axis=1)
    smaller = np.minimum(sizes[1:], sizes[:-1])
    moved = np.linalg.norm(np.diff(centres, axis=0), axis=1) / np.maximum(smaller, 1e-6)
    grown = np.maximum(sizes[1:], sizes[:-1]) > _GROWN * smaller
    soon = np.diff(key) <= _FRAMES
    at_once = np.diff(key) <= 1
    apart = np.full(len(soon), np.nan) if seconds is None else np.diff(seconds)
    if np.isfinite(apart).any() and np.nanmedian(apart) < 1:  # else of another unit
        soon = np.where(np.isnan(apart), soon, apart <= _SOON)
        at_once = np.where(np.isnan(apart), at_once, apart <= _AT_ONCE)
    jumped = (soon & (grown | (moved > _MOVED))) | (at_once & (moved > _MOVED_AT_ONCE))
    return (np.flatnonzero(jumped) + 1).tolist()


class Track:
    """The track of a face whose landmarks come frame by frame: a new one after a jump."""

    def __init__(self, fps: float):
        self._fps, self._number = fps, 0
        self._last: tuple[int, np.ndarray] | None = None

    def at(self, frame: int, points: np.ndarray) -> int:
        """Returns the number of the track at a frame with the landmarks `[68, 2]`, pixels."""
        if self._last is not None:
            frames = np.array([self._last[0], frame])
            both = np.stack([self._last[1], points])
            self._number += len(jumps(both, frames, frames / self._fps))
        self._last = frame, points
        return self._number
