"""Intervals and thresholds of dimensions: chosen on other people than they are judged on.

No other task predicts intervals, so only this folder has such a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_jax import metrics
from fer_jax.faces.emotion_ratings import SCALE
from fer_jax.tasks import report_lines, trust_report
from fer_jax.tasks.abstaining import Threshold, choose_threshold
from fer_jax.tasks.dimensions.scores import TOLERANCE, Spread
from fer_jax.tasks.evaluation import Evaluated, Examples, choose_elsewhere
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.trust import Trust, Wanted, marked
from fer_jax.uncertainty.calibration import coverage
from fer_jax.uncertainty.intervals import IntervalRule, conformal_intervals, fit_intervals
from fer_jax.uncertainty.stored import percent


class Fitted(NamedTuple):
    """What is chosen for a model of D dimensions.

    Attributes:
      residual: `[D]`, see `scores.Spread`.
      rule: of intervals; None: they assume a normal distribution.
      threshold: on the uncertainty.
    """

    residual: np.ndarray
    rule: IntervalRule | None
    threshold: Threshold


class Given(NamedTuple):
    """What it makes of N predictions.

    Attributes:
      residual, low, high: `[N, D]`, residual variance and both ends of the interval.
      answered: `[N]` bool, whether the uncertainty is within the threshold.
    """

    residual: np.ndarray
    low: np.ndarray
    high: np.ndarray
    answered: np.ndarray


def of_dimensions(config, evaluated: Evaluated) -> Trust:
    """Chooses for a model of dimensions, see `trust.Trust`."""
    wanted = Wanted.of(config, evaluated)

    def fit(examples: Examples) -> Fitted:
        residual = residual_variance(examples.labels, examples.summary)
        own, rule = examples.once(), None
        summary = own.summary._replace(residual=residual)
        if wanted.level:
            pair = summary.mean, summary.deviation
            rule = fit_intervals(own.labels, pair, own.people, wanted.level, unit=wanted.unit)
        right = metrics.distances(summary.mean, own.labels) < TOLERANCE
        return Fitted(residual, rule, choose_threshold(
            summary.uncertainty, right, own.people, wanted.target, wanted.confidence,
            wanted.divided,
        ))  # fmt: skip

    def apply(fitted: Fitted, examples: Examples) -> Given:
        summary = examples.summary._replace(residual=fitted.residual)
        low, high = interval(summary, fitted.rule)
        answered = summary.uncertainty <= fitted.threshold.value
        return Given(np.broadcast_to(fitted.residual, low.shape), low, high, answered)

    found = choose_elsewhere(evaluated, fit, apply)
    return Trust(
        Given(*found.applied), marked(found.fitted, found.crossed), None, found.chosen_on,
        wanted.divided, found.crossed,
    )  # fmt: skip


def interval(summary: Spread, rule: IntervalRule | None) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the intervals `[B, D]`, within the scale of the ratings."""
    if rule is None:
        return summary.interval()
    low, high = conformal_intervals((summary.mean, summary.deviation), rule)
    return np.clip(low, *SCALE), np.clip(high, *SCALE)


def residual_variance(labels, summary: Spread) -> np.ndarray:
    """Mean squared error less the mean variance over the samples, `[D]`, not below 0."""
    squares = (labels - summary.mean) ** 2 - summary.variance
    return np.maximum(squares.mean(0), 0.0)


def content(names: Sequence[str], evaluated: Evaluated) -> dict | None:
    """Numbers of the intervals for metrics.json; None: they are not fitted."""
    trust, people, inside = evaluated.trust, evaluated.people, _inside(evaluated)
    if (rule := trust.fitted.rule) is None:
        return None
    width, rows = trust.given.high - trust.given.low, {}
    for column, name in enumerate(names):
        held = coverage(inside[:, [column]], np.zeros(len(people), int), people)
        rows[name] = {key: held[key] for key in ("coverage", "worst_coverage")} | {
            "width": float(width[:, column].mean())
        }
    return {
        **trust_report.rule_content(rule),
        "chosen_on": trust.chosen_on,
        "dimensions": rows,
        "bundle": rule.to_json(),
    }


def _inside(evaluated: Evaluated) -> np.ndarray:
    """Whether each interval holds the label, `[N, D]`."""
    given = evaluated.trust.given
    return (given.low <= evaluated.labels) & (evaluated.labels <= given.high)


def parts(evaluated: Evaluated) -> list[Part]:
    """The table of the intervals of each person."""
    if evaluated.trust.fitted.rule is None:
        return []
    given, title = evaluated.trust.given, "Intervals of each person, over all dimensions"
    held, width = _inside(evaluated).mean(1), (given.high - given.low).mean(1)
    return trust_report.people_parts(
        evaluated, title, evaluated.people, coverage=held, mean_width=width
    )


def shares_by_person(evaluated: Evaluated) -> np.ndarray:
    """Share of each person's labels inside their intervals, over all dimensions: `[K]`."""
    return trust_report.shares_by_person(_inside(evaluated).mean(1), evaluated.people)


def lines(content: dict | None) -> list[str]:
    """Text and table of report.md."""
    if content is None:
        return []
    rows = [
        [name, f"{row['coverage']:.1%}", f"{row['worst_coverage']:.1%}", f"{row['width']:.2f}"]
        for name, row in content["dimensions"].items()
    ]
    return [
        f"Conformal intervals at a level of {percent(content['level'])}, which `predict` gives, "
        f"chosen on {content['chosen_on']}. Coverage is the mean over people. "
        f"{trust_report.promise_of(content)}",
        "",
        *report_lines.table("dimension | coverage | worst person | mean width", rows),
        "",
    ]
