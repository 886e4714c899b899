"""Scores of valence, arousal and dominance: errors, intervals, abstaining."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fer_jax import metrics, uncertainty
from fer_jax.tasks import evaluation
from fer_jax.tasks.dimensions.summary import TOLERANCE, Spread

ERRORS = {
    "rmse": metrics.rmse,
    "mae": metrics.mae,
    "pearson": metrics.pearson,
    "ccc": metrics.ccc,
}
THRESHOLDS = np.round(np.arange(0, 2.05, 0.1), 1)
# Accuracy of the best entry of the Kaggle challenge on the same images, which were classified
# (bilinear CNN specification, section 6).
KAGGLE = 0.7116
LEVELS = (0.5, 0.8, 0.9, 0.95)  # shares of labels that intervals shall hold


def score_readings(clips, folds, scored: evaluation.Scored) -> dict:
    """Errors of each reading, by dimension and over all of them."""
    people = np.asarray(clips.subjects)[scored.numbers]
    deviation = scored.labels.std(0, dtype=np.float64)
    table = {}
    for name, predicted in scored.probabilities.items():
        distance = metrics.distances(predicted, scored.labels)
        low, high = metrics.bootstrap_interval(
            _all_errors, predicted, scored.labels, groups=people
        )  # [4, D] and, in a row of its own, the accuracy
        found = {key: function(predicted, scored.labels) for key, function in ERRORS.items()}
        table[name] = {
            "accuracy": float(metrics.accuracy_at(distance, TOLERANCE)),
            "interval_95_people": (float(low[-1, 0]), float(high[-1, 0])),
            "accuracy_folds": {
                fold.name: float(metrics.accuracy_at(distance[scored.folds == place], TOLERANCE))
                for place, fold in enumerate(folds)
            },
            "accuracy_curve": [float(metrics.accuracy_at(distance, t)) for t in THRESHOLDS],
            "threshold_for_kaggle": metrics.threshold_for_share(distance, KAGGLE),
            "dimensions": {
                dimension: {"label_deviation": float(deviation[column])}
                | {key: float(values[column]) for key, values in found.items()}
                | {
                    f"{key}_interval_95": (float(low[row, column]), float(high[row, column]))
                    for row, key in enumerate(ERRORS)
                }
                for column, dimension in enumerate(clips.classes)
            },
        }
    return table


def _all_errors(predicted, labels, weight) -> np.ndarray:
    errors = [function(predicted, labels, weight) for function in ERRORS.values()]
    right = metrics.accuracy_at(metrics.distances(predicted, labels), TOLERANCE, weight)
    return np.stack([*errors, np.broadcast_to(right[:, None], errors[0].shape)], 1)


def single_pass(scored: evaluation.Scored) -> dict:
    """Accuracy of the single passes with dropout."""
    near = [
        float(metrics.accuracy_at(metrics.distances(one, scored.labels), TOLERANCE))
        for one in scored.samples
    ]
    return {
        "passes": len(near),
        "accuracy_mean": float(np.mean(near)),
        "accuracy_std": float(np.std(near)),
    }


def with_residuals(scored: evaluation.Scored) -> tuple[Spread, np.ndarray, str]:
    """Adds to the passes' variance what they do not show, from images that it is not judged on.

    Returns:
      The summary with `residual [N, D]`, the residual variance `[D]` of the bundle, and where it
      was measured.
    """
    summary, labels = scored.summary, scored.labels
    if scored.validation is not None:
        residual = _residual_variance(*scored.validation)
        each, source = np.broadcast_to(residual, labels.shape), "validation"
    elif scored.folds[-1] > 0:
        each, source = np.empty(labels.shape), "the other folds"
        for fold in np.unique(scored.folds):
            place = scored.folds == fold
            rest = ~np.isin(scored.numbers, scored.numbers[place])  # repeats score images again
            each[place] = _residual_variance(labels[rest], summary, rest)
        residual = _residual_variance(labels, summary)
    else:
        residual = _residual_variance(labels, summary)
        each = np.broadcast_to(residual, labels.shape)
        source = "the scored images themselves (optimistic: there is no other set)"
    return summary._replace(residual=each), residual, source


def _residual_variance(labels, summary: Spread, where=slice(None)) -> np.ndarray:
    """Mean squared error less the mean variance over the passes, `[D]`, not below 0."""
    squares = (labels - summary.mean[where]) ** 2 - summary.variance[where]
    return np.maximum(squares.mean(0), 0.0)


def intervals(dimensions, scored: evaluation.Scored, levels=LEVELS) -> dict:
    """How often intervals hold the label, and how wide they are.

    Args:
      dimensions: names.
      scored: what the model says.
      levels: shares of the labels that the intervals shall hold.

    Returns:
      `residual_variance`, by dimension, `measured_on`, `levels`, and for "passes" (quantiles of
      the passes; only of a model with dropout) and "predictive" (`Spread.half_width`): of each
      dimension the `coverage` and the mean `width` at every level.
    """
    summary, residual, source = with_residuals(scored)
    kinds = {"predictive": [summary.interval(level) for level in levels]}
    if "mc_dropout" in scored.probabilities:
        ends = [0.5 + way * level / 2 for level in levels for way in (-1, 1)]
        bounds = np.quantile(scored.samples, ends, axis=0)
        kinds["passes"] = list(zip(bounds[::2], bounds[1::2], strict=True))
    return {
        "residual_variance": residual.tolist(),
        "measured_on": source,
        "levels": list(levels),
    } | {
        kind: {
            dimension: {
                "coverage": [
                    float(((low <= scored.labels) & (scored.labels <= high))[:, column].mean())
                    for low, high in pairs
                ],
                "width": [float((high - low)[:, column].mean()) for low, high in pairs],
            }
            for column, dimension in enumerate(dimensions)
        }
        for kind, pairs in kinds.items()
    }


def selective(target: float, scored: evaluation.Scored) -> dict:
    """Threshold on the doubt, see `evaluation.selective`; right is what `task.TOLERANCE`
    says.
    """

    def doubt_and_correct(labels, summary):
        return summary.doubt, metrics.distances(summary.mean, labels) < TOLERANCE

    validation = None if scored.validation is None else doubt_and_correct(*scored.validation)
    own = doubt_and_correct(scored.labels, scored.summary)
    return {
        **evaluation.selective(target, scored, *own, validation),
        "area_under_risk_coverage": uncertainty.area_under_risk_coverage(*own),
        "error_of_all": float(1 - own[1].mean()),
    }


def predictions(clips, folds, scored: evaluation.Scored) -> pd.DataFrame:
    """One row a scored image: who, truth, prediction, uncertainty, distance from the truth."""
    summary = with_residuals(scored)[0]
    low, high = summary.interval()
    columns = {"true_": scored.labels, "": summary.mean, "std_": summary.variance**0.5}
    columns |= {"low_": low, "high_": high}
    columns |= {
        f"{reading}_": values
        for reading, values in scored.probabilities.items()
        if reading != "mc_dropout"
    }
    table = evaluation.identity(clips, folds, scored)
    for prefix, values in columns.items():
        table |= {f"{prefix}{name}": values[:, n] for n, name in enumerate(clips.classes)}
    table["doubt"] = summary.doubt
    table["distance"] = metrics.distances(summary.mean, scored.labels)
    return pd.DataFrame(table).round(5)
