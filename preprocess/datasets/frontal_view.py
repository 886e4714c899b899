"""The frontal half of a video that shows two views of a face in each frame."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from fer_jax.faces.detector import Detector
from fer_jax.faces.orientation import best_score
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import Frames, FrameSource, open_frames

_PROBES, _PROBE_EVERY = 6, 12  # frames probed: the first three seconds decide which half is frontal
_SURE = 0.5  # mean detector score above which no other way to split a frame is tried
# Layouts of two views in a stored frame, with degrees clockwise to turn upright: side by side, with
# heads upright, lying or inverted; or one above the other, if the whole frame lies on its side.
_SPLITS = [(("left", "right"), turn) for turn in (0, 90, 270, 180)]
_SPLITS += [(("top", "bottom"), turn) for turn in (90, 270)]


@dataclasses.dataclass(frozen=True)
class FrontalHalf(FrameSource):
    """The frontal half of a video; the half is detected when frames are read.

    Attributes:
      path: the video.
      model: a dlib 68-point model, see `detector.landmark_model`.
    """

    path: pathlib.Path = dataclasses.field(repr=False)  # caches must not depend on the folder
    model: pathlib.Path | None = dataclasses.field(default=None, repr=False)

    def frames(self) -> Frames:
        """Opens the half as `open_frames` opens a video.

        Raises:
          ClipError: the video cannot be read, or neither half shows a face.
        """
        half = _frontal(self)
        frames = open_frames(self.path)
        width, height = frames.size
        size = (width // 2, height) if half in ("left", "right") else (width, height // 2)
        images = ((index, _cut(image, half)) for index, image in frames.images)
        return dataclasses.replace(frames, size=size, images=images, sample=None)


@functools.lru_cache(maxsize=4)  # a clip is opened several times in a row
def _frontal(video: FrontalHalf) -> str:
    """Finds the half in which the frontal detector scores highest over some frames."""
    probed = []
    for position, (_, image) in enumerate(open_frames(video.path)):
        if position % _PROBE_EVERY == 0:
            probed.append(image)
        if len(probed) == _PROBES:
            break
    detector = Detector(video.model)
    best, best_mean = "", 0.0
    for halves, turn in _SPLITS:
        for half in halves:
            # a frame without a face counts as 0, so the rate of detection matters, too
            scores = [best_score(detector, _cut(image, half), turn) for image in probed]
            mean = float(np.maximum(scores, 0.0).mean())
            if mean > best_mean:
                best, best_mean = half, mean
        if best_mean >= _SURE:
            break
    if not best:
        raise ClipError("no face", f"in neither half of {len(probed)} frames of {video.path}")
    return best


def _cut(image: np.ndarray, half: str) -> np.ndarray:
    height, width = image.shape[0] // 2, image.shape[1] // 2
    part = {
        "left": np.s_[:, :width],
        "right": np.s_[:, -width:],
        "top": np.s_[:height],
        "bottom": np.s_[-height:],
    }[half]
    return np.ascontiguousarray(image[part])
