"""Calibration: agreement between the confidence and the accuracy of predictions."""

from __future__ import annotations

import numpy as np


def reliability_bins(probabilities, labels, bins: int = 15):
    """Confidence and accuracy in equal bins of the largest probability.

    Returns:
      confidence `[bins]`, accuracy `[bins]` (nan where empty) and count `[bins]`.
    """
    probabilities = np.asarray(probabilities)
    confidence = probabilities.max(-1)
    correct = probabilities.argmax(-1) == np.asarray(labels)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    divisor = np.where(count, count, np.nan)
    return (
        np.bincount(index, confidence, bins) / divisor,
        np.bincount(index, correct, bins) / divisor,
        count,
    )


def expected_calibration_error(probabilities, labels, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over the bins (Guo et al., ICML 2017)."""
    return calibration_error(*reliability_bins(probabilities, labels, bins))


def calibration_error(confidence, accuracy, count) -> float:
    """The same from the bins of `reliability_bins`."""
    if not count.sum():
        return float("nan")
    return float(np.nansum(np.abs(confidence - accuracy) * count) / count.sum())
