"""Smoothing over time of what a network says of moments that follow each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np

PAUSE = 5.0  # time constants after which a series begins anew: what is older would weigh 1%
# How much faster the past is forgotten that the present contradicts, per second and unit of
# distance. Measured (`python -m benchmarks.flicker`): a clear change then shows in the next row.
FORGETTING = 50.0


def bhattacharyya(one, other) -> np.ndarray:
    """Distance of distributions over the last axis, which it keeps: 0 if equal, else above.

    Args:
      one, other: `[..., C]`, each adds up to 1.

    Returns:
      `[..., 1]`; infinite if no class has a probability in both.
    """
    shared = np.sqrt(np.asarray(one, float) * np.asarray(other, float)).sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return -np.log(np.minimum(shared, 1.0))


class _Past(NamedTuple):
    """What is kept of a series: its last moment, the sum of the weights, the weighted mean."""

    time: float
    weight: np.ndarray
    mean: np.ndarray


class Smoother:
    """Weighted means over the past, of several series side by side.

    From one moment to the next, t seconds later, all weights of the past fall by

        exp(-t * (1 / seconds + FORGETTING * distance))

    with the distance of the new value from the mean so far. So noise is averaged over `seconds`
    and a change is followed at once, however often there is a value. Means of distributions are
    distributions. A mean over one value is this value, to the bit.

    Give it what is linear in time: the MC samples themselves, with the same dropout masks for every
    moment, and summarise what it returns. Each sample is then one network over time, and the spread
    of the samples stays what the networks disagree about.

    Args:
      seconds: the time constant, above 0.
      distance: `(values, mean) -> array` that broadcasts to the values, such as `bhattacharyya`;
        None: weights fall with age alone.
    """

    def __init__(self, seconds: float, distance: Callable | None = None):
        if not 0 < seconds < math.inf:
            raise ValueError(f"the time constant is {seconds}: give seconds above 0")
        self._seconds, self._distance = seconds, distance
        self._series: dict[Hashable, _Past] = {}

    def update(self, series: Hashable, time: float, values) -> np.ndarray:
        """Adds the values of a moment to a series and returns their means over its past.

        A series begins with its first moment, and anew after `PAUSE` time constants without one.

        Args:
          series: names it; several may be updated in turn.
          time: seconds, of all series; before the last one of this series it counts as that.
          values: of one shape in a series, finite.

        Raises:
          ValueError: the values have another shape than those before.
        """
        values, longest = np.asarray(values), PAUSE * self._seconds
        self._series = {
            name: past for name, past in self._series.items() if time - past.time <= longest
        }
        past = self._series.get(series)
        if past is None:
            self._series[series] = _Past(time, np.ones(()), values)
            return values
        if values.shape != past.mean.shape:
            shapes = f"{list(values.shape)}, those before {list(past.mean.shape)}"
            raise ValueError(f"the values of series {series!r} at {time:g} s are {shapes}")
        time = max(time, past.time)  # containers round time stamps
        weight = 1.0 + past.weight * self._kept(time - past.time, values, past.mean)
        mean = past.mean + (values - past.mean) / weight
        self._series[series] = _Past(time, weight, mean)
        return mean

    def _kept(self, seconds: float, values, mean) -> np.ndarray:
        """Share of the weights that the past keeps after some seconds."""
        rate = np.full((), 1 / self._seconds)
        if self._distance is not None:
            rate = rate + FORGETTING * self._distance(values, mean)
        return np.exp(-seconds * rate) if seconds else np.ones(())
