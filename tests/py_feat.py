"""Tables as py-feat writes them, of faces in frames; py-feat itself is not needed.

The versions, as their own files and the published FELT tables show them:

- 0.3: the number of the frame as pandas' index, and nobody is told from anybody.
- 0.6: the number of the frame twice, as index and as column; names like Person_0, or none.
- 2.0: an index without a name, a mesh, and the size of the frames.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_BOX = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"]
_POINTS = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
_UNITS = [f"AU{unit:02d}" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 43)]
_FEELINGS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
_EMBEDDING = [f"Identity_{index}" for index in range(1, 513)]
_MESH = [f"mesh_{axis}_{point}" for axis in "xyz" for point in range(478)]

COLUMNS = {
    "0.3": ["frame", *_BOX, *_POINTS, *_UNITS, "Pitch", "Roll", "Yaw", *_FEELINGS, "input"],
    "0.6": ["frame", *_BOX, *_POINTS, "Pitch", "Roll", "Yaw", *_UNITS, *_FEELINGS, "Identity",
            *_EMBEDDING, "input", "frame", "approx_time"],
    "2.0": ["", *_BOX, *_POINTS, "Pitch", "Roll", "Yaw", "X", "Y", "Z", *_UNITS, "Neutral",
            "valence", *_EMBEDDING, *_MESH, "FrameHeight", "FrameWidth", "input", "frame",
            "approx_time", "Identity"],
}  # fmt: skip


class Row(NamedTuple):
    """A face in a frame, or a frame without one.

    Attributes:
      frame: its number, from 0.
      points: `[68, 2]` pixels, None without a face.
      name: of the person, e.g. Person_0.
      score: of the detector.
    """

    frame: int
    points: np.ndarray | None
    name: str = ""
    score: float = 0.99


def write_py_feat(
    path, rows: Iterable[Row], version="0.6", fps=29.97, size=(1280, 720), video="clip.mp4"
) -> pathlib.Path:
    """Writes a table of a video."""
    columns = COLUMNS[version]
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for index, row in enumerate(rows):
            seconds = int(row.frame / fps)
            known = {
                "": index,
                "frame": f"{row.frame:.1f}" if version == "0.3" else row.frame,
                "input": video,
                "approx_time": f"{seconds // 60:02d}:{seconds % 60:02d}",
                "Identity": row.name,
                "FrameWidth": float(size[0]),
                "FrameHeight": float(size[1]),
                **_face(row, version),
            }
            writer.writerow(
                [known.get(name, "" if row.points is None else 0.25) for name in columns]
            )
    return path


def _face(row: Row, version: str) -> dict:
    """Box and landmarks; of a frame without a face empty, with a score of 0 in version 2.0."""
    if row.points is None:
        return {"FaceScore": "0.0"} if version == "2.0" else {}
    low, high = row.points.min(0), row.points.max(0)
    box = [*low, *(high - low), row.score]
    return dict(zip([*_BOX, *_POINTS], [*box, *row.points.T.ravel()], strict=True))
