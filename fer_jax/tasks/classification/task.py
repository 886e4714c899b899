"""One of several classes: basic emotions, grammatical expressions or whatever a dataset names."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.tasks.base import (
    NO_FACE,
    UNCERTAINTY,
    Column,
    Task,
    check_finite,
    over_frames,
    reason_of,
)
from fer_jax.tasks.trust import name_sets, of_classes
from fer_jax.uncertainty.conformal import prediction_sets
from fer_jax.uncertainty.smoothing import bhattacharyya
from fer_jax.uncertainty.summaries import entropy, summarise


class Classification(Task):
    """Softmax over the classes; the label is the likeliest."""

    target = "label"
    names = "classes"
    least = 2

    @over_frames
    def loss(logits, label):
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)

    @over_frames
    def score(logits, label):
        return (jnp.argmax(logits, -1) == label).astype(jnp.float32)

    def probabilities(self, outputs):
        return jax.nn.softmax(outputs)

    def labelled(self, labels, count):
        return np.isin(np.arange(count), labels)

    def balancing(self, labels, count):
        if np.ndim(labels) > 1:  # shares of several classes, of a task of this kind
            return None
        found = np.bincount(labels, minlength=count)
        share = len(labels) / max(1, (found > 0).sum())  # of a class, if all were as frequent
        return np.where(found > 0, share / np.maximum(found, 1), 0).astype(np.float32)

    def likelihood(self, labels):
        return "softmax", labels

    def summarise(self, samples):
        return summarise(samples)

    def trust(self, config, evaluated):
        return of_classes(config, evaluated)

    def calibrate(self, probabilities, calibrator):
        return calibrator.apply(probabilities)

    def with_mean(self, summary, mean):
        return summary._replace(mean=mean, entropy=entropy(mean))

    def distance(self, mean, other):
        return bhattacharyya(mean, other)

    # one window of a clip

    def columns(self, classes) -> list[str]:
        own = ("label", "set", "set_level", *UNCERTAINTY)
        return [*classes, *own, *map("std_{}".format, classes)]

    def row(self, summary, classes, threshold, rule=None) -> dict:
        check_finite(summary.mean, ["this window"])
        entropy = max(0.0, float(summary.entropy[0]))
        sets = None if rule is None else prediction_sets(summary.mean[:1], rule)
        row = {name: float(p) for name, p in zip(classes, summary.mean[0], strict=True)}
        return row | {
            "label": classes[int(summary.mean[0].argmax())],
            "set": "" if rule is None else name_sets(classes, summary.mean[:1], sets)[0],
            "set_level": math.nan if rule is None else rule.level,
            "entropy": entropy,
            "mutual_information": float(summary.mutual_information[0]),
            "agreement": float(summary.agreement[0]),
            "abstained": threshold is not None and entropy > threshold,
            **_deviations(classes, np.sqrt(summary.variance[0])),
        }

    def blank_row(self, classes) -> dict:
        numbers = dict.fromkeys((*classes, "set_level", *UNCERTAINTY), math.nan)
        numbers |= _deviations(classes, [math.nan] * len(classes))
        return numbers | {"label": NO_FACE, "set": "", "abstained": True}

    def terminal_columns(self, classes, room: int) -> list[Column]:
        """Every class, the likeliest three or the likeliest, whatever fits."""

        def label(row: dict) -> str:
            return f"{reason_of(row)} ({row['label']})" if row["abstained"] else row["label"]

        def likeliest(row: dict) -> str:
            names = sorted(classes, key=lambda name: -row[name])[:3]
            return "  ".join(f"{name} {row[name]:.2f}" for name in names)

        def chance(name: str) -> Column:
            return Column(name, lambda row: f"{row[name]:.2f}")

        wide = 74 + sum(max(len(name), 4) + 3 for name in classes) <= room
        three = sum(sorted(map(len, classes))[-3:]) + 22  # "NAME 0.50" each, and what parts them
        if not wide and room < 74 + three:  # an 80-column terminal; --out saves every column
            return [
                Column("label", label, right=False),
                Column("prob.", lambda row: f"{max(row[name] for name in classes):.2f}"),
                Column("entropy", lambda row: f"{row['entropy']:.2f}"),
            ]
        return [
            Column("label", label, right=False),
            *(
                map(chance, classes)
                if wide
                else [Column("likeliest classes", likeliest, right=False)]
            ),
            Column("entropy", lambda row: f"{row['entropy']:.2f}"),
            Column("mutual inf.", lambda row: f"{row['mutual_information']:.3f}"),
            Column("agree", lambda row: f"{row['agreement']:.0%}"),
        ]


def _deviations(classes, values) -> dict:
    """Columns of the standard deviation of each class over the MC samples."""
    return {f"std_{name}": float(value) for name, value in zip(classes, values, strict=True)}
