"""What each method answered to each clip, from predictions.csv, and what two of them share."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fer_jax.experiments.workdir import Workdir
from fer_jax.machine import FileError, printable
from fer_jax.tasks import TASKS, grouped

_NAMED = 3  # clips that a sentence names
_CLOSE = 1e-3  # labels of dimensions that are the same, rounded


class Answers(NamedTuple):
    """The answers of a method in one inference mode.

    Attributes:
      method: name in tables.
      mode: MC dropout for a network with dropout, else "stored".
      names: of the outputs.
      clips, people, folds: `[N]` of each answer; repeats answer a clip again.
      labels, predicted: `[N, ...]`, see `measures.read` of the task.
      dataset: that was evaluated.
    """

    method: str
    mode: str
    names: tuple[str, ...]
    clips: np.ndarray
    people: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    dataset: str = ""


def read(workdir: Workdir, task: str, modes: Sequence[str]) -> dict[str, Answers]:
    """Reads the answers in each inference mode.

    Args:
      workdir: of a finished run.
      task: of the run.
      modes: those of its metrics.json.

    Raises:
      FileError: the table is damaged or of an earlier version.
    """
    import pandas as pd

    file, measures = workdir.predictions, TASKS[task].measures
    try:
        columns = pd.read_csv(file, nrows=0).columns
        texts = {"clip", "subject", "fold", "label", *(f"predicted_{mode}" for mode in modes)}
        # names such as NA or 001 stay what they are, while an empty number is none
        words = pd.read_csv(file, usecols=texts.__contains__, dtype=str, keep_default_na=False)
        numbers = pd.read_csv(file, usecols=lambda name: name not in texts)
        table, names = pd.concat([words, numbers], axis=1), tuple(measures.names_in(columns))
        if "label" in words:  # votes may leave a clip without a class
            table = table[table["label"] != ""]
        people, clips, folds = (table[name].to_numpy(str) for name in ("subject", "clip", "fold"))
        return {
            mode: Answers("", mode, names, clips, people, folds, *measures.read(table, mode, names))
            for mode in modes
        }
    except (KeyError, ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise FileError(
            f"{file} cannot be compared ({printable(reason)}): it is damaged or of an earlier "
            "version of fer_jax; the command that trained the run writes it anew"
        ) from error


def interval(measures: ModuleType, answers: Answers) -> tuple[float, float]:
    """95% bootstrap interval over people of the main measure, as tables state it."""
    counts = measures.count(answers.names, answers.labels, answers.predicted)
    name = measures.TESTED[0]
    if not measures.OVER_FOLDS:
        _, sums = grouped.sums_by(answers.people, counts)
        return grouped.intervals(measures, answers.names, sums)[name]
    found = grouped.intervals_over_folds(
        measures, answers.names, counts, answers.people, answers.folds
    )
    return found[name]


class Shared(NamedTuple):
    """What two methods answered to the clips that both evaluated, with the same labels.

    Attributes:
      people: `[N]` of each clip.
      names: of the outputs.
      first, second: mean counts of each clip over its repeats, `[N, ...]`.
      right: whether each method is right in its first repeat, two arrays `[N]`, or None.
      differences: sentences on what they do not share.
    """

    people: np.ndarray
    names: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    right: tuple[np.ndarray, np.ndarray] | None
    differences: tuple[str, ...]


def share(measures: ModuleType, first: Answers, second: Answers) -> Shared:
    """Aligns the answers of two methods clip by clip."""
    names = measures.shared_names(first.names, second.names)
    sides = [_by_clip(measures, names, each) for each in (first, second)]
    common = sorted(set(sides[0]) & set(sides[1]))
    same, other_label, other_person = [], [], []
    for clip in common:
        one, two = sides[0][clip], sides[1][clip]
        if one.person != two.person:
            other_person.append(clip)
        elif not np.allclose(one.label, two.label, atol=_CLOSE, equal_nan=True):
            other_label.append(clip)
        else:
            same.append(clip)
    pair = f"{first.method} and {second.method}"
    differences = [
        *_only(first, second, sides[0].keys() - sides[1].keys()),
        *_only(second, first, sides[1].keys() - sides[0].keys()),
        *_told(other_label, f"{pair} have other labels for"),
        *_told(other_person, f"{pair} have other people for"),
    ]
    if alone := set(first.names) ^ set(second.names):
        differences.append(f"of {pair} only one has the outputs {_listed(alone)}")
    chosen = [[side[clip] for clip in same] for side in sides]
    right = [[each.right for each in side] for side in chosen]
    return Shared(
        people=np.array([each.person for each in chosen[0]], str),
        names=names,
        first=np.array([each.counts for each in chosen[0]]),
        second=np.array([each.counts for each in chosen[1]]),
        right=tuple(np.array(side) for side in right) if same and right[0][0] is not None else None,
        differences=tuple(differences),
    )


class _Clip(NamedTuple):
    person: str
    label: np.ndarray
    counts: np.ndarray
    right: bool | None


def _by_clip(measures: ModuleType, names, answers: Answers) -> dict[str, _Clip]:
    labels, predicted = measures.select(answers.names, names, answers.labels, answers.predicted)
    counts = measures.count(names, labels, predicted)
    right = measures.right(labels, predicted)
    clips, first, index = np.unique(answers.clips, return_index=True, return_inverse=True)
    sums = np.zeros((len(clips), *counts.shape[1:]))
    np.add.at(sums, index, counts)
    means = (sums.T / np.bincount(index)).T
    return {
        str(clip): _Clip(
            str(answers.people[at]), labels[at], means[number],
            None if right is None else bool(right[at]),
        )
        for number, (clip, at) in enumerate(zip(clips, first, strict=True))
    }  # fmt: skip


def _only(one: Answers, other: Answers, clips) -> list[str]:
    people = set(one.people[np.isin(one.clips, list(clips))]) - set(other.people)
    who = f" (of {len(people)} people whom it lacks: {_listed(people)})" if people else ""
    return [
        f"{text}, which {other.method} lacks{who}" for text in _told(clips, f"{one.method} has")
    ]


def _told(clips, what: str) -> list[str]:
    if not clips:
        return []
    return [f"{what} {len(clips)} clip{'s' * (len(clips) > 1)} ({_listed(clips)})"]


def _listed(names) -> str:
    names = sorted(map(str, names))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more
