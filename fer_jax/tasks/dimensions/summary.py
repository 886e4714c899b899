"""What the passes say of valence, arousal and dominance: mean, spread, intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from fer_jax.faces.emotion_ratings import SCALE

INTERVAL = 0.9  # share of the labels that the interval of a dimension shall hold
# Root mean square error over the dimensions, on their scale of 1 to 9, below which a prediction
# counts as right (bilinear CNN specification, section 5).
TOLERANCE = 1.0


class Spread(NamedTuple):
    """Predictive distribution of B examples over D dimensions, on the scale of the labels.

    Attributes:
      mean: `[B, D]` mean of the passes, the ensemble's prediction.
      variance: `[B, D]` variance over the passes.
      doubt: `[B]` root mean variance over the dimensions.
      residual: `[D]` variance of the errors that the passes do not show, as it was measured on
        images that the model has not learnt from; 0 where it is not known.
    """

    mean: np.ndarray
    variance: np.ndarray
    doubt: np.ndarray
    residual: np.ndarray

    def half_width(self, level: float = INTERVAL) -> np.ndarray:
        """Half the width of the interval about the mean that holds a share of the labels, `[B, D]`.

        Of a normal distribution whose variance is that over the passes and the residual one.
        """
        return ndtri(0.5 + level / 2) * np.sqrt(self.variance + self.residual)

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
