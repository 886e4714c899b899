"""What the scores of all tasks share: joined folds, curves, thresholds, selected epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_jax.uncertainty import calibration, selective

if TYPE_CHECKING:
    import pandas as pd

INFERENCE_MODES = {
    "stored": "dropout off, stored BatchNorm statistics",
    "recalibrated": "dropout off, recalibrated BatchNorm statistics",
    "mc_dropout": "MC dropout",
}
LEAST_COVERAGE = 0.01  # share of the clips; the accuracy on fewer is left to chance


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The predictions of a run for its evaluation clips, fold after fold.

    Attributes:
      indices: `[N]` clips; repeats evaluate a clip again.
      folds: `[N]` index of each one's fold in the list of folds.
      labels: `[N, ...]`.
      probabilities: inference mode -> `[N, C]`.
      samples: `[S, N, C]` of MC dropout; a model without dropout has one.
      summary: `Task.summarise` of the samples.
      validation: labels and summary of the clips on which thresholds are chosen, or None.
    """

    indices: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]
    samples: np.ndarray
    summary: NamedTuple
    validation: tuple[np.ndarray, NamedTuple] | None

    @property
    def has_dropout(self) -> bool:
        return "mc_dropout" in self.probabilities

    @property
    def mode(self) -> str:
        """The inference mode that the summary belongs to."""
        return "mc_dropout" if self.has_dropout else "stored"

    @property
    def source(self) -> str:
        """The same in words, for captions."""
        return "MC dropout" if self.has_dropout else "dropout off"


class Curves(NamedTuple):
    """Curves of one inference mode, computed once for tables and figures.

    Attributes:
      reliability: confidence `[K]`, accuracy `[K]`, count `[K]`, calibration error.
      risk: coverage `[K]`, risk `[K]`, area under the curve.
    """

    reliability: tuple
    risk: tuple


def inference_modes(results: dict) -> dict[str, np.ndarray]:
    """Probabilities `[N, C]` of each inference mode, keyed as `INFERENCE_MODES`."""
    return {
        "stored": results["stored"],
        "recalibrated": results["recalibrated"],
        "mc_dropout": results["samples"].mean(0),
    }


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


def join_folds(clips, folds, results: list[dict], names, summarise) -> Evaluated:
    """Joins what `evaluate.make_evaluate` returned for each fold.

    Args:
      clips, folds: the dataset, and its evaluated folds.
      results: one dict of arrays a fold, `evaluation_...` and `validation_...`.
      names: of the inference modes to keep.
      summarise: `Task.summarise`.
    """
    per_fold = [
        {name: result[f"evaluation_{name}"] for name in ("stored", "recalibrated", "samples")}
        for result in results
    ]
    samples = np.concatenate([fold["samples"] for fold in per_fold], axis=1)
    per_fold = [inference_modes(fold) for fold in per_fold]
    indices = np.concatenate([fold.evaluation for fold in folds])
    validation = None
    if folds[0].validation is not None:
        validation = clips.labels[folds[0].validation], summarise(results[0]["validation_samples"])
    return Evaluated(
        indices=indices,
        folds=np.repeat(np.arange(len(folds)), [len(fold.evaluation) for fold in folds]),
        labels=clips.labels[indices],
        probabilities={n: np.concatenate([fold[n] for fold in per_fold]) for n in names},
        samples=samples,
        summary=summarise(samples),
        validation=validation,
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


def choose_threshold(target: float, evaluated: Evaluated, measure: Callable) -> dict:
    """Chooses the uncertainty above which to abstain, on other clips than those it is evaluated on.

    With a validation set the threshold comes from it. In a cross-validation each fold's comes
    from the other folds, and the bundle's from all. Without any coverage of at least
    `LEAST_COVERAGE` that reaches the target there is no threshold (None) and nothing abstains.

    Args:
      target: accuracy that the clips below the threshold shall reach.
      evaluated: the predictions.
      measure: `(labels, summary) -> ` uncertainty `[N]`, NaN where a prediction does not count, and
        whether each is correct, `[N]` bool.
    """

    def threshold_of(uncertainty, correct) -> float:
        counts = np.isfinite(uncertainty)
        threshold = selective.abstain_threshold(uncertainty[counts], correct[counts], target)
        few = (uncertainty <= threshold).sum() < LEAST_COVERAGE * counts.sum()
        return np.inf if few or not np.isfinite(threshold) else threshold

    uncertainty, correct = measure(evaluated.labels, evaluated.summary)
    if evaluated.validation is not None:
        threshold = threshold_of(*measure(*evaluated.validation))
        covered = uncertainty <= threshold
        chosen_on = "validation"
    elif evaluated.folds[-1] > 0:
        covered = np.zeros(len(uncertainty), bool)
        for own, rest in evaluation_folds(evaluated):
            covered[own] = uncertainty[own] <= threshold_of(uncertainty[rest], correct[rest])
        threshold = threshold_of(uncertainty, correct)
        chosen_on = "the other folds"
    else:
        threshold = threshold_of(uncertainty, correct)
        covered = uncertainty <= threshold
        chosen_on = "the evaluation clips themselves (optimistic: there is no other split)"
    return {
        "target_accuracy": target,
        "threshold": float(threshold) if np.isfinite(threshold) else None,
        "chosen_on": chosen_on,
        "coverage": float(covered.sum() / max(np.isfinite(uncertainty).sum(), 1)),
        "accuracy": float(correct[covered].mean()) if covered.any() else None,
    }


def single_samples(evaluated: Evaluated, score: Callable, name: str) -> dict | None:
    """Mean and deviation of a score over the single MC samples; None without dropout.

    Args:
      evaluated: the predictions.
      score: `[N, C]`, one sample -> its score.
      name: of the score.
    """
    if not evaluated.has_dropout:
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
