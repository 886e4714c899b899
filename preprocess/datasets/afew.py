"""AFEW (EmotiW challenge): film clips, 773 for training and 383 for validation.

--source names the folder that holds the unpacked official archives:

  Train_AFEW/Angry/000046280.avi   (split train)
  Val_AFEW/Angry/000149120.avi     (split validation)

The folders may also be named Train and Val. AFEW does not identify people: every clip counts as a
subject of its own, so use its split. The unlabelled test clips and the aligned faces are not read.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator

from fer_jax.faces.labels import AFEW_CLASSES

from .. import folder_tree
from ..clip import Clip

CLASSES = AFEW_CLASSES
_FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
_LABEL_OF = dict(zip(_FOLDERS, CLASSES, strict=True))
_SPLITS = {"train": {"train_afew", "train"}, "validation": {"val_afew", "val"}}
_OFFICIAL = {
    "train": dict(zip(CLASSES, (133, 74, 81, 150, 144, 117, 74), strict=True)),
    "validation": dict(zip(CLASSES, (64, 40, 46, 63, 63, 61, 46), strict=True)),
}
_LAYOUT = """Expected, unpacked from the archives that the EmotiW organisers hand out:
  Train_AFEW/Angry/000046280.avi and Val_AFEW/Angry/000149120.avi
  (Angry, Disgust, Fear, Happy, Neutral, Sad, Surprise in both)"""


def clips(source, options) -> Iterator[Clip]:
    """Lists the videos of both splits."""
    for split, root in _roots(source).items():
        for folder in folder_tree.folders(root, "|".join(_FOLDERS)):
            for path in folder_tree.entries(folder):
                if path.suffix.lower() == ".avi":
                    clip_id = f"{root.name}/{folder.name}/{path.stem}"
                    yield Clip(clip_id, clip_id, _LABEL_OF[folder.name.lower()], path, split)


def notes(kept: list[Clip]) -> list[str]:
    """Notes that subjects are unknown, and where the number of clips differs from the release."""
    unknown = "AFEW does not identify people: each clip counts as a subject of its own"
    whole = "773 in train, 383 in validation"
    return [unknown, *folder_tree.official_note(kept, _OFFICIAL, whole)]


def _roots(source) -> dict[str, pathlib.Path]:
    """Finds the folder of each split."""
    wanted = {
        f"split {split}": (functools.partial(_holds_classes, names=names), "Angry/ and so on")
        for split, names in _SPLITS.items()
    }
    inner = set().union(*_SPLITS.values(), _FOLDERS)
    roots = folder_tree.parts(source, inner, "AFEW", _LAYOUT, wanted)
    return dict(zip(_SPLITS, roots, strict=True))


def _holds_classes(folder: pathlib.Path, names: set[str]) -> bool:
    return folder.name.casefold() in names and bool(folder_tree.folders(folder, "|".join(_FOLDERS)))
