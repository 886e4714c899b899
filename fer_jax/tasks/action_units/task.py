"""Facial action units: several may be present at once, each with a probability of its own."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.faces.labels import PRESENT, undecided_units
from fer_jax.tasks.action_units.scores import (
    NO_UNIT,
    STATES,
    present_units,
    summarise_units,
    unsure_units,
)
from fer_jax.tasks.base import (
    NO_FACE,
    UNCERTAINTY,
    Column,
    Task,
    check_finite,
    over_frames,
    reason_of,
)
from fer_jax.tasks.trust import name_sets, of_units
from fer_jax.uncertainty.calibrators import apply_to_units
from fer_jax.uncertainty.conformal import unit_sets
from fer_jax.uncertainty.smoothing import bhattacharyya
from fer_jax.uncertainty.summaries import entropy, unit_columns

_OF_A_UNIT = ("set", "std", *UNCERTAINTY, "abstained")


class ActionUnits(Task):
    """A sigmoid each; unknown labels (NaN) do not count.

    How the STC-NLSTM paper is read: docs/papers/stc_nlstm.md.
    """

    target = "action_units"
    names = "action units"

    @over_frames
    def loss(logits, label):
        # masking a NaN after the loss would leave NaN in the derivative
        present = jnp.where(jnp.isnan(label), 0.0, label)
        return _over_known(optax.sigmoid_binary_cross_entropy(logits, present), label)

    @over_frames
    def score(logits, label):
        return _over_known((logits > 0) == (label > 0.5), label)

    def probabilities(self, outputs):
        return jax.nn.sigmoid(outputs)

    def labelled(self, labels, count):
        return (np.asarray(labels).reshape(-1, count) == 1).any(0)

    def likelihood(self, labels):
        return "sigmoid", labels

    def summarise(self, samples):
        return summarise_units(samples)

    def trust(self, config, evaluated):
        return of_units(config, evaluated)

    def calibrate(self, probabilities, calibrator):
        return apply_to_units(probabilities, calibrator)

    def with_mean(self, summary, mean):
        return summary._replace(mean=mean, entropy=entropy(unit_columns(mean)))

    def distance(self, mean, other):
        return bhattacharyya(unit_columns(mean), unit_columns(other))[..., 0]

    # one window of a clip

    def columns(self, units) -> list[str]:
        own = (f"{name}_{unit}" for name in _OF_A_UNIT for unit in units)
        return [*units, "label", "set_level", *own]

    def row(self, summary, units, thresholds, rule=None) -> dict:
        check_finite(summary.mean, ["this window"])
        row, present = self._set_columns(summary.mean, units, rule), []
        for index, (unit, threshold) in enumerate(zip(units, thresholds, strict=True)):
            one = {name: float(values[0, index]) for name, values in summary._asdict().items()}
            entropy = max(0.0, one["entropy"])
            abstained = threshold is not None and entropy > threshold
            row |= {
                unit: one["mean"],
                f"std_{unit}": one["variance"] ** 0.5,
                f"entropy_{unit}": entropy,
                f"mutual_information_{unit}": one["mutual_information"],
                f"agreement_{unit}": one["agreement"],
                f"abstained_{unit}": abstained,
            }
            if one["mean"] > PRESENT and not abstained:
                present.append(unit)
        return row | {
            "label": "+".join(present) or NO_UNIT,
            "abstained": all(row[f"abstained_{unit}"] for unit in units),
        }

    def _set_columns(self, mean, units, rules) -> dict:
        """Set of each action unit, empty for those without a rule, and their level."""
        rules = rules or (None,) * len(units)
        both, sets = unit_columns(mean)[0], unit_sets(mean, rules)[0]
        row = {
            f"set_{unit}": "" if rule is None else name_sets(STATES, [p], [own])[0]
            for unit, p, own, rule in zip(units, both, sets, rules, strict=True)
        }
        levels = {rule.level for rule in rules if rule is not None}
        return row | {"set_level": max(levels, default=math.nan)}

    def blank_row(self, units) -> dict:
        row = dict.fromkeys(self.columns(units), math.nan)
        row |= {f"set_{unit}": "" for unit in units}
        withheld = dict.fromkeys((f"abstained_{unit}" for unit in units), True)
        return row | withheld | {"label": NO_FACE, "abstained": True}

    def withheld(self, row, units) -> dict:
        withheld = dict.fromkeys((f"abstained_{unit}" for unit in units), True)
        return withheld | {"label": NO_UNIT, "abstained": True}

    def abstain_threshold(self, own, asked, units) -> tuple[float | None, ...]:
        return (asked,) * len(units) if asked is not None or own is None else tuple(own)

    def threshold_warning(self, thresholds, units) -> str:
        without = [
            unit for unit, threshold in zip(units, thresholds, strict=True) if threshold is None
        ]
        if not without:
            return ""
        if len(without) == len(units):
            return "the model has no threshold, so no action unit is marked unsure"
        names = ", ".join(without)
        return f"the model has no threshold for {names}, so these are never marked unsure"

    def moments(self, start, end, fps) -> np.ndarray:
        return np.asarray(end, float) - 0.5 / fps

    def terminal_columns(self, units, room: int) -> list[Column]:
        """Names the units present and the uncertain ones that fit."""
        half = max(14, (room - 40) // 2)

        def present(row: dict) -> str:
            if row["abstained"]:
                return reason_of(row)
            found = present_units(row)
            doubted = undecided_units(row, found)
            words = [f"{unit}{'?' * (unit in doubted)} {row[unit]:.2f}" for unit in found]
            return _fitting(words, half) or NO_UNIT

        def unsure(row: dict) -> str:
            names = unsure_units(row, units)
            count = f"{len(names):{len(str(len(units)))}}  "
            return (count + _fitting(names, half - len(count))).rstrip()

        return [
            Column("present", present, right=False),
            Column(f"unsure, of {len(units)}", unsure, right=False),
        ]


def _over_known(values, label) -> jax.Array:
    """Mean over the action units whose label is known, `[B, A] -> [B]`; 0 where none is."""
    known = ~jnp.isnan(label)
    return jnp.where(known, values, 0.0).sum(-1) / jnp.maximum(known.sum(-1), 1)


def _fitting(words: list[str], room: int) -> str:
    """Joins the words that fit, and the count of the rest."""
    for shown in range(len(words), -1, -1):
        left = [f"+{len(words) - shown}"] if shown < len(words) else []
        text = "  ".join(words[:shown] + left)
        if len(text) <= room:
            break
    return text
