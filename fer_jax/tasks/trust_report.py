"""Part of a report: calibration and prediction sets, each before and after, over people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fer_jax import metrics
from fer_jax.tasks import report_lines
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import number
from fer_jax.tasks.trust import LEAST_CLIPS, LEAST_PEOPLE, PEOPLE_FOR_PROMISE
from fer_jax.uncertainty import calibration
from fer_jax.uncertainty.calibrators import AUTO, Calibrator
from fer_jax.uncertainty.conformal import SetRule
from fer_jax.uncertainty.people import equal_weights
from fer_jax.uncertainty.stored import percent

_ERRORS = {
    "expected_calibration_error": ("ECE", calibration.expected_calibration_error),
    "adaptive_calibration_error": ("ECE, adaptive", calibration.adaptive_calibration_error),
    "negative_log_likelihood": ("NLL", metrics.negative_log_likelihood),
    "brier_score": ("Brier", metrics.brier_score),
}
_CROSSED = (
    "the scores come from the networks of the folds, and no theorem carries a level across several"
)


def calibration_content(before, after, labels, calibrator: Calibrator) -> dict:
    """Numbers of one inference mode.

    Args:
      before, after: probabilities `[N, C]`, calibrated ones by what was fitted on other people.
      labels: classes `[N]`.
      calibrator: of the bundle.
    """
    return {
        "method": calibrator.method,
        "people": calibrator.people,
        "clips": calibrator.clips,
        "before": calibration_errors(before, labels),
        "after": calibration_errors(after, labels),
    }


def calibration_errors(probabilities, labels) -> dict[str, float]:
    """Errors of probabilities `[N, C]` of clips of known classes `[N]`."""
    return {name: float(function(probabilities, labels)) for name, (_, function) in _ERRORS.items()}


def set_content(rule: SetRule, probabilities, sets, labels, people) -> dict:
    """Numbers of prediction sets.

    Args:
      rule: of the bundle.
      probabilities: `[N, C]` that the sets come from.
      sets: `[N, C]` bool, of rules that were fitted on other people.
      labels: classes `[N]`.
      people: `[N]`.

    Returns:
      What `rule` rests on and promises; coverage, mean size and accuracy of the likeliest class,
      each person with the same weight; coverage of the worst person; how many sets have each size,
      from 0 classes on.
    """
    found = calibration.coverage(sets, labels, people)
    right = np.argmax(probabilities, -1) == labels
    return {
        **rule_content(rule),
        "score": rule.score,
        **{name: found[name] for name in ("coverage", "mean_size", "worst_coverage")},
        "accuracy": float((equal_weights(people) * right).sum()),
        "sizes": np.bincount(sets.sum(-1), minlength=sets.shape[1] + 1).tolist(),
    }


def rule_content(rule) -> dict:
    """What a rule of sets or of intervals rests on and promises."""
    names = ("level", "unit", "promised", "needed", "crossed", "people", "clips")
    return {name: getattr(rule, name) for name in names}


def by_class(names: Sequence[str], sets, labels) -> dict[str, dict]:
    """Coverage, mean size and clips of each class that occurs."""
    return {
        names[index]: row for index, row in calibration.coverage_by(labels, sets, labels).items()
    }


def content(names: Sequence[str], evaluated: Evaluated) -> dict:
    """Numbers of a classifier for metrics.json: `calibration` and `sets`.

    Args:
      names: of the C classes.
      evaluated: predictions for clips that have a class, with `trust`.
    """
    trust, labels = evaluated.trust, evaluated.labels
    others, calibrator = trust.deterministic
    modes = {evaluated.mode: (trust.given.probabilities, trust.fitted.calibrator)}
    modes[evaluated.plain_mode] = others, calibrator
    found = {
        "calibration": {
            "chosen_on": trust.chosen_on,
            "modes": {
                mode: calibration_content(evaluated.probabilities[mode], after, labels, own)
                for mode, (after, own) in modes.items()
                if mode in evaluated.probabilities
            },
            "bundle": {
                "predict": trust.fitted.calibrator.to_json(),
                "deterministic": calibrator.to_json(),
            },
        },
        "sets": None,
    }
    if (rule := trust.fitted.rule) is not None:
        sets = trust.given.sets
        found["sets"] = {
            **set_content(rule, trust.given.probabilities, sets, labels, evaluated.people),
            "chosen_on": trust.chosen_on,
            "classes": by_class(names, sets, labels),
            "bundle": rule.to_json(),
        }
    return found


def lines(content: dict, examples: str = "clips") -> list[str]:
    """Text and tables of report.md, from what `content` returned."""
    own = content["calibration"]
    rows = [
        [INFERENCE_MODES[mode], row["method"], *before_and_after(row)]
        for mode, row in own["modes"].items()
    ]
    errors = " | ".join(name for name, _ in _ERRORS.values())
    heading = f"inference mode | calibrator of the bundle | {errors}"
    row = next(iter(own["modes"].values()))
    return [
        *report_lines.table(heading, rows),
        "",
        f"Calibration, before and after: calibrators are chosen on {own['chosen_on']} (that of the "
        f"bundle on {row['people']} people, {row['clips']} {examples}). {none_line(own['modes'])}",
        "",
        *set_lines(content["sets"], examples),
    ]


def before_and_after(row: dict) -> list[str]:
    """Cells of the errors of an inference mode or of a unit."""
    return [f"{number(row['before'][name])}, {number(row['after'][name])}" for name in _ERRORS]


def none_line(rows: dict) -> str:
    """Says why there may be no calibrator."""
    if not any(row["method"] == "none" for row in rows.values()):
        return ""
    return (
        f'"none" changes nothing: no method was better for people left out by more than chance, or '
        f"there are fewer than {LEAST_PEOPLE} people or {LEAST_CLIPS} clips "
        f"(`--config.uncertainty.calibration={AUTO}`)."
    )


def set_lines(sets: dict | None, examples: str) -> list[str]:
    """Coverage of prediction sets, in all and by class."""
    if sets is None:
        return []
    rows = [
        [name, str(row["clips"]), f"{row['coverage']:.1%}", f"{row['mean_size']:.2f}"]
        for name, row in sets["classes"].items()
    ]
    return [
        f"Prediction sets at a level of {percent(sets['level'])}, chosen on {sets['chosen_on']}: "
        f"they hold the label of {sets['coverage']:.1%} of the {examples} of a person, mean over "
        f"people (worst person {sets['worst_coverage']:.1%}), with {sets['mean_size']:.2f} classes "
        f"on average. {promise_of(sets)}{never_empty_line(sets)}",
        "",
        *report_lines.table(f"class | {examples} | coverage | mean size", rows),
        "",
    ]


def promise_of(sets: dict) -> str:
    """Says whether the level of sets, or of intervals, is promised, and if not, why."""
    people, needed = sets["people"], sets["needed"]
    few = people < needed
    if sets["promised"]:
        return f"Promised for the next person, by {people} people."
    takes = f"{needed:,} people"
    if needed < PEOPLE_FOR_PROMISE:
        takes += f", and to be of use about {PEOPLE_FOR_PROMISE}"
    takes += f"; there {'is' if people == 1 else 'are'} {people:,}"
    takes += ", too few for this level" * few
    if sets["crossed"]:
        return f"Not promised: {_CROSSED}.{f' Of one network it would take {takes}.' * few}"
    return f"Not promised: that takes {takes}."


def never_empty_line(sets: dict, which: str = "") -> str:
    """Says why sets hold the label more often than asked; empty where the level asks for more.

    Args:
      sets: of `set_content`.
      which: action units these are, the least accurate of which `sets` is of; empty: no units.
    """
    if not sets["accuracy"] > sets["level"]:
        return ""
    whose, more = (f" of {which}", " or more") if which else ("", "")
    return (
        f" No set{whose} is empty, so it holds the label at least as often as the likeliest class "
        f"is right: {sets['accuracy']:.1%}{more}, above the level."
    )


def people_parts(evaluated: Evaluated, title: str, people, **columns) -> list[Part]:
    """The table of means by person; none where each clip has a person of its own.

    Args:
      evaluated: the predictions.
      title: of the table.
      people: `[M]`.
      columns: name -> `[M]`.
    """
    import pandas as pd

    names, index, count = np.unique(people, return_inverse=True, return_counts=True)
    if not len(names) < len(set(evaluated.indices.tolist())):
        return []
    rows = {"inference mode": INFERENCE_MODES[evaluated.mode], "person": names, "labels": count}
    rows |= {
        name.replace("_", " "): np.bincount(index, values) / count
        for name, values in columns.items()
    }
    return [Part("coverage", title, pd.DataFrame(rows))]


def parts(evaluated: Evaluated) -> list[Part]:
    """The table of the prediction sets of each person."""
    if evaluated.trust.fitted.rule is None:
        return []
    sets = evaluated.trust.given.sets
    held = sets[np.arange(len(sets)), evaluated.labels]
    title = "Prediction sets of each person"
    return people_parts(evaluated, title, evaluated.people, coverage=held, mean_size=sets.sum(1))


def shares_by_person(held, people) -> np.ndarray:
    """Share of each person's clips whose label is held, ascending: `[K]`."""
    groups, index = np.unique(people, return_inverse=True)
    shares = np.bincount(index, equal_weights(people) * np.asarray(held), len(groups))
    return np.sort(shares * len(groups))


def figures(sets: dict | None, held, people) -> Iterable[tuple]:
    """Yields name, figure and caption: coverage by person, sizes of the sets.

    Args:
      sets: of `content`.
      held: `[N]` bool, whether each set holds the label.
      people: `[N]`.
    """
    from fer_jax.plotting import coverage

    if sets is None:
        return
    figure = coverage.coverage_by_person(shares_by_person(held, people), sets["level"])
    yield "coverage", figure, "Share of each person's labels inside the prediction sets"
    figure = coverage.set_sizes(sets["sizes"], sets["level"], sets["mean_size"])
    yield "set_sizes", figure, "Number of classes in a prediction set"
