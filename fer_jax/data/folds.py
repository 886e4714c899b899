"""Evaluation protocols: which clips a model is trained on, and which it is evaluated on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Fold:
    """Clip indices of one training run.

    Attributes:
      name: "holdout", "random", "fold03" or, in a repeated cross-validation, "repeat1_fold03".
      train: clips to train on.
      evaluation: clips to evaluate on.
      validation: clips to choose thresholds on; None where the protocol has no such set.
      repeat: index of the repeat of a cross-validation.
    """

    name: str
    train: np.ndarray
    evaluation: np.ndarray
    validation: np.ndarray | None = None
    repeat: int = 0

    def evaluation_parts(self) -> list[np.ndarray]:
        """The parts to predict: evaluation and, if there are any, validation clips."""
        return [part for part in (self.evaluation, self.validation) if part is not None]


def member_names(fold: str, members: int) -> list[str]:
    """Names of the runs of a fold: that of the fold, and of the other members of its ensemble."""
    return [fold, *(f"{fold}-member{index}" for index in range(1, members))]


def holdout(splits: Sequence[str]) -> list[Fold]:
    """Trains on split `train` and evaluates on `test`, or on `validation` if there is no `test`.

    Args:
      splits: the official split of every clip.

    Raises:
      ValueError: the dataset has no split to train or evaluate on.
    """
    splits = np.asarray(splits)
    part = {name: np.flatnonzero(splits == name) for name in ("train", "validation", "test")}
    if not len(part["train"]) or not (len(part["validation"]) or len(part["test"])):
        raise ValueError(
            f"protocol 'holdout' needs a train and a validation (or test) split, found "
            f"{', '.join(sorted(map(str, set(splits))))}: use --config.protocol.name=subject_kfold"
        )
    if len(part["test"]):
        validation = part["validation"] if len(part["validation"]) else None
        return [Fold("holdout", part["train"], part["test"], validation)]
    return [Fold("holdout", part["train"], part["validation"])]


def subject_folds(
    subjects: Sequence[str], k: int, mode: str = "strided", seed: int = 0
) -> list[list[str]]:
    """Divides subjects into k groups.

    Args:
      subjects: the subject of every sequence.
      k: number of groups; 0 makes one group a subject (leave one subject out).
      mode: "strided" (subject i to group i mod k), "block" (runs of round(n / k), the last takes
        the rest) or "balanced" (greedy on the number of sequences, ties by seed).
      seed: for "balanced" only.

    Raises:
      ValueError: fewer subjects than groups, or an unknown mode.

    The papers do not say which subjects are in which fold: docs/papers/index.md.
    """
    names, counts = np.unique(np.asarray(subjects, str), return_counts=True)
    if len(names) < 2:
        raise ValueError(
            "every clip shows the same subject, so there are no subject folds: name more "
            "subjects, or add a column split and use --config.protocol.name=holdout"
        )
    k = k or len(names)
    if not 2 <= k <= len(names):
        raise ValueError(
            f"{k} folds need at least {k} subjects, this dataset has {len(names)}: set "
            "--config.protocol.folds=0 (leave one subject out)"
            if k > 1
            else f"{k} folds by subject are none: set --config.protocol.folds to 0 (leave one "
            "subject out) or to at least 2"
        )
    if mode == "strided":
        return [list(map(str, names[fold::k])) for fold in range(k)]
    if mode == "block":
        size = round(len(names) / k)
        starts = [fold * size for fold in range(k)] + [len(names)]
        groups = [list(map(str, names[a:b])) for a, b in zip(starts, starts[1:], strict=False)]
        if not all(groups):
            raise ValueError(f"{len(names)} subjects leave an empty block of {k}: use 'strided'")
        return groups
    if mode == "balanced":
        order = np.random.default_rng(seed).permutation(len(names))
        order = order[np.argsort(-counts[order], kind="stable")]
        groups, load = [[] for _ in range(k)], np.zeros(k)
        for subject in order:
            smallest = min(range(k), key=lambda fold: (load[fold], len(groups[fold])))
            groups[smallest].append(str(names[subject]))
            load[smallest] += counts[subject]
        return [sorted(group) for group in groups]
    raise ValueError(f"fold mode {mode!r} is unknown: use 'strided', 'block' or 'balanced'")


def subject_kfold(
    subjects: Sequence[str], k: int, mode: str = "strided", seed: int = 0, repeats: int = 1
) -> list[Fold]:
    """Cross-validation by subject: no fold trains and evaluates on the same subject.

    Args:
      subjects, k, mode, seed: see `subject_folds`.
      repeats: number of cross-validations; all but the first shuffle the subjects. With one subject
        left out at a time, repeats differ only in the seeds of training.
    """
    subjects = np.asarray(subjects, str)
    folds = []
    for repeat in range(repeats):
        prefix = f"repeat{repeat}_" if repeats > 1 else ""
        groups = _shuffled_folds(subjects, k, mode, seed, repeat)
        evaluated = np.zeros(len(subjects), int)
        for index, group in enumerate(groups):
            evaluation = np.isin(subjects, group)
            evaluated += evaluation
            train, evaluate = np.flatnonzero(~evaluation), np.flatnonzero(evaluation)
            folds.append(Fold(f"{prefix}fold{index:02d}", train, evaluate, repeat=repeat))
        if not (evaluated == 1).all():
            raise AssertionError("the folds do not evaluate every clip exactly once")
    return folds


def _shuffled_folds(subjects, k: int, mode: str, seed: int, repeat: int) -> list[list[str]]:
    """`subject_folds`, with the subjects permuted in all repeats but the first."""
    if not repeat:
        return subject_folds(subjects, k, mode, seed)
    names = np.unique(subjects)
    shuffled = np.random.default_rng((seed, repeat)).permutation(names)
    stand_in = dict(zip(map(str, names), map(str, shuffled), strict=True))
    groups = subject_folds([stand_in[str(name)] for name in subjects], k, mode, seed)
    original = {new: old for old, new in stand_in.items()}
    return [[original[name] for name in group] for group in groups]


def random_subjects(subjects: Sequence[str], share: float, seed: int, repeats: int) -> list[Fold]:
    """Evaluates on a random share of the subjects and trains on the others.

    Args:
      subjects: the subject of every clip.
      share: of the subjects that are evaluated on, rounded to a number from 1 to all but one.
      seed: of the draw.
      repeats: number of draws, each independent of the others.

    Raises:
      ValueError: there is one subject only.

    Source: Hasani & Mahoor, CVPRW 2017, section 4.2.1 (the network without landmarks).
    """
    subjects = np.asarray(subjects, str)
    names = np.unique(subjects)
    if len(names) < 2:
        raise ValueError(
            "every clip shows the same subject, so none can be held out: name more subjects, or "
            "add a column split and use --config.protocol.name=holdout"
        )
    count, folds = min(max(round(share * len(names)), 1), len(names) - 1), []
    for repeat in range(repeats):
        drawn = np.random.default_rng((seed, repeat)).permutation(names)[:count]
        held_out = np.isin(subjects, drawn)
        name = f"repeat{repeat}_random" if repeats > 1 else "random"
        train, evaluate = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        folds.append(Fold(name, train, evaluate, repeat=repeat))
    return folds


def by_sequence(count: int, k: int, seed: int = 0, repeats: int = 1) -> list[Fold]:
    """Cross-validation by clip: a fold may train and evaluate on the same subject.

    For comparison with papers that divide sequences; accuracy is higher than for new subjects.

    Args:
      count: number of clips.
      k: number of groups, whose sizes differ by at most one; 0 leaves one clip out at a time.
      seed: of the division.
      repeats: number of cross-validations, each with its own random division.

    Raises:
      ValueError: fewer clips than groups.

    Source: Yu et al., Neurocomputing 317 (2018), section 4.1, as it is read in
    docs/papers/stc_nlstm.md.
    """
    k = k or count
    if not 2 <= k <= count:
        raise ValueError(
            f"{k} folds need 2 to {count} clips; this dataset has {count}: "
            f"set --config.protocol.folds"
        )
    everything, folds = np.arange(count), []
    for repeat in range(repeats):
        prefix = f"repeat{repeat}_" if repeats > 1 else ""
        order = np.random.default_rng((seed, repeat)).permutation(count)
        for index in range(k):
            evaluate = np.sort(order[index::k])
            train = np.setdiff1d(everything, evaluate)
            folds.append(Fold(f"{prefix}fold{index:02d}", train, evaluate, repeat=repeat))
    return folds


def thinned(fold: Fold, ranks, strides: Sequence[int]) -> Fold:
    """Subsamples the windows of each recording: adjacent ones overlap and are nearly duplicates.

    Args:
      fold: over all windows.
      ranks: `[N]` index of each window within its recording.
      strides: for training and for evaluation.
    """

    def every(part, stride: int):
        return None if part is None else part[np.asarray(ranks)[part] % stride == 0]

    train, evaluated = strides
    return dataclasses.replace(
        fold,
        train=every(fold.train, train),
        evaluation=every(fold.evaluation, evaluated),
        validation=every(fold.validation, evaluated),
    )


def cross_database(subjects, splits, k: int, mode: str = "strided", seed: int = 0) -> list[Fold]:
    """Trains on some datasets and evaluates on another, as `cross_database.join` splits them.

    Args:
      subjects: the subject of every clip.
      splits: "train" or "test" of every clip.
      k: number of groups of the training subjects. The first group is the validation set: new
        subjects of known datasets, a reference for the uncertainty on the other dataset. 0 trains
        on all subjects, as the paper does.
      mode, seed: see `subject_folds`.

    Source: Hasani & Mahoor, CVPRW 2017, section 4.2.2.
    """
    subjects, splits = np.asarray(subjects, str), np.asarray(splits)
    train, test = (np.flatnonzero(splits == name) for name in ("train", "test"))
    if not k:
        return [Fold("cross_database", train, test)]
    evaluation = np.isin(subjects[train], subject_folds(subjects[train], k, mode, seed)[0])
    return [Fold("cross_database", train[~evaluation], test, train[evaluation])]


def make_folds(config, subjects, splits) -> list[Fold]:
    """Makes the folds of a protocol.

    Args:
      config: `config.protocol`.
      subjects, splits: of every clip.

    Raises:
      ValueError: an unknown protocol, or one that does not fit the dataset.
    """
    if config.name == "holdout":
        if config.repeats != 1:
            raise ValueError(
                f"--config.protocol.repeats={config.repeats}: a holdout has one division; repeat "
                f"it with other --config.seed and --workdir"
            )
        return holdout(splits)
    if config.name == "cross_database":
        return cross_database(subjects, splits, config.folds, config.mode, config.seed)
    if config.name == "subject_kfold":
        return subject_kfold(subjects, config.folds, config.mode, config.seed, config.repeats)
    if config.name == "by_sequence":
        return by_sequence(len(subjects), config.folds, config.seed, config.repeats)
    if config.name == "random_subjects":
        return random_subjects(subjects, config.share, config.seed, config.repeats)
    raise ValueError(
        f"protocol {config.name!r} is unknown: use 'holdout', 'subject_kfold' (with folds=0 each "
        f"subject is left out in turn), 'by_sequence', 'random_subjects' or 'cross_database'"
    )
