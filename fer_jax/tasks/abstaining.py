"""Abstention: the uncertainty above which a model abstains, and what is promised of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fer_jax.uncertainty import selective
from fer_jax.uncertainty.stored import is_level

LEAST_COVERAGE = 0.01  # share of the clips; the accuracy on fewer is left to chance


class Threshold(NamedTuple):
    """An uncertainty above which to abstain.

    Attributes:
      value: the promised one, if the target can be promised; else the largest with which the clips
        it was chosen on reach it; infinite without any: nothing abstains.
      promise: what is promised.
    """

    value: float
    promise: selective.Promise


class Judged(NamedTuple):
    """N evaluated predictions, and what a threshold makes of them.

    Attributes:
      threshold: of the bundle.
      uncertainty, correct: `[N]`, see `choose_threshold`.
      answered: `[N]` bool, by thresholds that were chosen elsewhere.
    """

    threshold: Threshold
    uncertainty: np.ndarray
    correct: np.ndarray
    answered: np.ndarray


def choose_threshold(
    uncertainty, correct, people, target: float, confidence: float, divided: bool = True
) -> Threshold:
    """Chooses a threshold, on people whom the model was not trained on.

    Args:
      uncertainty: `[B]`; NaN where a prediction does not count.
      correct: `[B]` bool.
      people: `[B]`.
      target: accuracy that the clips below the threshold shall reach.
      confidence: of the promise.
      divided: whether the model was trained on nobody of them; else nothing is promised.
    """
    counts = np.isfinite(uncertainty)
    if divided and is_level(target) and counts.any():
        promise = selective.promised_threshold(uncertainty, correct, people, target, confidence)
    else:
        own = np.asarray(people)[counts]
        promise = selective.Promise(
            None, target, confidence, math.nan, 0.0, math.nan, len(np.unique(own)), len(own)
        )
    if promise.promised:
        return Threshold(promise.threshold, promise)
    value = selective.abstain_threshold(uncertainty[counts], correct[counts], target)
    few = (uncertainty <= value).sum() < LEAST_COVERAGE * counts.sum()
    return Threshold(np.inf if few or not np.isfinite(value) else value, promise)


def content(judged: Judged, trust) -> dict:
    """Numbers for metrics.json.

    Args:
      judged: the evaluated predictions.
      trust: the `trust.Trust` that they are of.
    """
    threshold, uncertainty, correct, answered = judged
    covered = answered & np.isfinite(uncertainty)
    promise = threshold.promise._asdict()
    return {
        "target_accuracy": promise.pop("target"),
        "threshold": float(threshold.value) if np.isfinite(threshold.value) else None,
        "chosen_on": trust.chosen_on,
        "crossed": trust.crossed,
        "coverage": float(covered.sum() / max(np.isfinite(uncertainty).sum(), 1)),
        "accuracy": float(correct[covered].mean()) if covered.any() else None,
        "promise": promise,
    }
