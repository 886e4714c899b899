"""Summaries of sampled class probabilities: mean, spread, entropies, agreement."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ROUNDING = 0.05  # of sums of probabilities; bfloat16 has 8 bits


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


def check_probabilities(probabilities) -> np.ndarray:
    """Returns probabilities `[..., C]` as float64.

    Raises:
      ValueError: they are no probabilities, but logits for example.
    """
    values = np.asarray(probabilities, np.float64)
    sums = values.sum(-1)  # NaN and infinity are refused by name elsewhere
    if np.isfinite(sums).all() and ((values < 0).any() or (np.abs(sums - 1) > _ROUNDING).any()):
        raise ValueError(
            "probabilities must be at least 0 and add up to 1 over the last axis: take the softmax "
            "of logits first"
        )
    return values


def unit_columns(probabilities) -> np.ndarray:
    """Probabilities of action units `[..., U]` as those of absent and present, `[..., U, 2]`."""
    p = np.asarray(probabilities, np.float64)
    return np.stack([1.0 - p, p], -1)


def summarise(probabilities) -> Summary:
    """Summarises sampled probabilities `[S, B, C]`, see `Summary`.

    Raises:
      ValueError: they are no probabilities, but logits for example.
    """
    samples = check_probabilities(probabilities)
    mean = samples.mean(0)
    total = entropy(mean)
    votes = samples.argmax(-1) == mean.argmax(-1)
    votes = np.where(np.isnan(total), np.nan, votes)  # NaN agrees with nothing
    information = np.maximum(total - entropy(samples).mean(0), 0.0)
    return Summary(mean, samples.var(0), total, information, votes.mean(0))
