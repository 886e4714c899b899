"""Errors of dimensions from sums that add up over images: of folds, people, resamples."""

from __future__ import annotations

import numpy as np

from fer_jax import metrics
from fer_jax.faces.emotion_ratings import SCALE
from fer_jax.tasks.action_units.measures import select, shared_names
from fer_jax.tasks.dimensions.scores import TOLERANCE

__all__ = [
    "OVER_FOLDS", "TESTED", "count", "decide", "measures", "names_in", "read", "right", "select",
    "shared_names",
]  # fmt: skip

WITHIN = f"accuracy at T = {TOLERANCE:g}"
TESTED = (WITHIN, "RMSE")  # for which methods are compared, the main one first
OVER_FOLDS = False
_LEAST_VARIANCE = 1e-9  # what rounding may leave of values that do not vary


def decide(values) -> np.ndarray:
    """The values themselves, `[..., D]`."""
    return np.asarray(values, np.float64)


def count(names, labels, predicted) -> np.ndarray:
    """Sums that the errors are made of, of each image.

    Args:
      names: of the D dimensions.
      labels, predicted: `[N, D]`.

    Returns:
      `[N, 9, D]`: 1, whether it is within T, absolute and squared error, label, prediction, their
      squares and their product.
    """
    error = np.asarray(predicted, np.float64) - labels
    centre = sum(SCALE) / 2  # subtracted first, or the squares lose digits
    true, predicted = np.asarray(labels, np.float64) - centre, predicted - centre
    within = np.broadcast_to(right(true, predicted)[:, None], error.shape)
    parts = (
        np.ones_like(error), within, np.abs(error), error**2, true, predicted, true**2,
        predicted**2, true * predicted,
    )  # fmt: skip
    return np.stack(parts, 1)


def measures(names, sums) -> dict[str, np.ndarray]:
    """Accuracy at T, RMSE over the dimensions, and RMSE, MAE, r and CCC of each, `[...]`.

    Args:
      names: of the D dimensions.
      sums: of counts, `[..., 9, D]`.
    """
    total = sums[..., :1, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.moveaxis(sums / total, -2, 0)
        _, within, absolute, squared, true, predicted, true_2, predicted_2, product = means
        spread = [
            np.where(value > _LEAST_VARIANCE, value, 0.0)
            for value in (true_2 - true**2, predicted_2 - predicted**2)
        ]
        covariance = product - true * predicted
        correlation = covariance / np.sqrt(spread[0] * spread[1])
        concordance = 2 * covariance / (spread[0] + spread[1] + (true - predicted) ** 2)
    errors = {
        "RMSE": np.sqrt(squared), "MAE": absolute,
        "r": np.where(np.isfinite(correlation), correlation, np.nan),
        "CCC": np.where(np.isfinite(concordance), concordance, np.nan),
    }  # fmt: skip
    return {WITHIN: within[..., 0], "RMSE": np.sqrt(squared.mean(-1))} | {
        f"{error} {name}": values[..., column]
        for column, name in enumerate(names)
        for error, values in errors.items()
    }


def right(labels, predicted) -> np.ndarray:
    """Whether each prediction is within T, `[N]` bool."""
    return metrics.distances(predicted, labels) < TOLERANCE


def names_in(columns) -> list[str]:
    """Names of the dimensions in predictions.csv."""
    return [name.removeprefix("true_") for name in columns if name.startswith("true_")]


def read(table, mode: str, names) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions `[N, D]` of an inference mode in predictions.csv."""
    prefix = f"{mode}_"
    if f"{prefix}{names[0]}" not in table:  # MC dropout that predicts has the columns without
        prefix = ""
    labels = table[[f"true_{name}" for name in names]].to_numpy(float)
    return labels, table[[f"{prefix}{name}" for name in names]].to_numpy(float)
