"""Labels from the votes of several people: distributions, classes, valence, arousal, dominance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

# The columns of votes in fer2013new.csv of FER+, in order. Two more columns are not emotions:
# unknown, and NF (not a face).
FERPLUS_EMOTIONS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip

DIMENSIONS = ("valence", "arousal", "dominance")
# Mean ratings of words, 1 to 9, in the order of DIMENSIONS. Source: Bradley & Lang, Affective norms
# for English words (ANEW), 1999; neutral, which is not among them: Warriner, Kuperman & Brysbaert,
# Behavior Research Methods 45, 2013. Which words: docs/papers/bilinear_cnn.md.
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
    "neutral": "neutral", "happiness": "happy", "surprise": "surprised", "sadness": "sad",
    "anger": "angry", "disgust": "disgusted", "fear": "fear", "contempt": "contempt",
}  # fmt: skip

VOTE_RULES = ("majority", "argmax")
SCALE = (1.0, 9.0)  # lowest and highest possible rating
PLANE = DIMENSIONS[:2]
WRITTEN_BELOW = (
    "fear",
    "contempt",
    "neutral",
)  # words written below their point in the plane; others above


def read_votes(votes, classes: int, rule: str) -> np.ndarray:
    """Reads votes as a distribution over the classes, and as one class if they agree enough.

    The distribution is that of all votes for a class, whatever the rule: who saw something else
    alone is part of the doubt. With "majority" the class is that with more than half of the votes,
    those for no class included, after the votes that one person gave alone are dropped. With
    "argmax" it is that with most votes for a class, of several the first.

    Args:
      votes: `[N, C + O]` counts, for the C classes and for O answers that are no class.
      classes: C.
      rule: one of `VOTE_RULES`.

    Returns:
      `[N, 2, C]` float32: the distribution, which adds up to 1, and the class, one-hot; it is 0
      throughout where there is none. NaN where no vote for a class is left.

    Raises:
      ValueError: unknown rule.

    Source: of the class by majority, Barsoum, Zhang, Canton Ferrer & Zhang, ICMI 2016, and the
    authors' published labels of FER+; they drop single votes from the distribution too.
    """
    if rule not in VOTE_RULES:
        raise ValueError(f"vote rule {rule!r} is unknown: use one of {VOTE_RULES}")
    votes = np.asarray(votes, np.float64)
    own = votes[:, :classes]
    total = own.sum(1, keepdims=True)
    known = np.where(total > 0, 1.0, np.nan)
    chosen = np.eye(classes)[own.argmax(1)]
    if rule == "majority":
        agreed = np.where(votes > 1, votes, 0.0)
        most = agreed[:, :classes].max(1, keepdims=True)
        chosen *= most > agreed.sum(1, keepdims=True) / 2
    read = np.stack([own / np.maximum(total, 1.0), chosen], 1) * known[..., None]
    return read.astype(np.float32)


def of_classes(labels: np.ndarray, kept: list[int]) -> np.ndarray:
    """Restricts labels of `read_votes` to some classes; NaN where none of them has a vote."""
    labels = labels[..., kept]
    total = labels[:, :1].sum(-1, keepdims=True)
    scale = np.concatenate([total, np.ones_like(total)], 1)
    return labels / np.where(total > 0, scale, np.nan)


def vad(
    votes,
    words: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    neutral_dominance: float | None = None,
) -> np.ndarray:
    """Averages the ratings of emotions by the votes for them.

    Args:
      votes: `[N, 8]` in the order of FERPLUS_EMOTIONS, without unknown and NF.
      words: emotion -> word of WORD_RATINGS that replaces the word of EMOTION_WORDS.
      neutral_dominance: replaces the dominance of neutral, 1 to 9; 3.45 gives dominance the spread
        that the published figures imply.

    Returns:
      `[N, 3]` float32, 1 to 9, in the order of DIMENSIONS; NaN for rows without votes.

    Raises:
      ValueError: unknown emotion or word, or votes of another shape.

    Source: Zhou et al., arXiv 1805.01024, equation 1; docs/papers/bilinear_cnn.md.
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
    ratings = _ratings(FERPLUS_EMOTIONS, chosen)
    if neutral_dominance is not None:
        row, column = FERPLUS_EMOTIONS.index("neutral"), DIMENSIONS.index("dominance")
        ratings[row, column] = neutral_dominance
    total = votes.sum(1, keepdims=True)
    means = votes @ ratings / np.where(total, total, np.nan)
    return means.astype(np.float32)


def _ratings(emotions: Sequence[str], words: Mapping[str, str]) -> np.ndarray:
    """Mean ratings `[C, 3]` of the words of emotions."""
    return np.array([WORD_RATINGS[words[emotion]] for emotion in emotions])


def are_rated(emotions: Sequence[str]) -> bool:
    """Whether there are emotions and every one has a word with ratings."""
    return bool(emotions) and set(emotions) <= set(EMOTION_WORDS)


def ratings_of(shares, emotions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rates a distribution over emotions as `vad` rates votes.

    Args:
      shares: `[N, C]`, each row adds up to 1.
      emotions: the C emotions, keys of EMOTION_WORDS.

    Returns:
      mean `[N, 3]`, 1 to 9, in the order of DIMENSIONS, and the standard deviation `[N, 3]` of
      the ratings: how far those who see different emotions are apart.
    """
    shares = np.asarray(shares, np.float64)
    ratings = _ratings(emotions, EMOTION_WORDS)
    mean = shares @ ratings
    spread = np.einsum("nc,ncd->nd", shares, np.square(ratings - mean[:, None]))
    return mean, np.sqrt(spread)


def word_points(dimensions: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Returns the mean ratings of the eight words, 1 to 9, in the order of `dimensions`."""
    columns = [DIMENSIONS.index(name) for name in dimensions]
    return {
        word: tuple(WORD_RATINGS[word][column] for column in columns)
        for word in EMOTION_WORDS.values()
    }


def nearest(values, dimensions: Sequence[str]) -> str:
    """Returns the word whose ratings are nearest to values `[D]`; no model is trained on words."""
    rated = word_points(dimensions)
    gaps = np.linalg.norm(np.array([*rated.values()]) - np.asarray(values), axis=-1)
    return list(rated)[int(gaps.argmin())]


def has_plane(dimensions: Sequence[str]) -> bool:
    """Returns whether valence and arousal are both among the dimensions."""
    return set(PLANE) <= set(dimensions)
