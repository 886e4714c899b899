"""Where the words of the eight emotions lie among valence, arousal and dominance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_jax.faces.labels import DIMENSIONS, EMOTION_WORDS, WORD_RATINGS

SCALE = (1.0, 9.0)  # of the ratings, from its lowest to its highest
PLANE = DIMENSIONS[:2]
WRITTEN_BELOW = ("fear", "contempt", "neutral")  # their place in the plane; others above it


def places(dimensions: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Mean ratings of the eight words, 1 to 9, in the order of `dimensions` (of DIMENSIONS).

    Source: bilinear CNN specification, section 2.4.
    """
    columns = [DIMENSIONS.index(name) for name in dimensions]
    return {
        word: tuple(WORD_RATINGS[word][column] for column in columns)
        for word in EMOTION_WORDS.values()
    }


def nearest(values, dimensions: Sequence[str]) -> str:
    """The word whose ratings lie nearest to values `[D]`: for orientation, it is not learnt."""
    rated = places(dimensions)
    gaps = np.linalg.norm(np.array([*rated.values()]) - np.asarray(values), axis=-1)
    return list(rated)[int(gaps.argmin())]


def has_plane(dimensions: Sequence[str]) -> bool:
    """Tells whether both axes of the plane of valence and arousal are among the dimensions."""
    return set(PLANE) <= set(dimensions)
