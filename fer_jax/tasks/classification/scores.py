"""Scores of a classifier: accuracy and calibration of its readings, its abstain threshold."""

from __future__ import annotations

import numpy as np

from fer_jax import metrics
from fer_jax.tasks import evaluation
from fer_jax.tasks.base import UNCERTAINTY
from fer_jax.tasks.evaluation import Curves, Scored
from fer_jax.uncertainty.summaries import entropy


def score_inference_modes(folds, evaluated: Scored) -> tuple[dict, dict[str, Curves]]:
    """Returns accuracy and calibration of each reading, over folds and pooled, and its curves."""
    repeats = folds[-1].repeat + 1  # they score the same clips again
    table, curves = {}, {}
    for name, probabilities in evaluated.probabilities.items():
        labels = evaluated.labels
        accuracies = [
            metrics.accuracy(
                probabilities[evaluated.folds == fold], labels[evaluated.folds == fold]
            )
            for fold in range(len(folds))
        ]
        by_repeat = np.reshape(accuracies, (repeats, -1))
        correct = probabilities.argmax(-1) == labels
        curves[name] = own = Curves(
            evaluation.reliability_curve(probabilities, labels),
            evaluation.risk_curve(entropy(probabilities), correct),
        )
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
            "expected_calibration_error": own.reliability[-1],
            "negative_log_likelihood": metrics.negative_log_likelihood(probabilities, labels),
            "area_under_risk_coverage": own.risk[-1],
        }
    return table, curves


def single_pass(evaluated: Scored) -> dict | None:
    """Accuracies of the single samples and of their ensembles; None without dropout."""
    if not evaluated.has_dropout:
        return None
    samples, labels = evaluated.samples, evaluated.labels
    accuracies = (samples.argmax(-1) == labels).mean(-1)
    logits = np.log(np.maximum(samples, 1e-30)).mean(0)
    return {
        "mc_samples": len(samples),
        "accuracy_mean": float(accuracies.mean()),
        "accuracy_std": float(accuracies.std()),
        "accuracy_of_one": float(accuracies[0]),
        "ensemble_of_probabilities": metrics.accuracy(evaluated.summary.mean, labels),
        "ensemble_of_log_probabilities": metrics.accuracy(logits, labels),
    }


def abstaining(target: float, evaluated: Scored) -> dict:
    """Threshold on the entropy, see `evaluation.choose_threshold`."""
    return evaluation.choose_threshold(
        target,
        evaluated,
        lambda labels, summary: (summary.entropy, summary.mean.argmax(-1) == labels),
    )


def predictions(clips, folds, evaluated: Scored):
    """One row a scored clip: who, truth, every reading's label, probabilities, uncertainty."""
    names, summary = np.asarray(clips.classes), evaluated.summary
    table = {**evaluation.identity(clips, folds, evaluated), "label": names[evaluated.labels]}
    for inference_mode, probabilities in evaluated.probabilities.items():
        table[f"predicted_{inference_mode}"] = names[probabilities.argmax(-1)]
    table |= {f"p_{name}": summary.mean[:, i] for i, name in enumerate(clips.classes)}
    table |= {f"std_{name}": summary.variance[:, i] ** 0.5 for i, name in enumerate(clips.classes)}
    table |= {name: getattr(summary, name) for name in UNCERTAINTY}
    return evaluation.as_table(table)
