"""Summaries of sampled class probabilities: mean, spread, entropies, agreement."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Predictive distribution of B examples over C classes.

    Attributes:
      mean: `[B, C]` mean probabilities, the ensemble's prediction.
      variance: `[B, C]` variance of each class probability over the samples.
      entropy: `[B]` entropy of the mean, nats (total uncertainty).
      mutual_information: `[B]` entropy of the mean minus mean entropy of the samples, nats
        (uncertainty of the model; 0 when all samples agree).
      agreement: `[B]` share of the samples whose likeliest class is the ensemble's.
    """

    mean: np.ndarray
    variance: np.ndarray
    entropy: np.ndarray
    mutual_information: np.ndarray
    agreement: np.ndarray


def entropy(probabilities) -> np.ndarray:
    """Entropy over the last axis, nats."""
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log(np.maximum(p, 1e-300))).sum(-1)


def summarise(probabilities) -> Summary:
    """Summarises sampled probabilities `[S, B, C]`, see `Summary`."""
    samples = np.asarray(probabilities, np.float64)
    mean = samples.mean(0)
    total = entropy(mean)
    votes = samples.argmax(-1) == mean.argmax(-1)
    information = np.maximum(total - entropy(samples).mean(0), 0.0)
    return Summary(mean, samples.var(0), total, information, votes.mean(0))
