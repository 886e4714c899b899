"""The models that come with the package: what each is, and how it is made."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A model of the zoo.

    Attributes:
      what: it predicts, in one line.
      config: as `fer-jax train --config` takes it.
      fields: of the config that differ, name -> value.
      data: what it was trained on, with the source.
      terms: who may use the weights for what, in one line.
      limits: known failures and people it was not checked on, a sentence each.
    """

    what: str
    config: str
    fields: dict
    data: str
    terms: str
    limits: tuple[str, ...]


_ACTED = (
    "People acted on request: how it does on spontaneous faces was not measured.",
    "Age, gender, skin colour and origin of the people are not recorded: it was checked on no "
    "group of people.",
)
_OPENFACE = (
    "OpenFace found the landmarks of the training clips. Of other video, whose landmarks dlib "
    "finds, most windows are withheld, unfamiliar or without motion, and the others may be wrong."
)
_MIT = "any use (MIT); dlib's landmark model, which video needs, is for non-commercial use"
_FEATURES = "OpenFace landmarks given out by Porta-Lorenzo et al., Sensors 2022; MIT"
ZOO = {
    "faces": Entry(
        "eight emotions of a single face as people would vote, valence, arousal, dominance",
        "faces_ferplus",
        {"uncertainty.familiarity": True},
        "28,553 training images of FER+ (Barsoum et al., ICMI 2016: votes of ten people each, MIT) "
        "on the images of FER-2013 (Goodfellow et al., 2013)",
        "research use (the images of FER-2013 are for research)",
        (
            "Contempt, disgust and fear are rare in the training images and often missed.",
            "The images are gray, 48 pixels wide and from the web: many are posed or acted.",
            "They do not name people: each image counts as a person, somebody may be in training "
            "and evaluation, and 279 of the images it was measured on have the pixels of one it "
            "was trained on.",
            "Age, gender, skin colour and origin of the people are not recorded: it was checked on "
            "no group of people.",
            "It sees single frames: what only motion tells, it cannot know.",
        ),
    ),
    "gestures": Entry(
        "head gestures and facial affect (happiness, sadness) from the motion of landmarks",
        "stbln_buhmap",
        {"uncertainty.members": 5, "uncertainty.familiarity": True},
        f"360 clips of 9 people of BUHMAP (Aran et al., 2007; {_FEATURES})",
        _MIT,
        ("Nine people in one room, facing one camera.", _OPENFACE, *_ACTED),
    ),
    "questions": Entry(
        "questions and negation in Spanish sign language from the motion of landmarks",
        "stbln_lse",
        {"uncertainty.members": 5, "uncertainty.familiarity": True},
        f"354 clips of 10 signers of LSE_GFE ({_FEATURES})",
        _MIT,
        ("Ten signers, very unequal in number of clips; one sign language.", _OPENFACE, *_ACTED),
    ),
    "synthetic": Entry(
        "18 action units of drawn faces from landmarks",
        "stbln_synthetic_units",
        {"uncertainty.familiarity": True},
        "504 clips of 18 drawn people of the embedded synthetic dataset, landmarks found in their "
        "video (`python -m preprocess synthetic --render`)",
        "any use; the landmarks were found by dlib's 68-point model, whose training data (300-W) "
        "are for non-commercial use",
        (
            "It was trained on drawn faces only and is for trying things out: it was not checked "
            "on any real face.",
            "AU14 occurs in no clip of this dataset, so it never predicts it. AU16, in 1 window of "
            "100, is never found, AU17 in 1 of 8.",
        ),
    ),
}
