"""Calibration: agreement between what predictions state and what is true."""

from __future__ import annotations

import numpy as np

from fer_jax.uncertainty.people import equal_weights


def reliability_bins(probabilities, labels, bins: int = 15):
    """Confidence and accuracy in equal bins of the largest probability.

    Args:
      probabilities: `[B, C]`.
      labels: classes `[B]`, or shares of votes `[B, C]`: then the share of the predicted class
        takes the place of accuracy.
      bins: how many.

    Returns:
      confidence `[bins]`, accuracy `[bins]` (nan where empty) and count `[bins]`.
    """
    confidence, correct = _confidence(probabilities, labels)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return _averages(index, confidence, correct, bins)


def equal_mass_bins(probabilities, labels, bins: int = 15):
    """The same in bins of about as many clips; equal confidences share a bin.

    Source: Nguyen & O'Connor, EMNLP 2015.
    """
    confidence, correct = _confidence(probabilities, labels)
    ordered = np.sort(confidence)
    # the middle of the ranks of equal confidences, so that the order of the clips does not matter
    rank = np.searchsorted(ordered, confidence) + np.searchsorted(ordered, confidence, "right") - 1
    index = rank * bins // (2 * max(len(confidence), 1))
    return _averages(index, confidence, correct, bins)


def expected_calibration_error(probabilities, labels, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over the bins (Guo et al., ICML 2017)."""
    return calibration_error(*reliability_bins(probabilities, labels, bins))


def adaptive_calibration_error(probabilities, labels, bins: int = 15) -> float:
    """The same over bins of about as many clips, which many sure clips do not leave empty."""
    return calibration_error(*equal_mass_bins(probabilities, labels, bins))


def calibration_error(confidence, accuracy, count) -> float:
    """The same from the bins of `reliability_bins` or `equal_mass_bins`."""
    if not count.sum():
        return float("nan")
    return float(np.nansum(np.abs(confidence - accuracy) * count) / count.sum())


def coverage(sets, labels, people) -> dict:
    """How often sets `[B, C]` hold the labels `[B]`, each person with the same weight.

    Returns:
      `coverage`, `mean_size`, `worst_person` and its `worst_coverage`, `people`, `clips`.
    """
    sets, weights = np.asarray(sets), equal_weights(people)
    rows = coverage_by(people, sets, labels)
    worst = min(rows, key=lambda person: rows[person]["coverage"])
    return {
        "coverage": float((weights * sets[np.arange(len(sets)), labels]).sum()),
        "mean_size": float((weights * sets.sum(-1)).sum()),
        "worst_person": worst,
        "worst_coverage": rows[worst]["coverage"],
        "people": len(rows),
        "clips": len(sets),
    }


def coverage_by(groups, sets, labels) -> dict:
    """Coverage within groups: people, true classes (`groups=labels`), databases, set sizes.

    Args:
      groups: `[B]`.
      sets: `[B, C]`.
      labels: `[B]`.

    Returns:
      group -> its `coverage`, `mean_size` and `clips`.
    """
    sets = np.asarray(sets)
    names, index, clips = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    held = np.bincount(index, sets[np.arange(len(sets)), labels], len(names))
    size = np.bincount(index, sets.sum(-1), len(names))
    return {
        name: {"coverage": float(held[row]) / count, "mean_size": float(size[row]) / count,
               "clips": count}
        for row, (name, count) in enumerate(zip(names.tolist(), clips.tolist(), strict=True))
    }  # fmt: skip


def _confidence(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    """Largest probability of each clip, and whether its class is the label, or its share."""
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    predicted = probabilities.argmax(-1)
    if labels.ndim == 2:
        return probabilities.max(-1), np.take_along_axis(labels, predicted[:, None], 1)[:, 0]
    return probabilities.max(-1), predicted == labels


def _averages(index, confidence, correct, bins: int):
    count = np.bincount(index, minlength=bins)
    divisor = np.where(count, count, np.nan)
    return (
        np.bincount(index, confidence, bins) / divisor,
        np.bincount(index, correct, bins) / divisor,
        count,
    )
