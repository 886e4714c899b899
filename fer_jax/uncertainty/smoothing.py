"""Smoothing over time of what a network says of moments that follow each other."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

PAUSE = 5.0  # time constants after which a series begins anew: what is older would weigh 1%


class _Past(NamedTuple):
    """What is kept of a series: its last moment, the sum of the weights, the weighted mean."""

    time: float
    weight: float
    mean: np.ndarray


class Smoother:
    """Exponentially weighted means over the past, of several series side by side.

    A value of t seconds ago weighs exp(-t / seconds), so the result depends little on how often
    there is one. Weights depend on nothing else: means of distributions are distributions, and
    those of calibrated ones are calibrated for a moment drawn from the past with these weights. A
    mean over one value is this value, to the bit.

    Give it what is linear in time: the MC samples themselves, with the same dropout masks for every
    moment, and summarise what it returns. Each sample is then one network over time, and the spread
    of the samples stays what the networks disagree about.

    Args:
      seconds: the time constant, above 0; a lasting change has half its size after 0.69 of it.
    """

    def __init__(self, seconds: float):
        if not 0 < seconds < math.inf:
            raise ValueError(f"the time constant is {seconds}: give seconds above 0")
        self._seconds = seconds
        self._series: dict[Hashable, _Past] = {}

    def update(self, series: Hashable, time: float, values) -> np.ndarray:
        """Adds the values of a moment to a series and returns their means over its past.

        A series begins with its first moment, and anew after `PAUSE` time constants without one.

        Args:
          series: names it; several may be updated in turn.
          time: seconds, of all series; never before the last one of this series.
          values: of one shape in a series, finite.

        Raises:
          ValueError: the time goes back, or the values have another shape.
        """
        values, longest = np.asarray(values), PAUSE * self._seconds
        self._series = {
            name: past for name, past in self._series.items() if time - past.time <= longest
        }
        past = self._series.get(series)
        if past is None:
            self._series[series] = _Past(time, 1.0, values)
            return values
        if time < past.time or values.shape != past.mean.shape:
            raise ValueError(
                f"series {series!r} goes on at {time:g} s with values {list(values.shape)}: it was "
                f"at {past.time:g} s, with {list(past.mean.shape)}"
            )
        weight = 1.0 + past.weight * math.exp((past.time - time) / self._seconds)
        mean = past.mean + (values - past.mean) / weight
        self._series[series] = _Past(time, weight, mean)
        return mean
