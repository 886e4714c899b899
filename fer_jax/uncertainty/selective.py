"""Selective prediction: error rates among the most certain predictions."""

from __future__ import annotations

import numpy as np


def risk_coverage(uncertainty, correct) -> tuple[np.ndarray, np.ndarray]:
    """Error rate among the most certain predictions, for every coverage.

    Predictions of equal uncertainty are covered together, so their order does not matter.

    Args:
      uncertainty: `[B]`, larger is less certain.
      correct: `[B]` bool.

    Returns:
      coverage `[K]` (ascending, ends with 1) and risk `[K]`, one point a distinct uncertainty.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    order = np.argsort(uncertainty, kind="stable")
    wrong = np.cumsum(~np.asarray(correct, bool)[order])
    covered = np.arange(1, len(order) + 1)
    last = np.append(np.diff(uncertainty[order]) > 0, True)[: len(order)]
    return (covered / max(len(order), 1))[last], (wrong / covered)[last]


def area_under_risk_coverage(uncertainty, correct) -> float:
    """Mean risk over all coverages (0 is perfect; the error rate if uncertainty is useless)."""
    return area_under(*risk_coverage(uncertainty, correct))


def area_under(coverage, risk) -> float:
    """The same from a curve of `risk_coverage`."""
    return float((risk * np.diff(coverage, prepend=0.0)).sum())


def abstain_threshold(uncertainty, correct, target_accuracy: float) -> float:
    """Largest uncertainty up to which predictions reach a target accuracy.

    Choose it on validation data and abstain where `uncertainty > threshold`.

    Returns:
      The threshold; minus infinity when no coverage reaches the target.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    _, risk = risk_coverage(uncertainty, correct)
    reached = np.flatnonzero(1.0 - risk >= target_accuracy)
    if not len(reached):
        return float("-inf")
    return float(np.unique(uncertainty)[reached[-1]])


def selective_accuracy(uncertainty, correct, threshold: float) -> tuple[float, float]:
    """Returns the coverage of a threshold and the accuracy on the covered (nan if none)."""
    covered = np.asarray(uncertainty) <= threshold
    correct = np.asarray(correct, bool)[covered]
    return float(covered.mean()), float(correct.mean()) if len(correct) else float("nan")
