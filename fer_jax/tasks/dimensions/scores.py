"""Scores of valence, arousal and dominance: summary of samples, errors, intervals, threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fer_jax import metrics
from fer_jax.faces.emotion_ratings import SCALE
from fer_jax.papers.bilinear_cnn import TABLE4
from fer_jax.papers.paper import number
from fer_jax.tasks import abstaining as thresholds
from fer_jax.tasks import evaluation
from fer_jax.tasks.doubts import Ambiguity
from fer_jax.tasks.evaluation import Evaluated
from fer_jax.uncertainty.selective import area_under_generalised_risk

INTERVAL = 0.9  # nominal coverage of the interval of a dimension
# Root mean square error over the dimensions, on their scale of 1 to 9, below which a prediction
# counts as right (Zhou et al., arXiv 1805.01024, equation 5).
TOLERANCE = 1.0
ERRORS = {name: getattr(metrics, name) for name in ("rmse", "mae", "pearson", "ccc")}
THRESHOLDS = np.round(np.arange(0, 2.05, 0.1), 1)
# Accuracy of the best entry of the Kaggle challenge on the same images, which were classified
# (table IV of the same paper).
KAGGLE = number(TABLE4.rows[0].texts[1]) / 100
LEVELS = (0.5, 0.8, 0.9, 0.95)  # nominal coverages in the report
DRAWN_LEVELS = tuple(step / 20 for step in range(1, 20))  # and in its figure
KINDS = {"mc_samples": "of the MC samples alone", "predictive": "with the residual variance"}


def level_of(row) -> float:
    """Level of the interval of a row of predictions; rows of older tables do not say it."""
    level = row.get("interval_level")
    return INTERVAL if level is None or np.isnan(level) else float(level)


class Spread(NamedTuple):
    """Predictive distribution of B examples over D dimensions, on the scale of the labels.

    Attributes:
      mean: `[B, D]` mean of the samples, the ensemble's prediction.
      variance: `[B, D]` variance over the samples.
      uncertainty: `[B]` root mean variance over the dimensions.
      residual: `[D]` variance of the errors beyond that of the samples, measured on images that the
        model was not trained on; 0 where it is not known.
    """

    mean: np.ndarray
    variance: np.ndarray
    uncertainty: np.ndarray
    residual: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the errors, `[B, D]`."""
        return np.sqrt(self.variance + self.residual)

    def half_width(self, level: float = INTERVAL) -> np.ndarray:
        """Half the width of the interval about the mean with a nominal coverage, `[B, D]`.

        Assumes a normal distribution whose variance is that over the samples plus the residual.
        """
        from scipy.special import ndtri

        return ndtri(0.5 + level / 2) * self.deviation

    def interval(self, level: float = INTERVAL) -> tuple[np.ndarray, np.ndarray]:
        """Both ends of that interval, `[B, D]`, within the scale of the ratings."""
        half = self.half_width(level)
        return np.clip(self.mean - half, *SCALE), np.clip(self.mean + half, *SCALE)


def summarise_dimensions(values, residual=None) -> Spread:
    """Summarises sampled values `[S, B, D]`, see `Spread`."""
    samples = np.asarray(values, np.float64)
    variance = samples.var(0)
    residual = np.zeros(samples.shape[-1]) if residual is None else np.asarray(residual, float)
    return Spread(samples.mean(0), variance, np.sqrt(variance.mean(-1)), residual)


def score_inference_modes(clips, folds, evaluated: Evaluated) -> dict:
    """Errors of each inference mode, by dimension and over all of them."""
    subjects = np.asarray(clips.subjects)[evaluated.indices]
    deviation = evaluated.labels.std(0, dtype=np.float64)
    table = {}
    for name, predicted in evaluated.probabilities.items():
        distance = metrics.distances(predicted, evaluated.labels)
        low, high = metrics.bootstrap_interval(
            _all_errors, predicted, evaluated.labels, groups=subjects
        )  # [4, D] and, in a row of its own, the accuracy
        found = {key: function(predicted, evaluated.labels) for key, function in ERRORS.items()}
        table[name] = {
            "accuracy": float(metrics.accuracy_at(distance, TOLERANCE)),
            "interval_95_subjects": (float(low[-1, 0]), float(high[-1, 0])),
            "accuracy_folds": {
                fold.name: float(metrics.accuracy_at(distance[evaluated.folds == index], TOLERANCE))
                for index, fold in enumerate(folds)
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


def single_samples(evaluated: Evaluated) -> dict | None:
    """Accuracy of the single MC samples; None without dropout."""

    def score(sample):
        return metrics.accuracy_at(metrics.distances(sample, evaluated.labels), TOLERANCE)

    return evaluation.single_samples(evaluated, score, "accuracy")


def intervals(dimensions, evaluated: Evaluated, levels=LEVELS) -> dict:
    """Measures coverage and width of the intervals.

    Args:
      dimensions: names.
      evaluated: the predictions.
      levels: nominal coverages.

    Returns:
      `residual_variance` by dimension, `measured_on`, `levels`, and the `coverage` and mean
      `width` of each dimension at every level, for "mc_samples" (quantiles of the samples; only for
      a model with dropout) and "predictive" (`Spread.half_width`).
    """
    trust = evaluated.trust
    summary = evaluated.summary._replace(residual=trust.given.residual)
    kinds = {"predictive": [summary.interval(level) for level in levels]}
    if evaluated.has_samples:
        ends = [0.5 + way * level / 2 for level in levels for way in (-1, 1)]
        bounds = np.quantile(evaluated.samples, ends, axis=0)
        kinds["mc_samples"] = list(zip(bounds[::2], bounds[1::2], strict=True))
    return {
        "residual_variance": trust.fitted.residual.tolist(),
        "measured_on": trust.chosen_on,
        "levels": list(levels),
    } | {
        kind: {
            dimension: {
                "coverage": [
                    float(
                        ((low <= evaluated.labels) & (evaluated.labels <= high))[:, column].mean()
                    )
                    for low, high in pairs
                ],
                "width": [float((high - low)[:, column].mean()) for low, high in pairs],
            }
            for column, dimension in enumerate(dimensions)
        }
        for kind, pairs in kinds.items()
    }


def at_levels(found: dict, levels=LEVELS) -> dict:
    """Picks some of the levels of what `intervals` returned."""
    chosen = [found["levels"].index(level) for level in levels]
    picked = found | {"levels": list(levels)}
    for kind in found.keys() & KINDS:
        picked[kind] = {
            dimension: {key: [values[index] for index in chosen] for key, values in row.items()}
            for dimension, row in found[kind].items()
        }
    return picked


def judged(evaluated: Evaluated) -> thresholds.Judged:
    """Predictions by `Spread.uncertainty`; one within `TOLERANCE` is correct."""
    trust, summary = evaluated.trust, evaluated.summary
    correct = metrics.distances(summary.mean, evaluated.labels) < TOLERANCE
    return thresholds.Judged(
        trust.fitted.threshold, summary.uncertainty, correct, trust.given.answered
    )


def ambiguity(names, evaluated: Evaluated) -> Ambiguity:
    """How uncertain each prediction is, and by which threshold."""
    return Ambiguity("deviation of the MC samples", " rating points", {"": judged(evaluated)})


def abstaining(evaluated: Evaluated) -> tuple[dict, tuple]:
    """Threshold on `Spread.uncertainty`, see `abstaining.content`, and `Curves.risk`."""
    own = judged(evaluated)
    _, uncertainty, correct, _ = own
    curve = evaluation.risk_curve(uncertainty, correct)
    return {
        **thresholds.content(own, evaluated.trust),
        "area_under_risk_coverage": curve[-1],
        "area_under_generalised_risk": area_under_generalised_risk(uncertainty, correct),
        "error_of_all": float(1 - correct.mean()),
    }, curve


def predictions(clips, folds, evaluated: Evaluated):
    """Tabulates label, prediction, interval, uncertainty and distance by image."""
    summary, given = evaluated.summary, evaluated.trust.given
    columns = {"true_": evaluated.labels, "": summary.mean, "std_": summary.variance**0.5}
    columns |= {"low_": given.low, "high_": given.high}
    columns |= {
        f"{inference_mode}_": values
        for inference_mode, values in evaluated.probabilities.items()
        if (inference_mode, evaluated.mode) != ("mc_dropout", "mc_dropout")
    }
    table = evaluation.identity(clips, folds, evaluated)
    for prefix, values in columns.items():
        table |= {f"{prefix}{name}": values[:, n] for n, name in enumerate(clips.classes)}
    table["uncertainty"] = summary.uncertainty
    table["distance"] = metrics.distances(summary.mean, evaluated.labels)
    return evaluation.as_table(table)
