"""CREMA-D: 7,442 clips of 91 actors, six emotions, with the votes of people who watched them.

--source names the folder of the repository github.com/CheyneyComputerScience/CREMA-D, or one that
holds, anywhere below it, the votes and the videos (or landmark CSVs of them):

  processedResults/tabulatedVotes.csv
  VideoFlash/1001_DFA_ANG_XX.flv

Other videos of these names will do as well, e.g. as mp4. The class is the emotion that the actor
was asked to show. The votes, which --config.task=distribution learns, are by default those of
people who saw the clip and did not hear it.
"""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Iterator

from fer_jax.faces.sequence import ClipError

from .. import folder_tree
from ..clip import Clip
from .fer2013_images import read_cells

CLASSES = VOTES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
_COUNTS = dict(zip(CLASSES, (1271, 1271, 1271, 1271, 1087, 1271), strict=True))
_CODES = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), CLASSES, strict=True))
_NAME = re.compile(rf"(?P<actor>\d{{4}})_[A-Z]{{3}}_(?P<code>{'|'.join(_CODES)})_(LO|MD|HI|XX?)")
_SUFFIXES = {".flv", ".mp4", ".mov", ".avi", ".mkv", ".webm", ".csv"}
_TABLE = "tabulatedVotes.csv"
_COLUMNS = ["", "a", "d", "f", "h", "n", "s", "filename"]  # of votes in the order of CLASSES
# The rows of a clip are numbered 100,000 times the number of what people saw and heard, plus its
# own number (tabulateVotesV2.r in the repository).
_SHOWN = {"face": 2, "both": 3}  # 1: heard only
_LAYOUT = f"""Expected, from github.com/CheyneyComputerScience/CREMA-D, cloned with Git LFS:
  processedResults/{_TABLE}, VideoFlash/1001_DFA_ANG_XX.flv"""


def add_options(parser) -> None:
    parser.add_argument(
        "--votes",
        choices=("face", "both"),
        default="face",
        help="of people who saw the clip without its sound (face), or saw and heard it (both)",
    )


def clips(source, options) -> Iterator[Clip]:
    """Lists the videos by name; one without votes is listed with its problem."""
    inner = {"videoflash", "processedresults"}
    for base in folder_tree.bases(source, inner, "CREMA-D", _LAYOUT):
        found = folder_tree.find(base, lambda folder: (folder / _TABLE).is_file())
        videos = list(_videos(base))
        if found and videos:
            break
    else:
        missing = "no video of a clip" if found else f"no {_TABLE}"
        raise folder_tree.layout_error("CREMA-D", source, missing, _LAYOUT)
    table = folder_tree.the_one(found, f"{_TABLE} of CREMA-D") / _TABLE
    votes = _read_votes(table, options.votes)
    for path, match in videos:
        subject, label, own = match["actor"], _CODES[match["code"]], votes.get(path.stem)
        problem = None
        if own is None or not any(own):
            problem = ClipError("no votes", f"{table} has none of {options.votes} for {path.stem}")
        elif any(map(math.isnan, own)):
            problem = ClipError("impossible votes", f"those for {path.stem} in {table}")
        yield Clip(path.stem, subject, label, path, problem=problem, votes=own)


def notes(kept: list[Clip]) -> list[str]:
    """Notes where the number of clips differs from the release, and what the class is."""
    text = "the class is the emotion that actors were asked to show, the votes are what people saw"
    whole = "7,442 clips"
    return [text, *folder_tree.official_note(kept, {"train": _COUNTS}, whole)]


def _videos(base: pathlib.Path) -> Iterator[tuple[pathlib.Path, re.Match]]:
    for path in sorted(base.rglob("*"), key=lambda path: path.name):
        match = _NAME.fullmatch(path.stem)
        if match and path.suffix.lower() in _SUFFIXES:
            yield path, match


def _read_votes(path: pathlib.Path, shown: str) -> dict[str, tuple[float, ...]]:
    """Reads the votes of people who were shown one form of the clips: name -> votes for CLASSES.

    NaN stands for what is no number of people.
    """
    votes = {}
    for row, *cells, name in read_cells(path, _COLUMNS):
        if row[:1] == str(_SHOWN[shown]) and len(row) == 6:
            votes[name] = tuple(
                float(n) if re.fullmatch(r"\d{1,3}", n) else math.nan for n in cells
            )
    return votes
