"""What the programs that find landmarks call the columns of their tables, and how they count."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import NamedTuple

# Columns whose cells are names: of a face (`Person_0`) or of the file that shows it.
TEXTS = ("identity", "input")


class Naming(NamedTuple):
    """The columns of a program, in small letters.

    Attributes:
      program: its name.
      columns: what a column holds -> its name.
      confident: a row shows a face if it is at least so sure of it, 0..1.
      first_frame: number of a video's first frame.
    """

    program: str
    columns: Mapping[str, str]
    confident: float
    first_frame: int


OPENFACE = Naming(
    "OpenFace",
    {name: name for name in ("frame", "face_id", "timestamp", "confidence", "success")},
    0.5,  # it writes 0 for failed frames; used if `success` is absent
    1,
)
# It has left out faces below its own threshold, and writes no score, or 0, where it found none.
PY_FEAT = Naming(
    "py-feat",
    {
        "frame": "frame",
        "face_id": "identity",
        "timestamp": "timestamp",
        "whole_seconds": "approx_time",
        "confidence": "facescore",
        "width": "framewidth",
        "height": "frameheight",
        "input": "input",
    },
    sys.float_info.min,
    0,
)


def naming_of(columns: Collection[str]) -> Naming:
    """Returns whose table has these columns, in small letters."""
    return PY_FEAT if {"facerectx", "facescore"} & set(columns) else OPENFACE
