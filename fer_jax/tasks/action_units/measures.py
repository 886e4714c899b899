"""Measures of action units from counts that add up over windows: of folds, people, resamples."""

from __future__ import annotations

import numpy as np

from fer_jax import metrics
from fer_jax.faces.labels import PRESENT

TESTED = ("mean F1",)  # for which methods are compared
OVER_FOLDS = False


def decide(probabilities) -> np.ndarray:
    """Which action units are called present, `[..., A]` bool."""
    return np.asarray(probabilities) > PRESENT


def count(names, labels, predicted) -> np.ndarray:
    """True positives, false positives, false negatives and true negatives of each window.

    Args:
      names: of the A action units.
      labels: `[N, A]`, 1 present, 0 absent, NaN unknown, which does not count.
      predicted: `[N, A]` bool.

    Returns:
      `[N, 4, A]`.
    """
    present, absent = labels == 1, labels == 0
    kinds = (predicted & present, predicted & absent, ~predicted & present, ~predicted & absent)
    return np.stack(kinds, 1).astype(np.float32)


def measures(names, sums) -> dict[str, np.ndarray]:
    """Mean F1, with and without the units that never occur, and accuracy of sums `[..., 4, A]`."""
    f1 = metrics.f1_scores(np.moveaxis(np.asarray(sums)[..., :3, :], -2, 0))
    right, known = sums[..., [0, 3], :].sum((-2, -1)), sums.sum((-2, -1))
    with np.errstate(invalid="ignore"):
        accuracy = np.asarray(right / known, np.float64)
    return {
        "mean F1": metrics.mean_f1(f1),
        "mean F1 of units seen": metrics.mean_known(f1),
        "accuracy": accuracy,
    }


def right(labels, predicted) -> None:
    """A window has many decisions, so none is right or wrong as a whole."""
    return None


def shared_names(first, second) -> tuple[str, ...]:
    """Names of the outputs that both of two methods have."""
    return tuple(name for name in first if name in second)


def select(own, names, labels, predicted) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions by the names `own` as those by `names`, of `shared_names`."""
    columns = [list(own).index(name) for name in names]
    return labels[:, columns], predicted[:, columns]


def names_in(columns) -> list[str]:
    """Names of the action units in predictions.csv."""
    prefix = "p_stored_"
    return [name.removeprefix(prefix) for name in columns if name.startswith(prefix)]


def read(table, mode: str, names) -> tuple[np.ndarray, np.ndarray]:
    """Labels `[N, A]` and decisions `[N, A]` of an inference mode in predictions.csv."""
    labels = table[list(names)].to_numpy(float)
    return labels, decide(table[[f"p_{mode}_{name}" for name in names]].to_numpy(float))
