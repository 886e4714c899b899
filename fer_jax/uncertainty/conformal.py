"""Conformal prediction sets: classes that hold the label as often as a level says.

Split conformal prediction takes a quantile of the scores that labels got on clips of people whom
the model was not trained on. The next clip is of another person, and clips of one person resemble
each other, so what is exchangeable is the person (`conformal_quantile`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from fer_jax.uncertainty import stored
from fer_jax.uncertainty.people import (
    effective_number,
    equal_weights,
    other_people,
    person_indices,
)
from fer_jax.uncertainty.stored import is_level, require
from fer_jax.uncertainty.summaries import check_probabilities, unit_columns

SCORES = ("lac", "aps", "raps")
UNITS = ("person", "effective", "clip")
PENALTIES = (0.001, 0.01, 0.1, 0.2, 0.5)  # of RAPS, that Angelopoulos et al. choose among
_ROUNDING = 1e-9  # of sums of probabilities and of weights
_SCORES = -0.05, 1.05  # 0 to 1 but for the rounding of `check_probabilities`; raps has larger ones
_PENALTY = "the score raps has a penalty above 0, and no other has one: see choose_raps"


def conformity_scores(
    probabilities, score: str = "lac", *, uniform=None, penalty: float = 0.0, free: int = 0
) -> np.ndarray:
    """Scores of all classes, `[B, C]`: the larger, the less a class fits the clip.

    "lac" is 1 - p: smallest sets on average (Sadinle, Lei & Wasserman, JASA 2019). "aps" is the sum
    of the probabilities from the largest down to the class's own: sets grow with the ambiguity of
    the clip (Romano, Sesia & Candes, NeurIPS 2020). "raps" adds a penalty for every rank beyond the
    first `free` ones (Angelopoulos et al., ICLR 2021).

    Args:
      probabilities: `[B, C]`.
      score: one of `SCORES`.
      uniform: `[B]` in 0..1, share of its own probability that the score of a class leaves out;
        drawn at random, sets are smaller and as exact. None leaves out nothing. "lac" ignores it.
      penalty, free: of "raps", see `choose_raps`.
    """
    require(score in SCORES, f"score {score!r} is none of {', '.join(SCORES)}")
    require((penalty > 0) == (score == "raps"), _PENALTY)
    p = check_probabilities(probabilities)
    if score == "lac":
        return 1.0 - p
    order = np.argsort(-p, axis=-1, kind="stable")
    ranked = np.cumsum(np.take_along_axis(p, order, -1), -1)
    ranked += penalty * np.maximum(np.arange(1, p.shape[-1] + 1) - free, 0)
    scores = np.empty_like(p)
    np.put_along_axis(scores, order, ranked, -1)
    if uniform is not None:
        scores -= np.asarray(uniform)[:, None] * p
    return scores


class Quantile(NamedTuple):
    """A quantile of scores.

    Attributes:
      value: the quantile.
      people, clips: that it rests on.
      promised: whether the level is promised for the next person ("clip": for the next clip).
      needed: people (clips) that a promise at this level takes.
    """

    value: float
    people: int
    clips: int
    promised: bool
    needed: int


def needed_for(level: float) -> int:
    """Exchangeable units that a promise takes: with fewer, the next may well be the largest."""
    return math.ceil(level / (1.0 - level) - _ROUNDING)


def is_promised(unit: str, people: int, clips: int, level: float) -> bool:
    """Whether a quantile of so many people and clips promises a level, see `conformal_quantile`."""
    return {"person": people, "clip": clips, "effective": 0}[unit] >= needed_for(level)


def conformal_quantile(scores, people, level: float, unit: str = "person") -> Quantile:
    """Quantile of the scores of labels that the next label stays within, as often as the level.

    Args:
      scores: `[B]`.
      people: `[B]`.
      level: expected coverage, 0 to 1.
      unit: what is exchangeable.
        "person": each of the K people has weight 1 / (K + 1), spread over its clips, and one share
        lies at infinity. The level is promised for a clip of the next person, whatever the people
        are like (Lee, Barber & Willett, arXiv 2306.06342, 2023). With K < level / (1 - level) there
        is no such quantile; "effective" is taken, and promises nothing.
        "effective": each person has weight 1 / K, and the share at infinity is that of one among as
        many independent clips as these are worth (`effective_number` of the misses). On average
        over studies it covers what the level says, also with few people; it promises nothing.
        "clip": each clip has the same weight, whosever it is. Promised only where clips are
        exchangeable: of one clip a person, or for other clips of the same people.
    """
    require(unit in UNITS, f"unit {unit!r} is none of {', '.join(UNITS)}")
    require(is_level(level), f"a level lies between 0 and 1, not {level!r:.40}")
    scores, people = np.asarray(scores, np.float64), np.asarray(people)
    require(scores.ndim == 1 and len(scores) == len(people), "each score needs its person")
    require(len(scores) and np.isfinite(scores).all(), "a quantile needs scores that are finite")
    count, clips, needed = len(person_indices(people)[1]), len(scores), needed_for(level)
    if unit == "clip":
        weights, worth = np.full(clips, 1.0 / clips), clips
    else:
        weights, worth = equal_weights(people), count
        if unit == "effective" or count < needed:
            missed = scores > _weighted_quantile(scores, weights, level)
            worth = effective_number(missed, people)
    value = _weighted_quantile(scores, weights, level * (worth + 1) / worth)
    return Quantile(value, count, clips, is_promised(unit, count, clips, level), needed)


def _weighted_quantile(scores, weights, level: float) -> float:
    """Smallest score up to which the weights add up to the level; the largest, if none."""
    order = np.argsort(scores, kind="stable")
    reached = np.searchsorted(np.cumsum(weights[order]), level - _ROUNDING)
    return float(scores[order[min(reached, len(scores) - 1)]])


class Rule(stored.Stored):
    """What sets and intervals have in common: whether their level is promised."""

    @property
    def needed(self) -> int:
        """People (with unit "clip": clips) that a promise takes."""
        return needed_for(self.level)

    @property
    def promised(self) -> bool:
        """Whether the level is promised, see `conformal_quantile`.

        Not across the models of a cross-validation: no theorem says so of the level itself.
        """
        return not self.crossed and is_promised(self.unit, self.people, self.clips, self.level)


@dataclasses.dataclass(frozen=True)
class SetRule(Rule):
    """What makes prediction sets of probabilities, as a bundle keeps it.

    Attributes:
      score: one of `SCORES`.
      level: expected coverage.
      quantile: of the scores: one, or one for each class.
      people, clips: that the quantile rests on; of several, the one that rests on the fewest.
      unit: one of `UNITS`.
      crossed: the scores came from the models of a cross-validation, each for its own fold.
      penalty, free: of "raps".
      randomised: the scores leave out random shares, see `uniform` of `conformity_scores`.
    """

    score: str
    level: float
    quantile: tuple[float, ...]
    people: int
    clips: int
    unit: str = "person"
    crossed: bool = False
    penalty: float = 0.0
    free: int = 0
    randomised: bool = False

    def __post_init__(self):
        require(self.score in SCORES, f"SetRule: score is none of {', '.join(SCORES)}")
        require(self.unit in UNITS, f"SetRule: unit is none of {', '.join(UNITS)}")
        require(is_level(self.level), "SetRule: level does not lie between 0 and 1")
        require(self.quantile, "SetRule: it has no quantile")
        high = math.inf if self.score == "raps" else _SCORES[1]
        scores = all(_SCORES[0] <= value <= high for value in self.quantile)
        require(scores, "SetRule: a quantile lies where no score does")
        require(self.people <= self.clips, "SetRule: it has more people than clips")
        require((self.penalty > 0) == (self.score == "raps") and self.penalty >= 0, _PENALTY)


def fit_sets(
    probabilities, labels, people, level: float = 0.9, *, score: str = "lac",
    unit: str = "person", by_class: bool = False, uniform=None, penalty: float = 0.0, free: int = 0,
) -> SetRule:  # fmt: skip
    """Fits prediction sets on clips of people whom the model was not trained on.

    Args:
      probabilities: `[B, C]`.
      labels: classes `[B]`.
      people: `[B]`.
      level: expected coverage.
      score, uniform, penalty, free: see `conformity_scores`.
      unit: see `conformal_quantile`.
      by_class: a quantile for each class, so that each is covered as the level says (Mondrian;
        Vovk, Machine Learning 92, 2013). A class without clips has that of all, and promises
        nothing.
    """
    labels, people = np.asarray(labels), np.asarray(people)
    scores = conformity_scores(probabilities, score, uniform=uniform, penalty=penalty, free=free)
    own = scores[np.arange(len(labels)), labels]
    found = [conformal_quantile(own, people, level, unit)]
    if by_class:
        everything, found = found[0]._replace(people=0, clips=0), []
        for label in range(scores.shape[1]):
            of = labels == label
            found.append(
                conformal_quantile(own[of], people[of], level, unit) if of.any() else everything
            )
    return SetRule(
        score, float(level), tuple(each.value for each in found), min(q.people for q in found),
        min(q.clips for q in found), unit, False, float(penalty), int(free), uniform is not None,
    )  # fmt: skip


def prediction_sets(
    probabilities, rule: SetRule, *, uniform=None, allow_empty: bool = False
) -> np.ndarray:
    """Prediction sets, `[B, C]` bool.

    Args:
      probabilities: `[B, C]`.
      rule: of `fit_sets`.
      uniform: see `conformity_scores`; given if the rule is randomised.
      allow_empty: leaves a set empty where no class fits; else it holds the likeliest class, and
        covers a little more often.
    """
    require(
        rule.randomised == (uniform is not None), "a rule is applied with `uniform` if fitted so"
    )
    scores = conformity_scores(
        probabilities, rule.score, uniform=uniform, penalty=rule.penalty, free=rule.free
    )
    require(
        len(rule.quantile) in (1, scores.shape[1]),
        f"the rule is for {len(rule.quantile)} classes, not {scores.shape[1]}",
    )
    sets = scores <= np.array(rule.quantile) + _ROUNDING
    if not allow_empty:
        sets[np.arange(len(sets)), np.asarray(probabilities).argmax(-1)] |= ~sets.any(-1)
    return sets


def cross_sets(
    probabilities, labels, people, folds, level: float = 0.9, *, uniform=None, **options
) -> tuple[np.ndarray, SetRule]:
    """Cross-conformal sets: a cross-validation evaluates and fits on the same clips.

    The sets of a fold use only the scores of people who are not in it; the rule for a new person
    uses all. Source: Vovk, Annals of Mathematics and Artificial Intelligence 74, 2015.

    Args:
      probabilities: `[B, C]` of each clip, from the model of its own fold.
      labels, people, level, uniform: see `fit_sets`.
      folds: `[B]`.
      options: further ones of `fit_sets`.

    Returns:
      Sets `[B, C]`, and the rule.
    """
    p, labels, people = (np.asarray(each) for each in (probabilities, labels, people))
    sets = np.zeros(p.shape, bool)

    def drawn(where):
        return None if uniform is None else np.asarray(uniform)[where]

    for own, rest in other_people(people, folds):
        rule = fit_sets(p[rest], labels[rest], people[rest], level, uniform=drawn(rest), **options)
        sets[own] = prediction_sets(p[own], rule, uniform=drawn(own))
    rule = fit_sets(p, labels, people, level, uniform=uniform, **options)
    return sets, dataclasses.replace(rule, crossed=True)


def choose_raps(
    probabilities, labels, people, level: float = 0.9, *, uniform=None
) -> tuple[float, int]:
    """Chooses penalty and free ranks of "raps" for the smallest sets.

    Free is the rank within which labels lie as often as the level; the penalty is the one of
    `PENALTIES` with the smallest sets on people left out (Angelopoulos et al., ICLR 2021, appendix
    E). A promise takes other people here than those that `fit_sets` is given.

    Args:
      probabilities, labels, people, level, uniform: see `fit_sets`.

    Returns:
      penalty, free.
    """
    p, labels = check_probabilities(probabilities), np.asarray(labels)
    own = p[np.arange(len(labels)), labels]
    ranks = 1 + (p > own[:, None]).sum(-1)
    free = int(conformal_quantile(ranks, people, level, "effective").value)

    def size(penalty: float) -> float:
        sets, _ = cross_sets(
            p, labels, people, people, level, score="raps", unit="effective", uniform=uniform,
            penalty=penalty, free=free,
        )  # fmt: skip
        return float((equal_weights(people) * sets.sum(-1)).sum())

    return min(PENALTIES, key=size), free


def fit_unit_sets(
    probabilities, labels, people, level: float = 0.9, *, unit: str = "person",
    by_class: bool = False,
) -> tuple[SetRule | None, ...]:  # fmt: skip
    """Fits a set of {absent, present} for each action unit.

    A unit that is rarely present is covered as the level says by {absent} alone: `by_class=True`
    covers its presence as well.

    Args:
      probabilities: `[B, U]`.
      labels: `[B, U]`, 1 present, 0 absent, NaN unknown, which does not count.
      people: `[B]`.
      level, unit, by_class: see `fit_sets`.

    Returns:
      A rule for each action unit; None: it was never coded.
    """
    both, labels, people = unit_columns(probabilities), np.asarray(labels), np.asarray(people)
    rules = []
    for column, of in enumerate(np.isfinite(labels).T):
        given = both[of, column], labels[of, column].astype(int), people[of], level
        rules.append(fit_sets(*given, unit=unit, by_class=by_class) if of.any() else None)
    return tuple(rules)


def unit_sets(probabilities, rules) -> np.ndarray:
    """Sets of absent and present `[B, U, 2]` bool; both where a unit has no rule."""
    both = unit_columns(probabilities)
    sets = np.ones(both.shape, bool)
    for unit, rule in enumerate(rules):
        if rule is not None:
            sets[:, unit] = prediction_sets(both[:, unit], rule)
    return sets
