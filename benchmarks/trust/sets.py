"""Parts c and e: what prediction sets, intervals and thresholds hold for people never seen."""

from __future__ import annotations

import numpy as np

from benchmarks.trust import measures
from benchmarks.trust.measures import Figure, figure
from benchmarks.trust.saved import Held
from fer_jax import uncertainty
from fer_jax.faces.emotion_ratings import SCALE
from fer_jax.tasks.dimensions.intervals import interval, residual_variance
from fer_jax.tasks.dimensions.scores import Spread, summarise_dimensions
from fer_jax.uncertainty.people import groups_of_people

LEVELS = (0.8, 0.9, 0.95)
# Score, and whether sets may be empty.
SETS = {
    "LAC": ("lac", False), "LAC or none": ("lac", True), "APS": ("aps", False),
    "RAPS": ("raps", False),
}  # fmt: skip
INTERVALS = ("total", "samples", "quantile")
TARGETS = (0.9, 0.95)
DIVISIONS = 50
_MOST_GROUPS = 20  # of people, that the penalty of RAPS is chosen on
_LEAST_PEOPLE = 4  # that are divided


def coverage(held: Held, seed: int = 0) -> list[Figure]:
    """Part c: sets and intervals of each group of people, fitted to the others.

    Intervals are as wide as a multiple of a standard deviation, of the samples and the residual
    together as `predict` gives them ("total") or of the samples alone, or reach beyond two
    quantiles of the samples.

    The calibrator is fitted first, and the sets to probabilities of people whom it was not fitted
    to.

    Args:
      held: the predictions.
      seed: of the random shares that APS and RAPS leave out.
    """
    if not held.divided:
        return []
    if held.dimensional:
        return _intervals(held)
    held = held.of_one_class()
    uniform = np.random.default_rng(seed).random(len(held.labels))
    sets = {
        (name, level): np.zeros(held.summary.mean.shape, bool) for name in SETS for level in LEVELS
    }
    for own, rest in held.elsewhere():
        p = held.summary.mean[rest]
        people, targets = held.people[rest], held.targets[rest]
        calibrator, _ = uncertainty.choose_calibrator(p, targets, people)
        within = groups_of_people(people)
        p = uncertainty.calibrate_across(p, targets, people, within, calibrator.method)
        fitted = p, held.labels[rest], people, uniform[rest]
        new = calibrator.apply(held.summary.mean[own]), uniform[own]
        for (name, level), found in sets.items():
            found[own] = _sets(*SETS[name], level, held.unit, fitted, new)
    figures = []
    for (name, level), found in sets.items():
        holds = found[np.arange(len(found)), held.labels]
        figures += _coverage(f"{name} {level:g}", holds, found.sum(-1), held.people)
    return figures


def _sets(score: str, empty: bool, level: float, unit: str, fitted, new) -> np.ndarray:
    """Sets of new clips by a rule that is fitted to others."""
    p, labels, people, uniform = fitted
    options, drawn = {"score": score, "unit": unit}, score != "lac"
    if score == "raps":
        coarse = groups_of_people(people, _MOST_GROUPS)
        chosen = uncertainty.choose_raps(p, labels, coarse, level, uniform=uniform)
        options |= {"penalty": chosen[0], "free": chosen[1]}
    rule = uncertainty.fit_sets(
        p, labels, people, level, uniform=uniform if drawn else None, **options
    )
    return uncertainty.prediction_sets(
        new[0], rule, uniform=new[1] if drawn else None, allow_empty=empty
    )


def _coverage(what: str, holds, size, people) -> list[Figure]:
    """Each person counts alike."""
    rows = (("coverage", holds), ("mean size", size))
    found = []
    for name, values in rows:
        means, names = measures.of_people(np.asarray(values, float), people)
        found.append(figure("c", what, name, measures.mean, means, people=names))
    worst = measures.of_people(np.asarray(holds, float), people)[0].min()
    return [*found, Figure("c", what, "worst person", float(worst), people=len(names))]


def _intervals(held: Held) -> list[Figure]:
    """The same for dimensions; size is the mean width of an interval."""
    found, summary = [], summarise_dimensions(held.samples)
    for level in LEVELS:
        ends = {"total": _total(held, summary, level)}
        if len(held.samples) > 1:
            bounds = (0.5 - level / 2, 0.5 + level / 2)
            pairs = {
                "samples": ("residual", (summary.mean, summary.deviation)),
                "quantile": ("quantile", np.quantile(held.samples, bounds, axis=0)),
            }
            for kind, (method, pair) in pairs.items():
                ends[kind] = uncertainty.cross_intervals(
                    held.labels, pair, held.people, held.groups, level, method=method,
                    unit=held.unit,
                )[:2]  # fmt: skip
        for kind, pair in ends.items():
            low, high = np.clip(pair, *SCALE)  # as `predict` does
            holds = ((low <= held.labels) & (held.labels <= high)).mean(-1)
            found += _coverage(f"{kind} {level:g}", holds, (high - low).mean(-1), held.people)
    return found


def _total(held: Held, summary: Spread, level: float) -> np.ndarray:
    """Both ends of the intervals of `predict`, `[2, N, D]`: the residual too is that of others."""
    ends = np.empty((2, *held.labels.shape))
    for own, rest in held.elsewhere():
        labels, elsewhere = held.labels[rest], _some(summary, rest)
        residual = residual_variance(labels, elsewhere)
        pair = elsewhere.mean, elsewhere._replace(residual=residual).deviation
        rule = uncertainty.fit_intervals(labels, pair, held.people[rest], level, unit=held.unit)
        ends[:, own] = interval(_some(summary, own)._replace(residual=residual), rule)
    return ends


def _some(summary: Spread, chosen: np.ndarray) -> Spread:
    """That of some clips; the residual is of dimensions, not of clips."""
    of_clips = (getattr(summary, name)[chosen] for name in ("mean", "variance", "uncertainty"))
    return Spread(*of_clips, summary.residual)


def abstention(held: Held) -> list[Figure]:
    """Part e: a threshold is chosen on half of the people, and judged on the others.

    A temperature is fitted to the first half as well.
    """
    if held.dimensional:
        return []
    held = held.of_one_class()
    names = np.unique(held.people)
    if len(names) < _LEAST_PEOPLE:
        return []
    outcomes = {target: [] for target in TARGETS}
    for division in range(DIVISIONS):
        order = np.random.default_rng(division).permutation(len(names))
        chosen = np.isin(held.people, names[order[: -(-len(names) // 2)]])
        for target, found in _divided(held, chosen).items():
            outcomes[target].append(found)
    return [each for target, found in outcomes.items() for each in _kept(target, found, names)]


def _divided(held: Held, chosen: np.ndarray) -> dict[float, tuple[float, float] | None]:
    """Coverage and accuracy on the other people, by target; None: nothing could be promised."""
    p, people = held.summary.mean, held.people
    given = p[chosen], held.targets[chosen], people[chosen]
    calibrated = uncertainty.fit_calibrator(*given).apply(p)
    doubt, right = uncertainty.entropy(calibrated), calibrated.argmax(-1) == held.labels
    found = {}
    for target in TARGETS:
        promise = uncertainty.promised_threshold(
            doubt[chosen], right[chosen], people[chosen], target
        )
        found[target] = None
        if promise.promised:
            others = doubt[~chosen], right[~chosen]
            found[target] = uncertainty.selective_accuracy(*others, promise.threshold)
    return found


def _kept(target: float, outcomes: list, names) -> list[Figure]:
    """Shares of the divisions; an empty answer breaks no promise."""
    given = np.array([each for each in outcomes if each is not None]).reshape(-1, 2)
    broken = int((given[:, 1] < target).sum())
    shares = {
        "kept": len(given) - broken, "broken": broken, "refused": len(outcomes) - len(given)
    }  # fmt: skip
    what, count = f"target {target:g}", len(names)
    found = [
        Figure("e", what, name, value / len(outcomes), people=count)
        for name, value in shares.items()
    ]
    if not len(given):
        return found
    found.append(Figure("e", what, "kept, of promises", 1 - broken / len(given), people=count))
    for name, values in zip(("coverage", "accuracy"), given.T, strict=True):
        values = values[np.isfinite(values)]
        if len(values):
            ends = (float(end) for end in np.quantile(values, (0.025, 0.975)))
            found.append(Figure("e", what, name, float(values.mean()), *ends, people=count))
    return found
