"""CK+ (extended Cohn-Kanade): 327 labelled sequences of 118 people, from neutral to the peak.

--source names the folder that holds the unpacked official archives:

  cohn-kanade-images/S005/001/S005_001_00000011.png
  Emotion/S005/001/S005_001_00000011_emotion.txt   (or Emotion_labels/S005/...)

All 7 classes are read, contempt included. 266 of the 593 sequences have no emotion file and are
dropped as `no label`. dlib finds the landmarks; the AAM landmarks of the release are not read.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator

from fer_jax.faces.labels import CKPLUS_CLASSES
from fer_jax.faces.sequence import ClipError
from fer_jax.storage import read_regular

from .. import folder_tree
from ..clip import Clip

CLASSES = CKPLUS_CLASSES
_COUNTS = dict(zip(CLASSES, (45, 18, 59, 25, 69, 28, 83), strict=True))
_CODES = dict(enumerate(CLASSES, 1))  # 0, neutral, is not used for sequences
_IMAGES = {"cohn-kanade-images", "extended-cohn-kanade-images"}
_LABELS = {"emotion", "emotion_labels"}
_SUFFIX = "_emotion.txt"
_SUBJECT, _SEQUENCE = r"S\d{3}", r"\d{3}"
_LAYOUT = """Expected, unpacked from the archives that its owners hand out:
  cohn-kanade-images/S005/001/S005_001_00000011.png
  Emotion/S005/001/S005_001_00000011_emotion.txt (or Emotion_labels/S005/...)"""


def clips(source, options) -> Iterator[Clip]:
    """Lists the sequences; one without a usable label is listed with its problem."""
    images, labels = _parts(source)
    for subject, sequence in sorted(_sequences(images) | _sequences(labels)):
        clip_id, person = f"{subject}_{sequence}".upper(), subject.upper()
        label = ""
        try:
            label, peak = _label(labels / subject / sequence)
            name = rf"{_SUBJECT}_{_SEQUENCE}_(\d+)"
            frames = folder_tree.frames(
                images / subject / sequence, name, f"{clip_id}_00000011.png"
            )
        except ClipError as problem:
            yield Clip(clip_id, person, label, None, problem=problem)
            continue
        yield Clip(clip_id, person, label, frames, note=_peak_note(peak, frames[-1].stem))


def notes(kept: list[Clip]) -> list[str]:
    """Notes where the number of sequences differs from the release."""
    return folder_tree.official_note(kept, {"train": _COUNTS}, "327 labelled of 593 sequences")


def _parts(source) -> list[pathlib.Path]:
    """Finds the folders of images and of labels."""
    wanted = {
        what: (functools.partial(_holds_people, names=names), "S005/ and so on")
        for what, names in (("images", _IMAGES), ("emotion labels", _LABELS))
    }
    return folder_tree.parts(source, _IMAGES | _LABELS, "CK+", _LAYOUT, wanted)


def _holds_people(folder: pathlib.Path, names: set[str]) -> bool:
    return folder.name.casefold() in names and bool(folder_tree.folders(folder, _SUBJECT))


def _sequences(folder: pathlib.Path) -> set[tuple[str, str]]:
    return {
        (subject.name, sequence.name)
        for subject in folder_tree.folders(folder, _SUBJECT)
        for sequence in folder_tree.folders(subject, _SEQUENCE)
    }


def _label(folder: pathlib.Path) -> tuple[str, str]:
    """Returns the class of a sequence and the frame that its label file is named after.

    Raises:
      ClipError: there is no label, or it is not a class.
    """
    try:
        inside = folder_tree.entries(folder) if folder.is_dir() else []
        files = [path for path in inside if path.name.lower().endswith(_SUFFIX)]
        if not files:
            raise ClipError("no label", f"no emotion file in {folder}")
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise ClipError("several labels", f"{folder} should hold one file, not {names}")
        text = read_regular(files[0]).decode("utf-8-sig", errors="replace").strip()
    except OSError as error:
        raise ClipError("unreadable label", f"{folder}: {error.strerror}") from error
    try:
        label = _CODES[float(text)]  # written as 3.0000000e+00
    except (ValueError, KeyError) as error:
        raise ClipError("unknown label", f"{files[0]}: {text[:20]!r} is no code 1 to 7") from error
    return label, files[0].name[: -len(_SUFFIX)]


def _peak_note(peak: str, last: str) -> str:
    """Notes a last frame that is not the labelled peak, which suggests that files are missing."""
    return "" if peak.upper() == last.upper() else f"ends with frame {last}, its label is of {peak}"
