"""What the scores of all tasks share: joined folds, curves, thresholds, selected epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_jax.uncertainty import calibration, selective

if TYPE_CHECKING:
    import pandas as pd

INFERENCE_MODES = {
    "stored": "dropout off, stored BatchNorm statistics",
    "recalibrated": "dropout off, recalibrated BatchNorm statistics",
    "mc_dropout": "MC dropout",
    "average": "averaged weights, dropout off",
    "swa": "SWA, averaged weights",
    "swag": "SWAG, networks drawn",
    "laplace": "Laplace, last layers drawn",
}
POSTERIORS = ("swa", "swag", "laplace")  # of which a run has one at most


class Examples(NamedTuple):
    """Predictions that something is chosen on, or applied to.

    Attributes:
      labels: `[N, ...]`.
      summary: `Task.summarise` of the samples.
      probabilities: inference mode -> `[N, C]`.
      people: `[N]`.
      clips: `[N]` indices; repeats evaluate a clip again.
    """

    labels: np.ndarray
    summary: NamedTuple
    probabilities: dict[str, np.ndarray]
    people: np.ndarray
    clips: np.ndarray

    def some(self, chosen) -> Examples:
        """Those of a mask or of indices."""
        return Examples(
            self.labels[chosen],
            some_rows(self.summary, chosen),
            {name: values[chosen] for name, values in self.probabilities.items()},
            self.people[chosen],
            self.clips[chosen],
        )

    def once(self) -> Examples:
        """The first evaluation of each clip: repeats say nothing new of its person."""
        first = np.sort(np.unique(self.clips, return_index=True)[1])
        return self if len(first) == len(self.clips) else self.some(first)


def some_rows(summary: NamedTuple, chosen):
    """A summary of some of its examples; the residual variance of dimensions is that of all."""
    rows = {name: v[chosen] for name, v in summary._asdict().items() if name != "residual"}
    return summary._replace(**rows)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The predictions of a run for its evaluation clips, fold after fold.

    Attributes:
      indices: `[N]` clips; repeats evaluate a clip again.
      folds: `[N]` index of each one's fold in the list of folds.
      labels: `[N, ...]`.
      probabilities: inference mode -> `[N, C]`.
      samples: `[S, N, C]` of the posterior, else of MC dropout; a model without dropout has one.
      summary: `Task.summarise` of the samples.
      validation: the clips on which thresholds and the like are chosen, or None.
      people: `[N]` who each clip shows; None: every clip somebody else.
      trust: what the bundle would give of the same clips, see `trust.Trust`; None: not known yet.
    """

    indices: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]
    samples: np.ndarray
    summary: NamedTuple
    validation: Examples | None
    people: np.ndarray | None = None
    trust: NamedTuple | None = None

    def __post_init__(self):
        if self.people is None:
            object.__setattr__(self, "people", np.asarray(self.indices))

    @property
    def examples(self) -> Examples:
        """All of them."""
        return Examples(self.labels, self.summary, self.probabilities, self.people, self.indices)

    @property
    def has_dropout(self) -> bool:
        return "mc_dropout" in self.probabilities

    @property
    def mode(self) -> str:
        """The inference mode that the summary belongs to."""
        return deciding_mode(self.probabilities)

    @property
    def plain_mode(self) -> str:
        """The inference mode of a bundle's network in a single pass, dropout off."""
        return "average" if "average" in self.probabilities else "recalibrated"

    @property
    def has_samples(self) -> bool:
        """Whether the samples differ."""
        return self.has_dropout or self.mode in ("swag", "laplace")

    @property
    def source(self) -> str:
        """The same in words, for captions."""
        return "dropout off" if self.mode == "stored" else INFERENCE_MODES[self.mode]


class Curves(NamedTuple):
    """Curves of one inference mode, computed once for tables and figures.

    Attributes:
      reliability: confidence `[K]`, accuracy `[K]`, count `[K]`, calibration error.
      risk: coverage `[K]`, risk `[K]`, area under the curve.
    """

    reliability: tuple
    risk: tuple


def deciding_mode(modes: Container[str]) -> str:
    """The inference mode that predicts: the posterior's, else MC dropout, else without dropout."""
    return next(mode for mode in (*POSTERIORS, "mc_dropout", "stored") if mode in modes)


def join_members(results: Iterable[dict]) -> dict:
    """Joins the results of the members of an ensemble: all their samples, their mean outputs."""
    first, *others = results
    if not others:
        return first
    joined = {}
    for name, values in first.items():
        if name not in others[0]:  # familiarity is that of the first member
            joined[name] = values
            continue
        all_values = [values, *(each[name] for each in others)]
        if name.endswith("_samples"):
            joined[name] = np.concatenate(all_values)
        else:
            joined[name] = np.max(all_values, 0) if "memory" in name else np.mean(all_values, 0)
    return joined


def _of_part(result: dict, part: str, names) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Probabilities of a part by inference mode, and the samples of the one that predicts."""
    plain = [name for name in ("stored", "recalibrated", "average") if name in names]
    found = {name: result[f"{part}_{name}"] for name in plain}
    samples, posterior = result[f"{part}_samples"], deciding_mode(names)
    found["mc_dropout"] = samples.mean(0)
    if posterior in POSTERIORS:
        samples = result[f"{part}_posterior_samples"]
        found[posterior] = samples.mean(0)
    return {name: found[name] for name in names}, samples


def join_folds(clips, folds, results: list[dict], names, summarise) -> Evaluated:
    """Joins what `evaluate.make_evaluate` returned for each fold.

    Args:
      clips, folds: the dataset, and its evaluated folds.
      results: one dict of arrays a fold, `evaluation_...` and `validation_...`.
      names: of the inference modes to keep.
      summarise: `Task.summarise`.
    """
    per_fold, drawn = zip(*(_of_part(each, "evaluation", names) for each in results), strict=True)
    samples = np.concatenate(drawn, axis=1)
    indices = np.concatenate([fold.evaluation for fold in folds])
    validation = None
    people = np.asarray(clips.subjects)
    if (chosen := folds[0].validation) is not None:
        probabilities, own = _of_part(results[0], "validation", names)
        labels, people_of = clips.labels[chosen], people[chosen]
        validation = Examples(labels, summarise(own), probabilities, people_of, np.asarray(chosen))
    return Evaluated(
        indices=indices,
        folds=np.repeat(np.arange(len(folds)), [len(fold.evaluation) for fold in folds]),
        labels=clips.labels[indices],
        probabilities={n: np.concatenate([fold[n] for fold in per_fold]) for n in names},
        samples=samples,
        summary=summarise(samples),
        validation=validation,
        people=people[indices],
    )


def evaluation_folds(evaluated: Evaluated) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields, for each fold, masks `[N]` of its predictions and of those for other clips."""
    for fold in np.unique(evaluated.folds):
        own = evaluated.folds == fold
        # A clip that a repeat evaluates again is the same clip.
        yield own, ~np.isin(evaluated.indices, evaluated.indices[own])


def reliability_curve(probabilities, labels) -> tuple:
    """`Curves.reliability` of probabilities `[N, C]` and labels `[N]`."""
    bins = calibration.reliability_bins(probabilities, labels)
    return (*bins, calibration.calibration_error(*bins))


def risk_curve(uncertainty, correct) -> tuple:
    """`Curves.risk` of an uncertainty `[N]` and of whether each prediction is correct, `[N]`."""
    curve = selective.risk_coverage(uncertainty, correct)
    return (*curve, selective.area_under(*curve))


class Chosen(NamedTuple):
    """What was chosen on some predictions, and what it makes of the evaluated ones.

    Attributes:
      applied: tuple of arrays `[N, ...]`.
      fitted: what the bundle takes.
      chosen_on: which predictions, in words.
      crossed: whether they are those of the models of a cross-validation.
    """

    applied: tuple
    fitted: object
    chosen_on: str
    crossed: bool = False


def choose_elsewhere(evaluated: Evaluated, fit: Callable, apply: Callable) -> Chosen:
    """Chooses something on other people than those it is applied to.

    That is on the validation people, if there are any. In a cross-validation it is chosen for each
    fold on the others, and for the bundle on all. Else it is chosen on the evaluated clips
    themselves, which is said.

    Args:
      evaluated: the predictions.
      fit: `Examples -> ` what is chosen.
      apply: `(what was chosen, Examples) -> ` tuple of arrays `[N, ...]`.
    """
    own = evaluated.examples
    if evaluated.validation is not None:
        fitted = fit(evaluated.validation)
        return Chosen(apply(fitted, own), fitted, "validation")
    if evaluated.folds[-1] == 0:
        fitted, said = fit(own), "the evaluation clips themselves (optimistic: there is no other "
        return Chosen(apply(fitted, own), fitted, f"{said}split)")
    applied = None
    for mine, rest in evaluation_folds(evaluated):
        parts = apply(fit(own.some(rest)), own.some(mine))
        applied = applied or [np.empty((len(mine), *part.shape[1:]), part.dtype) for part in parts]
        for whole, part in zip(applied, parts, strict=True):
            whole[mine] = part
    said = "the other folds" + ("" if divides_people(evaluated) else " (which share people)")
    return Chosen(tuple(applied), fit(own), said, crossed=True)


def divides_people(evaluated: Evaluated) -> bool:
    """Whether nobody is in two folds of a division; validation people are others anyway."""
    people = evaluated.people
    return evaluated.validation is not None or not any(
        np.isin(people[rest], people[own]).any() for own, rest in evaluation_folds(evaluated)
    )


def single_samples(evaluated: Evaluated, score: Callable, name: str) -> dict | None:
    """Mean and deviation of a score over the single MC samples; None without dropout.

    Args:
      evaluated: the predictions.
      score: `[N, C]`, one sample -> its score.
      name: of the score.
    """
    if not evaluated.has_samples:
        return None
    values = [float(score(sample)) for sample in evaluated.samples]
    return {
        "mc_samples": len(values),
        f"{name}_mean": float(np.mean(values)),
        f"{name}_std": float(np.std(values)),
    }


def train_seconds(history: pd.DataFrame, folds) -> float:
    """Time of all epochs of the evaluated folds, without compilation and evaluation."""
    own = fold_of(history).isin([fold.name for fold in folds])
    return float(history[own]["seconds"].sum())


def fold_of(history: pd.DataFrame) -> pd.Series:
    """Name of the fold of each row; the members of an ensemble have rows of their own."""
    return history["fold"].str.replace(r"-member\d+$", "", regex=True)


def best_epoch_accuracy(history: pd.DataFrame, folds) -> dict | None:
    """Mean over folds of the best epoch's accuracy, chosen on the evaluation clips."""
    if "evaluation_accuracy" not in history:
        return None
    evaluated = history[history["fold"].isin([fold.name for fold in folds])]
    best = evaluated.groupby("fold")["evaluation_accuracy"].max()
    return {"accuracy_mean_of_folds": float(best.mean()), "inference_mode": "stored"}


def selected_epoch(history: pd.DataFrame, folds) -> int | None:
    """The epoch that the validation loss selected; None: the last one is evaluated."""
    rows = history[history["fold"] == folds[0].name].to_dict("records")
    return epoch_of_lowest_loss(rows)


def epoch_of_lowest_loss(history: list[dict]) -> int | None:
    """The first epoch with the lowest validation loss, None without any."""
    losses = {row["epoch"]: row["validation_loss"] for row in history if "validation_loss" in row}
    # comparisons with NaN are always false, so NaN must sort last
    return min(losses, key=lambda epoch: (np.isnan(losses[epoch]), losses[epoch]), default=None)


def identity(clips, folds, evaluated: Evaluated) -> dict:
    """Columns of predictions.csv that all tasks share: clip, subject, fold."""
    return {
        "clip": [clips.clip_ids[n] for n in evaluated.indices],
        "subject": [clips.subjects[n] for n in evaluated.indices],
        "fold": [folds[index].name for index in evaluated.folds],
    }


def as_table(columns: dict) -> pd.DataFrame:
    """The columns of predictions.csv as a table, rounded."""
    import pandas as pd

    return pd.DataFrame(columns).round(5)
