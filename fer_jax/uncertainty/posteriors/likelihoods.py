"""What the outputs of a last layer mean: class logits, logits of units, or values.

Outputs and labels have a row for each example. All in NumPy, float64.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special


class Softmax:
    """Classes. Labels are their indices `[N]`, or shares of votes `[N, C]`."""

    def log(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Log-likelihood of the labels, `[N]`, nats."""
        return np.sum(_shares(labels, outputs.shape[1]) * special.log_softmax(outputs, -1), -1)

    def second(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Negative second derivative in the outputs, `[N, C, C]`."""
        del labels
        p = special.softmax(outputs, -1)
        return p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])

    def log_of_samples(self, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Log-likelihood of the mean prediction of outputs `[S, N, C]`, `[N]`."""
        mean = special.softmax(samples, -1).mean(0)
        return np.sum(_shares(labels, mean.shape[1]) * np.log(np.maximum(mean, 1e-300)), -1)


class Sigmoid:
    """Units that do not exclude each other. Labels `[N, C]` are 0, 1 or, unknown, NaN."""

    def log(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.nansum(
            special.log_expit(np.where(labels > 0.5, outputs, -outputs)) * _one(labels), -1
        )

    def second(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Its diagonal, `[N, C]`."""
        p = special.expit(outputs)
        return np.where(np.isnan(labels), 0.0, p * (1 - p))

    def log_of_samples(self, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mean = special.expit(samples).mean(0)
        right = np.where(labels > 0.5, mean, 1 - mean)
        return np.nansum(np.log(np.maximum(right, 1e-300)) * _one(labels), -1)


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Values with normal noise. Labels `[N, C]`; NaN: unknown.

    Attributes:
      variance: of the noise, `[C]`.
    """

    variance: np.ndarray

    def log(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.nansum(_log_normal(outputs - labels, self.variance), -1)

    def second(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Its diagonal, `[N, C]`."""
        return np.where(np.isnan(labels), 0.0, 1 / self.variance) * np.ones_like(outputs)

    def log_of_samples(self, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
        variance = self.variance + samples.var(0)
        return np.nansum(_log_normal(samples.mean(0) - labels, variance), -1)


def _log_normal(error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return -0.5 * (error**2 / variance + np.log(2 * np.pi * variance))


def _one(labels: np.ndarray) -> np.ndarray:
    """1, or NaN where a label is unknown."""
    return np.where(np.isnan(labels), np.nan, 1.0)


def _shares(labels: np.ndarray, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    return np.eye(classes)[labels] if labels.ndim == 1 else labels
