"""The landmark sequence of a clip, and the error of a clip that cannot be used."""

from __future__ import annotations

import dataclasses

import numpy as np

UNKNOWN_FPS = 25.0  # frames per second assumed for sources without a rate
LEAST_FPS, MOST_FPS = 0.01, 1000.0  # that a user can state; some cameras state ticks of a clock


class ClipError(Exception):
    """A clip cannot be used: it is listed in the report, and the run continues.

    Attributes:
      reason: a few words, the same for all such clips; reports count by it.
      detail: what is wrong with this clip, for the person who fixes it.
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
      landmarks: `[T, 68, 2]` float32, pixels of the upright source frame; 0 if not detected, NaN
        for a face whose landmarks were not searched.
      detected: `[T]` bool.
      frame_index: `[T]` int32, the frame's number in the source.
      fps: frames per second, on average if the rate varies; 0 if unknown.
      frame_size: width and height of the upright source frame, pixels; 0 if unknown.
      action_units: `[T, A]` float32 intensities 0..1, NaN where unknown, or None.
      crops: concatenated image files (JPEG or PNG) of all frames, `[N]` uint8, or None.
      crop_offsets: `[T + 1]` int64; frame t is `crops[crop_offsets[t] : crop_offsets[t + 1]]`,
        empty if not detected.
      crop_landmarks: `[T, 68, 2]` float32, pixels of the crop; 0 or NaN as `landmarks`.
      times: `[T]` float64, seconds at which each frame begins, from the source's own start; None if
        neither time stamps nor a rate are known.
      confidence: `[T]` how sure OpenFace or py-feat is of each face, 0..1, NaN where unknown; None
        for all other sources.
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
    times: np.ndarray | None = None
    confidence: np.ndarray | None = None
