"""Scores of a classifier: the readings over folds and repeats, single passes, abstaining."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from fer_jax import metrics, uncertainty

READINGS = {
    "stored": "dropout off, stored BatchNorm statistics",
    "recalibrated": "dropout off, recalibrated BatchNorm statistics",
    "mc_dropout": "MC dropout",
}
LEAST_ANSWERED = 0.01  # share of the clips: whether fewer are right is chance


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a run says to the clips it is scored on, fold after fold.

    Attributes:
      numbers: `[N]` clips; repeats score a clip again.
      folds: `[N]` place of each one's fold in the list of folds.
      labels: `[N, ...]`.
      probabilities: `[N, C]` of each reading.
      samples: `[S, N, C]` of the passes of MC dropout.
      summary: of the samples.
      validation: labels and summary of the clips on which thresholds are chosen, or None.
    """

    numbers: np.ndarray
    folds: np.ndarray
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]
    samples: np.ndarray
    summary: uncertainty.Summary
    validation: tuple[np.ndarray, uncertainty.Summary] | None


def readings(results: dict) -> dict[str, np.ndarray]:
    """Probabilities `[N, C]` of each reading, keyed as `READINGS`."""
    return {
        "stored": results["stored"],
        "recalibrated": results["recalibrated"],
        "mc_dropout": results["samples"].mean(0),
    }


def gather(clips, folds, results: list[dict], names, summarise) -> Scored:
    """Joins what `evaluate.make_assess` gave of each fold.

    Args:
      results: a dict of arrays a fold, `evaluate_...` and `validation_...`.
      names: readings to keep.
      summarise: of the samples.
    """
    per_fold = [
        {name: result[f"evaluate_{name}"] for name in ("stored", "recalibrated", "samples")}
        for result in results
    ]
    samples = np.concatenate([fold["samples"] for fold in per_fold], axis=1)
    per_fold = [readings(fold) for fold in per_fold]
    numbers = np.concatenate([fold.evaluate for fold in folds])
    validation = None
    if folds[0].validation is not None:
        held = clips.labels[folds[0].validation]
        validation = held, summarise(results[0]["validation_samples"])
    return Scored(
        numbers=numbers,
        folds=np.repeat(np.arange(len(folds)), [len(fold.evaluate) for fold in folds]),
        labels=clips.labels[numbers],
        probabilities={n: np.concatenate([fold[n] for fold in per_fold]) for n in names},
        samples=samples,
        summary=summarise(samples),
        validation=validation,
    )


def score_readings(folds, scored: Scored) -> dict:
    """Accuracy and calibration of each reading, over folds and pooled."""
    repeats = folds[-1].repeat + 1  # they score the same clips again
    table = {}
    for name, probabilities in scored.probabilities.items():
        pooled = scored.labels
        accuracies = [
            metrics.accuracy(probabilities[scored.folds == place], pooled[scored.folds == place])
            for place in range(len(folds))
        ]
        by_repeat = np.reshape(accuracies, (repeats, -1))
        correct = probabilities.argmax(-1) == pooled
        doubt = uncertainty.entropy(probabilities)
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
            "expected_calibration_error": uncertainty.expected_calibration_error(
                probabilities, pooled
            ),
            "negative_log_likelihood": metrics.negative_log_likelihood(probabilities, pooled),
            "area_under_risk_coverage": uncertainty.area_under_risk_coverage(doubt, correct),
        }
    return table


def train_seconds(history: pd.DataFrame, folds) -> float:
    """Time of all epochs of the scored folds, without compiling and scoring."""
    return float(history[history["fold"].isin([fold.name for fold in folds])]["seconds"].sum())


def best_epoch(history: pd.DataFrame, folds) -> dict | None:
    """Mean over folds of the best epoch's accuracy: chosen on what it scores, so optimistic."""
    if "evaluation_accuracy" not in history:
        return None
    scored = history[history["fold"].isin([fold.name for fold in folds])]
    best = scored.groupby("fold")["evaluation_accuracy"].max()
    return {"accuracy_mean_of_folds": float(best.mean()), "reading": "stored"}


def kept_epoch(history: pd.DataFrame, folds) -> int | None:
    """The epoch whose weights are scored if the validation loss chose it, else None: the last."""
    rows = history[history["fold"] == folds[0].name].to_dict("records")
    return epoch_of_lowest_loss(rows)


def epoch_of_lowest_loss(history: list[dict]) -> int | None:
    """The first epoch with the lowest loss on the validation clips, None where none was scored."""
    losses = {row["epoch"]: row["validation_loss"] for row in history if "validation_loss" in row}
    # NaN is smaller than nothing, but nothing is smaller than NaN either
    return min(losses, key=lambda epoch: (np.isnan(losses[epoch]), losses[epoch]), default=None)


def kept_line(epoch: int | None) -> str:
    """Says in a report which epoch's weights are scored."""
    if epoch is None:
        return "Last epoch throughout."
    return f"Weights of epoch {epoch}, whose loss on the validation part is the lowest."


def single_pass(scored: Scored) -> dict:
    samples, labels = scored.samples, scored.labels
    accuracies = (samples.argmax(-1) == labels).mean(-1)
    logits = np.log(np.maximum(samples, 1e-30)).mean(0)
    return {
        "passes": len(samples),
        "accuracy_mean": float(accuracies.mean()),
        "accuracy_std": float(accuracies.std()),
        "accuracy_of_one": float(accuracies[0]),
        "ensemble_of_probabilities": metrics.accuracy(scored.summary.mean, labels),
        "ensemble_of_log_probabilities": metrics.accuracy(logits, labels),
    }


def selective(target: float, scored: Scored, doubt, correct, validation=None) -> dict:
    """Abstain threshold on an uncertainty, chosen on clips that it is not scored on.

    With a validation set the threshold comes from it. In a cross-validation each fold's comes
    from the other folds, and the bundle's from all. Where no share of the clips, or less than one
    in a hundred, reaches the target accuracy there is no threshold (None) and nothing abstains.

    Args:
      target: accuracy that answered clips shall reach.
      scored: says which clip and fold each prediction belongs to.
      doubt, correct: `[N]` of the predictions; NaN of those that do not count.
      validation: the same two of the validation clips, or None.
    """

    def threshold_of(doubt, right) -> float:
        counts = np.isfinite(doubt)
        threshold = uncertainty.abstain_threshold(doubt[counts], right[counts], target)
        few = (doubt <= threshold).sum() < LEAST_ANSWERED * counts.sum()
        return np.inf if few or not np.isfinite(threshold) else threshold

    if validation is not None:
        threshold = threshold_of(*validation)
        answered = doubt <= threshold
        chosen_on = "validation"
    elif scored.folds[-1] > 0:
        answered = np.zeros(len(doubt), bool)
        for fold in np.unique(scored.folds):
            place = scored.folds == fold
            # Repeats score a clip again: its other predictions are not of other clips.
            rest = ~np.isin(scored.numbers, scored.numbers[place])
            answered[place] = doubt[place] <= threshold_of(doubt[rest], correct[rest])
        threshold = threshold_of(doubt, correct)
        chosen_on = "the other folds"
    else:
        threshold = threshold_of(doubt, correct)
        answered = doubt <= threshold
        chosen_on = "the scored clips themselves (optimistic: there is no other set)"
    return {
        "target_accuracy": target,
        "threshold": float(threshold) if np.isfinite(threshold) else None,
        "chosen_on": chosen_on,
        "coverage": float(answered.sum() / max(np.isfinite(doubt).sum(), 1)),
        "accuracy": float(correct[answered].mean()) if answered.any() else None,
    }


def interval_text(bounds) -> str:
    """An interval for a table, "-" where there is none."""
    low, high = bounds
    return "-" if np.isnan(low) else f"{low:.4f} to {high:.4f}"


def identity(clips, folds, scored: Scored) -> dict:
    """Columns of a table of predictions: which clip, whose, of which fold."""
    return {
        "clip": [clips.clip_ids[n] for n in scored.numbers],
        "subject": [clips.subjects[n] for n in scored.numbers],
        "fold": [folds[place].name for place in scored.folds],
    }


def predictions(clips, folds, scored: Scored) -> pd.DataFrame:
    """One row a scored clip: who, truth, every reading's label, probabilities, uncertainty."""
    names, summary = np.asarray(clips.classes), scored.summary
    table = {**identity(clips, folds, scored), "label": names[scored.labels]}
    for reading, probabilities in scored.probabilities.items():
        table[f"predicted_{reading}"] = names[probabilities.argmax(-1)]
    table |= {f"p_{name}": summary.mean[:, i] for i, name in enumerate(clips.classes)}
    table |= {f"std_{name}": summary.variance[:, i] ** 0.5 for i, name in enumerate(clips.classes)}
    table["entropy"] = summary.entropy
    table["mutual_information"] = summary.mutual_information
    table["agreement"] = summary.agreement
    return pd.DataFrame(table).round(5)
