"""Landmark CSV files of OpenFace: one row per frame, columns `x_0..x_67, y_0..y_67`."""

from __future__ import annotations

import pathlib

import numpy as np

from fer_jax.faces.sequence import ClipError, Sequence

_POINTS = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
_OTHERS = ("frame", "face_id", "timestamp", "confidence", "success")
_FARTHEST = 100_000  # pixels; larger coordinates are outside any frame
_CONFIDENT = 0.5  # OpenFace writes 0 for failed frames; used if `success` is absent


def read_openface(path, fps: float = 0.0, frame_size=(0, 0)) -> tuple[Sequence, int]:
    """Reads the landmarks of the face that occurs in most frames.

    Args:
      path: the CSV; blanks around column names and other columns are ignored.
      fps: frames per second, used if the file has no timestamps.
      frame_size: width and height of the video, pixels; not in the file.

    Returns:
      The sequence and the number of other faces in the file.

    Raises:
      ClipError: the file is missing, empty or not a CSV, lacks a landmark column, or has impossible
        frame numbers.
    """
    table = _read_table(pathlib.Path(path))
    others = 0
    if "face_id" in table:
        seen = table["face_id"].value_counts()
        others = max(0, len(seen) - 1)
        if others:
            table = table[table["face_id"] == seen.index[0]]
    values = table[_POINTS].to_numpy(np.float64)
    landmarks = values.reshape(-1, 2, 68).transpose(0, 2, 1)
    possible = (np.abs(values) < _FARTHEST).all(1)  # False for NaN
    detected = possible & (values != 0).any(1) & _trusted(table)
    landmarks = np.where(detected[:, None, None], landmarks, 0).astype(np.float32)
    fps = _rate(table) or fps
    sequence = Sequence(landmarks, detected, _frame_numbers(table), fps, tuple(frame_size))
    return sequence, others


def _read_table(path: pathlib.Path):
    import pandas as pd

    if not path.exists():
        raise ClipError("missing file", f"{path} does not exist")
    wanted = {*_POINTS, *_OTHERS}
    try:
        table = pd.read_csv(path, usecols=lambda name: name.strip() in wanted)
    except (ValueError, OSError, UnicodeError) as error:  # pandas' own errors are ValueErrors
        raise ClipError("unreadable", f"{path} is not a CSV file ({error})") from error
    table.columns = [name.strip() for name in table.columns]
    missing = [name for name in _POINTS if name not in table]
    if missing:
        raise ClipError(
            "no landmark columns",
            f"{path} has no column {missing[0]} ({len(missing)} of 136 landmark columns are "
            "missing): export it with OpenFace's FeatureExtraction -2Dfp",
        )
    if not len(table):
        raise ClipError("no frames", f"{path} has a header and no rows")
    return table.apply(pd.to_numeric, errors="coerce")


def _trusted(table) -> np.ndarray:
    if "success" in table:
        return (table["success"] > 0).to_numpy()
    if "confidence" in table:
        return (table["confidence"] >= _CONFIDENT).to_numpy()
    return np.ones(len(table), bool)


def _frame_numbers(table) -> np.ndarray:
    if "frame" not in table or table["frame"].isna().any():
        return np.arange(len(table), dtype=np.int32)
    numbers = table["frame"].to_numpy(np.float64)
    if numbers.min() < 0 or numbers.max() > np.iinfo(np.int32).max:
        raise ClipError(
            "impossible frame numbers",
            f"column frame ranges from {numbers.min():g} to {numbers.max():g}: number frames from "
            "0 or 1, or omit the column",
        )
    return numbers.astype(np.int32)


def _rate(table) -> float:
    """Returns frames per second from the timestamps (seconds), 0 if they are unusable."""
    if "timestamp" not in table:
        return 0.0
    time = table["timestamp"].to_numpy(np.float64)
    numbers = _frame_numbers(table)[np.isfinite(time)]
    time = time[np.isfinite(time)]
    # over the whole clip: single steps are rounded to a millisecond
    if len(time) < 2 or time[-1] <= time[0] or numbers[-1] <= numbers[0]:
        return 0.0
    return round(float((numbers[-1] - numbers[0]) / (time[-1] - time[0])), 2)
