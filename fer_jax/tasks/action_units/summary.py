"""What the passes say of action units, and which of them a window shows."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from fer_jax.faces.labels import PRESENT
from fer_jax.tasks.base import NO_FACE
from fer_jax.uncertainty import Summary

NO_UNIT = "none"  # label of a window of which no action unit is present and trusted


def summarise_units(probabilities) -> Summary:
    """Summarises sampled probabilities of action units `[S, B, A]`: a `Summary` of each, `[B, A]`.

    An action unit is an event of its own: its entropy is that of present against absent. One pass
    is looked at after the other, so that windows of every frame of a data set fit the memory.
    """
    mean = np.mean(probabilities, 0, dtype=np.float64)
    variance, within, votes = (np.zeros_like(mean) for _ in range(3))
    for one in probabilities:
        one = np.asarray(one, np.float64)
        variance += (one - mean) ** 2 / len(probabilities)
        within += _event_entropy(one) / len(probabilities)
        votes += (one > PRESENT) == (mean > PRESENT)
    total = _event_entropy(mean)
    return Summary(
        mean, variance, total, np.maximum(total - within, 0.0), votes / len(probabilities)
    )


def _event_entropy(p: np.ndarray) -> np.ndarray:
    return -(xlogy(p, p) + xlogy(1 - p, 1 - p))


def present_units(row: dict) -> list[str]:
    """Names of the action units that a row says are present and trusted."""
    return [] if row["label"] in (NO_UNIT, NO_FACE) else row["label"].split("+")


def unsure_units(row: dict, units) -> list[str]:
    """Names of the action units of which a row claims nothing."""
    return [unit for unit in units if row[f"abstained_{unit}"]]
