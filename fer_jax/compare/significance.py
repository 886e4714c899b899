"""Tests between two methods on the same clips: by person, by clip, and corrected for many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Permutations that are drawn at most; all of them are taken for up to 14 people.
PERMUTATIONS = 2**14
_BATCH = 512  # permutations at a time, to save memory


def permutation_test(score: Callable, first, second) -> float:
    """P-value, two-sided, that two methods score alike, from exchanging their results by person.

    If the methods do not differ, the results of each person may as well belong to the other one.
    All 2^P exchanges are counted for few people, else a random sample (seed 0).

    Args:
      score: sums of counts `[..., *K]` -> `[...]`.
      first, second: sums of the counts of each of P people, `[P, *K]`.
    """
    from scipy import stats

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    people = len(first)
    if people < 2:
        return 1.0  # the only exchange is the result itself, seen from the other side
    shape, total = first.shape[1:], first.sum(0)
    change = (second - first).reshape(people, -1)  # of the first method's sums by an exchange

    def difference(own, other, axis=-1):
        exchanged = (own >= people).astype(np.float64)
        moved = (exchanged @ change).reshape(*exchanged.shape[:-1], *shape)
        return score(total + moved) - score(second.sum(0) - moved)

    # the rows of both methods, by number: SciPy exchanges them person by person
    rows = np.arange(people), np.arange(people) + people
    found = stats.permutation_test(
        rows, difference, permutation_type="samples", vectorized=True, batch=_BATCH,
        n_resamples=PERMUTATIONS, random_state=0,
    )  # fmt: skip
    return float(found.pvalue)


def wilcoxon(first, second) -> float:
    """P-value, two-sided, of Wilcoxon's signed-rank test over people.

    Args:
      first, second: scores of each person, `[P]`; people without one (NaN) are left out.
    """
    from scipy import stats

    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    difference = difference[np.isfinite(difference)].round(12)  # equal up to rounding is equal
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference).pvalue)


def mcnemar(first, second) -> float:
    """P-value, two-sided, of McNemar's exact test.

    Args:
      first, second: whether each method is right about each clip, `[N]` bool.
    """
    from scipy import stats

    first, second = np.asarray(first, bool), np.asarray(second, bool)
    only = int((first & ~second).sum()), int((second & ~first).sum())
    return float(stats.binomtest(only[0], sum(only)).pvalue) if sum(only) else 1.0


def holm(p_values) -> np.ndarray:
    """P-values corrected for their number as by Holm (1979); NaN stays and does not count."""
    p_values = np.asarray(p_values, np.float64)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected = p_values.copy()
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return corrected


def least_p(people: int) -> float:
    """The smallest p-value that the permutation test can give."""
    return 2 / min(2.0**people, PERMUTATIONS + 1)
