"""Scores of predicted distributions: how near they are to the votes, and to their majority."""

from __future__ import annotations

import dataclasses

import numpy as np

from fer_jax import metrics
from fer_jax.faces.emotion_ratings import DIMENSIONS, are_rated, ratings_of
from fer_jax.tasks.classification import scores as classification
from fer_jax.tasks.doubts import Ambiguity
from fer_jax.tasks.evaluation import Evaluated, some_rows
from fer_jax.tasks.trust import NO_CLASS
from fer_jax.uncertainty.calibration import expected_calibration_error
from fer_jax.uncertainty.summaries import entropy


def classes_of(labels) -> np.ndarray:
    """The classes of labels `[N, 2, C]`, `NO_CLASS` where the votes agree on none: `[N]`."""
    chosen = np.asarray(labels)[:, 1]
    return np.where(chosen.any(-1), chosen.argmax(-1), NO_CLASS)


def of_one_class(evaluated: Evaluated) -> Evaluated:
    """The predictions for clips whose votes agree on a class, with classes as labels."""
    classes = classes_of(evaluated.labels)
    known = classes != NO_CLASS
    validation, trust = evaluated.validation, evaluated.trust
    if validation is not None:
        own = classes_of(validation.labels)
        validation = validation._replace(labels=own).some(own != NO_CLASS)
    return dataclasses.replace(
        evaluated,
        indices=evaluated.indices[known],
        folds=evaluated.folds[known],
        labels=classes[known],
        probabilities={name: each[known] for name, each in evaluated.probabilities.items()},
        samples=evaluated.samples[:, known],
        summary=some_rows(evaluated.summary, known),
        validation=validation,
        people=evaluated.people[known],
        trust=trust and trust.some(known),
    )


def ambiguity(names, evaluated: Evaluated) -> Ambiguity:
    """How uncertain each prediction is; NaN where the votes have no class."""
    known = classes_of(evaluated.labels) != NO_CLASS
    own = classification.judged(of_one_class(evaluated))
    uncertainty, correct = np.full(len(known), np.nan), np.zeros(len(known), bool)
    uncertainty[known], correct[known] = own.uncertainty, own.correct
    answered = evaluated.trust.given.answered
    whole = own._replace(uncertainty=uncertainty, correct=correct, answered=answered)
    return Ambiguity("entropy", " nats", {"": whole})


def score_votes(clips, evaluated: Evaluated) -> dict[str, dict]:
    """Cross-entropy, divergence and calibration to the votes, correlation of entropies, by mode.

    Intervals are bootstrapped over subjects.
    """
    votes = evaluated.labels[:, 0].astype(np.float64)
    own, subjects = entropy(votes), [clips.subjects[index] for index in evaluated.indices]
    return {
        name: _score(probabilities, votes, own, subjects)
        for name, probabilities in evaluated.probabilities.items()
    }


def score_ratings(clips, evaluated: Evaluated) -> dict[str, dict] | None:
    """Valence, arousal and dominance of the predictions beside those of the votes, by dimension.

    Of `Evaluated.mode`; None where a class is no emotion with ratings. Keys as of
    `tasks.dimensions`.
    """
    if not are_rated(clips.classes):
        return None
    predicted, _ = ratings_of(evaluated.probabilities[evaluated.mode], clips.classes)
    voted, _ = ratings_of(evaluated.labels[:, 0], clips.classes)
    found = {
        "rmse": metrics.rmse(predicted, voted),
        "label_deviation": voted.std(0),
        "mae": metrics.mae(predicted, voted),
        "pearson": metrics.pearson(predicted, voted),
        "ccc": metrics.ccc(predicted, voted),
    }
    return {
        dimension: {name: float(values[index]) for name, values in found.items()}
        for index, dimension in enumerate(DIMENSIONS)
    }


def _score(probabilities, votes, own: np.ndarray, subjects: list[str]) -> dict:
    """Scores of one inference mode; probabilities and votes `[N, C]`, entropy of votes `[N]`."""
    from scipy.stats import rankdata  # slow to import

    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    crossed = -(votes * logs).sum(-1)
    pair = rankdata(entropy(probabilities)), rankdata(own)
    low, high = metrics.bootstrap_interval(metrics.pearson, *pair, groups=subjects)
    return {
        "cross_entropy": float(crossed.mean()),
        "kl_divergence": float((crossed - own).mean()),
        "total_variation": float(np.abs(probabilities - votes).sum(-1).mean() / 2),
        "calibration_error": expected_calibration_error(probabilities, votes),
        "spearman_entropy": float(metrics.pearson(*pair)),
        "spearman_interval_95": (float(low), float(high)),
    }


def predictions(clips, folds, evaluated: Evaluated):
    """The table of a classifier, with the share of the votes for each class and their entropy.

    The label is empty where the votes agree on no class.
    """
    classes = classes_of(evaluated.labels)
    table = classification.predictions(
        clips, folds, dataclasses.replace(evaluated, labels=np.maximum(classes, 0))
    )
    table.loc[classes == NO_CLASS, "label"] = ""
    votes = evaluated.labels[:, 0].astype(np.float64)
    for index, name in enumerate(clips.classes):
        table[f"votes_{name}"] = votes[:, index].round(5)
    table["entropy_of_votes"] = entropy(votes).round(5)
    return table
