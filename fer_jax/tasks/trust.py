"""Calibration, prediction sets and thresholds: chosen on other people than they are judged on.

A calibrator is fitted first. Sets and the threshold are then chosen on probabilities of people whom
the calibrator was not fitted on, as those of the next person will be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.tasks.abstaining import Threshold, choose_threshold
from fer_jax.tasks.evaluation import Chosen, Evaluated, Examples, choose_elsewhere, divides_people
from fer_jax.uncertainty.calibrators import (
    AUTO,
    Calibrator,
    apply_to_units,
    choose_calibrator,
    fit_calibrator,
)
from fer_jax.uncertainty.conformal import SetRule, fit_sets, prediction_sets
from fer_jax.uncertainty.people import groups_of_people, other_people
from fer_jax.uncertainty.summaries import entropy, unit_columns

# With fewer a calibrator is luck, and "auto" is "none".
LEAST_PEOPLE, LEAST_CLIPS = 3, 50
MOST_CLIPS = 4000  # that a calibrator is fitted on, evenly chosen: it has few parameters
# From so many people on, sets are promised for the next person; with fewer they would hold most
# classes, so they cover what their level says on average, which is not promised.
PEOPLE_FOR_PROMISE = 30
NO_CLASS = -1


class Wanted(NamedTuple):
    """What a config asks for, and what the people allow.

    Attributes:
      calibration: one of `calibrators.METHODS`, or "auto".
      level: of prediction sets and intervals; 0: none.
      target, confidence: see `abstaining.choose_threshold`.
      unit: see `conformal.conformal_quantile`; the same for all folds and the bundle.
      divided: whether folds divide the people.
    """

    calibration: str
    level: float
    target: float
    confidence: float
    unit: str = "effective"
    divided: bool = True

    @classmethod
    def of(cls, config, evaluated: Evaluated) -> Wanted:
        """Takes the fields of a config."""
        own, wished = config.evaluation, config.uncertainty
        given = evaluated.validation or evaluated.examples
        return cls(
            wished.calibration, wished.sets, own.target_accuracy, own.confidence,
            unit_for(given.people), divides_people(evaluated),
        )  # fmt: skip


def unit_for(people) -> str:
    """What sets of these people `[B]` take as exchangeable, see `PEOPLE_FOR_PROMISE`."""
    return "person" if len(np.unique(people)) >= PEOPLE_FOR_PROMISE else "effective"


class Fitted(NamedTuple):
    """What is chosen for the probabilities of one inference mode.

    Attributes:
      calibrator: of the probabilities.
      rule: of prediction sets; None: there are none.
      threshold: on the entropy of the calibrated probabilities.
    """

    calibrator: Calibrator
    rule: SetRule | None
    threshold: Threshold


class Given(NamedTuple):
    """What it makes of N predictions.

    Attributes:
      probabilities: `[N, C]`, calibrated.
      sets: `[N, C]` bool; of action units `[N, C, 2]`, absent and present.
      answered: `[N]` bool, whether the entropy is within the threshold; of action units `[N, C]`.
    """

    probabilities: np.ndarray
    sets: np.ndarray
    answered: np.ndarray


class Trust(NamedTuple):
    """What a bundle would give of the evaluated clips, if they were new to it.

    Attributes:
      given: chosen on other people, see `evaluation.choose_elsewhere`.
      fitted: `Fitted` of the bundle; of action units one each.
      deterministic: calibrated probabilities `[N, C]` of `Evaluated.plain_mode`, and the calibrator
        of the bundle; of action units one each.
      chosen_on: where, in words.
      divided: see `Wanted`.
      crossed: whether `fitted` rests on the networks of the folds of a cross-validation, none of
        which is the bundle's.
    """

    given: NamedTuple
    fitted: object
    deterministic: tuple | None
    chosen_on: str
    divided: bool
    crossed: bool = False

    def some(self, chosen) -> Trust:
        """That of some of the predictions."""
        probabilities, calibrator = self.deterministic
        return self._replace(
            given=Given(*(values[chosen] for values in self.given)),
            deterministic=(probabilities[chosen], calibrator),
        )


def of_classes(config, evaluated: Evaluated, classes_of=None, votes_of=None) -> Trust:
    """Chooses for a classifier.

    Args:
      config: of the run.
      evaluated: its predictions.
      classes_of: labels -> classes `[N]`, `NO_CLASS` where there is none; default: as they are.
      votes_of: labels -> shares `[N, C]`, which calibrators are fitted on; default: the classes.
    """
    wanted = Wanted.of(config, evaluated)
    classes_of = classes_of or np.asarray
    votes_of = votes_of or classes_of

    def chosen(mode: str, whole: bool) -> Chosen:
        def fit_to(examples: Examples) -> Fitted:
            own, labels = examples.once(), examples.once().labels
            given = own.probabilities[mode], votes_of(labels), classes_of(labels), own.people
            return fit(wanted, *given) if whole else fit_method(wanted, *given[:2], own.people)

        def apply_to(fitted, examples: Examples) -> tuple:
            p = examples.probabilities[mode]
            return apply(fitted, p) if whole else (fitted.apply(p),)

        return choose_elsewhere(evaluated, fit_to, apply_to)

    found, other = chosen(evaluated.mode, True), chosen(evaluated.plain_mode, False)
    fitted = marked(found.fitted, found.crossed)
    deterministic = other.applied[0], other.fitted
    return Trust(
        Given(*found.applied), fitted, deterministic, found.chosen_on, wanted.divided, found.crossed
    )


def of_units(config, evaluated: Evaluated) -> Trust:
    """Chooses for each action unit, absent against present; unknown labels (NaN) do not count."""
    wanted = Wanted.of(config, evaluated)

    def chosen(mode: str, whole: bool) -> Chosen:
        def fit_to(examples: Examples) -> tuple:
            own = examples.once()
            both = unit_columns(own.probabilities[mode])
            fitted = []
            for unit, known in enumerate(np.isfinite(own.labels).T):
                labels = own.labels[known, unit].astype(int)
                given = both[known, unit], labels, own.people[known]
                fitted.append(
                    fit(wanted, *given[:2], labels, given[2])
                    if whole
                    else fit_method(wanted, *given)
                )
            return tuple(fitted)

        def apply_to(fitted: tuple, examples: Examples) -> tuple:
            both = unit_columns(examples.probabilities[mode])
            if not whole:
                return (apply_to_units(examples.probabilities[mode], fitted),)
            found = [apply(own, both[:, unit]) for unit, own in enumerate(fitted)]
            p, sets, answered = (np.stack(values, 1) for values in zip(*found, strict=True))
            return p[..., 1], sets, answered

        return choose_elsewhere(evaluated, fit_to, apply_to)

    found, other = chosen(evaluated.mode, True), chosen(evaluated.plain_mode, False)
    fitted = tuple(marked(own, found.crossed) for own in found.fitted)
    deterministic = other.applied[0], other.fitted
    return Trust(
        Given(*found.applied), fitted, deterministic, found.chosen_on, wanted.divided, found.crossed
    )


def marked(fitted: Fitted, crossed: bool) -> Fitted:
    """Notes in the rule of sets that its scores came from several models."""
    if fitted.rule is None or not crossed:
        return fitted
    return fitted._replace(rule=dataclasses.replace(fitted.rule, crossed=True))


def fit(wanted: Wanted, probabilities, targets, labels, people) -> Fitted:
    """Fits a calibrator, then the sets and the threshold.

    Args:
      wanted: what to fit.
      probabilities: `[B, C]`.
      targets: what the calibrator is fitted on: classes `[B]`, or shares of votes `[B, C]`.
      labels: classes `[B]`; below 0: unknown, which sets and threshold leave out.
      people: `[B]`.
    """
    calibrator = fit_method(wanted, probabilities, targets, people)
    p = _held_out(calibrator.method, probabilities, targets, people)
    known = labels >= 0
    p, labels, people = p[known], labels[known], people[known]
    rule = None
    if wanted.level and len(p):
        rule = fit_sets(p, labels, people, wanted.level, unit=wanted.unit)
    right = p.argmax(-1) == labels
    threshold = choose_threshold(
        entropy(p), right, people, wanted.target, wanted.confidence, wanted.divided
    )
    return Fitted(calibrator, rule, threshold)


def apply(fitted: Fitted, probabilities) -> Given:
    """Applies what was fitted to probabilities `[N, C]`, see `Given`."""
    p = fitted.calibrator.apply(probabilities)
    sets = np.ones(p.shape, bool) if fitted.rule is None else prediction_sets(p, fitted.rule)
    return Given(p, sets, entropy(p) <= fitted.threshold.value)


def fit_method(wanted: Wanted, probabilities, targets, people) -> Calibrator:
    """Fits a calibrator by the method that is wanted; "auto" chooses one."""
    method, count, size = wanted.calibration, len(np.unique(people)), len(people)
    few = count < LEAST_PEOPLE or size < LEAST_CLIPS
    if method == "none" or not size or (method == AUTO and few):
        return Calibrator("none", (), count, size)
    given = _thinned(probabilities, targets, people)
    return choose_calibrator(*given)[0] if method == AUTO else fit_calibrator(*given, method)


def name_sets(names: Sequence[str], probabilities, sets) -> list[str]:
    """Names the classes of each set `[N, C]`, the likeliest first: "happiness|surprise"."""
    order = np.argsort(-np.asarray(probabilities), axis=-1, kind="stable")
    return [
        "|".join(names[index] for index in ranked if own[index])
        for ranked, own in zip(order, sets, strict=True)
    ]


def _held_out(method: str, probabilities, targets, people) -> np.ndarray:
    """Calibrates groups of people, each on the others; nobody else is there for a single one."""
    p = np.array(probabilities, np.float64)
    if method == "none" or len(np.unique(people)) < 2:
        return p
    for own, rest in other_people(people, groups_of_people(people)):
        given = _thinned(probabilities[rest], targets[rest], people[rest])
        p[own] = fit_calibrator(*given, method).apply(probabilities[own])
    return p


def _thinned(*arrays) -> tuple:
    size = len(arrays[0])
    chosen = np.unique(np.linspace(0, size - 1, min(size, MOST_CLIPS)).round().astype(int))
    return tuple(values[chosen] for values in arrays)
