"""Calibrators: functions of a model's probabilities, fitted on people it was not trained on.

They apply to the mean of MC samples or of the members of an ensemble (first pool, then calibrate:
Rahaman & Thiery, NeurIPS 2021), and to any model's probabilities.

What is wanted are probabilities that hold for a clip of the next person, whoever that is. So each
person has the same weight in the fit, 1 / clips of the person for a clip. People with many clips
are often the easy or the eager ones; by clips, they would decide. The price is noise: a person with
one clip weighs as much as one with eighty. Where people differ little and their clips differ much
in number, give each clip a name of its own as `people`.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from fer_jax.uncertainty import stored
from fer_jax.uncertainty.people import equal_weights, groups_of_people, other_people, person_indices
from fer_jax.uncertainty.stored import require
from fer_jax.uncertainty.summaries import check_probabilities, unit_columns

METHODS = ("none", "temperature", "vector", "isotonic")
AUTO = "auto"  # for a config: chooses one, see `choose_calibrator`
SCALES = (0.05, 20.0)  # of temperatures, and of the scales of "vector"
BIASES = (-10.0, 10.0)
CLIPS_FOR_ISOTONIC = 100  # clips of every class; a step function overfits fewer
FLOOR = 1e-30  # probability whose logarithm is taken for that of 0


@dataclasses.dataclass(frozen=True)
class Calibrator(stored.Stored):
    """A function from probabilities to calibrated ones, as a bundle keeps it.

    Attributes:
      method: one of `METHODS`.
      parameters: "none": empty; "temperature": ((T,),); "vector": (scale of each class, bias of
        each class); "isotonic": for each class the probabilities at which its line bends, then the
        calibrated ones there.
      people, clips: that it was fitted on.
    """

    method: str = "none"
    parameters: tuple[tuple[float, ...], ...] = ()
    people: int = 0
    clips: int = 0

    def __post_init__(self):
        require(self.method in METHODS, f"Calibrator: method is none of {', '.join(METHODS)}")
        require(self.people <= self.clips, "Calibrator: it has more people than clips")
        _CHECKS[self.method](self.parameters)

    @property
    def classes(self) -> int | None:
        """Number of classes that it takes; None: any."""
        if self.method == "vector":
            return len(self.parameters[0])
        return len(self.parameters) // 2 if self.method == "isotonic" else None

    def apply(self, probabilities) -> np.ndarray:
        """Calibrates probabilities `[..., C]`, mean of the samples if there are any."""
        p = check_probabilities(probabilities)
        if self.classes not in (None, p.shape[-1]):
            raise ValueError(f"the calibrator is for {self.classes} classes, not {p.shape[-1]}")
        return _APPLIED[self.method](p, self.parameters)


def fit_calibrator(probabilities, labels, people, method: str = "temperature") -> Calibrator:
    """Fits a calibrator by the mean log-likelihood, each person with the same weight.

    The labels count as if one more clip had been labelled evenly, so that parameters stay finite
    where every clip is right (Platt, Advances in Large Margin Classifiers, 1999).

    Args:
      probabilities: `[B, C]` for clips that the model was not trained on.
      labels: classes `[B]`, or shares of votes `[B, C]`.
      people: `[B]`.
      method: one of `METHODS`. Sources: "temperature" and "vector", Guo et al., ICML 2017;
        "isotonic", each class against the others, Zadrozny & Elkan, KDD 2002.
    """
    require(method in METHODS, f"method {method!r} is none of {', '.join(METHODS)}")
    p, targets = _checked(probabilities, labels)
    people = np.asarray(people)
    require(len(people) == len(p) > 0, "a calibrator needs clips, and a person for each")
    smooth = (targets * len(p) + 1.0 / p.shape[-1]) / (len(p) + 1)
    parameters = _FITTED[method](p, smooth, equal_weights(people))
    rows = tuple(tuple(float(value) for value in row) for row in parameters)
    return Calibrator(method, rows, len(person_indices(people)[1]), len(p))


def choose_calibrator(
    probabilities, labels, people, methods=METHODS
) -> tuple[Calibrator, dict[str, float]]:
    """Chooses the method whose probabilities are best for people that it was not fitted on.

    Leaves out at most ten groups of people in turn. From the first of `METHODS` on, each of which
    has more parameters, a method is taken instead of the one before only if it gains more than the
    standard error of its gain over people: with few people the smallest loss is often luck.
    "isotonic" takes part only with `CLIPS_FOR_ISOTONIC` clips of every class.

    Args:
      probabilities, labels, people: see `fit_calibrator`; at least 2 people.
      methods: to choose among.

    Returns:
      The calibrator, fitted on all, and the negative log-likelihood of every method, mean over
      people left out, nats.
    """
    p, targets = _checked(probabilities, labels)
    people = np.asarray(people)
    count = len(person_indices(people)[1])
    require(count >= 2, f"choosing a calibrator takes clips of 2 people; there are {count}")
    tried = [method for method in METHODS if method in methods]
    if targets.sum(0).min() < CLIPS_FOR_ISOTONIC and "isotonic" in tried:
        tried.remove("isotonic")
    require(tried, f"no method to choose among: {', '.join(METHODS)}")
    groups, (index, clips) = groups_of_people(people), person_indices(people)
    losses = {}  # of each person
    for method in tried:
        logs = _log(calibrate_across(p, targets, people, groups, method))
        losses[method] = -np.bincount(index, (targets * logs).sum(-1)) / clips
    best = tried[0]
    for method in tried[1:]:
        gain = losses[best] - losses[method]
        if gain.mean() > gain.std(ddof=1) / np.sqrt(count):
            best = method
    means = {method: float(loss.mean()) for method, loss in losses.items()}
    return fit_calibrator(p, targets, people, best), means


def calibrate_across(probabilities, labels, people, folds, method: str | None = None) -> np.ndarray:
    """Calibrates the clips of each fold `[B, C]` on the clips of people who are not in it.

    Args:
      probabilities: `[B, C]` of each clip, from the model of its own fold.
      labels, people: see `fit_calibrator`.
      folds: `[B]`.
      method: one of `METHODS`; None: chosen in each fold, see `choose_calibrator`.
    """
    p, targets = _checked(probabilities, labels)
    people, calibrated = np.asarray(people), np.empty_like(p)
    for own, rest in other_people(people, folds):
        given = p[rest], targets[rest], people[rest]
        fitted = fit_calibrator(*given, method) if method else choose_calibrator(*given)[0]
        calibrated[own] = fitted.apply(p[own])
    return calibrated


def fit_unit_calibrators(
    probabilities, labels, people, method: str | None = None
) -> tuple[Calibrator, ...]:
    """Fits a calibrator of absent against present for each action unit.

    Args:
      probabilities: `[B, U]`.
      labels: `[B, U]`, 1 present, 0 absent, NaN unknown, which does not count.
      people: `[B]`.
      method: one of `METHODS`; None: chosen for each, see `choose_calibrator`. A unit that was
        coded for fewer than 2 people has "none".
    """
    both, labels, people = unit_columns(probabilities), np.asarray(labels), np.asarray(people)
    fitted = []
    for unit in range(labels.shape[1]):
        known = np.isfinite(labels[:, unit])
        given = both[known, unit], labels[known, unit].astype(int), people[known]
        count = len(person_indices(given[2])[1])
        if count < 2:
            fitted.append(Calibrator(people=count, clips=int(known.sum())))
        else:
            fitted.append(
                fit_calibrator(*given, method) if method else choose_calibrator(*given)[0]
            )
    return tuple(fitted)


def apply_to_units(probabilities, calibrators) -> np.ndarray:
    """Calibrates probabilities of action units `[..., U]`, one calibrator a unit."""
    both = unit_columns(probabilities)
    return np.stack(
        [each.apply(both[..., unit, :])[..., 1] for unit, each in enumerate(calibrators)], -1
    )


def fit_deviation_factors(errors, deviation, people) -> np.ndarray:
    """Factors `[D]` by which predicted standard deviations are to be multiplied.

    Maximises the normal likelihood of the errors, each person with the same weight; a factor lies
    within `SCALES`. Source: Laves et al., MIDL 2020.

    Args:
      errors: prediction less label, `[B, D]`; NaN does not count.
      deviation: predicted standard deviation, `[B, D]`.
      people: `[B]`.
    """
    errors = np.asarray(errors, np.float64)
    ratio = errors / np.maximum(np.asarray(deviation, np.float64), np.finfo(np.float32).eps)
    factors = np.ones(errors.shape[1])
    for column, values in enumerate(ratio.T):
        known = np.isfinite(values)
        if known.any():
            weight = equal_weights(np.asarray(people)[known])
            factors[column] = np.sqrt((weight * values[known] ** 2).sum())
    return np.clip(factors, *SCALES)


def _checked(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels as shares of votes, both `[B, C]`."""
    p, labels = check_probabilities(probabilities), np.asarray(labels)
    require(p.ndim == 2 and np.isfinite(p).all(), "probabilities must be finite, [clips, classes]")
    if labels.ndim == 1:
        whole = labels.astype(int)
        known = (whole == labels) & (whole >= 0) & (whole < p.shape[1])
        require(len(labels) == len(p) and known.all(), "a label is no class of the probabilities")
        return p, np.eye(p.shape[1])[whole]
    require(labels.shape == p.shape, "votes must have the shape of the probabilities")
    votes = check_probabilities(labels)
    require(np.isfinite(votes).all(), "votes must be finite")
    return p, votes


def _softmax(logits) -> np.ndarray:
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def _log(p) -> np.ndarray:
    return np.log(np.maximum(p, FLOOR))


def _fit_temperature(p, targets, weights):
    """The likelihood is concave in 1 / T: its slope has one zero, or none within the bounds."""
    from scipy.optimize import brentq

    logs = _log(p)

    def slope(inverse: float) -> float:
        return float((weights * ((targets - _softmax(inverse * logs)) * logs).sum(-1)).sum())

    low, high = 1 / SCALES[1], 1 / SCALES[0]
    if slope(low) <= 0 or slope(high) >= 0:
        return ((SCALES[1] if slope(low) <= 0 else SCALES[0],),)
    return ((1 / brentq(slope, low, high, xtol=1e-10),),)


def _fit_vector(p, targets, weights):
    """Concave in scales and biases together, within bounds."""
    from scipy.optimize import minimize

    logs, classes = _log(p), p.shape[1]

    def loss(values):
        scale, bias = values[:classes], values[classes:]
        shares = _softmax(scale * logs + bias)
        error = weights[:, None] * (shares - targets)
        value = -(weights * (targets * np.log(np.maximum(shares, FLOOR))).sum(-1)).sum()
        return value, np.concatenate([(error * logs).sum(0), error.sum(0)])

    start = np.repeat([1.0, 0.0], classes)
    bounds = [SCALES] * classes + [BIASES] * classes
    with _one_thread():
        found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return found[:classes], found[classes:]


@functools.cache
def _blas():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # of the libraries that are loaded by now, SciPy's among them


def _one_thread():
    """Products of a few numbers take several times as long where threads wait for each other."""
    return _blas().limit(limits=1, user_api="blas")


def _fit_isotonic(p, targets, weights):
    from scipy.optimize import isotonic_regression

    rows = []
    for own, target in zip(p.T, targets.T, strict=True):
        values, index = np.unique(own, return_inverse=True)
        weight = np.bincount(index, weights)
        mean = np.bincount(index, weights * target) / weight
        level = isotonic_regression(mean, weights=weight).x
        # only the ends of a flat piece are kept; a line joins it with the next
        ends = np.ones(len(values), bool)
        ends[1:-1] = (np.diff(level)[:-1] > 0) | (np.diff(level)[1:] > 0)
        rows += [values[ends], np.clip(level[ends], 0.0, 1.0)]
    return rows


def _apply_isotonic(p, parameters):
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    shares = np.stack([np.interp(p[..., c], *pair) for c, pair in enumerate(pairs)], -1)
    total = shares.sum(-1, keepdims=True)
    return np.divide(shares, total, out=p.copy(), where=total > 0)


def _check_temperature(parameters):
    holds = len(parameters) == 1 and len(parameters[0]) == 1
    require(
        holds and SCALES[0] <= parameters[0][0] <= SCALES[1],
        f"Calibrator: the temperature is one number from {SCALES[0]} to {SCALES[1]:g}",
    )


def _check_vector(parameters):
    holds = len(parameters) == 2 and len(parameters[0]) == len(parameters[1]) >= 2
    for row, (low, high) in zip(parameters, (SCALES, BIASES), strict=False):
        holds = holds and all(low <= value <= high for value in row)
    require(holds, "Calibrator: a vector has a scale and a bias for each class, within bounds")


def _check_isotonic(parameters):
    holds = len(parameters) >= 4 and len(parameters) % 2 == 0
    for places, level in zip(parameters[::2], parameters[1::2], strict=False):
        holds = holds and len(places) == len(level) >= 1 and (np.diff(places) > 0).all()
        holds = holds and (np.diff(level) >= 0).all()
        holds = holds and all(0 <= value <= 1 for value in (*places, *level))
    require(holds, "Calibrator: isotonic has ascending places and levels from 0 to 1 by class")


_FITTED = {
    "none": lambda p, targets, weights: (),
    "temperature": _fit_temperature,
    "vector": _fit_vector,
    "isotonic": _fit_isotonic,
}
_APPLIED = {
    "none": lambda p, parameters: p,
    "temperature": lambda p, parameters: _softmax(_log(p) / parameters[0][0]),
    "vector": lambda p, parameters: _softmax(parameters[0] * _log(p) + np.array(parameters[1])),
    "isotonic": _apply_isotonic,
}
_CHECKS = {
    "none": lambda parameters: require(not parameters, "Calibrator: none has no parameters"),
    "temperature": _check_temperature,
    "vector": _check_vector,
    "isotonic": _check_isotonic,
}
