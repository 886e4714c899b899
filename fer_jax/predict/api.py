"""Predicts expressions, action units or emotion dimensions in clips and frames."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from fer_jax.faces.media import listing
from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.machine import StorageError
from fer_jax.predict import sources
from fer_jax.predict.images.boxed import check_boxes, watch_boxes
from fer_jax.predict.options import Options, in_turn, of_type, say_first, saying_once
from fer_jax.predict.windows import (
    ClipProblem,
    at_rate,
    columns,
    predict_source,
    predict_windows,
)


def predict_clips(
    predictor,
    paths,
    *,
    mc_samples: int = 100,
    window: float | None = None,
    stride: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
    fps: float = UNKNOWN_FPS,
    width: int = 0,
    landmark_model=None,
    people: str = "largest",
    smoothing: float | None = None,
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Predicts clips window by window; reports and skips clips that cannot be read.

    A window without a face has a row with the label "no face", NaN values and `abstained` set, so
    `table[~table.abstained]` holds the usable rows. A face that no model can read (too small, in
    profile, blurred; without motion, for a model of motion) also abstains; `reason` says why:
    "ambiguous", "unfamiliar" or "unreadable: WHY".

    A model of action units predicts the last frame of a window, each unit by itself; a model of
    still images predicts the middle frame, and its rows are smoothed over time.

    Args:
      predictor: of `fer_jax.load_model`.
      paths: one or many videos, folders of videos, folders of frames or still images; for landmark
        models also landmark CSVs of OpenFace or py-feat, and folders of these alone.
      mc_samples: number of MC samples per window.
      window: seconds; default: the median length of the training clips (or windows), 0.2 for a
        model of still images.
      stride: seconds from one window to the next; default: half a window. The last window ends
        with the clip; a clip shorter than a window is one window.
      threshold: entropy (nats; of dimensions: uncertainty) above which a prediction abstains, the
        same for all action units; default: that of the bundle. Without either nothing abstains,
        and a note says so.
      seed: of the dropout masks, the same for every window.
      fps: frames per second of sources that do not state it (folders of frames).
      width: frame width of landmark CSVs that do not state it, pixels; it scales their landmarks
        like those of video. 0 does not scale them.
      landmark_model: the dlib 68-point model with which faces are found; default: the installed
        one, or none for a model that needs no landmarks, if the extra `detect` is installed.
      people: "largest": the largest face of a window is predicted, of a landmark CSV the person
        seen most; "all": every person, one row each.
      smoothing: seconds, the time constant with which the past of each person weighs less and
        less, sooner where the present contradicts it; 0: rows do not depend on each other.
        Default: 0.5 for models of still images, 0 for others.
      say: takes each message, one line; default: prints to stderr.

    Returns:
      One row per window and person: clip, start, end (seconds), person (1, 2, ... in the order in
      which they first appear; 0: nobody), the columns of the task, frames (with the face),
      abstained, reason; then what the face offers, medians over the window: face_share (of the
      frames), face_size, box_left, box_top, box_right, box_bottom (pixels), yaw, pitch, roll
      (degrees), sharpness, fit (score of the detector, or that of the landmark CSV). The columns
      of the task are for
      classes: the probability of each under its name, calibrated if the bundle has a calibrator,
        label (the most likely class, also where abstained), set (every class that it may be, like
        "happiness|surprise", the likeliest first) and set_level (how often sets hold the right
        one), entropy and mutual_information (nats), agreement (share of MC samples), and
        the standard deviation of each class over the MC samples (std_happiness);
      action units, such as AU06: the probability of each (AU06), label (those present and not
        abstained, like "AU06+AU12", or "none"), set_level, for each set_AU06 (absent,
        present or both), std_AU06 (over the MC samples), entropy_AU06, mutual_information_AU06,
        agreement_AU06 and abstained_AU06; `abstained` is set if all units abstain;
      dimensions, such as valence: the value of each (1 to 9), label (for orientation: the one of
        eight emotion words with the nearest mean ratings), for each std_valence (over the MC
        samples), low_valence and high_valence (interval that holds the label as often as
        interval_level says), then uncertainty (root mean variance over the dimensions).

    Raises:
      TypeError: an argument is of another kind, such as a number in place of paths.
      ValueError: an impossible number.
    """
    check_predictor(predictor)
    options = Options(
        mc_samples=mc_samples, window=window, stride=stride, threshold=threshold, seed=seed,
        fps=fps, width=width, landmark_model=landmark_model, people=people, smoothing=smoothing,
    )  # fmt: skip
    paths, say = _listed(paths), saying_once(say)
    say_first(predictor, options, "`threshold`", say)
    attempts = (_attempt(predictor, path, options, say) for path in listing.clips_of(paths, say))
    tables = [table for table in attempts if table is not None]
    return join_tables(predictor, tables)


def _listed(paths) -> list:
    """Lists one or many paths; raises a TypeError if these are none."""
    wanted = "the path of a clip, or a list of paths (frames in memory: to predict_frames)"
    given = [paths] if is_path(paths) else [*in_turn(paths, "paths", wanted)]
    for path in given:
        if not is_path(path):
            raise TypeError(f"paths holds {of_type(path)}: give {wanted}")
    return given


def is_path(value) -> bool:
    """Whether a value names a file or a folder."""
    return isinstance(value, (str, os.PathLike))


def check_predictor(predictor) -> None:
    """Raises a TypeError if it is no model."""
    if is_path(predictor):
        raise TypeError(
            f"the model is the path {os.fspath(predictor)!r}: give what fer_jax.load_model returns"
        )
    if not (hasattr(predictor, "spec") and hasattr(predictor, "predict")):
        raise TypeError(f"the model is {of_type(predictor)}: give what fer_jax.load_model returns")


def predict_frames(
    predictor,
    images: Iterable,
    landmarks: Iterable | None = None,
    *,
    boxes: Iterable | None = None,
    fps: float = UNKNOWN_FPS,
    mc_samples: int = 100,
    window: float | None = None,
    stride: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
    landmark_model=None,
    people: str = "largest",
    smoothing: float | None = None,
) -> Iterator[dict]:
    """Predicts frames from a camera or from memory as they arrive.

    Gives each row of `predict_clips` as soon as its window is complete:
    `next(predict_frames(model, [image]))` is the prediction for one picture,
    `pandas.DataFrame(predict_frames(model, images, fps=30))` the table of a clip in memory.

    Args:
      predictor: of `fer_jax.load_model`.
      images: `[H, W, 3]` uint8 RGB, upright and of one size, or None (or an empty image) for a
        frame that the camera dropped, which counts as one without a face; read one by one and not
        kept.
      landmarks: `[68, 2]` of every image, pixels, None or NaN without a face; default: faces are
        found and tracked, and the largest of each window is predicted. Landmarks that jump, as at a
        cut, are those of another person.
      boxes: of the faces in every image, in place of landmarks and without a detector: (left, top,
        right, bottom), pixels, a list of such boxes, or None without a face; boxes that overlap
        from image to image are of one person. "whole": each image is the crop of a face. Only for
        models that take pictures of faces without landmarks.
      fps: images per second.
      mc_samples, window, stride, threshold, seed, landmark_model, people, smoothing: see
        `predict_clips`. A row depends on no later image.

    Returns:
      An iterator of rows of `predict_clips` without their clip, each a dict.

    Raises:
      TypeError: an argument is of another kind, such as a path in place of images.
      ValueError: an impossible number; an image, landmarks or boxes of another shape, or not as
        many as images; boxes for a model that needs landmarks.
      ClipProblem: the face detector is not installed.
    """
    check_predictor(predictor)
    if is_path(images):
        raise TypeError(f"images is the path {os.fspath(images)!r}: give it to predict_clips")
    options = Options(
        mc_samples=mc_samples, window=window, stride=stride, threshold=threshold, seed=seed,
        fps=fps, landmark_model=landmark_model, people=people, smoothing=smoothing,
    )  # fmt: skip
    if landmarks is not None and boxes is not None:
        raise ValueError("both landmarks and boxes are given: give one of them")
    check_boxes(predictor, boxes)
    images = in_turn(images, "images", "a list of images, or what yields them one by one")
    if landmarks is not None:
        in_turn(landmarks, "landmarks", "[68, 2] of each image, or None for one without a face")
    return _predict_frames(predictor, sources.checked(images), landmarks, boxes, options)


def _predict_frames(
    predictor, images: Iterator, landmarks, boxes, options: Options
) -> Iterator[dict]:
    head = []  # frames up to the first that the camera did not drop, which gives the width
    for image in images:
        head.append(image)
        if image is not None:
            break
    width = head[-1].shape[1] if head and head[-1] is not None else 0
    names = columns(predictor.classes, predictor.task)
    images = itertools.chain(head, images)
    if boxes is None:
        faces = sources.watch(predictor, images, landmarks, options)
    else:
        faces = watch_boxes(predictor, images, boxes, options.fps)
    frames = at_rate(faces, options.fps)
    for row, _ in predict_windows(predictor, frames, options, fps=options.fps, width=width):
        yield {name: row[name] for name in names if name in row}


def join_tables(predictor, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenates the tables of clips; an empty table if there are none."""
    if not tables:
        return pd.DataFrame(columns=columns(predictor.classes, predictor.task))
    return pd.concat(tables, ignore_index=True)


def _attempt(predictor, path, options: Options, say) -> pd.DataFrame | None:
    with reported(path, say):
        source = sources.open_source(predictor, path, options, say)
        return predict_source(predictor, source, options, say)
    return None


@contextlib.contextmanager
def reported(path, say) -> Iterator[None]:
    """Reports a faulty clip instead of raising, so that the others are predicted."""
    try:
        yield
    except (ClipProblem, StorageError) as problem:
        named = str(path) in str(problem)
        say(f"skipped: {problem}" if named else f"skipped: {path}: {problem}")
    except Exception as error:  # a damaged file may raise anything
        say(f"skipped: {path}: {type(error).__name__}: {error}")
