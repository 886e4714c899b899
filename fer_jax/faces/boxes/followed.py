"""Follows faces of which each frame gives a box, so that a person keeps a number."""

from __future__ import annotations

import numpy as np

_OVERLAP = 0.2  # of two boxes over what both cover; below, they are of two people
_LOST = 1.0  # seconds; who is back at the same place within them is followed


class BoxTracker:
    """Gives the boxes of consecutive frames the numbers of people.

    Args:
      fps: frames per second.
    """

    def __init__(self, fps: float):
        self._patience = max(1, round(_LOST * fps))
        self._last: dict[int, tuple[int, np.ndarray]] = {}  # frame and box of each person
        self._frame, self._people = -1, 0

    def step(self, boxes: np.ndarray) -> list[int]:
        """Returns the number of the person in each box of the next frame, `[N, 4]`."""
        self._frame += 1
        self._last = {
            number: seen
            for number, seen in self._last.items()
            if self._frame - seen[0] <= self._patience
        }
        numbers = self._followed(boxes)
        for place, box in enumerate(boxes):
            if place not in numbers:
                numbers[place], self._people = self._people, self._people + 1
            self._last[numbers[place]] = self._frame, box
        return [numbers[place] for place in range(len(boxes))]

    def _followed(self, boxes: np.ndarray) -> dict[int, int]:
        """Numbers of the boxes that lie over those of people, those that overlap most first."""
        known = list(self._last)
        if not known or not len(boxes):
            return {}
        shares = overlaps(boxes, np.stack([self._last[number][1] for number in known]))
        numbers: dict[int, int] = {}
        while shares.max() > _OVERLAP:
            place, which = np.unravel_index(shares.argmax(), shares.shape)
            numbers[int(place)] = known[which]
            shares[place], shares[:, which] = 0.0, 0.0
        return numbers


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `[N, 4]` and others `[M, 4]`: `[N, M]`."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=-1)
    area, other = (np.prod(some[:, 2:] - some[:, :2], axis=-1) for some in (boxes, others))
    return both / (area[:, None] + other[None] - both)
