"""Valence, arousal and dominance: values on the scale of the ratings, with intervals."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np

from fer_jax.faces import emotion_ratings
from fer_jax.tasks.base import NO_FACE, Column, Task, check_finite, over_frames, reason_of
from fer_jax.tasks.dimensions.intervals import interval, of_dimensions
from fer_jax.tasks.dimensions.scores import INTERVAL, TOLERANCE, summarise_dimensions


@dataclasses.dataclass(frozen=True)
class Dimensions(Task):
    """Squared and absolute error; a prediction counts as right within `TOLERANCE`.

    Attributes:
      absolute: weight of the absolute error beside the squared one (equation 2's a).

    Source: Zhou et al., arXiv 1805.01024, equations 2 and 5; docs/papers/bilinear_cnn.md.
    """

    absolute: float = 2.0

    target = "votes"
    names = "dimensions"
    has_probabilities = False

    def configured(self, config):
        return dataclasses.replace(self, **config.get("loss", {}))

    def loss(self, outputs, batch):
        return self._loss(outputs, batch, self.absolute)

    @over_frames
    def _loss(values, label, absolute):
        error = jnp.abs(values - label)
        return (error**2 + absolute * error).mean(-1)

    @over_frames
    def score(values, label):
        return (jnp.square(values - label).mean(-1) < TOLERANCE**2).astype(jnp.float32)

    def probabilities(self, outputs):
        return jnp.asarray(outputs)

    def labelled(self, labels, count):
        return np.isfinite(np.asarray(labels).reshape(-1, count)).any(0)

    def likelihood(self, labels):
        return "gaussian", labels

    def summarise(self, samples):
        return summarise_dimensions(samples)

    def trust(self, config, evaluated):
        return of_dimensions(config, evaluated)

    def distance(self, mean, other):
        """Of normal distributions with a standard deviation of one rating point."""
        return np.square(mean - other).sum(-1, keepdims=True) / 8

    # one window of a clip

    def columns(self, names) -> list[str]:
        around = (f"{prefix}_{name}" for prefix in ("std", "low", "high") for name in names)
        return [*names, "label", *around, "interval_level", "uncertainty"]

    def row(self, summary, names, threshold, rule=None) -> dict:
        check_finite(summary.mean, ["this window"])
        mean, deviation = summary.mean[0], summary.variance[0] ** 0.5
        low, high = (ends[0] for ends in interval(summary, rule))
        columns = {"": mean, "std_": deviation, "low_": low, "high_": high}
        row = {
            f"{prefix}{name}": float(value)
            for prefix, values in columns.items()
            for name, value in zip(names, values, strict=True)
        }
        uncertainty = float(summary.uncertainty[0])
        return row | {
            "label": emotion_ratings.nearest(mean, names),
            "interval_level": INTERVAL if rule is None else rule.level,
            "uncertainty": uncertainty,
            "abstained": threshold is not None and uncertainty > threshold,
        }

    def blank_row(self, names) -> dict:
        row = dict.fromkeys(self.columns(names), math.nan)
        return row | {"label": NO_FACE, "abstained": True}

    def terminal_columns(self, names, room: int) -> list[Column]:
        """Every dimension; intervals, whole names and the uncertainty only if they fit."""
        letters = sum(map(len, names))
        whole, intervals = (63 + letters + more * len(names) <= room for more in (3, 18))

        def label(row: dict) -> str:
            return f"{reason_of(row)} ({row['label']})" if row["abstained"] else row["label"]

        def value(name: str) -> Column:
            if not intervals:
                return Column(name if whole else name[0].upper(), lambda row: f"{row[name]:.2f}")
            return Column(
                f"{name} (interval)",
                lambda row: f"{row[name]:.2f} ({row[f'low_{name}']:.1f}–{row[f'high_{name}']:.1f})",
            )

        return [
            Column("nearest word", label, right=False),
            *map(value, names),
            *([Column("uncertainty", lambda row: f"{row['uncertainty']:.2f}")] if whole else []),
        ]
