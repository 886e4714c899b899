"""RAVDESS: landmark CSVs of 24 actors, free to download, tracked by OpenFace or by py-feat (FELT).

The files may lie anywhere under --source: their names tell emotion and actor.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

from fer_jax.faces.labels import RAVDESS_CLASSES

from ..clip import Clip, SourceError, UsageError

CLASSES = RAVDESS_CLASSES
FRAME_SIZE = (1280, 720)
FPS = 29.97
WHERE = (
    "Get it: Zenodo record 3255102 (https://zenodo.org/record/3255102), archive "
    "FacialTracking_Actors_01-24.zip (OpenFace; 417 MB, 2,452 CSV files named like "
    "01-01-03-02-01-01-12.csv), or FELT, record 13243600 (https://zenodo.org/records/13243600), "
    "archive raw_motion_speech.zip or smoothed_motion_speech.zip (py-feat); licence of both "
    "CC BY-NC-SA 4.0, see the records. Unpack one of them and name the folder as --source."
)
_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_NAME = re.compile(r"\d\d-(?P<channel>\d\d)-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)")
_SPEECH = "01"


def add_options(parser) -> None:
    parser.add_argument("--song", action="store_true", help="also read the sung clips")


def clips(source, options) -> Iterator[Clip]:
    """Lists the CSV files with RAVDESS names (seven numbers), anywhere under the source."""
    if source is None:
        raise UsageError(f"--source is missing. {WHERE}")
    source = pathlib.Path(source)
    if not source.is_dir():
        raise SourceError(f"--source {source} is not a folder. {WHERE}")
    found: dict[str, pathlib.Path] = {}
    for path in sorted(source.rglob("*.csv"), key=lambda path: (path.name, path)):
        name = _NAME.fullmatch(path.stem)
        if name is None or (name["channel"] != _SPEECH and not options.song):
            continue
        if path.stem in found:
            raise SourceError(
                f"the track of {path.stem} exists twice: {found[path.stem]} and {path}; keep one, "
                "or name it as --source (FELT: the raw or the smoothed tracks)"
            )
        found[path.stem] = path
        label = _EMOTIONS[int(name["emotion"]) - 1]
        yield Clip(path.stem, f"actor{name['actor']}", label, path, fps=FPS, frame_size=FRAME_SIZE)
    if not found:
        raise SourceError(f"no RAVDESS landmark file is under {source}. {WHERE}")
