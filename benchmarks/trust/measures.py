"""Figures with intervals over people: each takes weights of clips, as the bootstrap draws them.

With equal weights they are those of `fer_jax.uncertainty` and `fer_jax.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fer_jax import metrics

_NAN = float("nan")
BINS = 15  # of the calibration error


class Figure(NamedTuple):
    """A measured number.

    Attributes:
      part: of the benchmark.
      what: what was measured on, a row of the table.
      measure: a column of the table.
      value, low, high: with its 95% interval over people; NaN where there is none.
      people: number that it comes from.
    """

    part: str
    what: str
    measure: str
    value: float
    low: float = _NAN
    high: float = _NAN
    people: int = 0


def figure(
    part: str, what: str, measure: str, function: Callable, *values, people, strata=None
) -> Figure:
    """Measures, and bootstraps over people as the report does.

    Args:
      part, what, measure: see `Figure`.
      function: `(*values, weight) -> [W]`, weight `[W, N]`, rows that add to 1.
      values: `[N, ...]` each.
      people: `[N]`.
      strata: `[N]`, of whom as many people are drawn as there are; see `bootstrap_interval`.
    """
    count = len(people)
    whole = function(*values, np.full((1, count), 1 / count))
    low, high = metrics.bootstrap_interval(function, *values, groups=people, strata=strata)
    return Figure(
        part, what, measure, float(whole[0]), float(low), float(high), len(np.unique(people))
    )


def mean(values, weight) -> np.ndarray:
    """`[N], [W, N] -> [W]`."""
    return weight @ np.asarray(values, np.float64)


def of_people(values, people) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each person, `[K]`, and the people: so each counts alike, whatever its clips."""
    names, index = np.unique(people, return_inverse=True)
    return np.bincount(index, values) / np.bincount(index), names


def auroc(scores, other, weight) -> np.ndarray:
    """Area under the ROC curve, `[W]`; NaN where a side has no weight. Ties count half.

    Args:
      scores: `[N]`, larger for the others.
      other: `[N]` bool.
      weight: `[W, N]`.
    """
    order = np.argsort(scores, kind="stable")
    scores, other, weight = np.asarray(scores)[order], np.asarray(other)[order], weight[:, order]
    starts = np.flatnonzero(np.append(True, np.diff(scores) > 0))
    ours, theirs = (
        np.add.reduceat(weight * side, starts, axis=1) for side in (~other, other)
    )  # of each distinct score
    below = np.cumsum(ours, 1) - ours / 2
    total = ours.sum(1) * theirs.sum(1)
    area = (theirs * below).sum(1)
    return np.divide(area, total, out=np.full(len(weight), np.nan), where=total > 0)


def paired_auroc(clean, altered, weight) -> np.ndarray:
    """Mean over K kinds of the area that tells altered clips from the same clips as they are.

    Args:
      clean: `[N]` scores.
      altered: `[N, K]` scores.
      weight: `[W, N]`.
    """
    other, both = np.repeat([False, True], len(clean)), np.hstack([weight, weight])
    areas = [auroc(np.append(clean, kind), other, both) for kind in np.asarray(altered).T]
    return np.mean(areas, 0)


def calibration_error(confidence, correct, bins, weight) -> np.ndarray:
    """Mean distance of confidence and accuracy, `[W]`; `bins` has the bin of each clip, `[N]`."""
    distance = np.asarray(confidence, np.float64) - correct
    return np.abs(weight @ (distance[:, None] * np.eye(BINS)[bins])).sum(1)


def equal_bins(confidence) -> np.ndarray:
    """Bins of `reliability_bins`, `[N]`."""
    return np.clip(np.ceil(np.asarray(confidence) * BINS).astype(int) - 1, 0, BINS - 1)


def adaptive_bins(confidence) -> np.ndarray:
    """Bins of `equal_mass_bins`, `[N]`; the bootstrap keeps them."""
    ordered = np.sort(confidence)
    rank = np.searchsorted(ordered, confidence) + np.searchsorted(ordered, confidence, "right") - 1
    return rank * BINS // (2 * len(ordered))


def risk_areas(uncertainty, correct, weight) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the risk-coverage curve and under the generalised one, both `[W]`."""
    order = np.argsort(uncertainty, kind="stable")
    ordered, weight = np.asarray(uncertainty)[order], weight[:, order]
    starts = np.flatnonzero(np.append(True, np.diff(ordered) > 0))
    share = np.add.reduceat(weight, starts, axis=1)
    wrong = np.add.reduceat(weight * ~np.asarray(correct, bool)[order], starts, axis=1)
    covered, missed = np.cumsum(share, 1), np.cumsum(wrong, 1)
    risk = np.divide(missed, covered, out=np.zeros_like(missed), where=covered > 0)
    return (risk * share).sum(1), ((missed - wrong / 2) * share).sum(1)


def aurc(uncertainty, correct, weight) -> np.ndarray:
    return risk_areas(uncertainty, correct, weight)[0]


def augrc(uncertainty, correct, weight) -> np.ndarray:
    return risk_areas(uncertainty, correct, weight)[1]
