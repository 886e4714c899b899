"""Tracks faces from frame to frame in a stream of frames.

Searching every frame costs ten times as much as tracking. So a face is searched once; in the next
frame its landmarks are fitted from their last position, and the detector only confirms them in a
small upright patch. If it does not, the frame is searched again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fer_jax.faces.detector import Detector, Fit, shrink
from fer_jax.faces.orientation import upright_rotation
from fer_jax.faces.video import Frames, open_frames

FLEETING = 3  # frames; faces seen in fewer are not reported
_SEARCH_EVERY = 30  # frames, for faces that enter while one is tracked
_LOOK_CLOSER_EVERY = 5  # frames without a face; finds faces below 80 pixels of SEARCH_WIDTH
_MOST_FACES = 4  # tracked at a time
_SIZE_CHANGE = 1.6  # a larger change of size between frames means another person


@dataclasses.dataclass(frozen=True)
class Face:
    """A face in one frame.

    Attributes:
      track: index of the track within the clip, constant for one face.
      landmarks: `[68, 2]` float32, pixels of the frame.
      side: side of the detector's box, pixels of the frame.
    """

    track: int
    landmarks: np.ndarray
    side: float


class Tracker:
    """Tracks the faces of one clip frame by frame; holds only their last landmarks.

    Args:
      model_path: a dlib 68-point model, see `detector.landmark_model`.
    """

    def __init__(self, model_path=None):
        self._detector = Detector(model_path)
        self._live: dict[int, Fit] = {}
        self._lost: dict[int, Fit] = {}
        self._weight: dict[int, float] = {}  # summed areas: the weight of a track
        self._since_search = _SEARCH_EVERY
        self._without_face = 0

    def step(self, image: np.ndarray) -> list[Face]:
        """Returns the faces in the next frame, `[H, W, 3]` uint8 RGB or `[H, W]` gray."""
        gray, scale = shrink(image)
        before = set(self._live)
        self._live = self._followed(gray)
        dropped = before - set(self._live)
        self._since_search += 1
        if dropped or not self._live or self._since_search >= _SEARCH_EVERY:
            self._search(gray, closer=False)
        if not self._live and self._without_face % _LOOK_CLOSER_EVERY == 0:
            self._search(gray, closer=True)
        self._without_face = 0 if self._live else self._without_face + 1
        faces = []
        for track, fit in self._live.items():
            side = fit.side * scale
            self._weight[track] = self._weight.get(track, 0.0) + side**2
            points = np.stack([fit.points.real, fit.points.imag], 1)
            points = (points + 0.5) * scale - 0.5  # pixels are squares, not points
            faces.append(Face(track, points.astype(np.float32), side))
        return faces

    def main(self, faces: list[Face]) -> Face | None:
        """Returns the face of the track with the largest weight so far, None without a face."""
        return max(faces, key=lambda face: self._weight[face.track], default=None)

    def _followed(self, gray) -> dict[int, Fit]:
        """Fits the faces of the last frame in this one; returns those the detector confirms."""
        kept: dict[int, Fit] = {}
        for track, last in self._live.items():
            fit = self._detector.fit(gray, last)
            if abs(fit.centroid - last.centroid) > 0.05 * last.side:
                fit = self._detector.fit(gray, fit)
            taken = any(_same(fit, other) for other in kept.values())  # two people crossed
            resized = _size_ratio(fit, last) > _SIZE_CHANGE
            if taken or resized or not self._detector.agrees(gray, fit):
                self._lost[track] = last
            else:
                kept[track] = fit
        return kept

    def _search(self, gray, closer: bool) -> None:
        self._since_search = 0
        for box, _ in self._detector.search(gray, closer)[:_MOST_FACES]:
            fit = self._detector.fit_box(gray, box)
            if len(self._live) >= _MOST_FACES or any(_same(fit, f) for f in self._live.values()):
                continue
            if self._detector.agrees(gray, fit):
                self._live[self._identify(fit)] = fit

    def _identify(self, fit: Fit) -> int:
        """Returns the track of a new face: the nearest lost one of similar size, else a new one."""
        known = {t: f for t, f in self._lost.items() if t not in self._live}
        known = {t: f for t, f in known.items() if _size_ratio(f, fit) < _SIZE_CHANGE}
        if not known:
            return len(self._weight.keys() | self._live.keys())
        return min(known, key=lambda t: abs(known[t].centroid - fit.centroid))


def _same(one: Fit, other: Fit) -> bool:
    return abs(one.centroid - other.centroid) < max(one.side, other.side) / 2


def _size_ratio(one: Fit, other: Fit) -> float:
    return max(one.side, other.side) / min(one.side, other.side)


@dataclasses.dataclass
class Followed:
    """A clip whose faces are tracked while it is read.

    Iterating yields `(frame_index, image, faces)`: the frame's number in the source, `[H, W, 3]`
    uint8 RGB upright, and its faces. `tracker.main(faces)` selects the main person.
    """

    frames: Frames
    tracker: Tracker

    def __iter__(self) -> Iterator[tuple[int, np.ndarray, list[Face]]]:
        for index, image in self.frames:
            yield index, image, self.tracker.step(image)


def follow(source, rotation: int | None = None, model_path=None) -> Followed:
    """Opens a clip and tracks the faces in it; memory does not grow with its length.

    Args:
      source: a source for `open_frames`.
      rotation: degrees clockwise to turn frames by; None detects it.
      model_path: a dlib 68-point model, see `detector.landmark_model`.

    Raises:
      ClipError: the source cannot be read.
      LandmarkModelError: dlib or its model is missing.
    """
    if rotation is None:
        rotation = upright_rotation(source, model_path)
    return Followed(open_frames(source, rotation), Tracker(model_path))
