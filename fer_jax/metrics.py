"""Pure metric functions on NumPy arrays."""

from __future__ import annotations

import numpy as np

_DRAWS = 50  # resamples at a time: their weights of all examples are in memory
_ROUNDING = 1e-24  # largest relative variance that rounding leaves for equal numbers


def accuracy(probabilities, labels) -> float:
    """Share of examples whose most probable class is the label; `[B, C], [B]`."""
    return float(np.mean(np.argmax(probabilities, -1) == labels)) if len(labels) else float("nan")


def balanced_accuracy(probabilities, labels) -> float:
    """Mean over the classes that occur of the share recognised (UAR); `[B, C], [B]`."""
    return float(confusion_scores(confusion_matrix(probabilities, labels))["balanced accuracy"])


def confusion_matrix(probabilities, labels) -> np.ndarray:
    """Counts `[C, C]`: rows are the true classes, columns the predicted ones."""
    classes = probabilities.shape[-1]
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (np.asarray(labels), np.argmax(probabilities, -1)), 1)
    return matrix


def class_scores(matrix) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, `[..., C]`.

    NaN stands for the precision of a class that is never predicted, for the recall of one that does
    not occur, and for the F1 of one that is neither.

    Args:
      matrix: `[..., C, C]` of `confusion_matrix`.
    """
    matrix = np.asarray(matrix, np.float64)
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(-1), matrix.sum(-2)
    return {
        "precision": _divide(right, predicted),
        "recall": _divide(right, true),
        "F1": _divide(2 * right, true + predicted),
    }


def confusion_scores(matrix) -> dict[str, np.ndarray]:
    """Accuracy, balanced accuracy (UAR, mean recall) and macro F1, `[...]`.

    Means leave out the classes whose recall or F1 is NaN.

    Args:
      matrix: `[..., C, C]` of `confusion_matrix`.
    """
    matrix, classes = np.asarray(matrix, np.float64), class_scores(matrix)
    right = np.trace(matrix, axis1=-2, axis2=-1)
    return {
        "accuracy": _divide(right, matrix.sum((-2, -1))),
        "balanced accuracy": mean_known(classes["recall"]),
        "macro F1": mean_known(classes["F1"]),
    }


def mean_known(values, axis: int = -1) -> np.ndarray:
    """Mean of the values that are no NaN; NaN if all are."""
    values = np.asarray(values, np.float64)
    return _divide(np.nansum(values, axis), np.isfinite(values).sum(axis))


def negative_log_likelihood(probabilities, labels) -> float:
    """Mean of -log p(label), nats; probabilities are floored at 1e-12."""
    chosen = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=-1)
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def brier_score(probabilities, labels) -> float:
    """Mean squared distance of the probabilities from the label, 0 to 2; `[B, C], [B]`.

    Source: Brier, Monthly Weather Review 78, 1950.
    """
    error = np.asarray(probabilities, np.float64).copy()
    error[np.arange(len(error)), np.asarray(labels)] -= 1.0
    return float((error**2).sum(-1).mean())


def unit_counts(predicted, labels) -> np.ndarray:
    """True positives, false positives and false negatives of each action unit, `[3, A]`.

    Args:
      predicted: `[N, A]` bool.
      labels: `[N, A]`, 1 present, 0 absent, NaN unknown, which does not count.
    """
    predicted, labels = np.asarray(predicted, bool), np.asarray(labels)
    present, absent = labels == 1, labels == 0
    return np.stack([(predicted & present), (predicted & absent), (~predicted & present)]).sum(1)


def f1_scores(counts) -> np.ndarray:
    """F1 of each action unit, 2 TP / (2 TP + FP + FN); NaN if neither present nor predicted.

    Args:
      counts: `[3, ...]` of `unit_counts`.
    """
    true_positives, false_positives, false_negatives = np.asarray(counts, np.float64)
    total = 2 * true_positives + false_positives + false_negatives
    return np.divide(2 * true_positives, total, out=np.full(total.shape, np.nan), where=total > 0)


def mean_f1(scores, axis: int = -1) -> np.ndarray:
    """Mean F1 over the action units; NaN counts as 0 (docs/papers/stc_nlstm.md)."""
    return np.nan_to_num(scores).mean(axis)


def f1_interval(
    predicted, labels, groups, level: float = 0.95, draws: int = 1000
) -> tuple[float, float]:
    """Bootstrap interval of the mean F1 over groups (subjects), seed 0.

    Args:
      predicted, labels: see `unit_counts`.
      groups: `[N]` subject of each window; windows of one subject are not independent.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    ends = np.cumsum(np.bincount(group))[:-1]
    counts = [
        unit_counts(predicted[own], labels[own])
        for own in np.split(np.argsort(group, kind="stable"), ends)
    ]
    rng = np.random.default_rng(0)
    weight = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    drawn = np.einsum("ds,sca->cda", weight, np.stack(counts))
    low, high = np.quantile(mean_f1(f1_scores(drawn)), (0.5 - level / 2, 0.5 + level / 2))
    return float(low), float(high)


def rmse(predicted, labels, weight=None) -> np.ndarray:
    """Root mean square error of each dimension, `[D]`.

    Args:
      predicted, labels: `[N, D]`.
      weight: `[W, N]`, rows that add to 1; the result is `[W, D]`, one for each row. None weighs
        all alike. The same holds for the functions below.
    """
    error = np.asarray(predicted, np.float64) - labels
    return np.sqrt(_mean(error**2, weight))


def mae(predicted, labels, weight=None) -> np.ndarray:
    """Mean absolute error of each dimension; see `rmse`."""
    return _mean(np.abs(np.asarray(predicted, np.float64) - labels), weight)


def pearson(predicted, labels, weight=None) -> np.ndarray:
    """Correlation of each dimension; NaN where one of the two does not vary; see `rmse`."""
    _, spread, covariance = _moments(predicted, labels, weight)
    return _divide(covariance, np.sqrt(spread[0] * spread[1]))


def ccc(predicted, labels, weight=None) -> np.ndarray:
    """Concordance correlation of each dimension; see `rmse`.

    Correlation, lowered where the predictions have another mean or spread than the labels; NaN
    where neither of the two varies and both are the same.

    Source: Lin, Biometrics 45, 1989.
    """
    shift, spread, covariance = _moments(predicted, labels, weight)
    return _divide(2 * covariance, spread[0] + spread[1] + shift**2)


def distances(predicted, labels) -> np.ndarray:
    """Root mean square error of each example over its dimensions, `[N]`."""
    return np.sqrt(np.mean((np.asarray(predicted, np.float64) - labels) ** 2, -1))


def accuracy_at(distance, threshold, weight=None) -> np.ndarray:
    """Share of examples whose distance is strictly below a threshold; see `rmse`."""
    return _mean((np.asarray(distance) < threshold).astype(np.float64), weight)


def threshold_for_share(distance, share: float) -> float:
    """Smallest distance above which any threshold reaches an accuracy.

    Source: Zhou et al., arXiv 1805.01024, table IV.
    """
    return float(np.quantile(distance, share, method="inverted_cdf"))


def bootstrap_interval(
    function, *values, groups, level: float = 0.95, draws: int = 1000, strata=None
):
    """Bootstrap interval of a metric over groups, seed 0.

    Args:
      function: `(*values, weight) -> [W, ...]`.
      values: `[N, ...]` each.
      groups: `[N]` subject of each example; those of one subject are not independent.
      strata: `[N]`, the same for all of a subject: as many subjects of each are drawn as there are.

    Returns:
      Low and high, each as a row of `function`; NaN if a stratum has a single group, or where it is
      NaN.
    """
    names, first, group = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    strata = np.zeros(len(group), int) if strata is None else np.asarray(strata)
    rng, results = np.random.default_rng(0), []
    for start in range(0, draws, _DRAWS):
        drawn = np.zeros((min(_DRAWS, draws - start), len(names)), int)
        for stratum in np.unique(strata):
            own = np.flatnonzero(strata[first] == stratum)
            shares = np.full(len(own), 1 / len(own))
            drawn[:, own] = rng.multinomial(len(own), shares, size=len(drawn))
        weight = drawn[:, group].astype(np.float64)
        results.append(function(*values, weight / weight.sum(1, keepdims=True)))
    results = np.concatenate(results)
    if np.unique(strata[first], return_counts=True)[1].min() < 2:
        results = np.full_like(results, np.nan)
    return tuple(np.quantile(results, (0.5 - level / 2, 0.5 + level / 2), axis=0))


def _mean(values: np.ndarray, weight) -> np.ndarray:
    return values.mean(0) if weight is None else weight @ values


def _moments(predicted, labels, weight):
    """Difference of the means, both variances and the covariance of predictions and labels."""
    pair = [np.asarray(values, np.float64) for values in (predicted, labels)]
    centres = [values.mean(0) for values in pair]  # subtracted first, or the squares lose digits
    pair = [values - centre for values, centre in zip(pair, centres, strict=True)]
    means = [_mean(values, weight) for values in pair]
    spread = []
    for values, mean, centre in zip(pair, means, centres, strict=True):
        variance = _mean(values**2, weight) - mean**2
        spread.append(np.where(variance > _ROUNDING * centre**2, variance, 0.0))
    covariance = _mean(pair[0] * pair[1], weight) - means[0] * means[1]
    return means[0] + centres[0] - means[1] - centres[1], spread, covariance


def _divide(numerator, denominator) -> np.ndarray:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    safe = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=safe, where=denominator > 0)
