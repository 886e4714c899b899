"""Oulu-CASIA NIR&VIS: visible light, strong illumination; 480 sequences of 80 people.

--source names OriginalImg, a pre-processed set (B_..., C_...) with the same tree, or the folder
above them, in which OriginalImg takes precedence:

  OriginalImg/VL/Strong/P001/Anger/000.jpeg

Near infrared (NI, NIR) and the illuminations Weak and Dark are not read.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from fer_jax.faces.labels import OULU_CLASSES
from fer_jax.faces.sequence import ClipError

from .. import folder_tree
from ..clip import Clip

CLASSES = OULU_CLASSES
_SUBJECTS = 80
_SUBJECT = r"P\d{3}"
_INNER = {"vl", "ni", "nir", "strong", "weak", "dark"}
_LAYOUT = """Expected, unpacked from the archive that the University of Oulu hands out:
  OriginalImg/VL/Strong/P001/Anger/000.jpeg (P001 to P080; Anger, Disgust, Fear,
  Happiness, Sadness, Surprise; instead of OriginalImg also a B_... or C_... set)"""


def clips(source, options) -> Iterator[Clip]:
    """Lists the sequences under VL/Strong; one without frames is listed with its problem."""
    for subject in folder_tree.folders(_people(source), _SUBJECT):
        for folder in folder_tree.folders(subject, "|".join(CLASSES)):
            person, label = subject.name.upper(), folder.name.lower()
            clip_id = f"{person}_{folder.name}"
            try:
                frames = folder_tree.frames(folder, r"(\d+)", "000.jpeg")
            except ClipError as problem:
                yield Clip(clip_id, person, label, None, problem=problem)
            else:
                yield Clip(clip_id, person, label, frames)


def notes(kept: list[Clip]) -> list[str]:
    """Notes where the number of sequences differs from the release."""
    official = {"train": dict.fromkeys(CLASSES, _SUBJECTS)}
    return folder_tree.official_note(kept, official, "480 sequences in VL/Strong, 80 of each class")


def _people(source) -> pathlib.Path:
    """Finds the folder VL/Strong."""
    for base in folder_tree.bases(source, _INNER, "Oulu-CASIA", _LAYOUT):
        found = folder_tree.find(base, lambda folder: bool(_strong(folder)))
        # The detector fails on the cropped sets, which lack part of the face: prefer the originals.
        original = [folder for folder in found if folder.name.casefold() == "originalimg"]
        if found:
            return _strong(folder_tree.the_one(original or found, "VL/Strong"))[0]
    missing = "no folder VL/Strong with people (P001 and so on)"
    raise folder_tree.layout_error("Oulu-CASIA", source, missing, _LAYOUT)


def _strong(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        strong
        for camera in folder_tree.folders(folder, "VL")
        for strong in folder_tree.folders(camera, "Strong")
        if folder_tree.folders(strong, _SUBJECT)
    ]
