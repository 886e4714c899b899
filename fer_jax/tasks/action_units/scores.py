"""Scores of action units: F1 and calibration of each, abstaining of each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fer_jax import metrics, uncertainty
from fer_jax.faces.labels import PRESENT
from fer_jax.tasks import evaluation


def score_readings(clips, folds, scored: evaluation.Scored) -> dict:
    """F1 and calibration of each reading, of every action unit and their mean."""
    people = np.asarray(clips.subjects)[scored.numbers]
    table = {}
    for name, probabilities in scored.probabilities.items():
        predicted = probabilities > PRESENT
        f1 = metrics.f1_scores(metrics.unit_counts(predicted, scored.labels))
        by_fold = [
            float(metrics.mean_f1(metrics.f1_scores(metrics.unit_counts(*part))))
            for part in _parts(predicted, scored, len(folds))
        ]
        repeats = folds[-1].repeat + 1
        table[name] = {
            "f1_mean": float(metrics.mean_f1(f1)),
            "f1_mean_of_units_seen": float(np.nanmean(f1)) if np.isfinite(f1).any() else None,
            "interval_95_people": metrics.f1_interval(predicted, scored.labels, people),
            "f1_folds": {fold.name: value for fold, value in zip(folds, by_fold, strict=True)},
            "f1_repeats": np.reshape(by_fold, (repeats, -1)).mean(1).tolist(),
            "units": {
                unit: _score_unit(probabilities[:, number], scored.labels[:, number])
                for number, unit in enumerate(clips.classes)
            },
        }
    return table


def _parts(predicted, scored: evaluation.Scored, folds: int):
    for place in range(folds):
        own = scored.folds == place
        yield predicted[own], scored.labels[own]


def _score_unit(probability, labels) -> dict:
    known = np.isfinite(labels)
    present, probability = labels[known] == 1, probability[known]
    if not known.any():
        return {"known": 0}
    both = np.stack([1 - probability, probability], -1)
    counts = metrics.unit_counts((probability > PRESENT)[:, None], labels[known][:, None])[:, 0]
    true_positives, false_positives, false_negatives = map(int, counts)
    correct = (probability > PRESENT) == present
    return {
        "known": int(known.sum()),
        "base_rate": float(present.mean()),
        "f1": float(np.nan_to_num(metrics.f1_scores(counts))),
        "precision": true_positives / max(true_positives + false_positives, 1),
        "recall": true_positives / max(true_positives + false_negatives, 1),
        "accuracy": float(correct.mean()),
        "expected_calibration_error": uncertainty.expected_calibration_error(both, present),
        "negative_log_likelihood": metrics.negative_log_likelihood(both, present.astype(int)),
        "area_under_risk_coverage": uncertainty.area_under_risk_coverage(
            uncertainty.entropy(both), correct
        ),
    }


def single_pass(scored: evaluation.Scored) -> dict:
    """Mean F1 of the single passes with dropout."""
    values = [
        float(metrics.mean_f1(metrics.f1_scores(metrics.unit_counts(one > PRESENT, scored.labels))))
        for one in scored.samples
    ]
    return {
        "passes": len(values),
        "f1_mean": float(np.mean(values)),
        "f1_std": float(np.std(values)),
    }


def selective(target: float, units, scored: evaluation.Scored) -> dict:
    """Threshold on the entropy of each action unit, see `evaluation.selective`."""

    def doubt_and_correct(labels, summary, unit: int):
        doubt = np.where(np.isfinite(labels[:, unit]), summary.entropy[:, unit], np.nan)
        return doubt, (summary.mean[:, unit] > PRESENT) == (labels[:, unit] == 1)

    rows = {}
    for number, unit in enumerate(units):
        validation = scored.validation and doubt_and_correct(*scored.validation, number)
        own = doubt_and_correct(scored.labels, scored.summary, number)
        rows[unit] = evaluation.selective(target, scored, *own, validation)
    return {"threshold": [row["threshold"] for row in rows.values()], "units": rows}


def predictions(clips, folds, scored: evaluation.Scored) -> pd.DataFrame:
    """One row a scored window: who, truth (empty: unknown), probabilities, uncertainty."""
    table, summary = evaluation.identity(clips, folds, scored), scored.summary
    for number, unit in enumerate(clips.classes):
        table[unit] = scored.labels[:, number]
        for reading, probabilities in scored.probabilities.items():
            table[f"p_{reading}_{unit}"] = probabilities[:, number]
        table[f"std_{unit}"] = summary.variance[:, number] ** 0.5
        for name in ("entropy", "mutual_information", "agreement"):
            table[f"{name}_{unit}"] = getattr(summary, name)[:, number]
    return pd.DataFrame(table).round(5)
