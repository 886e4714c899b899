"""Class vocabularies and their orders: the one place for names of emotions and action units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
CKPLUS_CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
OULU_CLASSES = EMOTIONS
MMI_CLASSES = EMOTIONS
# Other names of the same classes, where data sets are joined.
_SAME = {
    "angry": "anger", "disgusted": "disgust", "fearful": "fear", "happy": "happiness",
    "joy": "happiness", "sad": "sadness", "surprised": "surprise",
}  # fmt: skip
AFEW_CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
FERA_CLASSES = ("anger", "fear", "joy", "relief", "sadness")
DISFA_CLASSES = AFEW_CLASSES
RAVDESS_CLASSES = (
    "angry",
    "calm",
    "disgust",
    "fearful",
    "happy",
    "neutral",
    "sad",
    "surprised",
)

# Of FERA 2015, in its order (STC-NLSTM specification, section 9).
BP4D_ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23))
# Intensity from which an action unit counts as present, where it is coded as 0..1 (A to E: 0.2 to
# 1.0): B, as DISFA's users count it.
PRESENT_INTENSITY = 0.4
PRESENT = 0.5  # probability above which an action unit is predicted

_DISFA_NUMBERS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
DISFA_ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in _DISFA_NUMBERS)
# Action units that an emotion shows: all of these, one at least of those, none of the last. The
# first rule that fits wins; 7, 16 and 23 of the usual table are not coded in DISFA.
CHIN_ANGER = ("anger", (4, 17), (), (1, 2, 9, 15))  # only where it is asked for
EMFACS_RULES = (
    ("fear", (1, 2, 4, 5), (20, 25, 26), ()),
    ("surprise", (1, 2), (5, 26), (4,)),
    ("sadness", (1, 4, 15), (), ()),
    ("sadness", (15, 17), (), (9,)),
    ("disgust", (9,), (), ()),
    ("anger", (4, 5), (), (1, 2)),
    CHIN_ANGER,
    ("happiness", (6, 12), (), ()),
)

# The columns of votes in fer2013new.csv of FER+, in their order; after them come unknown and NF
# (not a face), which are no emotions.
FERPLUS_EMOTIONS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)

DIMENSIONS = ("valence", "arousal", "dominance")
# Mean ratings of words, 1 to 9, in the order of DIMENSIONS. Source: Bradley & Lang, Affective norms
# for English words (ANEW), 1999; neutral, which is not among them: Warriner, Kuperman & Brysbaert,
# Behavior Research Methods 45, 2013 (bilinear CNN specification, section 2.4).
WORD_RATINGS = {
    "happy": (8.21, 6.49, 6.63),
    "surprised": (7.47, 7.47, 6.11),
    "sad": (1.61, 4.13, 3.45),
    "angry": (2.85, 7.17, 5.55),
    "anger": (2.34, 7.63, 5.50),
    "disgusted": (2.45, 5.42, 4.34),
    "fear": (2.76, 6.96, 3.22),
    "contempt": (3.85, 5.28, 5.13),
    "neutral": (5.50, 3.45, 5.81),
}
EMOTION_WORDS = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprised",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "fear",
    "contempt": "contempt",
}


def vad(
    votes,
    words: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    neutral_dominance: float | None = None,
) -> np.ndarray:
    """Averages the ratings of emotions by the votes for them.

    Args:
      votes: `[N, 8]` of FERPLUS_EMOTIONS; unknown and NF are left out.
      words: emotion -> word of WORD_RATINGS, where it is not that of EMOTION_WORDS.
      neutral_dominance: 1 to 9, instead of that of the word; 3.45 gives dominance the spread that
        the published figures imply.

    Returns:
      `[N, 3]` float32, 1 to 9, in the order of DIMENSIONS; NaN where there is no vote.

    Raises:
      ValueError: unknown emotion or word, votes of another shape.

    Source: bilinear CNN specification, sections 2.3 to 2.5 (Zhou et al., equation 1).
    """
    votes = np.asarray(votes, np.float64)
    if votes.ndim != 2 or votes.shape[1] != len(FERPLUS_EMOTIONS):
        raise ValueError(f"votes are [N, {len(FERPLUS_EMOTIONS)}], got {list(votes.shape)}")
    chosen = EMOTION_WORDS | dict(words or ())
    for kind, given, known in (
        ("emotion", chosen.keys(), EMOTION_WORDS),
        ("word", chosen.values(), WORD_RATINGS),
    ):
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"no {kind} {unknown[0]!r} is rated, but {', '.join(known)}")
    ratings = np.array([WORD_RATINGS[chosen[emotion]] for emotion in FERPLUS_EMOTIONS])
    if neutral_dominance is not None:
        row, column = FERPLUS_EMOTIONS.index("neutral"), DIMENSIONS.index("dominance")
        ratings[row, column] = neutral_dominance
    total = votes.sum(1, keepdims=True)
    means = votes @ ratings / np.where(total, total, np.nan)
    return means.astype(np.float32)


def emfacs(intensities, present: float = 1, chin_anger: bool = False) -> np.ndarray:
    """Names the emotion that the action units of a frame show, if they show one.

    Args:
      intensities: `[..., 12]` of DISFA_ACTION_UNITS, 0 to 5; NaN where unknown.
      present: intensity from which a unit counts as present, above 0.
      chin_anger: a frown with a raised chin is anger, too.

    Returns:
      `[...]` int32 numbers of DISFA_CLASSES; neutral where all units are 0; -1 where no rule fits
      or a unit is unknown.

    Source: 3D Inception-ResNet specification, section 8.
    """
    intensities = np.asarray(intensities, float)
    shown = dict(zip(_DISFA_NUMBERS, np.moveaxis(intensities >= present, -1, 0), strict=True))
    labels = np.full(intensities.shape[:-1], -1, np.int32)
    for rule in EMFACS_RULES:
        if rule is CHIN_ANGER and not chin_anger:
            continue
        emotion, every, one_of, none_of = rule
        fits = (labels < 0) & np.logical_and.reduce([shown[unit] for unit in every])
        if one_of:
            fits &= np.logical_or.reduce([shown[unit] for unit in one_of])
        for unit in none_of:
            fits &= ~shown[unit]
        labels[fits] = DISFA_CLASSES.index(emotion)
    labels[(intensities == 0).all(-1)] = DISFA_CLASSES.index("neutral")
    labels[np.isnan(intensities).any(-1)] = -1
    return labels


def canonical(name: str) -> str:
    """The name of a class that all data sets share: "joy" and "happy" are "happiness"."""
    return _SAME.get(name.lower(), name.lower())
