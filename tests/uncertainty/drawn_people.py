"""People drawn at random: each has an accuracy of its own, and clips that resemble each other."""

import numpy as np
from scipy.special import betaincinv


def drawn(seed, people, clips, alike=0.1, best=0.995, worst=0.75):
    """Draws beta-binomial people.

    Args:
      seed: of everything.
      people, clips: of each person.
      alike: intraclass correlation of right and wrong at any uncertainty.
      best, worst: accuracy of the most and the least certain clips, over all people.

    Returns:
      uncertainty `[B]` in 0..1, correct `[B]`, people `[B]`.
    """
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(people), clips)
    uncertainty = rng.random(len(index))
    accuracy = best - (best - worst) * uncertainty**2
    if alike:
        total = 1 / alike - 1
        rank = rng.random(people)[index]  # of the person among all
        accuracy = betaincinv(accuracy * total, (1 - accuracy) * total, rank)
    return uncertainty, rng.random(len(index)) < accuracy, index


def classified(seed, people=9, clips=40, classes=5, alike=0.3, sharpness=1.5):
    """Draws probabilities `[B, C]` of a model that fits some people better, labels and people."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(people), clips)
    labels = rng.integers(classes, size=len(index))
    skill = 2.0 + 2.0 * alike * rng.standard_normal(people)[index]
    logits = rng.standard_normal((len(index), classes))
    logits[np.arange(len(index)), labels] += skill
    shares = np.exp(sharpness * logits)
    return shares / shares.sum(-1, keepdims=True), labels, index
