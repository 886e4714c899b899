"""Cuts out faces by boxes, which another detector found."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from fer_jax.faces.boxes.followed import BoxTracker
from fer_jax.faces.boxes.given import WHOLE, read_boxes
from fer_jax.faces.boxes.placed import Boxed, face_in_box, face_in_crop
from fer_jax.faces.crop import cut_crop
from fer_jax.faces.quality import sharpness
from fer_jax.installation import how_to_install
from fer_jax.predict.options import Options, in_turn
from fer_jax.predict.windows import ClipProblem, Face, Faces

_NONE_LEFT = object()


def takes_boxes(predictor) -> bool:
    """Tells whether boxes suffice for a model: it takes pictures of faces, without landmarks."""
    return predictor.module.inputs == "frames"


def box_detector(predictor, options: Options):
    """The network that finds faces for a model that boxes suffice, None to find them with dlib.

    That is, if it is installed and no landmark model is asked for.
    """
    from fer_jax.faces.boxes.network import BoxDetector, network
    from fer_jax.faces.detector import asked_landmark_model

    if not takes_boxes(predictor) or asked_landmark_model(options.landmark_model):
        return None
    return BoxDetector() if network() else None


def without_detector(predictor, error) -> ClipProblem:
    """Says how to get what finds faces for a model.

    Args:
      error: the `LandmarkModelError`.
    """
    lighter = f". Lighter, and enough for this model: {how_to_install('detect')}"
    return ClipProblem(f"{error}{lighter * takes_boxes(predictor)}")


def check_boxes(predictor, boxes) -> None:
    """Refuses boxes for a model that needs landmarks, and other text than `WHOLE`.

    Raises:
      TypeError: it is neither text nor a list.
      ValueError: it needs them, or the text is another.
    """
    if boxes is None:
        return
    if not takes_boxes(predictor):
        raise ValueError(
            f"{predictor.name} needs 68 landmarks of each face, which boxes do not give: leave "
            "boxes out, so that landmarks are found, or give landmarks to predict_frames"
        )
    wanted = f"boxes, or {WHOLE!r} if each image is the crop of a face"
    if isinstance(in_turn(boxes, "boxes", wanted), str) and boxes != WHOLE:
        raise ValueError(f"boxes is {boxes!r}: give {wanted}")


def cut_boxes(predictor, image: np.ndarray, boxes: np.ndarray, tracks: Iterable[int]) -> Faces:
    """Cuts faces out of an image as the model was trained on them.

    Args:
      image: `[H, W, 3]` uint8 RGB.
      boxes: `[N, 4]`, pixels.
      tracks: of the N people.
    """
    return {
        track: _cut(predictor, image, box, face_in_box(box))
        for track, box in zip(tracks, boxes, strict=True)
    }


def take_whole(predictor, image: np.ndarray) -> Faces:
    """Takes an image for the crop of a face, framed as the model was trained."""
    size = image.shape[1::-1]
    points = face_in_crop(size, predictor.spec.framing)
    return {0: _cut(predictor, image, np.array([0, 0, *size], float), points)}


def _cut(predictor, image: np.ndarray, box: np.ndarray, points: np.ndarray) -> Face:
    crop, inside = cut_crop(image, points, predictor.spec.prepared_size, predictor.spec.framing)
    return Face(points, crop, inside, sharpness=sharpness(image, points), boxed=Boxed(box))


def watch_boxes(predictor, images: Iterable, boxes, fps: float) -> Iterator[Faces]:
    """Yields the faces of every frame, of which boxes are given; a dropped frame has none.

    Args:
      images: of `sources.checked`.
      boxes: see `predict_frames`.
      fps: frames per second.
    """
    if isinstance(boxes, str):
        yield from ({} if image is None else take_whole(predictor, image) for image in images)
        return
    tracker = BoxTracker(fps)
    for index, (image, given) in enumerate(pairs(images, boxes, "boxes")):
        if image is None:
            tracker.step(np.zeros((0, 4)))
            yield {}
            continue
        found = read_boxes(given, f"boxes of image {index}", image.shape[1::-1])
        yield cut_boxes(predictor, image, found, tracker.step(found))


def pairs(images: Iterable, known: Iterable, what: str) -> Iterator[tuple]:
    """Yields each image with what is known of its faces.

    Args:
      images, known: as many of each.
      what: it is, for the error.

    Raises:
      ValueError: there are more of one.
    """
    for index, (image, own) in enumerate(
        itertools.zip_longest(images, known, fillvalue=_NONE_LEFT)
    ):
        if image is _NONE_LEFT or own is _NONE_LEFT:
            raise ValueError(
                f"images and {what} differ in number, one has {index}: give the {what} of each "
                "image, or None"
            )
        yield image, own
