"""The report of a classifier: accuracy and calibration of its readings, when it may abstain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import metrics, uncertainty
from fer_jax.plotting import style
from fer_jax.tasks import evaluation
from fer_jax.tasks.classification import database_report
from fer_jax.tasks.evaluation import READINGS

LOSS = "cross-entropy (nats)"
table = evaluation.predictions


def headline(row: dict) -> str:
    """What the terminal says of a reading."""
    return f"accuracy {row['accuracy_mean_of_folds']:.4f}"


def content(config, clips, folds, scored: evaluation.Scored, history) -> dict:
    """Figures for metrics.json."""
    selective = _selective(config, scored)
    return {
        "readings": evaluation.score_readings(folds, scored),
        "kept_epoch": evaluation.kept_epoch(history, folds),
        "best_epoch": evaluation.best_epoch(history, folds),
        "single_pass": evaluation.single_pass(scored)
        if "mc_dropout" in scored.probabilities
        else None,
        "selective": selective,
        "databases": database_report.content(config, clips, folds, scored, selective["threshold"]),
    }


def _selective(config, scored: evaluation.Scored) -> dict:
    def doubt_and_correct(labels, summary):
        return summary.entropy, summary.mean.argmax(-1) == labels

    validation = None if scored.validation is None else doubt_and_correct(*scored.validation)
    return evaluation.selective(
        config.evaluation.target_accuracy,
        scored,
        *doubt_and_correct(scored.labels, scored.summary),
        validation,
    )


def order(scored: evaluation.Scored) -> np.ndarray:
    """Places of the clips, from the most certainly right one to the most certainly wrong one."""
    wrong = scored.summary.mean.argmax(-1) != scored.labels
    doubt = scored.summary.entropy
    return np.lexsort((np.where(wrong, -doubt, doubt), wrong))


def figures(clips, scored: evaluation.Scored, content: dict) -> Iterator[tuple]:
    """Draws the figures: names, figures, captions."""
    summary, labels, table = scored.summary, scored.labels, content["readings"]
    has_dropout = content["single_pass"] is not None
    source = "MC dropout" if has_dropout else "dropout off"
    matrix = metrics.confusion_matrix(summary.mean, labels)
    yield "confusion", style.confusion_matrix(matrix, clips.classes), f"Confusion, {source}"
    if has_dropout:
        figure = style.pass_accuracies(
            (scored.samples.argmax(-1) == labels).mean(-1),
            metrics.accuracy(summary.mean, labels),
            table["stored"]["accuracy_pooled"],
            table["recalibrated"]["accuracy_pooled"],
        )
        caption = "Accuracies of the single passes and of their ensemble (ST-BLN paper's figure 2)"
        yield "passes", figure, caption
    bins = uncertainty.reliability_bins(summary.mean, labels)
    error = uncertainty.expected_calibration_error(summary.mean, labels)
    figure = style.reliability(*bins, error)
    yield "reliability", figure, f"Confidence against accuracy, {source}"
    figure = style.risk_coverage(_risk_curves(scored, has_dropout, source))
    yield "risk_coverage", figure, "Error among the clips answered"
    yield from database_report.figures(content["databases"], source)
    for kind, place in _telling_clips(scored).items() if has_dropout else ():
        number = scored.numbers[place]
        figure = style.class_distributions(
            scored.samples[:, place],
            clips.classes,
            clips.classes[labels[place]],
            clips.landmarks[number],
            f"{clips.clip_ids[number]} ({kind.replace('_', ' ')})",
        )
        caption = (
            f"Predictions of the passes for one clip: {kind.replace('_', ' ')} (figure 3 there)"
        )
        yield f"clip_{kind}", figure, caption


def _risk_curves(scored: evaluation.Scored, has_dropout: bool, source: str) -> dict[str, tuple]:
    summary, curves = scored.summary, {}
    doubts = {f"entropy ({source})": summary.entropy}
    if has_dropout:
        doubts["mutual information (MC dropout)"] = summary.mutual_information
        doubts["1 - agreement (MC dropout)"] = 1 - summary.agreement
    right = summary.mean.argmax(-1) == scored.labels
    questions = [(name, doubt, right) for name, doubt in doubts.items()]
    again = scored.probabilities["recalibrated"]
    right = again.argmax(-1) == scored.labels
    questions.append(("entropy (recalibrated)", uncertainty.entropy(again), right))
    for name, doubt, right in questions:
        area = uncertainty.area_under_risk_coverage(doubt, right)
        curves[name] = (*uncertainty.risk_coverage(doubt, right), area)
    return curves


def _telling_clips(scored: evaluation.Scored) -> dict[str, int]:
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
    rows = [
        "| reading | accuracy, mean of folds | 95% interval | accuracy, pooled | 95% interval | "
        "ECE | NLL | AURC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in content["readings"].items():
        rows.append(
            f"| {READINGS[name]} | {row['accuracy_mean_of_folds']:.4f} | "
            f"{evaluation.interval_text(row['interval_95_folds'])} | {row['accuracy_pooled']:.4f} "
            "| "
            f"{evaluation.interval_text(row['interval_95_pooled'])} | "
            f"{row['expected_calibration_error']:.4f} | {row['negative_log_likelihood']:.4f} | "
            f"{row['area_under_risk_coverage']:.4f} |"
        )
    return [
        *rows,
        "",
        "ECE: expected calibration error (15 bins). NLL: negative log likelihood, nats. "
        "AURC: area under the risk-coverage curve of the entropy, 0 is perfect.",
        "",
        *_repeat_lines(content["readings"]),
        f"{evaluation.kept_line(content['kept_epoch'])} {_best_line(content['best_epoch'])}",
        "",
        _pass_line(content["single_pass"]),
        "",
        _selective_line(content["selective"]),
        "",
        *database_report.lines(content["databases"]),
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


def _pass_line(single: dict | None) -> str:
    if single is None:
        return "The model has no dropout: there is one pass."
    return (
        f"Single passes with dropout ({single['passes']}): {single['accuracy_mean']:.4f} +- "
        f"{single['accuracy_std']:.4f}; ensemble of probabilities "
        f"{single['ensemble_of_probabilities']:.4f}, of log probabilities "
        f"{single['ensemble_of_log_probabilities']:.4f}."
    )


def _best_line(best: dict | None) -> str:
    if best is None:
        return "No epoch was scored in between."
    return (
        f"Best epoch of each fold (chosen on the clips it is scored on, hence optimistic; "
        f"dropout off, stored statistics): {best['accuracy_mean_of_folds']:.4f}."
    )


def _selective_line(selective: dict) -> str:
    if selective["threshold"] is None:
        return (
            f"Selective prediction: no threshold on the entropy reaches the target accuracy "
            f"{selective['target_accuracy']:.2f}; the bundle never abstains."
        )
    reached = "none" if selective["accuracy"] is None else f"{selective['accuracy']:.4f}"
    return (
        f"Selective prediction: abstaining above an entropy of {selective['threshold']:.3f} nats "
        f"(threshold for {selective['target_accuracy']:.2f} accuracy, chosen on "
        f"{selective['chosen_on']}) answers {selective['coverage']:.1%} of the clips, "
        f"accuracy on them {reached}."
    )
