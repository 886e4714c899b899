"""Landmark CSV files of OpenFace and py-feat: a row for each face of a frame, columns
`x_0..x_67, y_0..y_67`.
"""

from __future__ import annotations

import pathlib

import numpy as np

from fer_jax.faces.landmark_csv import stamps
from fer_jax.faces.landmark_csv.jumps import split_at_jumps
from fer_jax.faces.landmark_csv.naming import PY_FEAT
from fer_jax.faces.landmark_csv.people import everyone, told_apart
from fer_jax.faces.landmark_csv.pixels import check_pixels
from fer_jax.faces.landmark_csv.table import Table, read_table
from fer_jax.faces.people import lasting, person_numbers
from fer_jax.faces.sequence import UNKNOWN_FPS, ClipError, Sequence

_FARTHEST = 100_000  # pixels; larger coordinates are outside any frame


def read_landmark_csv(path, fps: float = 0.0, frame_size=(0, 0)) -> tuple[Sequence, int, list[str]]:
    """Reads the landmarks of the person who occurs in most frames, see `Recording`.

    Args:
      path, fps, frame_size: see `Recording`.

    Returns:
      The sequence, the number of other people in the file, and notes on what is odd in it.

    Raises:
      ClipError: see `Recording`.
    """
    recording = Recording(path, fps, frame_size)
    sequence, notes = recording.sequence(recording.main)
    return sequence, len(recording.people) - 1, notes


class Recording:
    """The people in a landmark CSV.

    Attributes:
      first_frame: number of a video's first frame, as the program counts that wrote the file.
      people: number -> rows of each person. Numbers are 1, 2, ... in the order in which people
        first appear, see `person_numbers`.
      main: number of the person who occurs in most frames.

    Args:
      path: the CSV; other columns are ignored.
      fps: frames per second, used if the file has no timestamps.
      frame_size: width and height of the video, pixels, used if the file does not state them.

    Raises:
      ClipError: the file is missing, empty or not a CSV, lacks a landmark column, or has impossible
        frame numbers.
    """

    def __init__(self, path, fps: float = 0.0, frame_size=(0, 0)):
        table = read_table(pathlib.Path(path))
        self._table, self._fps = table, fps
        self._size, sized = _frame_size(table, frame_size)
        self.first_frame = table.naming.first_frame
        self._points = table.points.reshape(-1, 2, 68).transpose(0, 2, 1)
        self._numbers, self._stamped = _frame_numbers(table), table.columns.get("timestamp")
        self._detected, unread = _detected(table)
        self._key = key = self._numbers if self._numbers is not None else self._stamped
        ids, apart, called = table.columns.get("face_id"), [], table.naming.columns["face_id"]
        if table.naming is PY_FEAT and self._numbers is not None:
            _check_inputs(table, self._numbers)
            ids, apart = told_apart(ids, self._numbers, self._points, self._detected)
            called = "face" if apart else called
        ids, jumped = split_at_jumps(ids, key, self._stamped, self._points, self._detected)
        self._notes = [*table.notes, *sized, *unread, *apart, *jumped]
        found = everyone(ids, key, self._points, self._detected, called)
        self._frames = len(self._points) if self._key is None else len(np.unique(self._key))
        numbers = person_numbers({i: person.faces for i, person in enumerate(found)}, self._frames)
        self.people = {number: found[index] for index, number in numbers.items()}
        self.main = numbers[int(np.argmax([person.faces for person in found]))]

    def lasting(self) -> list[int]:
        """Returns the numbers of those who are seen long enough to count as people."""
        return lasting({n: person.faces for n, person in self.people.items()}, self._frames)

    def faces(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns numbers of the frames that show a person, `[F]`, and landmarks, `[F, 68, 2]`.

        In a file without frame numbers these are the numbers of its rows, from 0.
        """
        rows = np.flatnonzero(self._detected & self.people[number].rows)
        return (rows if self._numbers is None else self._numbers[rows]), self._points[rows]

    def sequence(self, number: int) -> tuple[Sequence, list[str]]:
        """Returns the landmarks of a person, sorted by frame, and notes on what is odd in the file.

        A frame that shows other people only stays, as one without a face. Rows are sorted by the
        column `frame`, or by `timestamp` where there is none. Notes tell of rows out of order,
        doubled frames, gaps, stamps in milliseconds, a person with several numbers.

        Raises:
          ClipError: impossible stamps, landmarks that are no pixels, or two different rows of the
            person for one frame.
        """
        person, numbers, stamped = self.people[number], self._numbers, self._stamped
        mine, notes = person.rows, [*self._notes, *filter(None, [person.note])]
        if self._key is None:
            order = np.flatnonzero(mine)
        else:
            order, found = _order(
                self._key, self._points, self._detected, mine, stamped, numbers is not None
            )
            notes += found
        points, detected = self._points[order], (self._detected & mine)[order]
        numbers = np.arange(len(order)) if numbers is None else numbers[order].astype(np.int64)
        times, rate, found = stamps.seconds(None if stamped is None else stamped[order], numbers)
        notes += check_pixels(points[detected], self._size)
        if times is None and "whole_seconds" in self._table.columns:
            begun = self._table.columns["whole_seconds"][order]
            notes += stamps.check_rate(begun, numbers, self._fps or UNKNOWN_FPS)
        numbers = numbers.astype(np.int32)
        sequence = Sequence(
            landmarks=np.where(detected[:, None, None], points, 0).astype(np.float32),
            detected=detected,
            frame_index=numbers,
            fps=rate or self._fps,
            frame_size=self._size,
            times=times,
            confidence=self._confidence(order, detected),
        )
        return sequence, [*notes, *stamps.missing_frames(numbers), *found]

    def _confidence(self, order: np.ndarray, detected: np.ndarray) -> np.ndarray | None:
        column = self._table.columns.get("confidence")
        return None if column is None else np.where(detected, column[order], np.nan)


def _detected(table: Table) -> tuple[np.ndarray, list[str]]:
    """Rows whose landmarks can be used, `[N]` bool, and notes on others that claim a face.

    Raises:
      ClipError: rows claim a face, and none can be used.
    """
    trusted = _trusted(table)
    possible = (np.abs(table.points) < _FARTHEST).all(1)  # False for NaN
    if trusted.any() and not (trusted & possible).any():
        raise ClipError(
            "no landmarks",
            f"no row has a number for every landmark, at most {_FARTHEST}: see how it is saved",
        )
    unread = int((np.isnan(table.points).any(1) & trusted).sum())
    note = f"rows without a number for every landmark count as no face: {unread}"
    extended = np.ptp(np.where(possible[:, None], table.points, 0).reshape(-1, 2, 68), axis=2)
    detected = possible & (extended > 0).any(1) & trusted  # not all points in one
    return detected, [note] if unread else []


def _trusted(table: Table) -> np.ndarray:
    if "success" in table.columns:
        return table.columns["success"] > 0
    if "confidence" in table.columns:
        return table.columns["confidence"] >= table.naming.confident
    return np.ones(len(table.points), bool)


def _frame_size(table: Table, stated) -> tuple[tuple[int, int], list[str]]:
    """Width and height of the frames, and a note if the file states another width than the user."""
    columns = [table.columns.get(name) for name in ("width", "height")]
    if any(column is None for column in columns):
        return tuple(stated), []
    own = [np.unique(column[np.isfinite(column)]) for column in columns]
    if any(len(values) != 1 or values[0] < 1 for values in own):
        return tuple(stated), []  # pictures of several sizes
    width, height = (int(values[0]) for values in own)
    note = f"frames {stated[0]} pixels wide are stated for it, its own {width} are used"
    return (width, height), [note] if stated[0] not in (0, width) else []


def _check_inputs(table: Table, numbers: np.ndarray) -> None:
    """Refuses py-feat's rows of several videos that have the same numbers."""
    inputs = table.columns.get("input")
    if inputs is None:
        return
    pairs = np.unique(np.stack([numbers, inputs])[:, np.isfinite(inputs)], axis=1)[0]
    if len(pairs) > len(np.unique(pairs)):
        number = pairs[1:][np.diff(pairs) == 0][0]
        raise ClipError(
            "doubled frames",
            f"frame {number:g} occurs with several values of the column input: the file holds "
            "several recordings; split it",
        )


def _frame_numbers(table: Table) -> np.ndarray | None:
    """Frame numbers, `[N]` float64, None without a column of them."""
    numbers = table.columns.get("frame")
    if numbers is None:
        return None
    if np.isnan(numbers).any():
        row = np.flatnonzero(np.isnan(numbers))[0] + 1
        raise ClipError(
            "impossible frame numbers",
            f"column frame holds no number in row {row}: fill it, or omit the column",
        )
    if numbers.min() < 0 or numbers.max() > np.iinfo(np.int32).max:
        raise ClipError(
            "impossible frame numbers",
            f"column frame ranges from {numbers.min():g} to {numbers.max():g}: number frames from "
            "0 or 1, or omit the column",
        )
    if (numbers % 1).any():
        raise ClipError(
            "impossible frame numbers",
            f"column frame holds {numbers[numbers % 1 > 0][0]:g}, no whole number",
        )
    return numbers


def _order(key, points, detected, mine, stamped, by_frame: bool) -> tuple[np.ndarray, list[str]]:
    """Sorts rows by frame and keeps one of each.

    Args:
      key: `[N]` frame numbers or, without `by_frame`, stamps.
      points, detected: of all rows.
      mine: `[N]` bool, rows of the person kept.
      stamped: `[N]` stamps, or None.

    Returns:
      Indices of the rows, and notes.

    Raises:
      ClipError: a frame has two different rows of the person.
    """
    what = "frame" if by_frame else "timestamp"
    notes, shown = [], detected & mine
    unknown = np.isnan(key)
    if unknown.any():  # stamps only: frame numbers have been checked
        notes.append(f"rows without a {what} left out: {int(unknown.sum())}")
    own = key[mine & ~unknown]
    if (np.diff(own) < 0).any():
        notes.append(f"rows are not in order: sorted by {what}")
    # of equal keys the row with the person's face comes first, then the person's other rows
    order = np.lexsort((np.arange(len(key)), ~mine, ~shown, key))
    order = order[~unknown[order]]
    first = np.concatenate([[True], np.diff(key[order]) > 0])
    kept = order[first]
    of = np.repeat(kept, np.diff([*np.flatnonzero(first), len(order)]))
    doubled = (order != of) & mine[order]
    faces = doubled & shown[order]
    same = (points[order[faces]] == points[of[faces]]).all((1, 2))
    if by_frame and stamped is not None:
        own, kept_stamps = stamped[order[faces]], stamped[of[faces]]
        same &= (own == kept_stamps) | np.isnan(own)
    if not same.all():
        number = key[order[faces][~same][0]]
        raise ClipError(
            "doubled frames",
            f"{what} {number:g} occurs twice with different values ({int((~same).sum())} such "
            "rows): the file holds several recordings or people; split it",
        )
    if doubled.any():
        number = key[order[doubled][0]]
        notes.append(
            f"rows that repeat a {what} left out: {int(doubled.sum())} (the first: {number:g})"
        )
    return kept, notes
