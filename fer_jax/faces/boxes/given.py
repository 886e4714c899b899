"""Checks boxes that a user gives: left, top, right, bottom, in pixels of the picture."""

from __future__ import annotations

import numpy as np

WHOLE = "whole"  # in place of boxes: each image is the crop of a face
_LEAST = 2.0  # side, pixels; smaller are shares of the image
_WANTED = "(left, top, right, bottom), a list of such boxes, or None"


def read_boxes(value, name: str, size: tuple[int, int]) -> np.ndarray:
    """Returns the boxes of one image, `[N, 4]` float; those with NaN are left out.

    Args:
      value: four numbers, `[N, 4]`, or None without a face.
      name: of the boxes, for messages.
      size: width and height of the image, pixels.

    Raises:
      ValueError: these are no boxes, or none in pixels of the image.
    """
    if value is None:
        return np.zeros((0, 4))
    try:
        boxes = np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} are a {type(value).__name__}: give {_WANTED}") from error
    boxes = boxes[None] if boxes.shape == (4,) else boxes
    if not boxes.size:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} are {list(boxes.shape)}: give {_WANTED}")
    boxes = boxes[np.isfinite(boxes).all(1)]
    for box in boxes:
        _check(box, name, size)
    return boxes


def _check(box: np.ndarray, name: str, size: tuple[int, int]) -> None:
    said = ", ".join(f"{value:g}" for value in box)
    if (box[2:] <= box[:2]).any():
        wanted = "give left, top, right, bottom (right = left + width)"
        raise ValueError(f"{name} hold {said}, which ends before it begins: {wanted}")
    if (box[2:] - box[:2] < _LEAST).any():
        wanted = "give pixels; shares of the picture times its width and height are pixels"
        raise ValueError(f"{name} hold {said}, smaller than {_LEAST:g} pixels: {wanted}")
    if (box[2:] <= 0).any() or (box[:2] >= size).any():
        width, height = size
        wanted = "give pixels of the picture that is passed"
        raise ValueError(f"{name} hold {said}, outside of its {width} x {height}: {wanted}")
