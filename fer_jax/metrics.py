"""Pure metric functions on NumPy arrays."""

from __future__ import annotations

import numpy as np
from scipy import stats


def accuracy(probabilities, labels) -> float:
    """Share of examples whose most probable class is the label; `[B, C], [B]`."""
    return float(np.mean(np.argmax(probabilities, -1) == labels)) if len(labels) else float("nan")


def confusion_matrix(probabilities, labels) -> np.ndarray:
    """Counts `[C, C]`: rows are the true classes, columns the predicted ones."""
    classes = probabilities.shape[-1]
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (np.asarray(labels), np.argmax(probabilities, -1)), 1)
    return matrix


def negative_log_likelihood(probabilities, labels) -> float:
    """Mean of -log p(label), nats; probabilities are floored at 1e-12."""
    chosen = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=-1)
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def proportion_interval(correct: float, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a proportion (Wilson, JASA 1927)."""
    if not count:
        return 0.0, 1.0
    z = stats.norm.ppf(0.5 + level / 2)
    share = correct / count
    centre = share + z**2 / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return float((centre - half) / scale), float((centre + half) / scale)


def mean_interval(values, level: float = 0.95) -> tuple[float, float]:
    """Student interval of a mean, e.g. of fold accuracies; (nan, nan) for fewer than two."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)
