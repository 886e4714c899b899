"""Predicts the expressions in clips, with their uncertainty.

    python -m fer_jax.predict BUNDLE CLIP... --out table.csv --annotate out.mp4 --figure out.png

A clip is a video, a folder of frames, or a CSV of OpenFace landmarks. Long clips are read window by
window. A still image works too, but its one frame stands for a whole clip: these models were
trained on motion, so take the result with care.
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
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fer_jax.outputs import drawn_files, print_table, save_table
from fer_jax.windows import (
    UNKNOWN_FPS,
    ClipProblem,
    Faces,
    Options,
    Source,
    chosen_threshold,
    columns,
    predict_source,
)

_INSTALL = 'pip install "fer_jax[preprocess]"'
_LARGEST_CANVAS = 4096  # pixels of a side, for drawing landmarks without their picture
_LONGEST_CLIP = 1_000_000  # frames, 11 hours; larger frame numbers of a landmark file are mistakes


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

    Args:
      predictor: what `fer_jax.load_model` returns.
      paths: videos, folders of frames, still images, OpenFace CSV files; one or many.
      passes: of the network with dropout on, a window.
      window: seconds; default: the median length of the clips the model was trained on.
      stride: seconds from one window to the next; default: half a window. A shorter clip is one
        window; the last window of a longer one ends with it.
      threshold: entropy (nats) above which a prediction is marked as abstained; default: the
        bundle's own; nothing abstains where that is None.
      seed: of the dropout masks; every window gets the same ones, so a row does not depend on what
        else is predicted.
      fps: frames a second of sources that do not say (folders of frames).
      width: of the frames behind OpenFace CSV files, pixels; the files do not say. With it their
        landmarks are scaled as those of video are; 0 leaves them as they are.
      landmark_model: a dlib 68-point model; default: the installed one.
      say: takes each message, one line; default prints to stderr.

    Returns:
      One row a window: clip, start, end (seconds), a probability for every class under its name,
      label (of the largest probability, also where abstained), entropy and mutual_information
      (nats), agreement (share of passes), frames (with the face), abstained.
    """
    options = Options(passes, window, stride, threshold, seed, fps, width, landmark_model)
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    say = functools.cache(say or functools.partial(print, file=sys.stderr))  # every line once
    tables = [
        table for path in paths if (table := _attempt(predictor, path, options, say)) is not None
    ]
    return _joined(predictor, tables)


def _joined(predictor, tables: list[pd.DataFrame]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=columns(predictor.classes))
    return pd.concat(tables, ignore_index=True)


def _attempt(predictor, path, options: Options, say) -> pd.DataFrame | None:
    with _reported(path, say):
        source = open_source(path, options)
        _check_scale(predictor, source, say)
        return predict_source(predictor, source, options, say)
    return None


def _check_scale(predictor, source: Source, say) -> None:
    """Notes where landmarks are not of the scale that the model was trained on."""
    scaled = predictor.info.get("dataset", {}).get("scaled")
    if scaled is True and not source.width:
        say(
            "note: the model was trained on landmarks scaled to frames 500 pixels wide; those of "
            "CSV files are taken as they are: give the width of their frames (--width)"
        )
    if scaled is False and source.width:
        say(
            "note: the model was trained on landmarks of frames of unknown width, taken as they "
            "were; those predicted now are scaled to frames 500 pixels wide, so take the result "
            "with care"
        )


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


def open_source(path, options: Options) -> Source:
    """Opens a clip of any kind.

    Raises:
      ClipProblem: it cannot be read, or what reads it is not installed.
    """
    try:
        from preprocess.clip import ClipError
        from preprocess.detector import LandmarkModelError
    except ModuleNotFoundError as error:
        raise ClipProblem(f"reading clips needs more ({error}): {_INSTALL}") from error
    path = pathlib.Path(path)
    try:
        if path.suffix.lower() == ".csv":
            return _open_landmarks(path, options)
        return _open_pictures(path, options)
    except (ClipError, LandmarkModelError) as error:
        raise ClipProblem(str(error)) from error


def _open_landmarks(path: pathlib.Path, options: Options) -> Source:
    from preprocess.openface import read_openface

    sequence, others = read_openface(path, options.fps, (options.width, 0))
    numbers = sequence.frame_index - sequence.frame_index.min()
    length = int(numbers.max()) + 1
    if length > _LONGEST_CLIP:
        raise ClipProblem(
            f"its {len(numbers)} rows number frames over a range of {length}: mend the column "
            "frame, or leave it out"
        )
    known = {
        int(number): {0: points}
        for number, points, seen in zip(numbers, sequence.landmarks, sequence.detected, strict=True)
        if seen
    }

    def pictures() -> Iterator[np.ndarray]:
        corner = 1.1 * sequence.landmarks.max(axis=(0, 1)) + 1
        width, height = np.clip(corner, 64, _LARGEST_CANVAS).astype(int)
        blank = np.full((height, width, 3), 48, np.uint8)
        return itertools.repeat(blank, length)

    remarks = [f"{others} other faces in the file, the one seen most counts"] if others else []
    return Source(
        path=str(path),
        faces=(known.get(number, {}) for number in range(length)),
        pictures=pictures,
        fps=sequence.fps or options.fps,
        width=sequence.frame_size[0],
        announced=length,
        first=max(0, int(sequence.frame_index.min()) - 1),  # OpenFace counts from 1
        remarks=lambda: remarks,
    )


def _open_pictures(path: pathlib.Path, options: Options) -> Source:
    from preprocess.faces import FLEETING, follow
    from preprocess.video import open_frames

    followed = follow(path, model_path=options.landmark_model)
    frames, seen = followed.frames, {}

    def faces() -> Iterator[Faces]:
        for _, _, found in followed:
            for face in found:
                seen[face.track] = seen.get(face.track, 0) + 1
            yield {face.track: face.landmarks for face in found}

    def remarks() -> list[str]:
        people = sum(count >= min(FLEETING, frames.read) for count in seen.values())
        still = path.is_file() and frames.read == 1
        noticed = {
            frames.shortfall(): bool(frames.shortfall()),
            f"{people} faces, the largest of every window counts": people > 1,
            f"turned by {frames.rotation} degrees to be upright": frames.rotation,
            "a still image, no motion to go by: take the result with care": still,
            f"{options.fps:g} frames a second assumed (--fps)": not frames.fps and not still,
        }
        return [remark for remark, holds in noticed.items() if holds]

    return Source(
        path=str(path),
        faces=faces(),
        pictures=lambda: (image for _, image in open_frames(path, frames.rotation)),
        fps=frames.fps or options.fps,
        width=frames.size[0],
        announced=frames.announced,
        remarks=remarks,
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 when at least one clip was predicted."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        targets = drawn_files(options)
        from fer_jax.checkpoint import load_model

        predictor = load_model(options.bundle)
        columns(predictor.classes)
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
    print_table(table, predictor.classes)
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
    add("clips", metavar="CLIP", nargs="+", type=path, help="video, folder of frames, OpenFace CSV")
    add("--out", type=path, help="table of all windows, .csv or .json")
    add("--annotate", type=path, metavar="MP4", help="annotated video; a folder for several clips")
    add("--figure", type=path, metavar="PNG", help="timeline figure; a folder for several clips")
    add("--passes", type=_positive(int), default=100, help="with dropout, a window (default 100)")
    add("--window", type=_positive(float), metavar="SECONDS",
        help="default: median length of the clips the model was trained on")  # fmt: skip
    add("--stride", type=_positive(float), metavar="SECONDS", help="default: half a window")
    add("--threshold", type=float, metavar="NATS",
        help="abstain above this entropy (default: the model's own)")  # fmt: skip
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
    if chosen_threshold(predictor, how) is None:
        console.print(
            "note: the model has no threshold, so no prediction is marked unsure (--threshold sets "
            "one)", highlight=False, soft_wrap=True,
        )  # fmt: skip
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
        source = open_source(path, options)
        _check_scale(predictor, source, say)
        progress.update(task, total=source.announced or None)
        with tempfile.TemporaryFile() as spool:
            table = predict_source(
                predictor, source, options, say, advance, spool if target else None
            )
            if target:
                frames = progress.tasks[0].completed
                progress.reset(task, description=f"drawing {path.name}", total=frames)
                spool.seek(0)
                threshold = chosen_threshold(predictor, options)
                _draw(source, table, predictor.classes, threshold, target, spool, advance, say)
    finally:
        progress.remove_task(task)
    return table


def _draw(source, table, classes, threshold, target: dict, spool, advance, say) -> None:
    """Writes the annotated video and the figure of one clip; a failure costs only these."""
    from fer_jax import annotate

    try:
        annotate.draw_clip(source, table, classes, threshold, spool, advance=advance, **target)
    except Exception as error:  # the predictions are there and stay
        say(f"not drawn: {source.path}: {error}")
        return
    for path in target.values():
        say(f"drawn: {path}")


if __name__ == "__main__":
    sys.exit(main())
