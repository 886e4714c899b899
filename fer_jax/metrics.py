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


def unit_counts(predicted, labels) -> np.ndarray:
    """True positives, false positives and false negatives of each action unit, `[3, A]`.

    Args:
      predicted: `[N, A]` bool.
      labels: `[N, A]`, 1 present, 0 absent, NaN unknown: those do not count.
    """
    predicted, labels = np.asarray(predicted, bool), np.asarray(labels)
    present, absent = labels == 1, labels == 0
    return np.stack([(predicted & present), (predicted & absent), (~predicted & present)]).sum(1)


def f1_scores(counts) -> np.ndarray:
    """F1 of each action unit, 2 TP / (2 TP + FP + FN); NaN where it neither is nor is predicted.

    Args:
      counts: `[3, ...]` of `unit_counts`.
    """
    true_positives, false_positives, false_negatives = np.asarray(counts, np.float64)
    total = 2 * true_positives + false_positives + false_negatives
    return np.divide(2 * true_positives, total, out=np.full(total.shape, np.nan), where=total > 0)


def mean_f1(scores, axis: int = -1) -> np.ndarray:
    """Mean F1 over the action units; NaN counts as 0 (STC-NLSTM specification, section 9)."""
    return np.nan_to_num(scores).mean(axis)


def f1_interval(
    predicted, labels, groups, level: float = 0.95, draws: int = 1000
) -> tuple[float, float]:
    """Interval of the mean F1: groups (people) are drawn with replacement, seed 0.

    Args:
      predicted, labels: see `unit_counts`.
      groups: `[N]` whose window it is; windows of one person are no independent witnesses.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    counts = [
        unit_counts(predicted[group == number], labels[group == number])
        for number in range(len(names))
    ]
    rng = np.random.default_rng(0)
    weight = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    drawn = np.einsum("ds,sca->cda", weight, np.stack(counts))
    low, high = np.quantile(mean_f1(f1_scores(drawn)), (0.5 - level / 2, 0.5 + level / 2))
    return float(low), float(high)
