"""Selective prediction: error rates among the most certain predictions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fer_jax.uncertainty.people import intraclass_correlation, person_indices
from fer_jax.uncertainty.stored import is_level, require

# Uncertainty that rounding alone makes of float32 probabilities; no threshold lies below.
ROUNDING = 1e-6
STEPS = 20  # coverages that `promised_threshold` tests
ALIKE = 0.75  # confidence of the upper bound of the intraclass correlation


def risk_coverage(uncertainty, correct) -> tuple[np.ndarray, np.ndarray]:
    """Error rate among the most certain predictions, for every coverage.

    Predictions of equal uncertainty are covered together, so their order does not matter.

    Args:
      uncertainty: `[B]`, larger is less certain.
      correct: `[B]` bool.

    Returns:
      coverage `[K]` (ascending, ends with 1) and risk `[K]`, one point a distinct uncertainty.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    order = np.argsort(uncertainty, kind="stable")
    wrong = np.cumsum(~np.asarray(correct, bool)[order])
    covered = np.arange(1, len(order) + 1)
    last = np.append(np.diff(uncertainty[order]) > 0, True)[: len(order)]
    return (covered / max(len(order), 1))[last], (wrong / covered)[last]


def area_under_risk_coverage(uncertainty, correct) -> float:
    """Mean risk over all coverages (0 is perfect; the error rate if uncertainty is useless)."""
    return area_under(*risk_coverage(uncertainty, correct))


def area_under(coverage, risk) -> float:
    """The same from a curve of `risk_coverage`."""
    return float((risk * np.diff(coverage, prepend=0.0)).sum())


def area_under_generalised_risk(uncertainty, correct) -> float:
    """AUGRC: mean share of all clips that is covered and wrong, over all coverages (0 is perfect).

    Half the error rate if uncertainty is useless. Unlike the area under the risk, it does not weigh
    the few clips of a small coverage as much as the many of a large one.

    Source: Traub et al., NeurIPS 2024.
    """
    coverage, risk = risk_coverage(uncertainty, correct)
    wrong = coverage * risk
    middle = (wrong + np.append(0.0, wrong)[:-1]) / 2
    return float((middle * np.diff(coverage, prepend=0.0)).sum())


def abstain_threshold(uncertainty, correct, target_accuracy: float) -> float:
    """Largest uncertainty up to which predictions reach a target accuracy.

    Choose it on validation data and abstain where `uncertainty > threshold`.

    Returns:
      The threshold, at least `ROUNDING`; minus infinity when no coverage reaches the target.
    """
    uncertainty = np.maximum(np.asarray(uncertainty, np.float64), ROUNDING)
    _, risk = risk_coverage(uncertainty, correct)
    reached = np.flatnonzero(1.0 - risk >= target_accuracy)
    if not len(reached):
        return float("-inf")
    return float(np.unique(uncertainty)[reached[-1]])


def selective_accuracy(uncertainty, correct, threshold: float) -> tuple[float, float]:
    """Returns the coverage of a threshold and the accuracy on the covered (nan if none)."""
    covered = np.asarray(uncertainty) <= threshold
    correct = np.asarray(correct, bool)[covered]
    return float(covered.mean()), float(correct.mean()) if len(correct) else float("nan")


class Promise(NamedTuple):
    """A threshold with what is promised of it.

    Attributes:
      threshold: abstain where the uncertainty is larger; None: none can promise the target.
      target: accuracy of the answered clips.
      confidence: of the promise.
      accuracy, coverage: on the clips it was chosen on; NaN and 0 without a threshold.
      bound: lower bound of the accuracy, see `accuracy_bound`; NaN without a threshold.
      people, clips: that it was chosen on.
    """

    threshold: float | None
    target: float
    confidence: float
    accuracy: float
    coverage: float
    bound: float
    people: int
    clips: int

    @property
    def promised(self) -> bool:
        return self.threshold is not None


def accuracy_bound(correct, people, confidence: float = 0.9, alike: float | None = None) -> float:
    """Lower bound of the accuracy on people like these, with a confidence.

    The exact binomial bound (Clopper & Pearson, Biometrika 26, 1934) for as many independent clips
    as these are worth (Korn & Graubard, Survey Methodology 24, 1998): B divided by the design
    effect, the larger of two. One is 1 + (m - 1) r, with the clips m of a person, weighted by
    themselves, and the intraclass correlation r of right and wrong (Kish, Survey Sampling, 1965).
    The other is the variance of the accuracy over people, relative to that of independent clips.

    Args:
      correct: `[B]` bool.
      people: `[B]`.
      confidence: of the bound.
      alike: r. None: its upper bound with `ALIKE` confidence, measured on the same clips; an
        estimate from few people is often 0 by luck.

    Returns:
      The bound; 0 with fewer than 2 people.
    """
    correct, (index, clips) = np.asarray(correct, bool), person_indices(people)
    if len(clips) < 2:
        return 0.0
    if alike is None:
        alike = intraclass_correlation(correct, people, ALIKE)
    share, people, count = correct.mean(), len(clips), len(correct)
    apart = np.bincount(index, correct) - share * clips  # of each person, from the mean
    least = (apart**2).sum() * people / (people - 1) * (count - 1) / count
    if 0 < share < 1:
        least /= count * share * (1 - share)
    return _exact_bound(correct.sum(), clips, confidence, alike, least)


def _exact_bound(right, clips, confidence: float, alike: float, least: float = 1.0) -> float:
    """Clopper and Pearson's bound for fewer clips, the same share of them right.

    Args:
      right: clips that are.
      clips: of each person, `[K]`.
      confidence, alike: see `accuracy_bound`.
      least: design effect, at least.
    """
    from scipy.special import betaincinv

    if right <= 0 or len(clips) < 2:
        return 0.0
    count = clips.sum()
    effect = max(1.0, least, 1.0 + ((clips**2).sum() / count - 1.0) * alike)
    return float(betaincinv(right / effect, (count - right) / effect + 1.0, 1.0 - confidence))


def promised_threshold(
    uncertainty, correct, people, target: float, confidence: float = 0.9
) -> Promise:
    """Largest threshold that promises an accuracy among the answered clips of new people.

    Learn then test (Angelopoulos et al., Annals of Applied Statistics 19, 2025): coverages are
    tested from the most cautious on, each by `accuracy_bound`, and the last before the first that
    fails is taken. So the accuracy of the answered clips is below the target with a probability of
    at most 1 - confidence, however many are tested. The first is the smallest coverage that could
    keep the promise with one clip wrong; if there is none, with all right. The intraclass
    correlation is that of all clips, as `_alike_at` has it: few of the answered ones are wrong, and
    say little of how people differ. It remains an estimate: of drawn studies with 9 people, 1 in 13
    promises too much at a correlation of 0.15, 1 in 10 at 0.3; with 5 people 1 in 7.

    Choose it on people whom the model was not trained on.

    Args:
      uncertainty: `[B]`, larger is less certain; NaN does not count.
      correct: `[B]` bool.
      people: `[B]`.
      target: accuracy of the answered clips.
      confidence: of the promise.
    """
    require(is_level(target), f"a target lies between 0 and 1, not {target!r:.40}")
    require(is_level(confidence), f"a confidence lies between 0 and 1, not {confidence!r:.40}")
    counts = np.isfinite(np.asarray(uncertainty, np.float64))
    values = np.maximum(np.asarray(uncertainty, np.float64)[counts], ROUNDING)
    correct, people = np.asarray(correct, bool)[counts], person_indices(people)[0][counts]
    alike = _alike_at(target, correct, people)
    thresholds, best = _cautious_first(values), None
    first = _first_to_test(thresholds, values, people, target, confidence, alike)
    for threshold in thresholds[first:]:
        answered = values <= threshold
        bound = accuracy_bound(correct[answered], people[answered], confidence, alike)
        if bound < target:
            break
        best = float(threshold), float(correct[answered].mean()), float(answered.mean()), bound
    threshold, accuracy, coverage, bound = best or (None, float("nan"), 0.0, float("nan"))
    count = len(person_indices(people)[1])
    return Promise(threshold, target, confidence, accuracy, coverage, bound, count, len(values))


def _alike_at(target: float, correct, people) -> float:
    """Intraclass correlation of right and wrong where the accuracy is the target, an upper bound.

    People who differ by the same amount on the scale of logits are the less alike in right and
    wrong, r / (1 - r) in proportion to p (1 - p), the more of their clips are right (Goldstein,
    Browne & Rasbash, Understanding Statistics 1, 2002). So it is carried over from all clips, but
    never upwards.
    """
    alike = intraclass_correlation(correct, people, ALIKE)
    if not 0 < alike < 1:
        return alike
    accuracy = np.mean(correct)
    odds = alike / (1 - alike) * target * (1 - target) / (accuracy * (1 - accuracy))
    return float(min(alike, odds / (1 + odds)))


def _first_to_test(thresholds, values, people, target, confidence, alike) -> int:
    """Index of the first threshold that could promise the target; see `promised_threshold`."""
    for wrong in (1, 0):
        for index, threshold in enumerate(thresholds):
            clips = person_indices(people[values <= threshold])[1]
            if _exact_bound(clips.sum() - wrong, clips, confidence, alike) >= target:
                return index
    return len(thresholds)


def _cautious_first(values) -> np.ndarray:
    """Uncertainties up to which 1 / `STEPS`, 2 / `STEPS` ... of the clips lie, ascending."""
    steps = np.ceil(np.arange(1, STEPS + 1) / STEPS * len(values)).astype(int)
    return np.unique(np.sort(values)[np.maximum(steps, 1) - 1]) if len(values) else values
