"""Scores of action units: summary of the samples, F1 and calibration, thresholds."""

from __future__ import annotations

import numpy as np

from fer_jax import metrics
from fer_jax.faces.labels import PRESENT
from fer_jax.tasks import abstaining as thresholds
from fer_jax.tasks import evaluation, trust_report
from fer_jax.tasks.base import NO_FACE, UNCERTAINTY
from fer_jax.tasks.doubts import Ambiguity
from fer_jax.tasks.evaluation import Curves, Evaluated
from fer_jax.tasks.trust import name_sets
from fer_jax.uncertainty import calibration
from fer_jax.uncertainty.selective import area_under_generalised_risk
from fer_jax.uncertainty.summaries import Summary, entropy, unit_columns

STATES = ("absent", "present")  # of an action unit
NO_UNIT = "none"  # label of a window without an action unit that is present and certain
_DRAWN_BINS = 10  # bins of a reliability curve


def summarise_units(probabilities) -> Summary:
    """Summarises sampled probabilities of action units `[S, B, A]`: a `Summary` of each, `[B, A]`.

    The entropy of an action unit is that of present against absent. The samples are visited one at
    a time, so that the windows of every frame of a dataset fit in memory.
    """
    mean = np.mean(probabilities, 0, dtype=np.float64)
    variance, within, votes = (np.zeros_like(mean) for _ in range(3))
    for one in probabilities:
        one = np.asarray(one, np.float64)
        variance += (one - mean) ** 2 / len(probabilities)
        within += _event_entropy(one) / len(probabilities)
        votes += (one > PRESENT) == (mean > PRESENT)
    total = _event_entropy(mean)
    return Summary(
        mean, variance, total, np.maximum(total - within, 0.0),
        np.where(np.isnan(mean), np.nan, votes / len(probabilities)),
    )  # fmt: skip


def _event_entropy(p: np.ndarray) -> np.ndarray:
    from scipy.special import xlogy

    return -(xlogy(p, p) + xlogy(1 - p, 1 - p))


def present_units(row: dict) -> list[str]:
    """Names of the action units that a row calls present."""
    return [] if row["label"] in (NO_UNIT, NO_FACE) else row["label"].split("+")


def unsure_units(row: dict, units) -> list[str]:
    """Names of the action units on which a row abstains."""
    return [unit for unit in units if row[f"abstained_{unit}"]]


def score_inference_modes(
    clips, folds, evaluated: Evaluated
) -> tuple[dict, dict[str, dict[str, Curves]]]:
    """Returns F1 and calibration of each inference mode and action unit, and their curves."""
    subjects = np.asarray(clips.subjects)[evaluated.indices]
    table, curves = {}, {}
    for name, probabilities in evaluated.probabilities.items():
        predicted = probabilities > PRESENT
        f1 = metrics.f1_scores(metrics.unit_counts(predicted, evaluated.labels))
        own_folds = [evaluated.folds == index for index in range(len(folds))]
        by_fold = [_mean_f1(predicted[own], evaluated.labels[own]) for own in own_folds]
        repeats = folds[-1].repeat + 1
        found = {
            unit: _score_unit(probabilities[:, column], evaluated.labels[:, column])
            for column, unit in enumerate(clips.classes)
        }
        curves[name] = {unit: own for unit, (_, own) in found.items() if own is not None}
        table[name] = {
            "f1_mean": float(metrics.mean_f1(f1)),
            "f1_mean_of_units_seen": float(np.nanmean(f1)) if np.isfinite(f1).any() else None,
            "interval_95_subjects": metrics.f1_interval(predicted, evaluated.labels, subjects),
            "f1_folds": {fold.name: value for fold, value in zip(folds, by_fold, strict=True)},
            "f1_repeats": np.reshape(by_fold, (repeats, -1)).mean(1).tolist(),
            "units": {unit: row for unit, (row, _) in found.items()},
        }
    return table, curves


def _score_unit(probability, labels) -> tuple[dict, Curves | None]:
    """Scores and curves of one action unit over the windows whose label is known."""
    known = np.isfinite(labels)
    present, probability = labels[known] == 1, probability[known]
    if not known.any():
        return {"known": 0}, None
    both = np.stack([1 - probability, probability], -1)
    counts = metrics.unit_counts((probability > PRESENT)[:, None], labels[known][:, None])[:, 0]
    true_positives, false_positives, false_negatives = map(int, counts)
    correct = (probability > PRESENT) == present
    error = calibration.expected_calibration_error(both, present)
    curves = Curves(
        (*calibration.reliability_bins(both, present, _DRAWN_BINS), error),
        evaluation.risk_curve(entropy(both), correct),
    )
    row = {
        "known": int(known.sum()),
        "base_rate": float(present.mean()),
        "f1": float(np.nan_to_num(metrics.f1_scores(counts))),
        "precision": _share(true_positives, true_positives + false_positives),
        "recall": _share(true_positives, true_positives + false_negatives),
        "accuracy": float(correct.mean()),
        "expected_calibration_error": error,
        "negative_log_likelihood": metrics.negative_log_likelihood(both, present.astype(int)),
        "area_under_risk_coverage": curves.risk[-1],
        "area_under_generalised_risk": area_under_generalised_risk(entropy(both), correct),
    }
    return row, curves


def _share(count: int, total: int) -> float:
    return count / total if total else float("nan")


def single_samples(evaluated: Evaluated) -> dict | None:
    """Mean F1 of the single MC samples; None without dropout."""
    return evaluation.single_samples(
        evaluated, lambda sample: _mean_f1(sample > PRESENT, evaluated.labels), "f1"
    )


def _mean_f1(predicted, labels) -> float:
    return float(metrics.mean_f1(metrics.f1_scores(metrics.unit_counts(predicted, labels))))


def judged(units, evaluated: Evaluated) -> dict[str, thresholds.Judged]:
    """Predictions of each action unit by the entropy of its calibrated probability."""
    p, _, answered = evaluated.trust.given
    known, uncertainty = np.isfinite(evaluated.labels), entropy(unit_columns(p))
    uncertainty = np.where(known, uncertainty, np.nan)
    right = (p > PRESENT) == (evaluated.labels == 1)
    columns = zip(units, evaluated.trust.fitted, uncertainty.T, right.T, answered.T, strict=True)
    return {unit: thresholds.Judged(own.threshold, *values) for unit, own, *values in columns}


def abstaining(units, evaluated: Evaluated) -> dict:
    """Threshold on the entropy of each action unit, see `abstaining.content`."""
    found = judged(units, evaluated).items()
    rows = {unit: thresholds.content(own, evaluated.trust) for unit, own in found}
    return {"threshold": [row["threshold"] for row in rows.values()], "units": rows}


def ambiguity(units, evaluated: Evaluated) -> Ambiguity:
    """How uncertain each action unit is, and by which threshold."""
    return Ambiguity("entropy", " nats", judged(units, evaluated))


def calibration_and_sets(units, evaluated: Evaluated) -> dict:
    """Numbers of each action unit that was coded for metrics.json, see `trust_report.content`."""
    trust, labels = evaluated.trust, evaluated.labels
    plain = evaluated.plain_mode
    modes, sets = {evaluated.mode: {}, plain: {}}, {}
    after = {evaluated.mode: trust.given.probabilities, plain: trust.deterministic[0]}
    for column, (unit, own) in enumerate(zip(units, trust.fitted, strict=True)):
        known = np.isfinite(labels[:, column])
        if not known.any():
            continue
        present = labels[known, column].astype(int)
        for mode, rows in modes.items():
            of_mode = trust.deterministic[1][column] if mode != evaluated.mode else own.calibrator
            pair = evaluated.probabilities[mode], after[mode]
            both = (unit_columns(p[known, column]) for p in pair)
            rows[unit] = trust_report.calibration_content(*both, present, of_mode)
        if own.rule is not None:
            held = trust.given.sets[known, column], present
            both = unit_columns(trust.given.probabilities[known, column])
            found = trust_report.set_content(own.rule, both, *held, evaluated.people[known])
            sets[unit] = found | {"classes": trust_report.by_class(STATES, *held)}
    rules = [own.rule and own.rule.to_json() for own in trust.fitted]
    return {
        "calibration": {
            "chosen_on": trust.chosen_on,
            "modes": modes,
            "bundle": {
                "predict": [own.calibrator.to_json() for own in trust.fitted],
                "deterministic": [own.to_json() for own in trust.deterministic[1]],
            },
        },
        "sets": {"chosen_on": trust.chosen_on, "units": sets, "bundle": rules} if sets else None,
    }


def labels_in_sets(evaluated: Evaluated) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each known label of a unit with sets: whether its set holds it, its size, the person."""
    trust, found = evaluated.trust, []
    for column in [index for index, own in enumerate(trust.fitted) if own.rule is not None]:
        known = np.isfinite(evaluated.labels[:, column])
        sets, present = trust.given.sets[known, column], evaluated.labels[known, column]
        held = sets[np.arange(len(sets)), present.astype(int)]
        found.append((held, sets.sum(1), evaluated.people[known]))
    held, sizes, people = (np.concatenate(values) for values in zip(*found, strict=True))
    return held, sizes, people


def calibrated_reliability(units, evaluated: Evaluated) -> dict[str, tuple]:
    """`Curves.reliability` after calibration, of the units that have a calibrator and labels."""
    trust, found = evaluated.trust, {}
    for column, (unit, own) in enumerate(zip(units, trust.fitted, strict=True)):
        known = np.isfinite(evaluated.labels[:, column])
        if own.calibrator.method != "none" and known.any():
            both = unit_columns(trust.given.probabilities[known, column])
            present = evaluated.labels[known, column].astype(int)
            error = calibration.expected_calibration_error(both, present)
            bins = calibration.reliability_bins(both, present, _DRAWN_BINS)
            found[unit] = (*bins, error)
    return found


def predictions(clips, folds, evaluated: Evaluated):
    """Tabulates label (empty: unknown), probabilities and uncertainty of every unit by window."""
    table, summary = evaluation.identity(clips, folds, evaluated), evaluated.summary
    for index, unit in enumerate(clips.classes):
        table[unit] = evaluated.labels[:, index]
        for inference_mode, probabilities in evaluated.probabilities.items():
            table[f"p_{inference_mode}_{unit}"] = probabilities[:, index]
        table[f"std_{unit}"] = summary.variance[:, index] ** 0.5
        for name in UNCERTAINTY:
            table[f"{name}_{unit}"] = getattr(summary, name)[:, index]
        given = evaluated.trust.given
        table[f"calibrated_{unit}"] = given.probabilities[:, index]
        if evaluated.trust.fitted[index].rule is not None:
            both = unit_columns(given.probabilities[:, index])
            table[f"set_{unit}"] = name_sets(STATES, both, given.sets[:, index])
    return evaluation.as_table(table)
