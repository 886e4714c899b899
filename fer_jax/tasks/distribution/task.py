"""Probabilities like the votes of several people, who may disagree about a clip."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import optax

from fer_jax.faces.emotion_ratings import DIMENSIONS, are_rated, ratings_of
from fer_jax.tasks.base import over_frames
from fer_jax.tasks.classification.task import Classification
from fer_jax.tasks.distribution import scores
from fer_jax.tasks.trust import of_classes


class Distribution(Classification):
    """Softmax over the classes, trained on the distribution of the votes.

    Labels are `[B, 2, C]`, see `faces.emotion_ratings.read_votes`. Predictions are those of a
    classifier and, of emotions whose words have ratings, valence, arousal and dominance.

    Source: Barsoum, Zhang, Canton Ferrer & Zhang, ICMI 2016, cross-entropy loss; Zhou et al.,
    arXiv 1805.01024, equation 1, for the dimensions of a distribution.
    """

    target = "distribution"

    @over_frames
    def loss(logits, label):
        return optax.softmax_cross_entropy(logits, label[:, 0])

    @over_frames
    def score(logits, label):
        """Whether the likeliest class is one of those with most votes."""
        votes = label[:, 0]
        chosen = jnp.take_along_axis(votes, jnp.argmax(logits, -1)[:, None], 1)[:, 0]
        return (chosen == votes.max(-1)).astype(jnp.float32)

    def likelihood(self, labels):
        return "softmax", labels[:, 0]

    def labelled(self, labels, count):
        return np.isin(np.arange(count), scores.classes_of(labels))

    def trust(self, config, evaluated):
        """Calibrators are fitted on the votes; sets and thresholds on those that have a class."""
        return of_classes(config, evaluated, scores.classes_of, lambda labels: labels[:, 0])

    # one window of a clip

    def columns(self, classes):
        own = [*DIMENSIONS, *map("std_{}".format, DIMENSIONS)] if are_rated(classes) else []
        return [*super().columns(classes), *own]

    def row(self, summary, classes, threshold, rule=None):
        row = super().row(summary, classes, threshold, rule)
        if not are_rated(classes):
            return row
        means, deviations = (values[0] for values in ratings_of(summary.mean[:1], classes))
        row |= dict(zip(DIMENSIONS, map(float, means), strict=True))
        spread = zip(DIMENSIONS, map(float, deviations), strict=True)
        return row | {f"std_{name}": value for name, value in spread}

    def blank_row(self, classes):
        return dict.fromkeys(self.columns(classes), math.nan) | super().blank_row(classes)

    def check_labels(self, labels, name):
        if (scores.classes_of(labels) == scores.NO_CLASS).all():
            raise ValueError(
                f"{name}: the votes for no clip to evaluate have a class by "
                f"--config.data.vote_rule, so there is no accuracy"
            )
