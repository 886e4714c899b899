"""Predicts expressions, action units or dimensions of emotion in clips and in frames."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.predict import sources
from fer_jax.predict.windows import ClipProblem, Options, columns, predict_source, predict_windows


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
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Predicts clips window by window; what cannot be read is reported and skipped.

    In every window the largest face counts. A window without any face keeps its row, with the label
    "no face", NaN as numbers and `abstained` set, so that `~table.abstained` are the usable rows.

    A model of action units predicts the last frame of a window, each unit by itself; a model of
    still images predicts the middle frame.

    Args:
      predictor: what `fer_jax.load_model` returns.
      paths: videos, folders of frames, still images; for models of landmarks also OpenFace CSV
        files; one or many.
      mc_samples: number of MC samples a window.
      window: seconds; default: the median length of the clips (or windows of clips) the model was
        trained on, 0.2 for one of still images.
      stride: seconds from one window to the next; default: half a window. A shorter clip is one
        window; the last window of a longer one ends with it.
      threshold: entropy (nats; of dimensions: doubt) above which a prediction is marked as
        abstained, the same for all action units; default: the bundle's own; nothing abstains where
        that is None.
      seed: of the dropout masks; every window gets the same ones, so a row does not depend on what
        else is predicted.
      fps: frames a second of sources that do not say (folders of frames).
      width: of the frames behind OpenFace CSV files, pixels; the files do not say. With it their
        landmarks are scaled as those of video are; 0 leaves them as they are.
      landmark_model: a dlib 68-point model, which finds the faces; default: the installed one.
      say: takes each message, one line; default prints to stderr.

    Returns:
      One row a window: clip, start, end (seconds), a probability for every class under its name,
      label (of the largest probability, also where abstained), entropy and mutual_information
      (nats), agreement (share of passes), frames (with the face), abstained.
      For action units, such as AU06: AU06 (probability) for each, label (those present and trusted,
      like "AU06+AU12", or "none"), for each std_AU06 (over the passes), entropy_AU06,
      mutual_information_AU06, agreement_AU06 and abstained_AU06, then frames and abstained (all
      units are).
      For dimensions, such as valence: valence (1 to 9) for each, label (of eight words of emotions
      the one whose mean ratings are nearest, for orientation), for each std_valence (over the
      passes), low_valence and high_valence (where 90% of the labels shall lie), then doubt (root
      mean variance over the dimensions), frames and abstained.
    """
    options = Options(mc_samples, window, stride, threshold, seed, fps, width, landmark_model)
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    say = functools.cache(say or functools.partial(print, file=sys.stderr))  # every line once
    tables = [
        table for path in paths if (table := _attempt(predictor, path, options, say)) is not None
    ]
    return join_tables(predictor, tables)


def predict_frames(
    predictor,
    images: Iterable,
    landmarks: Iterable | None = None,
    *,
    fps: float = UNKNOWN_FPS,
    mc_samples: int = 100,
    window: float | None = None,
    stride: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
    landmark_model=None,
) -> Iterator[dict]:
    """Predicts frames as they come, from a camera or from memory.

    Gives the rows of `predict_clips`, each as soon as the last frame of its window is there:
    `next(predict_frames(model, [image]))` is the prediction for one picture,
    `pandas.DataFrame(predict_frames(model, images, fps=30))` the table of a clip in memory.

    Args:
      predictor: what `fer_jax.load_model` returns.
      images: `[H, W, 3]` uint8 RGB, upright; taken one by one, not held.
      landmarks: `[68, 2]` of every image, pixels, None or NaN where there is no face; default:
        faces are found and followed, and the largest of every window counts.
      fps: images a second.
      mc_samples, window, stride, threshold, seed, landmark_model: see `predict_clips`.

    Yields:
      A row of `predict_clips` without its clip, as a dict.

    Raises:
      ValueError: an image or landmarks of another shape, or not as many landmarks as images.
      ClipProblem: what finds faces is not installed.
    """
    options = Options(mc_samples, window, stride, threshold, seed, fps, 0, landmark_model)
    images = sources.checked(images)
    head = list(itertools.islice(images, 1))
    width = head[0].shape[1] if head else 0
    names = columns(predictor.classes, predictor.task)
    faces = sources.watch(predictor, itertools.chain(head, images), landmarks, options)
    for row, _ in predict_windows(predictor, faces, options, fps=fps, width=width):
        yield {name: row[name] for name in names if name in row}


def join_tables(predictor, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Puts the tables of clips one below the other, also where there is none."""
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
    """Says what is wrong with a clip instead of ending the batch."""
    try:
        yield
    except ClipProblem as problem:
        named = str(path) in str(problem)
        say(f"skipped: {problem}" if named else f"skipped: {path}: {problem}")
    except Exception as error:  # whatever a damaged file provokes
        say(f"skipped: {path}: {type(error).__name__}: {error}")
