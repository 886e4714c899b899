"""Scores of a run: the readings over folds and repeats, single passes, selective prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fer_jax import metrics, uncertainty
from fer_jax.assess import readings


def score_readings(folds, results, clips, names) -> dict:
    """Accuracy and calibration of each of the named readings, over folds and pooled."""
    per_fold = [
        readings(
            {name: result[f"evaluate_{name}"] for name in ("stored", "recalibrated", "samples")}
        )
        for result in results
    ]
    labels = [clips.labels[fold.evaluate] for fold in folds]
    repeats = folds[-1].repeat + 1  # they score the same clips again
    table = {}
    for name in names:
        probabilities = np.concatenate([fold[name] for fold in per_fold])
        pooled = np.concatenate(labels)
        accuracies = [
            metrics.accuracy(fold[name], truth)
            for fold, truth in zip(per_fold, labels, strict=True)
        ]
        by_repeat = np.reshape(accuracies, (repeats, -1))
        correct = probabilities.argmax(-1) == pooled
        doubt = uncertainty.entropy(probabilities)
        table[name] = {
            "accuracy_mean_of_folds": float(np.mean(accuracies)),
            "accuracy_pooled": float(correct.mean()),
            "interval_95_folds": metrics.mean_interval(by_repeat.mean(0)),
            "interval_95_pooled": metrics.proportion_interval(
                correct.sum() / repeats, len(correct) // repeats
            ),
            "accuracy_folds": {
                fold.name: accuracy for fold, accuracy in zip(folds, accuracies, strict=True)
            },
            "accuracy_repeats": by_repeat.mean(1).tolist(),
            "expected_calibration_error": uncertainty.expected_calibration_error(
                probabilities, pooled
            ),
            "negative_log_likelihood": metrics.negative_log_likelihood(probabilities, pooled),
            "area_under_risk_coverage": uncertainty.area_under_risk_coverage(doubt, correct),
        }
    return table


def train_seconds(history: pd.DataFrame, folds) -> float:
    """Time of all epochs of the scored folds, without compiling and scoring."""
    return float(history[history["fold"].isin([fold.name for fold in folds])]["seconds"].sum())


def best_epoch(history: pd.DataFrame, folds) -> dict | None:
    """Mean over folds of the best epoch's accuracy: chosen on what it scores, so optimistic."""
    if "evaluation_accuracy" not in history:
        return None
    scored = history[history["fold"].isin([fold.name for fold in folds])]
    best = scored.groupby("fold")["evaluation_accuracy"].max()
    return {"accuracy_mean_of_folds": float(best.mean()), "reading": "stored"}


def single_pass(samples, labels, summary) -> dict:
    accuracies = (samples.argmax(-1) == labels).mean(-1)
    logits = np.log(np.maximum(samples, 1e-30)).mean(0)
    return {
        "passes": len(samples),
        "accuracy_mean": float(accuracies.mean()),
        "accuracy_std": float(accuracies.std()),
        "accuracy_of_one": float(accuracies[0]),
        "ensemble_of_probabilities": metrics.accuracy(summary.mean, labels),
        "ensemble_of_log_probabilities": metrics.accuracy(logits, labels),
    }


def selective(config, folds, results, clips, summary, numbers) -> dict:
    """Abstain threshold on the entropy of MC dropout, chosen on clips that it is not scored on.

    With a validation set the threshold comes from it. In a cross-validation each fold's comes
    from the other folds, and the bundle's from all. Where no share of the clips reaches the
    target accuracy there is no threshold (None) and nothing abstains.
    """
    target = config.evaluation.target_accuracy
    correct = summary.mean.argmax(-1) == clips.labels[numbers]

    def threshold_of(doubt, right) -> float:
        threshold = uncertainty.abstain_threshold(doubt, right, target)
        return threshold if np.isfinite(threshold) else np.inf

    if folds[0].validation is not None:
        validation = uncertainty.summarise(results[0]["validation_samples"])
        right = validation.mean.argmax(-1) == clips.labels[folds[0].validation]
        threshold = threshold_of(validation.entropy, right)
        answered = summary.entropy <= threshold
        chosen_on = "validation"
    elif len(folds) > 1:
        ends = np.cumsum([len(fold.evaluate) for fold in folds])
        answered = np.zeros(len(numbers), bool)
        for place in np.split(np.arange(len(numbers)), ends[:-1]):
            # Repeats score a clip again: its other predictions are not of other clips.
            rest = np.flatnonzero(~np.isin(numbers, numbers[place]))
            limit = threshold_of(summary.entropy[rest], correct[rest])
            answered[place] = summary.entropy[place] <= limit
        threshold = threshold_of(summary.entropy, correct)
        chosen_on = "the other folds"
    else:
        threshold = threshold_of(summary.entropy, correct)
        answered = summary.entropy <= threshold
        chosen_on = "the scored clips themselves (optimistic: there is no other set)"
    return {
        "target_accuracy": target,
        "threshold": float(threshold) if np.isfinite(threshold) else None,
        "chosen_on": chosen_on,
        "coverage": float(answered.mean()),
        "accuracy": float(correct[answered].mean()) if answered.any() else None,
    }


def predictions(clips, folds, numbers, scored, summary) -> pd.DataFrame:
    """One row a scored clip: who, truth, every reading's label, probabilities, uncertainty."""
    names = np.asarray(clips.classes)
    table = {
        "clip": [clips.clip_ids[n] for n in numbers],
        "subject": [clips.subjects[n] for n in numbers],
        "fold": np.repeat([fold.name for fold in folds], [len(f.evaluate) for f in folds]),
        "label": names[clips.labels[numbers]],
        "predicted_stored": names[scored["stored"].argmax(-1)],
        "predicted_recalibrated": names[scored["recalibrated"].argmax(-1)],
        "predicted_mc_dropout": names[summary.mean.argmax(-1)],
    }
    table |= {f"p_{name}": summary.mean[:, i] for i, name in enumerate(clips.classes)}
    table |= {f"std_{name}": summary.variance[:, i] ** 0.5 for i, name in enumerate(clips.classes)}
    table["entropy"] = summary.entropy
    table["mutual_information"] = summary.mutual_information
    table["agreement"] = summary.agreement
    return pd.DataFrame(table).round(5)
