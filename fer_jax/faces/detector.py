"""Detects faces in one frame, fits 68 landmarks to each and compares whose they are, with dlib."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import pathlib
import threading
import warnings
from collections.abc import Iterator

import cv2
import numpy as np

from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.installation import how_to_install

SEARCH_WIDTH = 500  # pixels; the published systems detect at this width
MODEL_VARIABLE = "FER_JAX_LANDMARK_MODEL"
MODEL_NAME = "shape_predictor_68_face_landmarks.dat"
# The package cannot be imported any more (it needs pkg_resources), but its files can be used.
_MODELS = "face_recognition_models"
_RECOGNITION_NAME = "dlib_face_recognition_resnet_model_v1.dat"  # CC0

# The detector's box relative to the fitted mean face, in eye distances from its centroid: fitted to
# 660 detected faces of ten people; the detector's boxes scatter by 8% around it.
_BOX_SIDE = 2.2
_BOX_CENTRE = -0.125j
# The patch in which the detector confirms a face, pixels. Measured there: faces score at least 0.4,
# background at most -0.6; boxes of well-fitted faces are within 2% of the expected one.
_CROP, _CROP_FACE = 120, 88
_VIEW = 30  # side, pixels: hair and shape remain, a shift by a pixel of the frame does not matter
_FIT_CROP, _FIT_FACE = 384, 240  # pixels, the upright patch in which landmarks are fitted
ROLLED, _TURNS_TO_UPRIGHT = np.radians(10), 3
_PORTRAIT = 150  # side of the patch that the network of faces takes, pixels
SMALLEST_EYE_DISTANCE = 4  # pixels of the reduced frame


class LandmarkModelError(RuntimeError):
    """dlib or its landmark model is not installed; the message says how to install it."""


def asked_landmark_model(path=None):
    """The 68-point model that is asked for: `path`, or $FER_JAX_LANDMARK_MODEL; None: none is."""
    return path or os.environ.get(MODEL_VARIABLE)


def landmark_model(path=None) -> pathlib.Path:
    """Finds the 68-point model: `path`, or $FER_JAX_LANDMARK_MODEL, or the installed package.

    Raises:
      LandmarkModelError: there is none.
    """
    if named := asked_landmark_model(path):
        if not pathlib.Path(named).is_file():
            raise LandmarkModelError(f"landmark model {named} does not exist")
        return pathlib.Path(named)
    if file := packaged(_MODELS, MODEL_NAME):
        return file
    raise LandmarkModelError(
        f"no 68-point landmark model is installed. Get one: {how_to_install('preprocess')} (the "
        "model is for non-commercial use only, like the 300-W faces it was trained on), or set "
        f"{MODEL_VARIABLE} to your own dlib .dat file"
    )


def packaged(package: str, name: str) -> pathlib.Path | None:
    """Finds a file of an installed package without importing it, None if it is not installed."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((pathlib.Path(file.locate()) for file in files if file.name == name), None)


@functools.cache
def _dlib_models(model_path: pathlib.Path):
    """Loads the shape predictor, which threads may share: it does not change when it is used."""
    try:
        import dlib
    except ImportError as error:
        raise LandmarkModelError(
            f"dlib is not installed. Get it: {how_to_install('preprocess')}"
        ) from error
    try:
        predictor = dlib.shape_predictor(str(model_path))
    except RuntimeError as error:
        raise LandmarkModelError(f"{model_path} is not a dlib shape model: {error}") from error
    return predictor, dlib.rectangle


# dlib's detector keeps the image that it searches inside and lets other threads run meanwhile: two
# threads in one detector end the process. Making one takes longer than searching twenty frames, so
# there are as many as threads have ever searched at the same time.
_idle_detectors: list = []
_LOADING = threading.Lock()
_RECOGNIZING = threading.Lock()  # the network keeps what it computes inside


@contextlib.contextmanager
def _own_detector() -> Iterator:
    """Lends a detector that no other thread uses meanwhile."""
    try:
        detect = _idle_detectors.pop()
    except IndexError:
        import dlib

        detect = dlib.get_frontal_face_detector()
    try:
        yield detect
    finally:
        _idle_detectors.append(detect)


def shrink(image: np.ndarray, color: bool = False) -> tuple[np.ndarray, float]:
    """Returns a frame at most SEARCH_WIDTH wide, and source pixels per pixel of it.

    Args:
      image: `[H, W, 3]` uint8 RGB or `[H, W]` gray.
      color: returns RGB instead of gray.
    """
    if image.ndim == 2 + color:
        picture = image
    else:
        turn = cv2.COLOR_GRAY2RGB if color else cv2.COLOR_RGB2GRAY
        picture = cv2.cvtColor(image, turn)
    height, width = picture.shape[:2]
    scale = width / SEARCH_WIDTH
    if scale <= 1:
        return np.ascontiguousarray(picture), 1.0
    size = SEARCH_WIDTH, max(1, round(height / scale))
    # area averaging costs three times as much and matters only if pixels would be skipped
    method = cv2.INTER_AREA if scale > 2 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method), scale


@dataclasses.dataclass
class Fit:
    """Landmarks of one face in a reduced frame and the mean face fitted to them.

    Attributes:
      points: `[68]` complex, x + iy, pixels of the reduced frame.
      centroid: their mean.
      turn: eye distance and roll of the face as a complex factor on the mean face.
      score: of the detector at the landmarks, higher is surer; NaN before `Detector.confirm`.
      view: `[N]` float32, the upright face with hair as a vector of length 1, see `likeness`; None
        before `Detector.confirm`.
      boxed: of a face found without landmarks, whose points are those of an average face; see
        `boxes.placed.Boxed`, in pixels of the reduced frame. None: they are the face's own.
    """

    points: np.ndarray
    centroid: complex
    turn: complex
    score: float = float("nan")
    view: np.ndarray | None = None
    boxed: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def side(self) -> float:
        """Side of the box that dlib's detector would return."""
        return _BOX_SIDE * abs(self.turn)


def same(one: Fit, other: Fit) -> bool:
    """Returns whether two fits are of one face."""
    return abs(one.centroid - other.centroid) < max(one.side, other.side) / 2


def inside(fit: Fit, gray: np.ndarray) -> bool:
    """Returns whether a frame shows the whole of a face."""
    x, y, half = fit.centroid.real, fit.centroid.imag, 0.6 * fit.side
    height, width = gray.shape[:2]
    return half <= x <= width - half and half <= y <= height - half


def size_ratio(one: Fit, other: Fit) -> float:
    """Returns how much larger one face is than the other, at least 1."""
    return max(one.side, other.side) / min(one.side, other.side)


_MEAN = MEAN_FACE[:, 0].astype(float) + 1j * MEAN_FACE[:, 1]
_MEAN -= _MEAN.mean()


def fit_mean_face(points: np.ndarray) -> Fit:
    """Fits the mean face to `points [68]`, complex, by least squares."""
    centroid = points.mean()
    turn = np.vdot(_MEAN, points - centroid) / np.vdot(_MEAN, _MEAN).real
    return Fit(points, complex(centroid), complex(turn))


@functools.cache
def _recognition_network():
    """Loads the network that describes faces, None if its package is not installed."""
    import dlib

    if not (file := packaged(_MODELS, _RECOGNITION_NAME)):
        return None
    try:
        return dlib.face_recognition_model_v1(str(file))
    except RuntimeError:
        warnings.warn(
            f"{file} cannot be read, so people get new numbers more often; install "
            "face_recognition_models again",
            stacklevel=2,
        )
        return None


class Portrait:
    """A face cut out of a frame, described by a network only when it is compared.

    Args:
      image: `[H, W, 3]` uint8 RGB or `[H, W]` gray.
      points: landmarks `[68, 2]`, pixels of the image.
    """

    def __init__(self, image: np.ndarray, points: np.ndarray):
        import dlib

        color = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        corners = [dlib.point(*map(int, point)) for point in np.round(points)]
        box = dlib.rectangle(*map(int, [*points.min(0), *points.max(0)]))
        shape = dlib.full_object_detection(box, corners)
        self._chip = dlib.get_face_chip(np.ascontiguousarray(color), shape, _PORTRAIT)
        self._vector: np.ndarray | None = None

    def distance(self, other: Portrait) -> float:
        """Returns the distance of two faces, 0 and more; infinite where no network is installed."""
        one, another = self._described(), other._described()
        if one is None or another is None:
            return float("inf")
        return float(np.linalg.norm(one - another))

    def _described(self) -> np.ndarray | None:
        with _RECOGNIZING:  # loads the network once, too
            if self._vector is None and (network := _recognition_network()) is not None:
                self._vector = np.array(network.compute_face_descriptor(self._chip), np.float32)
                self._chip = None  # 66 KB
            return self._vector


class Detector:
    """dlib's frontal face detector and 68-point predictor on reduced gray frames.

    Safe to use from several threads.
    """

    sure = 0.5  # score that settles which way is up

    def __init__(self, model_path=None):
        with _LOADING:  # else threads that start together would each load the model
            self._predict, self._rectangle = _dlib_models(landmark_model(model_path))
            with _own_detector():
                pass  # makes the first one, so that no frame waits for it

    def shrink(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Reduces a frame to what is searched, see `shrink`."""
        return shrink(image)

    def search(self, gray: np.ndarray, closer: bool = False) -> list[tuple[object, float]]:
        """Returns (box, score) of the faces in a frame, largest first; `closer` upsamples once."""
        with _own_detector() as detect:
            boxes, scores, _ = detect.run(gray, int(closer), 0.0)
        found = sorted(zip(boxes, scores, strict=True), key=lambda f: (-f[0].width(), -f[1]))
        return found

    def fit_box(self, gray: np.ndarray, box) -> Fit:
        """Fits 68 landmarks to a face that `search` found."""
        fit = fit_mean_face(_complex(self._predict(gray, box)))
        for _ in range(_TURNS_TO_UPRIGHT if abs(np.angle(fit.turn)) > ROLLED else 0):
            fit = self.fit(gray, fit)
        return fit

    def fit(self, gray: np.ndarray, near: Fit) -> Fit:
        """Fits 68 landmarks to a face near its last position.

        The predictor was trained on upright boxes and fails if a head is tilted by more than 20
        degrees, so the face is turned upright first; the fixed size gives subpixel landmarks.
        """
        patch, corner, step = upright(gray, near, _FIT_CROP, _FIT_FACE)
        low, high = (_FIT_CROP - _FIT_FACE) // 2, (_FIT_CROP + _FIT_FACE) // 2
        points = _complex(self._predict(patch, self._rectangle(low, low, high, high)))
        return fit_mean_face(corner + step * points)

    def confirm(self, gray: np.ndarray, fit: Fit) -> Fit | None:
        """Returns the fit with score and view if the detector finds a face there, else None."""
        if abs(fit.turn) < SMALLEST_EYE_DISTANCE:
            return None
        patch, _, _ = upright(gray, fit, _CROP, _CROP_FACE)
        with _own_detector() as detect:
            boxes, scores, _ = detect.run(patch, 0, 0.0)
        found = [s for box, s in zip(boxes, scores, strict=True) if _in_place(box)]
        if not found:
            return None
        return dataclasses.replace(fit, score=float(max(found)), view=_view(patch))

    def portrait(self, image: np.ndarray, points: np.ndarray) -> Portrait:
        """Cuts a face out of a frame, to be compared with others; arguments as `Portrait`."""
        return Portrait(image, points)


def upright(gray: np.ndarray, fit: Fit, size: int, face: int):
    """Cuts out a face, upright and `face` pixels large, in the middle of `size` pixels.

    Returns:
      The `[size, size]` crop, and corner and step with `frame point = corner + step * crop point`.
    """
    step = fit.turn * _BOX_SIDE / face
    corner = fit.centroid + _BOX_CENTRE * fit.turn - size / 2 * (1 + 1j) * step
    matrix = np.array([[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(gray, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return crop, corner, step


def view_of(picture: np.ndarray, fit: Fit) -> np.ndarray:
    """Describes the face of a fit, see `Fit.view`."""
    patch = upright(picture, fit, _CROP, _CROP_FACE)[0]
    return _view(patch if patch.ndim == 2 else cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY))


def _view(patch: np.ndarray) -> np.ndarray:
    """Describes the patch of `confirm` such that the product of two views is their correlation."""
    small = cv2.resize(patch, (_VIEW, _VIEW), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = small.ravel() - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def _in_place(box) -> bool:
    """Returns whether a box in the confirmation patch is at the expected position."""
    offset = complex(box.left() + box.right(), box.top() + box.bottom()) / 2 - _CROP / 2 * (1 + 1j)
    return abs(offset) < 0.2 * _CROP_FACE and 0.75 < box.width() / _CROP_FACE < 1.33


def _complex(shape) -> np.ndarray:
    return np.array([complex(point.x, point.y) for point in shape.parts()])
