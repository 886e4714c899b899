"""Measures of groups of predictions: of each fold and person, and intervals over people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_jax import metrics
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated

if TYPE_CHECKING:
    import pandas as pd


class Part(NamedTuple):
    """A table of a report.

    Attributes:
      name: of its files.
      title: its caption, without a full stop.
      rows: all numbers; the column `inference mode` says of which mode each row is.
      digits: of its numbers in text.
      in_report: whether report.md shows it; otherwise it has the numbers in a table of its own.
    """

    name: str
    title: str
    rows: pd.DataFrame
    digits: int = 3
    in_report: bool = True


def sums_by(groups: Sequence[str], counts) -> tuple[list[str], np.ndarray]:
    """Adds counts `[N, ...]` by group: names of the G groups in order, and sums `[G, ...]`."""
    names, index = np.unique(np.asarray(groups, str), return_inverse=True)
    sums = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(sums, index, counts)
    return list(map(str, names)), sums


def intervals_over_folds(
    measures: ModuleType, names, counts, people: Sequence[str], folds: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """As `intervals`, of the mean over folds; a resample leaves out folds of which it has nobody.

    Args:
      measures, names: see `intervals`.
      counts: `[N, ...]`.
      people, folds: `[N]` names.
    """
    (persons, person), (parts, part) = (
        np.unique(np.asarray(names_of, str), return_inverse=True) for names_of in (people, folds)
    )
    # with one person left out at a time nearly all pairs of a person and a fold have no clips
    pairs, pair = np.unique(part * len(persons) + person, return_inverse=True)
    sums = np.zeros((len(pairs), *counts.shape[1:]))
    np.add.at(sums, pair, counts)
    of_fold = np.searchsorted(pairs, len(persons) * np.arange(1, len(parts)))
    shown = np.split(pairs % len(persons), of_fold), np.split(sums, of_fold)

    def drawn(weight):
        both = zip(*shown, strict=True)
        return np.stack([np.tensordot(weight[:, who], own, 1) for who, own in both], 1)

    return _intervals(
        lambda sums: _mean_of_folds(measures.measures(names, sums)), drawn, len(persons)
    )


def _mean_of_folds(found: dict) -> dict:
    return {name: metrics.mean_known(values) for name, values in found.items()}


def intervals(measures: ModuleType, names, sums) -> dict[str, tuple[float, float]]:
    """95% bootstrap interval over people of each measure.

    Args:
      measures: of a task.
      names: of its outputs.
      sums: of the counts of each person, `[P, ...]`.
    """
    return _intervals(
        lambda drawn: measures.measures(names, drawn),
        lambda weight: np.tensordot(weight, sums, 1),
        len(sums),
    )


def _intervals(score: Callable, drawn: Callable, people: int) -> dict[str, tuple[float, float]]:
    """Intervals of the scores of `drawn(weight [W, people])`, sums of W resamples."""

    def scores(weight):
        return np.stack(list(score(drawn(weight)).values()), -1)

    low, high = metrics.bootstrap_interval(scores, groups=np.arange(people))
    names = score(drawn(np.ones((1, people))))
    return {key: (float(low[n]), float(high[n])) for n, key in enumerate(names)}


def parts(measures: ModuleType, clips, folds, evaluated: Evaluated) -> list[Part]:
    """The tables by fold and by person.

    Datasets that do not tell people apart, in which each clip has a person of its own, have none by
    person.
    """
    people = np.asarray(clips.subjects, str)[evaluated.indices]
    by_fold = np.asarray([folds[index].name for index in evaluated.folds])
    made = [Part("folds", "Each fold", _table("fold", by_fold, people, measures, clips, evaluated))]
    if len(set(people)) < len(set(evaluated.indices.tolist())):
        rows = _table("person", people, None, measures, clips, evaluated)
        made.append(Part("people", "Each person, over all evaluations", rows))
    return made


def _table(kind: str, groups, people, measures: ModuleType, clips, evaluated: Evaluated):
    import pandas as pd

    rows = []
    sizes = np.unique(groups, return_counts=True)[1]
    persons = None if people is None else _people_of(groups, people)
    for mode, outputs in evaluated.probabilities.items():
        counts = measures.count(clips.classes, evaluated.labels, measures.decide(outputs))
        names, sums = sums_by(groups, counts)
        found = measures.measures(clips.classes, sums)
        for index, name in enumerate(names):
            size = {clips.kind: int(sizes[index])}
            size |= {} if persons is None else {"people": int(persons[index])}
            values = {key: float(each[index]) for key, each in found.items()}
            rows.append({"inference mode": INFERENCE_MODES[mode], kind: name} | size | values)
    return pd.DataFrame(rows)


def _people_of(groups, people) -> np.ndarray:
    """Number of people in each of the G groups, in the order of their names: `[G]`."""
    (names, group), (persons, person) = (
        np.unique(each, return_inverse=True) for each in (groups, people)
    )
    pairs = np.unique(group * len(persons) + person)
    return np.bincount(pairs // len(persons), minlength=len(names))
