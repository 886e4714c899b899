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
from fer_jax.tasks.evaluation import READINGS, Scored

LOSS = "cross-entropy (nats)"
table = scores.predictions


def headline(row: dict) -> str:
    """The line of a reading in the terminal."""
    return f"accuracy {row['accuracy_mean_of_folds']:.4f}"


def content(config, clips, folds, scored: Scored, history) -> tuple[dict, dict]:
    """Returns the figures for metrics.json, and the `Curves` of each reading."""
    readings, curves = scores.score_readings(folds, scored)
    selective = scores.abstaining(config.evaluation.target_accuracy, scored)
    return {
        "readings": readings,
        "kept_epoch": evaluation.kept_epoch(history, folds),
        "best_epoch": evaluation.best_epoch_accuracy(history, folds),
        "single_pass": scores.single_pass(scored),
        "selective": selective,
        "databases": database_report.content(config, clips, folds, scored, selective["threshold"]),
    }, curves


def order(scored: Scored) -> np.ndarray:
    """Indices of the predictions, from the most certainly right to the most certainly wrong."""
    wrong = scored.summary.mean.argmax(-1) != scored.labels
    entropy = scored.summary.entropy
    return np.lexsort((np.where(wrong, -entropy, entropy), wrong))


def figures(clips, scored: Scored, content: dict, curves: dict) -> Iterator[tuple]:
    """Draws the figures: names, figures, captions."""
    summary, labels, table = scored.summary, scored.labels, content["readings"]
    has_dropout, source = scored.has_dropout, scored.source
    matrix = metrics.confusion_matrix(summary.mean, labels)
    yield "confusion", confusion_matrix(matrix, clips.classes), f"Confusion, {source}"
    if has_dropout:
        figure = pass_accuracies(
            (scored.samples.argmax(-1) == labels).mean(-1),
            metrics.accuracy(summary.mean, labels),
            table["stored"]["accuracy_pooled"],
            table["recalibrated"]["accuracy_pooled"],
        )
        caption = "Accuracies of the single passes and of their ensemble (ST-BLN paper's figure 2)"
        yield "passes", figure, caption
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
        yield "databases", figure, f"Doubt on each data set, {source}"
    if has_dropout:
        yield from _clip_figures(clips, scored)


def _clip_figures(clips, scored: Scored) -> Iterator[tuple]:
    for kind, index in _telling_clips(scored).items():
        number, words = scored.indices[index], kind.replace("_", " ")
        figure = class_distributions(
            scored.samples[:, index],
            clips.classes,
            clips.classes[scored.labels[index]],
            clips.landmarks[number],
            f"{clips.clip_ids[number]} ({words})",
        )
        caption = f"Predictions of the passes for one clip: {words} (figure 3 there)"
        yield f"clip_{kind}", figure, caption


def _telling_clips(scored: Scored) -> dict[str, int]:
    """One clip each: surely right, unsure, surely wrong (where there is one)."""
    correct = scored.summary.mean.argmax(-1) == scored.labels
    order = np.argsort(scored.summary.entropy, kind="stable")
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
    rows = [_reading_row(name, row) for name, row in content["readings"].items()]
    return [
        *report_lines.table(headings, rows),
        "",
        report_lines.MEASURES,
        "",
        *_repeat_lines(content["readings"]),
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
        READINGS[name],
        report_lines.number(row["accuracy_mean_of_folds"]),
        report_lines.interval(row["interval_95_folds"]),
        report_lines.number(row["accuracy_pooled"]),
        report_lines.interval(row["interval_95_pooled"]),
        report_lines.number(row["expected_calibration_error"]),
        report_lines.number(row["negative_log_likelihood"]),
        report_lines.number(row["area_under_risk_coverage"]),
    ]


def _repeat_lines(table: dict) -> list[str]:
    """Mean and deviation over the folds, or over the repeats where there are several."""
    lines = []
    for name, row in table.items():
        values, trials = row["accuracy_repeats"], list(row["accuracy_folds"].values())
        if len(trials) > len(values) == 1:
            lines.append(
                f"- {READINGS[name]}, {len(trials)} folds: {np.mean(trials):.4f} +- "
                f"{np.std(trials, ddof=1):.4f} (mean and deviation over folds)"
            )
        if len(values) > 1:
            lines.append(
                f"- {READINGS[name]}, {len(values)} repeats: {np.mean(values):.4f} +- "
                f"{np.std(values, ddof=1):.4f} (mean of folds, mean and deviation over repeats); "
                f"{len(trials)} trials: +- {np.std(trials, ddof=1):.4f} (deviation over all folds)"
            )
    return [*lines, ""] if lines else []
