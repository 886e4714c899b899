"""Predicts expressions, action units or dimensions of emotion in clips, with their uncertainty.

    {prog} BUNDLE CLIP... --out table.csv --annotate out.mp4 --figure out.png

A clip is a video or a folder of frames; for landmark models also a landmark CSV (OpenFace,
py-feat). Of a folder of videos, or of CSVs alone, every file is a clip. Long clips are read window
by window. A still image works too, but shows no motion: take the result of a model trained on clips
with care.
With --out, the same command given again resumes a run that was stopped.

Exit codes: 0 if at least one clip was predicted; 1 if none was, or a file cannot be written; 2 if
an option is wrong, or a video or figure could not be drawn; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import pathlib

from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.predict.options import SMOOTHING, Options


def main(arguments: list[str] | None = None, prog: str = "python -m fer_jax.predict") -> int:
    """Runs the command line; returns the exit code: 0 if at least one clip was predicted."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    try:
        Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__})
    except ValueError as error:
        name, _, problem = str(error).partition(" ")
        parser.exit(2, f"error: --{name.replace('_', '-')} {problem}\n")
    from fer_jax.predict import batch  # imports jax, which --help does without

    return batch.run(options)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add("bundle", metavar="BUNDLE",
        help="a name of `fer-jax models`, or the folder of a model (model/ of a run)")  # fmt: skip
    add("clips", metavar="CLIP", nargs="+", type=path,
        help="video, folder of videos or of frames; landmark CSV for landmark models")  # fmt: skip
    add("--out", type=path, help="table of all windows, .csv or .json")
    add("--annotate", type=path, metavar="MP4", help="annotated video; a folder for several clips")
    add("--figure", type=path, metavar="PNG", help="timeline figure; a folder for several clips")
    add("--mc-samples", type=_number(int), default=100,
        help="MC dropout samples per window (default 100)")  # fmt: skip
    add(
        "--window",
        type=_number(float),
        metavar="SECONDS",
        help="default: the median of the training clips or windows; 0.2 for models of still images",
    )
    add("--stride", type=_number(float), metavar="SECONDS", help="default: half a window")
    add("--threshold", type=_number(float), metavar="LIMIT",
        help="abstain above this entropy, nats (of dimensions: uncertainty); default: the model's "
        "own")  # fmt: skip
    add("--seed", type=_number(int), default=0, help="of the dropout masks (default 0)")
    add("--fps", type=_number(float), default=UNKNOWN_FPS,
        help="frames per second of clips that do not state it (default 25)")  # fmt: skip
    add("--width", type=_number(int), default=0, metavar="PIXELS",
        help="frame width of landmark CSVs; 0 (default) does not scale them")  # fmt: skip
    add(
        "--people",
        choices=("largest", "all"),
        default="largest",
        help="predict the largest face of each window (default), or every face, one row each",
    )
    add("--smoothing", type=_number(float), metavar="SECONDS",
        help="time constant with which a person's past weighs less and less, 0: none; default: "
        f"{SMOOTHING:g} for models of still images, 0 for others")  # fmt: skip
    add(
        "--landmark-model",
        type=path,
        metavar="DAT",
        help="dlib 68-point model; default: $FER_JAX_LANDMARK_MODEL, else the installed one, or "
        "none for models that need no landmarks, if the extra detect is installed",
    )
    return parser


def _number(kind):
    """Converts a number, and leaves other text to `Options`, which refuses it."""

    def parse(text: str):
        try:
            return kind(text)
        except ValueError:
            return text

    return parse
