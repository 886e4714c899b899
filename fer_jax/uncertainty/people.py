"""The people behind the clips: their weights, how alike their clips are, and groups of them.

Clips of one person resemble each other. 360 clips of 9 people are worth fewer than 360 of 360, and
what is chosen on them is to hold on the next person.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def person_indices(people) -> tuple[np.ndarray, np.ndarray]:
    """Numbers people: index of each clip's person `[B]` and clips of each person `[K]`."""
    _, index, clips = np.unique(np.asarray(people), return_inverse=True, return_counts=True)
    return index.reshape(-1), clips


def equal_weights(people) -> np.ndarray:
    """Weights `[B]` that add up to 1 and give each person the same share, whatever its clips."""
    index, clips = person_indices(people)
    return 1.0 / (len(clips) * clips[index])


def intraclass_correlation(values, people, upper: float | None = None) -> float:
    """Share of the variance that lies between people, 0 to 1; 0 where it cannot be told.

    The ANOVA estimator for groups of unequal size, cut off at 0 (Donner, International Statistical
    Review 54, 1986).

    Args:
      values: `[B]`, for example whether each clip is right.
      people: `[B]`.
      upper: confidence of an upper bound, which is returned instead: few people may be alike by
        chance. By the F distribution of the ratio of the variances, of normal values.
    """
    values = np.asarray(values, np.float64)
    index, clips = person_indices(people)
    count, groups = len(values), len(clips)
    if groups < 2 or count <= groups:
        return 0.0
    means = np.bincount(index, values) / clips
    between = (clips * (means - values.mean()) ** 2).sum() / (groups - 1)
    within = ((values - means[index]) ** 2).sum() / (count - groups)
    if upper is not None:
        from scipy.special import fdtri

        between /= fdtri(groups - 1, count - groups, 1.0 - upper)
    typical = (count - (clips**2).sum() / count) / (groups - 1)  # clips of a person
    total = between + (typical - 1) * within
    return float(np.clip((between - within) / total, 0.0, 1.0)) if total > 0 else 0.0


def effective_number(values, people) -> float:
    """Independent clips that a mean over equally weighted people is worth, K to B.

    K / (r + (1 - r) / m) with the intraclass correlation r and the harmonic mean m of the clips of
    the K people: as many as the people where the clips of each are all alike.

    Args:
      values, people: see `intraclass_correlation`.
    """
    _, clips = person_indices(people)
    alike = intraclass_correlation(values, people)
    return float(len(clips) / (alike + (1.0 - alike) * np.mean(1.0 / clips)))


def groups_of_people(people, most: int = 10) -> np.ndarray:
    """Divides people into at most so many groups of about as many clips: group of each clip `[B]`.

    Depends on neither order nor chance: the person with the most clips comes first, each joins the
    group with the fewest.
    """
    index, clips = person_indices(people)
    groups = np.zeros(len(clips), int)
    size = np.zeros(min(most, len(clips)), int)
    for person in np.argsort(-clips, kind="stable"):
        groups[person] = size.argmin()
        size[groups[person]] += clips[person]
    return groups[index]


def other_people(people, folds) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields masks `[B]` of the clips of each fold, and of those of people who are not in it.

    Args:
      people: `[B]`.
      folds: `[B]`, fold in which a clip was evaluated; a repeat evaluates a person again.

    Raises:
      ValueError: a fold leaves nobody.
    """
    (index, clips), folds = person_indices(people), np.asarray(folds)
    for fold in np.unique(folds):
        own, inside = folds == fold, np.zeros(len(clips), bool)
        inside[index[own]] = True
        rest = ~inside[index]
        if not rest.any():
            raise ValueError(f"fold {fold} has clips of everybody: folds must divide the people")
        yield own, rest
