"""The report of action units: F1, calibration and abstaining of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax.tasks import grouped, report_lines, trust_report
from fer_jax.tasks.action_units import figures as drawings
from fer_jax.tasks.action_units import measures, scores
from fer_jax.tasks.action_units.timeline import draw_recording
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated, deciding_mode
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import interval, number
from fer_jax.uncertainty.stored import percent

LOSS = "binary cross-entropy (nats)"
table, ambiguity = scores.predictions, scores.ambiguity


def headline(row: dict) -> str:
    """Line of an inference mode in the terminal."""
    return f"mean F1 {row['f1_mean']:.4f}"


def content(config, clips, folds, evaluated: Evaluated, history) -> tuple[dict, dict]:
    """Returns the numbers for metrics.json, and `Curves` by inference mode and action unit."""
    inference_modes, curves = scores.score_inference_modes(clips, folds, evaluated)
    return {
        "inference_modes": inference_modes,
        "single_samples": scores.single_samples(evaluated),
        "selective": scores.abstaining(clips.classes, evaluated),
        **scores.calibration_and_sets(clips.classes, evaluated),
    }, curves


def compared(content: dict) -> dict:
    """Mean F1 by inference mode.

    Args:
      content: of metrics.json.
    """
    return {name: row["f1_mean"] for name, row in content["inference_modes"].items()}


def parts(clips, folds, evaluated: Evaluated, content: dict) -> list[Part]:
    """The tables of units, which the report has in `lines`, by fold and by person."""
    import pandas as pd

    rows = [
        {"inference mode": INFERENCE_MODES[mode], "unit": unit} | {
            "windows" if key == "known" else key.replace("_", " ").replace("f1", "F1"): value
            for key, value in own.items()
        }
        for mode, row in content["inference_modes"].items()
        for unit, own in row["units"].items()
    ]  # fmt: skip
    return [
        Part("units", "Each action unit", pd.DataFrame(rows), in_report=False),
        *grouped.parts(measures, clips, folds, evaluated),
        *_people_parts(evaluated, content["sets"]),
    ]


def _people_parts(evaluated: Evaluated, sets: dict | None) -> list[Part]:
    if sets is None:
        return []
    held, sizes, people = scores.labels_in_sets(evaluated)
    title = "Prediction sets of each person, over all action units"
    both = {"coverage": held, "sets_of_both": sizes == 2}
    return trust_report.people_parts(evaluated, title, people, **both)


def order(evaluated: Evaluated) -> np.ndarray:
    """Indices of the predictions, from the most to the least certain about all action units."""
    return evaluated.summary.entropy.sum(1).argsort(kind="stable")


def figures(clips, evaluated: Evaluated, content: dict, curves: dict) -> Iterator[tuple]:
    """Yields name, figure and caption of each figure."""
    rows = {INFERENCE_MODES[name]: row["units"] for name, row in content["inference_modes"].items()}
    yield "f1", drawings.f1(rows), "F1 of each action unit, and how often it is present"
    if curves[evaluated.mode]:  # else no label is known
        yield from _judged(clips, evaluated, content["sets"], curves[evaluated.mode])
    name, indices = _liveliest(clips, evaluated)
    if len(indices) > 1:
        seconds = clips.ends[evaluated.indices[indices]]
        timed = bool(np.isfinite(seconds).all())
        variance = evaluated.summary.variance[indices]
        figure = draw_recording(
            clips.classes,
            seconds if timed else clips.ranks[evaluated.indices[indices]],
            evaluated.summary.mean[indices],
            variance**0.5 if evaluated.has_samples else None,
            evaluated.labels[indices],
            title=f"Action units of {name}",
            unit="time (s)" if timed else "window",
        )
        yield "timeline", figure, "Action units of one recording over time"


def _judged(clips, evaluated: Evaluated, sets: dict | None, own: dict) -> Iterator[tuple]:
    """Figures of the units that have a known label."""
    from fer_jax.plotting.coverage import coverage_by_person

    source = evaluated.source
    before = {unit: curve.reliability for unit, curve in own.items()}
    figure = drawings.reliability(before, scores.calibrated_reliability(clips.classes, evaluated))
    yield "reliability", figure, f"Accuracy against confidence of each action unit, {source}"
    if sets is not None:
        held, _, people = scores.labels_in_sets(evaluated)
        level = next(iter(sets["units"].values()))["level"]
        figure = coverage_by_person(trust_report.shares_by_person(held, people), level)
        yield "coverage", figure, "Share of each person's labels inside the sets of all units"
    figure = drawings.risk_coverage({unit: curve.risk for unit, curve in own.items()})
    yield "risk_coverage", figure, f"Error rate at each coverage, by entropy, {source}"


def _liveliest(clips, evaluated: Evaluated) -> tuple[str, np.ndarray]:
    """Finds the recording whose labels change most; returns its predictions in time order."""
    first = evaluated.folds == 0  # repeats evaluate a recording again
    names = np.array([clips.clip_ids[n].rsplit("@", 1)[0] for n in evaluated.indices[first]])
    changes, ends = np.abs(np.diff(evaluated.labels[first], axis=0)), names[1:] == names[:-1]
    changes = np.nan_to_num(changes).sum(1) * ends
    best = max(np.unique(names), key=lambda name: changes[names[1:] == name].sum())
    return str(best), np.flatnonzero(first)[names == best]


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    modes, selective = content["inference_modes"], content["selective"]["units"]
    shown = deciding_mode(modes)
    shown = "recalibrated" if shown == "stored" else shown
    rows = [
        (
            INFERENCE_MODES[name],
            number(row["f1_mean"]),
            interval(row["interval_95_subjects"], content["subjects_evaluated"]),
            number(row["f1_mean_of_units_seen"]),
        )
        for name, row in modes.items()
    ]
    return [
        *report_lines.table("inference mode | mean F1 | 95% interval | mean of units seen", rows),
        "",
        "F1 over all evaluation windows. An action unit that is neither present nor predicted "
        'counts as 0 in the mean F1 and not at all in the "mean of units seen". The interval is '
        f"a bootstrap over people; of fewer than {report_lines.LEAST_SUBJECTS} there is none (-).",
        "",
        *report_lines.fold_lines(modes, "f1"),
        report_lines.single_samples_line(
            content["single_samples"], "mean F1 {f1_mean:.4f} +- {f1_std:.4f}"
        ),
        "",
        f"Each action unit, {INFERENCE_MODES[shown]}. Coverage: share of windows whose entropy is "
        "at most the threshold of the action unit; selective accuracy: accuracy on these. A unit "
        "that is never predicted has no precision, one that is never present no recall (-).",
        "",
        *report_lines.table(
            "unit | windows | present | F1 | precision | recall | accuracy | ECE | NLL | "
            "AURC | AUGRC | threshold, nats | coverage | selective accuracy",
            _unit_rows(modes[shown]["units"], selective),
        ),
        "",
        f"{report_lines.MEASURES} {_threshold_line(selective)}",
        "",
        *_trust_lines(content),
    ]


def _trust_lines(content: dict) -> list[str]:
    """The table of calibration and sets of each action unit, and what is promised."""
    own, sets = content["calibration"], (content["sets"] or {}).get("units", {})
    mode, units = next(iter(own["modes"].items()))
    promises = {unit: row["promise"] for unit, row in content["selective"]["units"].items()}
    rows = [
        [
            unit, row["method"], *trust_report.before_and_after(row)[:2],
            *_set_cells(sets.get(unit)), number(promises[unit]["bound"], 3),
        ]
        for unit, row in units.items()
    ]  # fmt: skip
    if not rows:
        return []
    return [
        *report_lines.table(
            "unit | calibrator | ECE | ECE, adaptive | coverage of sets | worst person | where "
            "absent | where present | sets of both | promised accuracy",
            rows,
        ),
        "",
        f"Calibration of {INFERENCE_MODES[mode]}, before and after; calibrators, sets and "
        f"thresholds are fitted on {own['chosen_on']}. {trust_report.none_line(units)}",
        "",
        *([_set_line(sets), ""] if sets else []),
        _promise_line(next(iter(content["selective"]["units"].values()))),
        "",
    ]


def _promise_line(one: dict) -> str:
    """Says what the promised accuracies are of, by the row of one unit."""
    crossed = one["crossed"]
    return (
        f"Promised accuracy{' for the networks of the folds' * crossed}: of the answered windows "
        f"of people like these, at least, with {percent(one['promise']['confidence'])} confidence "
        "over people; - where no threshold can promise the target."
        f"{f' {report_lines.OF_ALL}' * crossed}"
    )


def _set_cells(own: dict | None) -> list[str]:
    """Coverage of the sets of a unit in all, of one person, where absent and present; both."""
    if own is None:
        return ["-"] * 5
    classes = [own["classes"].get(state) for state in scores.STATES]
    shares = own["coverage"], own["worst_coverage"], *(row and row["coverage"] for row in classes)
    shares = *shares, own["sizes"][2] / sum(own["sizes"])
    return ["-" if share is None else f"{share:.1%}" for share in shares]


def _set_line(sets: dict) -> str:
    one = min(sets.values(), key=lambda row: row["people"])
    sure = {unit: row for unit, row in sets.items() if row["accuracy"] > row["level"]}
    why = ""
    if sure:
        least = min(sure.values(), key=lambda row: row["accuracy"])
        why = trust_report.never_empty_line(least, ", ".join(sure))
    return (
        f"Prediction sets at a level of {percent(one['level'])} hold absent, present or both; "
        f"coverage is the mean over people. {trust_report.promise_of(one)}{why}"
    )


def _unit_rows(units: dict, selective: dict) -> Iterator[list[str]]:
    names = (
        "f1", "precision", "recall", "accuracy", "expected_calibration_error",
        "negative_log_likelihood", "area_under_risk_coverage", "area_under_generalised_risk",
    )  # fmt: skip
    for unit, row in units.items():
        if not row["known"]:
            yield [unit, "0", *"-" * 12]
            continue
        own = selective[unit]
        cells = [unit, str(row["known"]), f"{row['base_rate']:.1%}"]
        cells += [number(row[name], 3) for name in names]
        cells += [number(own["threshold"], 3), f"{own['coverage']:.1%}", number(own["accuracy"], 3)]
        yield cells


def _threshold_line(selective: dict) -> str:
    one = next(iter(selective.values()))
    return (
        f"Thresholds aim at an accuracy of {one['target_accuracy']:.2f} and are chosen on "
        f"{one['chosen_on']}. An action unit that reaches it at no coverage has no threshold (-) "
        "and never abstains."
    )
