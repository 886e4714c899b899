"""The landmark sequence of a clip, and the error of a clip that cannot be used."""

from __future__ import annotations

import dataclasses

import numpy as np

UNKNOWN_FPS = 25.0  # frames a second of sources that do not say


class ClipError(Exception):
    """A clip that cannot be used. It is listed in the report and never ends the run.

    Attributes:
      reason: a few words, the same for all clips of this kind; reports count by it.
      detail: what is wrong with this clip, for the person who has to mend it.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Landmarks over time.

    Attributes:
      landmarks: `[T, 68, 2]` float32, pixels of the upright source frame; 0 where not detected, NaN
        where there is a face but nobody has looked for its points.
      detected: `[T]` bool.
      frame_index: `[T]` int32, the number by which the source knows the frame.
      fps: frames a second; 0 when the source does not say.
      frame_size: width and height of the upright source frame, pixels; 0 when unknown.
      action_units: `[T, A]` float32 intensities 0..1, NaN where unknown, or None.
      crops: the image files (JPEG or PNG) of all frames one after another, `[N]` uint8, or None.
      crop_offsets: `[T + 1]` int64; frame t is `crops[crop_offsets[t] : crop_offsets[t + 1]]`,
        empty where not detected.
      crop_landmarks: `[T, 68, 2]` float32, pixels of the crop; 0 or NaN as `landmarks`.
    """

    landmarks: np.ndarray
    detected: np.ndarray
    frame_index: np.ndarray
    fps: float
    frame_size: tuple[int, int]
    action_units: np.ndarray | None = None
    crops: np.ndarray | None = None
    crop_offsets: np.ndarray | None = None
    crop_landmarks: np.ndarray | None = None
