"""Predicts expressions, action units or dimensions of emotion in clips, with their uncertainty.

    python -m fer_jax.predict BUNDLE CLIP... --out table.csv --annotate out.mp4 --figure out.png

A clip is a video or a folder of frames; for models of landmarks also a CSV of OpenFace. Long clips
are read window by window. A still image works too, but its one frame stands for a whole clip: where
the model was trained on motion, take the result with care.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.predict.sources import checked, open_source, watch
from fer_jax.predict.tables import drawn_files, print_table, save_table
from fer_jax.predict.windows import (
    ClipProblem,
    Options,
    chosen_threshold,
    columns,
    predict_source,
    predict_windows,
)
from fer_jax.tasks import TASKS


def predict_clips(
    predictor,
    paths,
    *,
    passes: int = 100,
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

    A model of action units speaks of the last frame of a window, and of each unit by itself; one of
    still images of its middle frame.

    Args:
      predictor: what `fer_jax.load_model` returns.
      paths: videos, folders of frames, still images; for models of landmarks also OpenFace CSV
        files; one or many.
      passes: of the network with dropout on, a window.
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
      Of action units, such as AU06: AU06 (probability) for each, label (those present and trusted,
      like "AU06+AU12", or "none"), for each std_AU06 (over the passes), entropy_AU06,
      mutual_information_AU06, agreement_AU06 and abstained_AU06, then frames and abstained (all
      units are).
      Of dimensions, such as valence: valence (1 to 9) for each, label (of eight words of emotions
      the one whose mean ratings are nearest, for orientation), for each std_valence (over the
      passes), low_valence and high_valence (where 90% of the labels shall lie), then doubt (root
      mean variance over the dimensions), frames and abstained.
    """
    options = Options(passes, window, stride, threshold, seed, fps, width, landmark_model)
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    say = functools.cache(say or functools.partial(print, file=sys.stderr))  # every line once
    tables = [
        table for path in paths if (table := _attempt(predictor, path, options, say)) is not None
    ]
    return _joined(predictor, tables)


def predict_frames(
    predictor,
    images: Iterable,
    landmarks: Iterable | None = None,
    *,
    fps: float = UNKNOWN_FPS,
    passes: int = 100,
    window: float | None = None,
    stride: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
    landmark_model=None,
) -> Iterator[dict]:
    """Predicts frames as they come, from a camera or from memory.

    Gives the rows of `predict_clips`, each as soon as the last frame of its window is there:
    `next(predict_frames(model, [image]))` is what the model says to one picture,
    `pandas.DataFrame(predict_frames(model, images, fps=30))` the table of a clip in memory.

    Args:
      predictor: what `fer_jax.load_model` returns.
      images: `[H, W, 3]` uint8 RGB, upright; taken one by one, not held.
      landmarks: `[68, 2]` of every image, pixels, None or NaN where there is no face; default:
        faces are found and followed, and the largest of every window counts.
      fps: images a second.
      passes, window, stride, threshold, seed, landmark_model: see `predict_clips`.

    Yields:
      A row of `predict_clips` without its clip, as a dict.

    Raises:
      ValueError: an image or landmarks of another shape, or not as many landmarks as images.
      ClipProblem: what finds faces is not installed.
    """
    options = Options(passes, window, stride, threshold, seed, fps, 0, landmark_model)
    images = checked(images)
    head = list(itertools.islice(images, 1))
    width = head[0].shape[1] if head else 0
    names = columns(predictor.classes, predictor.task)
    faces = watch(predictor, itertools.chain(head, images), landmarks, options)
    for row, _ in predict_windows(predictor, faces, options, fps=fps, width=width):
        yield {name: row[name] for name in names if name in row}


def _joined(predictor, tables: list[pd.DataFrame]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=columns(predictor.classes, predictor.task))
    return pd.concat(tables, ignore_index=True)


def _attempt(predictor, path, options: Options, say) -> pd.DataFrame | None:
    with _reported(path, say):
        return predict_source(predictor, open_source(predictor, path, options, say), options, say)
    return None


@contextlib.contextmanager
def _reported(path, say) -> Iterator[None]:
    """Says what is wrong with a clip instead of ending the batch."""
    try:
        yield
    except ClipProblem as problem:
        named = str(path) in str(problem)
        say(f"skipped: {problem}" if named else f"skipped: {path}: {problem}")
    except Exception as error:  # whatever a damaged file provokes
        say(f"skipped: {path}: {type(error).__name__}: {error}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 when at least one clip was predicted."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        targets = drawn_files(options)
        from fer_jax.predict.load import load_model

        predictor = load_model(options.bundle)
        columns(predictor.classes, predictor.task)
    except (OSError, ValueError) as error:
        return _failed(console, error)
    tables, stopped = [], False
    try:
        _predict_all(predictor, options, targets, console, tables)
    except KeyboardInterrupt:
        stopped = True
        console.print("stopped: what was finished is shown", style="yellow")
    table = _joined(predictor, tables)
    if not tables:
        return _failed(console, "none of the clips could be predicted")
    print_table(table, predictor.classes, predictor.task)
    if options.out is not None:
        try:
            save_table(table, options.out)
        except OSError as error:
            return _failed(console, f"{options.out} cannot be written: {error}")
        console.print(f"saved: {options.out}", markup=False, highlight=False, soft_wrap=True)
    return 130 if stopped else 0


def _failed(console: Console, text) -> int:
    console.print(f"error: {text}", style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fer_jax.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add("bundle", metavar="BUNDLE", help="folder of a trained model (model/ of a run)")
    add("clips", metavar="CLIP", nargs="+", type=path,
        help="video, folder of frames; OpenFace CSV for models of landmarks")  # fmt: skip
    add("--out", type=path, help="table of all windows, .csv or .json")
    add("--annotate", type=path, metavar="MP4", help="annotated video; a folder for several clips")
    add("--figure", type=path, metavar="PNG", help="timeline figure; a folder for several clips")
    add("--passes", type=_positive(int), default=100, help="with dropout, a window (default 100)")
    add("--window", type=_positive(float), metavar="SECONDS",
        help="default: that of the clips or windows the model was trained on (median); 0.2 for "
        "models of still images")  # fmt: skip
    add("--stride", type=_positive(float), metavar="SECONDS", help="default: half a window")
    add("--threshold", type=float, metavar="LIMIT",
        help="abstain above this entropy, nats, or deviation of the passes from each other, of "
        "dimensions (default: the model's own)")  # fmt: skip
    add("--seed", type=int, default=0, help="of the dropout masks (default 0)")
    add("--fps", type=_positive(float), default=UNKNOWN_FPS,
        help="frames a second of clips that do not say (default 25)")  # fmt: skip
    add("--width", type=_positive(int, or_zero=True), default=0, metavar="PIXELS",
        help="frame width of landmark CSVs; 0 leaves their scale (default)")  # fmt: skip
    add("--landmark-model", type=path, metavar="DAT",
        help="dlib 68-point model; default: the installed one")  # fmt: skip
    return parser


def _positive(kind, or_zero: bool = False):
    def parse(text: str):
        value = kind(text)
        if not 0 <= value < float("inf") or not (value or or_zero):
            raise ValueError
        return value

    parse.__name__ = "positive number or zero" if or_zero else "positive number"
    return parse


def _predict_all(predictor, options, targets, console: Console, tables: list) -> None:
    """Predicts and draws clip by clip under a progress bar; `tables` grows as they finish."""
    how = Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__})
    warning = TASKS[predictor.task].threshold_warning(
        chosen_threshold(predictor, how), predictor.classes
    )
    if warning:
        console.print(f"note: {warning}", highlight=False, soft_wrap=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f} frames"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )

    @functools.cache  # every line once
    def say(text: str) -> None:
        style = "yellow" if text.startswith("skipped") else None
        progress.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    with progress:
        for path, target in zip(options.clips, targets, strict=True):
            with _reported(path, say):
                tables.append(_predict_one(predictor, path, how, target, progress, say))


def _predict_one(predictor, path, options: Options, target: dict, progress, say) -> pd.DataFrame:
    task = progress.add_task(f"reading {path.name}", total=None, rate="")

    def advance() -> None:
        speed = progress.tasks[0].speed
        progress.update(task, advance=1, rate=f"{speed:.0f} frames/s" if speed else "")

    try:
        source = open_source(predictor, path, options, say)
        progress.update(task, total=source.announced or None)
        with tempfile.TemporaryFile() as spool:
            table = predict_source(
                predictor, source, options, say, advance, spool if target else None
            )
            if target:
                frames = progress.tasks[0].completed
                progress.reset(task, description=f"drawing {path.name}", total=frames)
                spool.seek(0)
                _draw(predictor, source, table, options, target, spool, advance, say)
    finally:
        progress.remove_task(task)
    return table


def _draw(predictor, source, table, options, target: dict, spool, advance, say) -> None:
    """Writes the annotated video and the figure of one clip; a failure costs only these."""
    from fer_jax.predict import annotate

    classes, threshold = predictor.classes, chosen_threshold(predictor, options)
    drawn = {"task": predictor.task, "advance": advance, **target}
    try:
        annotate.draw_clip(source, table, classes, threshold, spool, **drawn)
    except Exception as error:  # the predictions are there and stay
        say(f"not drawn: {source.path}: {error}")
        return
    for path in target.values():
        say(f"drawn: {path}")
