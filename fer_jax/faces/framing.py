"""How faces lie in the square crops that a model looks at."""

from __future__ import annotations

from typing import NamedTuple


class Framing(NamedTuple):
    """Where the face is in a crop; from left to right it is always in the middle.

    Attributes:
      eye_distances: side of the square, in distances of the eye centres.
      height: share of the side, from the top, at which the point halfway between the eyes' middle
        and the mouth's centre lies.
    """

    eye_distances: float = 2.5
    height: float = 0.5


ALIGNED = Framing()  # the crops of `python -m preprocess`
# The median face of FER-2013, whose images are crops as they are; `python -m benchmarks.framing
# data/ferplus` measures it.
FER2013 = Framing(eye_distances=2.74, height=0.593)
