"""Places an average face where only a box is known, so that it is cropped as in training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fer_jax.faces.crop import crop_transform
from fer_jax.faces.landmarks import LEFT_EYE, MEAN_FACE, MOUTH, RIGHT_EYE, Framing


class Boxed(NamedTuple):
    """A face known without landmarks; its landmarks are those of an average face.

    Attributes:
      box: left, top, right, bottom, pixels.
      five: `[5, 2]` pixels, the eyes, the nose and the corners of the mouth; NaN if unknown.
    """

    box: np.ndarray
    five: np.ndarray = np.full((5, 2), np.nan)


# Eye distances: width of a box, and its lower side below the point halfway between eyes and mouth.
# Detectors agree about these; the upper side is at the brows with some, at the hair with others.
_WIDTH, _BELOW = 2.3, 1.28


def _middle(points: np.ndarray) -> np.ndarray:
    """Returns the point halfway between eyes and mouth."""
    eyes = (points[LEFT_EYE].mean(0) + points[RIGHT_EYE].mean(0)) / 2
    return (eyes + points[MOUTH].mean(0)) / 2


def face_in_box(box: np.ndarray) -> np.ndarray:
    """Returns the landmarks `[68, 2]` of an average upright face in a box.

    Args:
      box: left, top, right, bottom, pixels, of any detector of faces.
    """
    left, _, right, bottom = np.asarray(box, float)
    distance = (right - left) / _WIDTH
    middle = np.array([(left + right) / 2, bottom - _BELOW * distance])
    return distance * (MEAN_FACE - _middle(MEAN_FACE)) + middle


def face_in_crop(size: tuple[int, int], framing: Framing) -> np.ndarray:
    """Returns the landmarks `[68, 2]` of an average face in an image that is a crop already.

    Cut by them, the crop is the whole image; one that is no square gets black borders.

    Args:
      size: width and height of the image, pixels.
      framing: of the crops of a model.
    """
    side = max(size)
    matrix = crop_transform(MEAN_FACE * side, side, framing)
    borders = (side - np.array(size)) / 2
    return MEAN_FACE * side @ matrix[:, :2].T + matrix[:, 2] - borders
