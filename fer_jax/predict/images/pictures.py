"""Predicts pictures: every face of each, many faces at a time."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from fer_jax import shipped
from fer_jax.faces.boxes.given import read_boxes
from fer_jax.faces.sequence import ClipError
from fer_jax.predict import sources
from fer_jax.predict.api import check_predictor, reported
from fer_jax.predict.images.boxed import (
    box_detector,
    check_boxes,
    cut_boxes,
    pairs,
    take_whole,
    takes_boxes,
    without_detector,
)
from fer_jax.predict.options import (
    ALL,
    Options,
    chosen_threshold,
    in_turn,
    say_first,
    saying_once,
)
from fer_jax.predict.people import Numbers, choose_people, describe, why_unreadable, with_reason
from fer_jax.predict.windows import (
    ClipProblem,
    Faces,
    Frame,
    columns,
    stack_faces,
)
from fer_jax.tasks import TASKS
from fer_jax.tasks.evaluation import some_rows

_TOGETHER = 64  # faces predicted at a time


class _Seen(NamedTuple):
    """A person in a picture.

    Attributes:
      clip: path, or index of an array.
      frame: the picture's faces.
      track: of the person; None: the picture shows nobody.
      number: of the person in the picture, from 1; 0: nobody.
      width: of the picture, pixels.
    """

    clip: str | int
    frame: Frame
    track: int | None
    number: int
    width: int


def predict_images(
    predictor,
    images,
    boxes=None,
    *,
    mc_samples: int = 100,
    threshold: float | None = None,
    seed: int = 0,
    landmark_model=None,
    people: str = ALL,
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Predicts pictures, files or arrays: one row per face, many faces at a time.

    Rows do not depend on each other, nor on the number of pictures.

    Args:
      predictor: of `fer_jax.load_model`.
      images: one or many pictures: paths of files, or arrays `[H, W, 3]` uint8 RGB or `[H, W]`
        gray; `[N, H, W, 3]` and `[N, H, W]` are N pictures.
      boxes: of the faces, from any detector, in pixels of the upright picture: (left, top, right,
        bottom) or a list of such boxes, of many pictures one entry each, None without a face.
        Dlib is then not needed. "whole": each picture is the crop of a face, cut like those that
        the model was trained on. Only for models that take pictures of faces without landmarks.
        Default: faces are found.
      mc_samples, threshold, seed, landmark_model, say: see `predict_clips`.
      people: "all": every face, one row each, in the order of `boxes` if given; "largest": the
        largest of each picture.

    Returns:
      A table with the columns of `predict_clips`; `clip` is the path, or of arrays the index. A
      picture without a face has a row with the label "no face". Of faces known by boxes, yaw,
      pitch, roll and fit are NaN, and the box is that of `boxes`. Files that cannot be read are
      reported and have no row.

    Raises:
      TypeError: an argument is of another kind, such as a number in place of pictures.
      ValueError: an impossible number; an array that is no picture; boxes of another shape or
        number, or for a model that needs landmarks.
      ClipProblem: neither boxes nor a detector of faces.
    """
    check_predictor(predictor)
    options = Options(
        mc_samples=mc_samples, threshold=threshold, seed=seed, landmark_model=landmark_model,
        people=people,
    )  # fmt: skip
    check_boxes(predictor, boxes)
    say = saying_once(say)
    say_first(predictor, options, "`threshold`", say)
    if boxes is None:
        _check_detector(predictor, options)
    names, rows = columns(predictor.classes, predictor.task), []
    for batch in _batches(_people(predictor, images, boxes, options, say)):
        rows += _predict(predictor, batch, options)
    return pd.DataFrame(rows, columns=names)


def _check_detector(predictor, options: Options) -> None:
    """Says once for all pictures that no face can be found in them."""
    from fer_jax.faces.detector import Detector, LandmarkModelError

    if box_detector(predictor, options):
        return
    try:
        Detector(options.landmark_model)
    except LandmarkModelError as error:
        problem = without_detector(predictor, error)
        instead = (
            ". Or give boxes of faces that were found in another way (boxes=), or boxes='whole' if "
            "each image is the crop of a face"
        )
        raise ClipProblem(f"{problem}{instead * takes_boxes(predictor)}") from error


def _people(predictor, images, boxes, options: Options, say) -> Iterator[_Seen]:
    """Yields the people to predict, picture by picture; reports files that cannot be read."""
    for index, (image, given) in enumerate(_paired(images, boxes)):
        if isinstance(image, (str, os.PathLike)):
            image = shipped.picture(image)
            clip = os.fsencode(image).decode("utf-8", "backslashreplace")  # tables take UTF-8 only
            found = None
            with reported(image, say):
                found = _of_file(predictor, pathlib.Path(image), given, options, say)
            if found is None:
                continue
        else:
            clip, array = index, _picture(image, index)
            found = _of_array(predictor, array, given, f"image {index}", options), array.shape[1]
        faces, width = found
        frame, numbers = Frame(0.0, 1 / options.fps, faces), Numbers()
        for track in choose_people([faces], options.people, numbers):
            yield _Seen(clip, frame, track, numbers.of(track), width)


def _paired(images, boxes) -> Iterator[tuple]:
    """Yields each picture with its boxes, None without a face, or `...` to find them."""
    one = isinstance(images, (str, os.PathLike))
    if isinstance(images, np.ndarray):
        one = images.ndim < 3 or images.ndim == 3 and images.shape[2] == 3
    wanted = "a picture, which is a path or an array, or a list of them"
    images = [images] if one else in_turn(images, "images", wanted)
    if boxes is None or isinstance(boxes, str):
        return ((image, ... if boxes is None else boxes) for image in images)
    return pairs(images, [boxes] if one else boxes, "boxes")


def _picture(image, index: int) -> np.ndarray:
    """Returns `[H, W, 3]` uint8 RGB.

    Raises:
      ValueError: it is no such picture.
    """
    wanted = "RGB [H, W, 3] or gray [H, W] of uint8"
    array = sources.as_array(image, f"image {index}", wanted)
    if (
        array.dtype != np.uint8
        or not array.size
        or not (array.ndim == 2 or array.ndim == 3 and array.shape[2] == 3)
    ):
        raise ValueError(f"image {index} is {array.dtype} {list(array.shape)}: give {wanted}")
    return array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)


def _of_array(predictor, image: np.ndarray, given, name: str, options: Options) -> Faces:
    if given is ...:
        return next(sources.watch(predictor, [image], None, options))
    if isinstance(given, str):
        return take_whole(predictor, image)
    found = read_boxes(given, f"boxes of {name}", image.shape[1::-1])
    return cut_boxes(predictor, image, found, range(len(found)))


def _of_file(predictor, path: pathlib.Path, given, options: Options, say) -> tuple[Faces, int]:
    """Returns the faces of a picture and its width."""
    from fer_jax.faces.video import open_frames

    if path.is_dir() or path.suffix.lower() == ".csv":
        raise ClipProblem(f"{path} is no picture: give it to predict_clips")
    if given is ...:
        source = sources.open_source(predictor, path, options, say)
        frames = [frame.faces for frame in itertools.islice(source.frames, 2)]
        width, remarks = source.width, source.remarks
    else:
        try:
            opened = open_frames(path)
        except ClipError as error:
            raise ClipProblem(str(error)) from error
        frames = [image for _, image in itertools.islice(opened, 2)]
        width, remarks = opened.size[0], lambda: [opened.notes()] * bool(opened.notes())
    if len(frames) > 1:
        raise ClipProblem(f"{path} holds several frames: give it to predict_clips")
    for remark in remarks():
        say(f"note: {path}: {remark}")
    if given is ...:
        return frames[0], width
    try:
        return _of_array(predictor, frames[0], given, str(path), options), width
    except ValueError as error:
        raise ClipProblem(str(error)) from error


def _batches(people: Iterable[_Seen]) -> Iterator[list[_Seen]]:
    """Gathers people of pictures of one width, up to `_TOGETHER` with a face."""
    batch: list[_Seen] = []
    for person in people:
        full = sum(each.track is not None for each in batch) == _TOGETHER
        if batch and (full or person.width != batch[-1].width):
            yield batch
            batch = []
        batch.append(person)
    if batch:
        yield batch


def _predict(predictor, batch: list[_Seen], options: Options) -> list[dict]:
    """Returns the rows of some people, whose pictures have one width."""
    task, width = TASKS[predictor.task], batch[0].width
    shown = [person for person in batch if person.track is not None]
    threshold, summary, far = chosen_threshold(predictor, options), None, None
    if shown:
        summary, far = _summary(predictor, shown, width, options)
    rows, place = [], 0
    for person in batch:
        row = {"clip": person.clip, "start": person.frame.start, "end": person.frame.end}
        row |= {"person": person.number, "frames": int(person.track is not None)}
        row |= describe([person.frame], person.track)
        reason = why_unreadable(row, [person.frame], person.track, predictor.spec.features, width)
        if person.track is None:
            answer, distance = task.blank_row(predictor.classes), None
        else:
            own = some_rows(summary, slice(place, place + 1))
            answer = task.row(own, predictor.classes, threshold, predictor.trust.sets)
            distance, place = None if far is None else far[place], place + 1
        rows.append(with_reason(row | answer, reason, predictor, width, distance))
    return rows


def _summary(predictor, shown: list[_Seen], width: int, options: Options):
    """Predicts faces together: their summary, and how unfamiliar each is, or None."""
    chosen = predictor.select(np.array([True]), np.array([0.0]))
    stacked = [
        stack_faces([person.frame.faces[person.track]] * len(chosen), predictor.module.inputs)
        for person in shown
    ]
    count = 1 << (len(stacked) - 1).bit_length()  # so that few sizes are compiled
    stacked += stacked[-1:] * (count - len(stacked))
    inputs = jax.tree.map(lambda *leaves: np.concatenate(leaves), *stacked)
    how = {"mc_samples": options.mc_samples, "seed": options.seed, "frame_width": width}
    summary = predictor.predict_each(inputs, **how)
    return summary, predictor.unfamiliarity(inputs, frame_width=width)
