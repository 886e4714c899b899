"""Conformal intervals for dimensions: they hold the label as often as a level says.

The quantile is that of `conformal.conformal_quantile`: over people.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from fer_jax.uncertainty.conformal import UNITS, Rule, conformal_quantile
from fer_jax.uncertainty.people import other_people
from fer_jax.uncertainty.stored import is_level, require

METHODS = ("residual", "quantile")
_SMALLEST = float(np.finfo(np.float32).eps)  # deviation; without dropout there may be none


@dataclasses.dataclass(frozen=True)
class IntervalRule(Rule):
    """What makes intervals of predictions, as a bundle keeps it.

    Attributes:
      method: one of `METHODS`.
      level: expected coverage of each dimension.
      quantile: of the scores of each dimension.
      people, clips: that the quantiles rest on; the fewest of any dimension.
      unit, crossed: see `conformal.SetRule`.
    """

    method: str
    level: float
    quantile: tuple[float, ...]
    people: int
    clips: int
    unit: str = "person"
    crossed: bool = False

    def __post_init__(self):
        require(self.method in METHODS, f"IntervalRule: method is none of {', '.join(METHODS)}")
        require(self.unit in UNITS, f"IntervalRule: unit is none of {', '.join(UNITS)}")
        require(is_level(self.level), "IntervalRule: level does not lie between 0 and 1")
        require(self.quantile, "IntervalRule: it has no quantile")
        distances = self.method == "quantile" or min(self.quantile) >= 0
        require(distances, "IntervalRule: a quantile of distances is negative")
        require(self.people <= self.clips, "IntervalRule: it has more people than clips")


def fit_intervals(
    labels, predicted, people, level: float = 0.9, *, method: str = "residual", unit: str = "person"
) -> IntervalRule:
    """Fits intervals on clips of people whom the model was not trained on.

    Args:
      labels: `[B, D]`; NaN does not count.
      predicted: a pair of `[B, D]`. Of "residual", mean and standard deviation: the score is the
        distance in deviations (Lei et al., JASA 2018). Of "quantile", a low and a high quantile of
        the MC samples: the score is how far the label lies outside, negative inside (conformalised
        quantile regression; Romano, Patterson & Candes, NeurIPS 2019).
      people: `[B]`.
      level: expected coverage of each dimension.
      method: one of `METHODS`.
      unit: see `conformal.conformal_quantile`.
    """
    require(method in METHODS, f"method {method!r} is none of {', '.join(METHODS)}")
    labels, people = np.asarray(labels, np.float64), np.asarray(people)
    first, second = (np.asarray(values, np.float64) for values in predicted)
    if method == "residual":
        scores = np.abs(labels - first) / np.maximum(second, _SMALLEST)
    else:
        scores = np.maximum(first - labels, labels - second)
    known = np.isfinite(labels)
    found = [
        conformal_quantile(scores[of, column], people[of], level, unit)
        for column, of in enumerate(known.T)
    ]
    return IntervalRule(
        method, float(level), tuple(each.value for each in found),
        min(q.people for q in found), min(q.clips for q in found), unit,
    )  # fmt: skip


def conformal_intervals(predicted, rule: IntervalRule) -> tuple[np.ndarray, np.ndarray]:
    """Returns both ends of the intervals, `[B, D]`.

    Args:
      predicted: a pair as in `fit_intervals`.
      rule: of `fit_intervals`. Where its quantile would turn an interval inside out, both ends are
        the middle.
    """
    first, second = (np.asarray(values, np.float64) for values in predicted)
    quantile = np.array(rule.quantile)
    require(
        first.shape[-1] == len(quantile),
        f"the rule is for {len(quantile)} dimensions, not {first.shape[-1]}",
    )
    if rule.method == "residual":
        half = quantile * np.maximum(second, _SMALLEST)
        return first - half, first + half
    middle = (first + second) / 2
    return np.minimum(first - quantile, middle), np.maximum(second + quantile, middle)


def cross_intervals(
    labels, predicted, people, folds, level: float = 0.9, **options
) -> tuple[np.ndarray, np.ndarray, IntervalRule]:
    """Intervals of a cross-validation, see `conformal.cross_sets`.

    Args:
      labels, predicted, people, level: see `fit_intervals`.
      folds: `[B]`.
      options: `method` and `unit` of `fit_intervals`.

    Returns:
      Both ends `[B, D]`, and the rule for a new person.
    """
    labels, people = np.asarray(labels, np.float64), np.asarray(people)
    pair = tuple(np.asarray(values, np.float64) for values in predicted)
    low, high = np.empty_like(pair[0]), np.empty_like(pair[0])
    for own, rest in other_people(people, folds):
        others = tuple(values[rest] for values in pair)
        rule = fit_intervals(labels[rest], others, people[rest], level, **options)
        low[own], high[own] = conformal_intervals(tuple(values[own] for values in pair), rule)
    rule = fit_intervals(labels, pair, people, level, **options)
    return low, high, dataclasses.replace(rule, crossed=True)
