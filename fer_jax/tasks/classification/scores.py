"""Scores of a classifier: accuracy and calibration by inference mode, its threshold."""

from __future__ import annotations

import numpy as np

from fer_jax import metrics
from fer_jax.tasks import abstaining as thresholds
from fer_jax.tasks import evaluation
from fer_jax.tasks.base import UNCERTAINTY
from fer_jax.tasks.doubts import Ambiguity
from fer_jax.tasks.evaluation import Curves, Evaluated
from fer_jax.tasks.trust import name_sets
from fer_jax.uncertainty.selective import area_under_generalised_risk
from fer_jax.uncertainty.summaries import entropy


def score_inference_modes(folds, evaluated: Evaluated) -> tuple[dict, dict[str, Curves]]:
    """Returns accuracy and calibration of each inference mode, and its curves."""
    repeats = folds[-1].repeat + 1  # they evaluate the same clips again
    labels, table, curves = evaluated.labels, {}, {}
    for name, probabilities in evaluated.probabilities.items():
        own_folds = [evaluated.folds == index for index in range(len(folds))]
        accuracies = [metrics.accuracy(probabilities[own], labels[own]) for own in own_folds]
        by_repeat = np.reshape(accuracies, (repeats, -1))
        correct = probabilities.argmax(-1) == labels
        curves[name] = own = Curves(
            evaluation.reliability_curve(probabilities, labels),
            evaluation.risk_curve(entropy(probabilities), correct),
        )
        table[name] = {
            "accuracy_mean_of_folds": float(np.mean(accuracies)),
            "accuracy_pooled": float(correct.mean()),
            "accuracy_folds": {
                fold.name: accuracy for fold, accuracy in zip(folds, accuracies, strict=True)
            },
            "accuracy_repeats": by_repeat.mean(1).tolist(),
            "expected_calibration_error": own.reliability[-1],
            "negative_log_likelihood": metrics.negative_log_likelihood(probabilities, labels),
            "area_under_risk_coverage": own.risk[-1],
            "area_under_generalised_risk": area_under_generalised_risk(
                entropy(probabilities), correct
            ),
        }
    return table, curves


def single_samples(evaluated: Evaluated) -> dict | None:
    """Accuracies of the single MC samples and of their ensembles; None without dropout."""
    samples, labels = evaluated.samples, evaluated.labels
    row = evaluation.single_samples(
        evaluated, lambda sample: metrics.accuracy(sample, labels), "accuracy"
    )
    logits = np.log(np.maximum(samples, 1e-30)).mean(0)
    return row and row | {
        "accuracy_of_one": metrics.accuracy(samples[0], labels),
        "ensemble_of_probabilities": metrics.accuracy(evaluated.summary.mean, labels),
        "ensemble_of_log_probabilities": metrics.accuracy(logits, labels),
    }


def judged(evaluated: Evaluated) -> thresholds.Judged:
    """Predictions by the entropy of calibrated probabilities."""
    (p, _, answered), threshold = evaluated.trust.given, evaluated.trust.fitted.threshold
    return thresholds.Judged(threshold, entropy(p), p.argmax(-1) == evaluated.labels, answered)


def abstaining(evaluated: Evaluated) -> dict:
    """Threshold on that entropy, see `abstaining.content`."""
    return thresholds.content(judged(evaluated), evaluated.trust)


def ambiguity(names, evaluated: Evaluated) -> Ambiguity:
    """How uncertain each prediction is, and by which threshold."""
    return Ambiguity("entropy", " nats", {"": judged(evaluated)})


def predictions(clips, folds, evaluated: Evaluated):
    """Tabulates label, prediction of each inference mode, probabilities and uncertainty by clip."""
    names, summary = np.asarray(clips.classes), evaluated.summary
    table = {**evaluation.identity(clips, folds, evaluated), "label": names[evaluated.labels]}
    for inference_mode, probabilities in evaluated.probabilities.items():
        table[f"predicted_{inference_mode}"] = names[probabilities.argmax(-1)]
    table |= {f"p_{name}": summary.mean[:, i] for i, name in enumerate(clips.classes)}
    table |= {f"std_{name}": summary.variance[:, i] ** 0.5 for i, name in enumerate(clips.classes)}
    table |= {name: getattr(summary, name) for name in UNCERTAINTY}
    given = evaluated.trust.given
    table |= {f"calibrated_{n}": given.probabilities[:, i] for i, n in enumerate(clips.classes)}
    if evaluated.trust.fitted.rule is not None:
        table["set"] = name_sets(clips.classes, given.probabilities, given.sets)
    return evaluation.as_table(table)
