"""Measures of a classifier from counts that add up over clips: of folds, people, resamples."""

from __future__ import annotations

import numpy as np

from fer_jax import metrics

TESTED = ("accuracy", "balanced accuracy")  # for which methods are compared, the main one first
OVER_FOLDS = True  # the main one is stated as the mean of the folds


def decide(probabilities) -> np.ndarray:
    """The most probable class, `[..., C] -> [...]`."""
    return np.asarray(probabilities).argmax(-1)


def count(names, labels, predicted) -> np.ndarray:
    """Confusion matrix of each clip, `[N, C, C]`.

    Args:
      names: of the C classes.
      labels, predicted: `[N]` classes.
    """
    counts = np.zeros((len(labels), len(names), len(names)), np.float32)
    counts[np.arange(len(labels)), labels, predicted] = 1
    return counts


def measures(names, sums) -> dict[str, np.ndarray]:
    """Accuracy, balanced accuracy and macro F1, `[...]`, of sums of counts `[..., C, C]`."""
    return metrics.confusion_scores(sums)


def right(labels, predicted) -> np.ndarray:
    """Whether each prediction is right, `[N]` bool."""
    return labels == predicted


def shared_names(first, second) -> tuple[str, ...]:
    """Names of the classes of two methods: a clip may be of a class that only one knows."""
    return tuple(dict.fromkeys([*first, *second]))


def select(own, names, labels, predicted) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions by the names `own` as those by `names`, of `shared_names`."""
    index = np.array([list(names).index(name) for name in own])
    return index[labels], index[predicted]


def names_in(columns) -> list[str]:
    """Names of the classes in predictions.csv."""
    return [name.removeprefix("p_") for name in columns if name.startswith("p_")]


def read(table, mode: str, names) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes of an inference mode in predictions.csv, as indices `[N]`."""
    index = {name: number for number, name in enumerate(names)}
    label, predicted = (
        table[column].astype(str).map(index).to_numpy(int)
        for column in ("label", f"predicted_{mode}")
    )
    return label, predicted
