"""Predicts an uploaded video or picture: its table, its figure, and a video that browsers play."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import av
import pandas as pd

from fer_jax.machine import FULL, storage_error
from fer_jax.predict import annotate, sources
from fer_jax.predict.options import Options, chosen_threshold, say_first
from fer_jax.predict.windows import predict_source
from fer_jax.storage import temporary_file
from fer_jax.tasks.csv_cells import save_csv

# Browsers play none of what OpenCV writes. The first of these that FFmpeg has here is taken.
_CODECS = (("libx264", "mp4", {"crf": "23", "preset": "veryfast"}),
           ("libvpx", "webm", {"deadline": "realtime", "cpu-used": "8", "crf": "20"}))  # fmt: skip
_BITS = 4_000_000  # a second, at most


class Predicted(NamedTuple):
    """Files in the folder of a visitor, and what was said on the way.

    Attributes:
      rows: the table of `predict_clips`.
      table, figure: a CSV file, a PNG file.
      video: annotated; None of a picture, or where it cannot be written.
      notes: a line each.
    """

    rows: pd.DataFrame
    table: pathlib.Path
    figure: pathlib.Path
    video: pathlib.Path | None
    notes: list[str]


def predict_file(
    predictor, options: Options, path, folder: pathlib.Path, advance: Callable[[float, str], None]
) -> Predicted:
    """Predicts a video or a picture, as `fer-jax predict`.

    Args:
      predictor, options: see `predict_clips`.
      path: of the uploaded file.
      folder: for the results.
      advance: called often with the share that is done and what is being done; may raise.

    Raises:
      ClipProblem: the file cannot be predicted; says why.
      OSError, machine.StorageError: a result cannot be written.
    """
    path, notes = pathlib.Path(path), []

    def say(note: str) -> None:
        note = note.removeprefix("note: ").replace(f"{path}: ", "")
        if note not in notes:
            notes.append(note)

    say_first(predictor, options, "fer-jax predict --threshold", say)
    source = sources.open_source(predictor, path, options, say)
    source.path = path.name  # the table tells visitors no path of this machine
    step = _stepper(source.announced, advance)
    files = folder / "predictions.csv", folder / "timeline.png", folder / "annotated.mp4"
    still = annotate.is_still(source)
    with temporary_file(folder) as spool:
        rows = predict_source(predictor, source, options, say, lambda: step("reading"), None, spool)
        spool.seek(0)
        threshold = chosen_threshold(predictor, options)
        annotate.draw_clip(
            source, rows, predictor.classes, threshold, spool, task=predictor.task,
            annotate=None if still else files[2], figure=files[1],
            advance=lambda: step("drawing"),
        )  # fmt: skip
    save_csv(rows, files[0])
    video = None if still else playable(files[2], lambda: step("writing the video"), say)
    return Predicted(rows, *files[:2], video, notes)


def _stepper(frames: int, advance: Callable) -> Callable[[str], None]:
    """Makes what counts frames in three passes over a clip, each a third of the whole."""
    passes: dict[str, int] = {}

    def step(what: str) -> None:
        passes[what] = passes.get(what, 0) + 1
        if passes[what] % 5 == 1:
            share = min(1.0, passes[what] / frames) if frames else 0.5
            advance((len(passes) - 1 + share) / 3, what)

    return step


def playable(
    path: pathlib.Path, step: Callable[[], None], say: Callable[[str], None]
) -> pathlib.Path | None:
    """Rewrites an mp4 video so that browsers play it; returns its path, None if nothing can.

    Raises:
      OSError: the disk is full.
    """
    for codec, suffix, how in _CODECS:
        target = path.with_name(f"{path.stem}_played.{suffix}")
        try:
            _rewrite(path, target, codec, how, step)
        except (av.FFmpegError, ValueError, OSError) as error:
            if getattr(error, "errno", None) in FULL:
                raise
            problem = storage_error(error) if isinstance(error, OSError) else error
            continue
        path.unlink()
        return target
    say(f"no annotated video: {problem}")
    return None


def _rewrite(path: pathlib.Path, target: pathlib.Path, codec: str, how: dict, step) -> None:
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        shown = source.streams.video[0]
        stream = out.add_stream(codec, rate=shown.average_rate, options=how)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        stream.bit_rate = _BITS
        stream.codec_context.time_base = shown.time_base
        for frame in source.decode(shown):
            frame.pict_type = 0  # the encoder chooses its key frames
            for packet in stream.encode(frame):
                out.mux(packet)
            step()
        for packet in stream.encode():
            out.mux(packet)
