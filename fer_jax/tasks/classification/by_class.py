"""Part of a classifier's report: each class, confusion in percent, intervals over people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import metrics
from fer_jax.tasks import grouped, report_lines
from fer_jax.tasks.classification import measures
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import interval, number

# measure -> its names in metrics.json and of its interval
_KEYS = {
    "accuracy": ("accuracy_pooled", "interval_95_subjects"),
    "balanced accuracy": ("balanced_accuracy", "balanced_accuracy_interval_95"),
    "macro F1": ("macro_f1", "macro_f1_interval_95"),
}


def content(clips, evaluated: Evaluated, probabilities) -> dict:
    """Numbers of an inference mode for metrics.json.

    Args:
      clips, evaluated: the dataset, and what was evaluated of it.
      probabilities: `[N, C]` of the inference mode.

    Returns:
      Measures of all clips with intervals over people; the interval of the mean accuracy of the
      folds; `classes`, by name, with precision, recall and F1; `confusion`, counts `[C, C]`, rows
      are true classes; and `confusion_percent`, shares of each row, with the recall on the
      diagonal.
    """
    counts = measures.count(clips.classes, evaluated.labels, measures.decide(probabilities))
    people = np.asarray(clips.subjects)[evaluated.indices]
    _, sums = grouped.sums_by(people, counts)
    bounds = grouped.intervals(measures, clips.classes, sums)
    of_folds = grouped.intervals_over_folds(
        measures, clips.classes, counts, people, np.asarray(evaluated.folds)
    )
    matrix = sums.sum(0)
    rows = matrix.sum(1, keepdims=True)
    percent = np.divide(100 * matrix, rows, out=np.full(matrix.shape, np.nan), where=rows > 0)
    found = {"interval_95_folds": of_folds["accuracy"]}
    for name, value in measures.measures(clips.classes, matrix).items():
        key, key_of_interval = _KEYS[name]
        found |= {key: float(value), key_of_interval: bounds[name]}
    classes = metrics.class_scores(matrix)
    return found | {
        "classes": {
            name: {
                "clips": int(matrix[index].sum()),
                "predicted": int(matrix[:, index].sum()),
                **{key.lower(): float(values[index]) for key, values in classes.items()},
            }
            for index, name in enumerate(clips.classes)
        },
        "confusion": matrix.astype(int).tolist(),
        "confusion_percent": percent.tolist(),
    }


def lines(modes: dict, subjects: int) -> list[str]:
    """The table of measures with intervals over people; one fold has no mean of folds."""
    several = any(len(row["accuracy_folds"]) > 1 for row in modes.values())
    shown = {
        "accuracy, all clips" if several else "accuracy": _KEYS["accuracy"],
        "balanced accuracy (UAR)": _KEYS["balanced accuracy"],
        "macro F1": _KEYS["macro F1"],
    }
    if several:
        shown = {"accuracy, mean of folds": ("accuracy_mean_of_folds", "interval_95_folds")} | shown
    cells = []
    for name, row in modes.items():
        cells.append([INFERENCE_MODES[name]])
        for key, bounds in shown.values():
            cells[-1] += [number(row[key]), interval(row[bounds], subjects)]
    headings = "".join(f" | {name} | 95% interval" for name in shown)
    return [
        *report_lines.table(f"inference mode{headings}", cells),
        "",
        "Balanced accuracy is the mean recall of the classes that occur, macro F1 the mean F1 of "
        "those that occur or are predicted, both over all clips. Intervals are a bootstrap over "
        "people (over clips where the dataset does not identify people); of fewer than "
        f"{report_lines.LEAST_SUBJECTS} people there is none (-).",
        "",
    ]


def parts(clips, folds, evaluated: Evaluated, content: dict) -> list[Part]:
    """The tables of classes and confusion, by fold and by person."""
    import pandas as pd

    classes, confusion = [], []
    for mode, row in content["inference_modes"].items():
        first = {"inference mode": INFERENCE_MODES[mode]}
        classes += [first | own for own in _class_rows(row["classes"])]
        for name, shares in zip(clips.classes, row["confusion_percent"], strict=True):
            confusion.append(
                first | {"true class": name} | dict(zip(clips.classes, shares, strict=True))
            )
    title = (
        f"Confusion, percent of the {clips.kind} of each true class (rows); the diagonal is the "
        "recall"
    )
    return [
        Part(
            "classes", "Each class and their mean, with the sum of the clips", pd.DataFrame(classes)
        ),
        Part("confusion", title, pd.DataFrame(confusion), digits=1),
        *grouped.parts(measures, clips, folds, evaluated),
    ]


def _class_rows(classes: dict) -> Iterator[dict]:
    for name, own in classes.items():
        values = {"F1" if key == "f1" else key: value for key, value in own.items()}
        yield {"class": name} | values
    counts = {key: sum(own[key] for own in classes.values()) for key in ("clips", "predicted")}
    means = {
        name: float(metrics.mean_known([own[name.lower()] for own in classes.values()]))
        for name in ("precision", "recall", "F1")
    }
    yield {"class": "mean"} | counts | means
