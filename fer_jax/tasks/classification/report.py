"""The report of a classifier: accuracy and calibration of its readings, when it may abstain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import metrics
from fer_jax.plotting.curves import reliability, risk_coverage
from fer_jax.tasks import evaluation, report_lines
from fer_jax.tasks.classification import database_report, scores
from fer_jax.tasks.classification.figures import (
    class_distributions,
    confusion_matrix,
    pass_accuracies,
    uncertainty_curves,
)
from fer_jax.tasks.evaluation import INFERENCE_MODES, Scored

LOSS = "cross-entropy (nats)"
table = scores.predictions


def headline(row: dict) -> str:
    """The line of a reading in the terminal."""
    return f"accuracy {row['accuracy_mean_of_folds']:.4f}"


def content(config, clips, folds, evaluated: Scored, history) -> tuple[dict, dict]:
    """Returns the figures for metrics.json, and the `Curves` of each reading."""
    inference_modes, curves = scores.score_inference_modes(folds, evaluated)
    selective = scores.abstaining(config.evaluation.target_accuracy, evaluated)
    return {
        "inference_modes": inference_modes,
        "kept_epoch": evaluation.kept_epoch(history, folds),
        "best_epoch": evaluation.best_epoch_accuracy(history, folds),
        "single_pass": scores.single_pass(evaluated),
        "selective": selective,
        "databases": database_report.content(
            config, clips, folds, evaluated, selective["threshold"]
        ),
    }, curves


def order(evaluated: Scored) -> np.ndarray:
    """Indices of the predictions, from the most certainly right to the most certainly wrong."""
    wrong = evaluated.summary.mean.argmax(-1) != evaluated.labels
    entropy = evaluated.summary.entropy
    return np.lexsort((np.where(wrong, -entropy, entropy), wrong))


def figures(clips, evaluated: Scored, content: dict, curves: dict) -> Iterator[tuple]:
    """Draws the figures: names, figures, captions."""
    summary, labels, table = evaluated.summary, evaluated.labels, content["inference_modes"]
    has_dropout, source = evaluated.has_dropout, evaluated.source
    matrix = metrics.confusion_matrix(summary.mean, labels)
    yield "confusion", confusion_matrix(matrix, clips.classes), f"Confusion, {source}"
    if has_dropout:
        figure = pass_accuracies(
            (evaluated.samples.argmax(-1) == labels).mean(-1),
            metrics.accuracy(summary.mean, labels),
            table["stored"]["accuracy_pooled"],
            table["recalibrated"]["accuracy_pooled"],
        )
        caption = "Accuracies of the single passes and of their ensemble (ST-BLN paper's figure 2)"
        yield "mc_samples", figure, caption
    own = curves["mc_dropout" if has_dropout else "stored"]
    figure = reliability(*own.reliability)
    yield "reliability", figure, f"Confidence against accuracy, {source}"
    risks = {f"entropy ({source})": own.risk}
    if has_dropout:
        correct = summary.mean.argmax(-1) == labels
        for name, measure in (
            ("mutual information", summary.mutual_information),
            ("1 - agreement", 1 - summary.agreement),
        ):
            risks[f"{name} (MC dropout)"] = evaluation.risk_curve(measure, correct)
    risks["entropy (recalibrated)"] = curves["recalibrated"].risk
    yield "risk_coverage", risk_coverage(risks), "Error among the clips answered"
    if content["databases"] is not None:
        figure = uncertainty_curves(content["databases"]["rows"])
        yield "databases", figure, f"Doubt on each dataset, {source}"
    if has_dropout:
        yield from _clip_figures(clips, evaluated)


def _clip_figures(clips, evaluated: Scored) -> Iterator[tuple]:
    for kind, index in _telling_clips(evaluated).items():
        clip, words = evaluated.indices[index], kind.replace("_", " ")
        figure = class_distributions(
            evaluated.samples[:, index],
            clips.classes,
            clips.classes[evaluated.labels[index]],
            clips.landmarks[clip],
            f"{clips.clip_ids[clip]} ({words})",
        )
        caption = f"Predictions of the passes for one clip: {words} (figure 3 there)"
        yield f"clip_{kind}", figure, caption


def _telling_clips(evaluated: Scored) -> dict[str, int]:
    """One clip each: surely right, unsure, surely wrong (where there is one)."""
    correct = evaluated.summary.mean.argmax(-1) == evaluated.labels
    order = np.argsort(evaluated.summary.entropy, kind="stable")
    chosen = {"least_certain": int(order[-1])}
    if correct.any():
        chosen["most_certain"] = int(order[correct[order]][0])
    if not correct.all():
        chosen["most_certain_error"] = int(order[~correct[order]][0])
    return chosen


def lines(content: dict) -> list[str]:
    """Text and tables of report.md."""
    kept, best = report_lines.kept_epoch_line(content["kept_epoch"]), content["best_epoch"]
    chosen = "No epoch was scored in between."
    if best is not None:
        chosen = report_lines.best_epoch_line(best, "clips")
    headings = (
        "reading | accuracy, mean of folds | 95% interval | accuracy, pooled | "
        "95% interval | ECE | NLL | AURC"
    )
    rows = [_reading_row(name, row) for name, row in content["inference_modes"].items()]
    return [
        *report_lines.table(headings, rows),
        "",
        report_lines.MEASURES,
        "",
        *_repeat_lines(content["inference_modes"]),
        f"{kept} {chosen}",
        "",
        report_lines.single_pass_line(
            content["single_pass"],
            "{accuracy_mean:.4f} +- {accuracy_std:.4f}; ensemble of probabilities "
            "{ensemble_of_probabilities:.4f}, of log probabilities "
            "{ensemble_of_log_probabilities:.4f}",
        ),
        "",
        report_lines.abstaining_line(
            content["selective"], "the entropy", "above an entropy of {:.3f} nats", "clips"
        ),
        "",
        *database_report.lines(content["databases"]),
    ]


def _reading_row(name: str, row: dict) -> list[str]:
    return [
        INFERENCE_MODES[name],
        report_lines.index(row["accuracy_mean_of_folds"]),
        report_lines.interval(row["interval_95_folds"]),
        report_lines.index(row["accuracy_pooled"]),
        report_lines.interval(row["interval_95_pooled"]),
        report_lines.index(row["expected_calibration_error"]),
        report_lines.index(row["negative_log_likelihood"]),
        report_lines.index(row["area_under_risk_coverage"]),
    ]


def _repeat_lines(table: dict) -> list[str]:
    """Mean and deviation over the folds, or over the repeats where there are several."""
    lines = []
    for name, row in table.items():
        values, trials = row["accuracy_repeats"], list(row["accuracy_folds"].values())
        if len(trials) > len(values) == 1:
            lines.append(
                f"- {INFERENCE_MODES[name]}, {len(trials)} folds: {np.mean(trials):.4f} +- "
                f"{np.std(trials, ddof=1):.4f} (mean and deviation over folds)"
            )
        if len(values) > 1:
            lines.append(
                f"- {INFERENCE_MODES[name]}, {len(values)} repeats: {np.mean(values):.4f} +- "
                f"{np.std(values, ddof=1):.4f} (mean of folds, mean and deviation over repeats); "
                f"{len(trials)} trials: +- {np.std(trials, ddof=1):.4f} (deviation over all folds)"
            )
    return [*lines, ""] if lines else []
