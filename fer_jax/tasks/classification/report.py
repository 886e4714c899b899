"""The report of a classifier: accuracy and calibration by inference mode, abstaining."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax import metrics
from fer_jax.data.clips import take
from fer_jax.plotting.curves import reliability, risk_coverage
from fer_jax.tasks import evaluation, report_lines, trust_report
from fer_jax.tasks.classification import by_class, cross_database_report, scores
from fer_jax.tasks.classification import figures as drawings
from fer_jax.tasks.evaluation import INFERENCE_MODES, Evaluated
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import number

LOSS = "cross-entropy (nats)"
table, ambiguity = scores.predictions, scores.ambiguity


def headline(row: dict) -> str:
    """Line of an inference mode in the terminal."""
    return f"accuracy {row['accuracy_mean_of_folds']:.4f}"


def content(config, clips, folds, evaluated: Evaluated, history) -> tuple[dict, dict]:
    """Returns the numbers for metrics.json, and the `Curves` of each inference mode."""
    inference_modes, curves = scores.score_inference_modes(folds, evaluated)
    selective = scores.abstaining(evaluated)
    for name, row in inference_modes.items():
        row |= by_class.content(clips, evaluated, evaluated.probabilities[name])
    return {
        "inference_modes": inference_modes,
        "chance_accuracy": float(np.bincount(evaluated.labels).max() / len(evaluated.labels)),
        "selected_epoch": evaluation.selected_epoch(history, folds),
        "best_epoch": evaluation.best_epoch_accuracy(history, folds),
        "single_samples": scores.single_samples(evaluated),
        "selective": selective,
        **trust_report.content(clips.classes, evaluated),
        "figure_clips": list(config.evaluation.figure_clips),
        "cross_database": cross_database_report.content(
            config, clips, folds, evaluated, selective["threshold"]
        ),
    }, curves


def parts(clips, folds, evaluated: Evaluated, content: dict) -> list[Part]:
    """The tables of classes and confusion, by fold and by person."""
    found = by_class.parts(clips, folds, evaluated, content)
    return [*found, *trust_report.parts(evaluated)]


def compared(content: dict) -> dict:
    """Accuracy by inference mode, mean of folds.

    Args:
      content: of metrics.json.
    """
    found = {}
    for name, row in content["inference_modes"].items():
        found |= {
            name: row["accuracy_mean_of_folds"],
            f"{name}_ece": row["expected_calibration_error"],
        }
    return found


def order(evaluated: Evaluated) -> np.ndarray:
    """Indices of the predictions, from the most certainly right to the most certainly wrong."""
    wrong = evaluated.summary.mean.argmax(-1) != evaluated.labels
    entropy = evaluated.summary.entropy
    return np.lexsort((np.where(wrong, -entropy, entropy), wrong))


def figures(clips, evaluated: Evaluated, content: dict, curves: dict) -> Iterator[tuple]:
    """Yields name, figure and caption of each figure."""
    summary, labels, table = evaluated.summary, evaluated.labels, content["inference_modes"]
    has_samples, source = evaluated.has_samples, evaluated.source
    matrix = metrics.confusion_matrix(summary.mean, labels)
    figure = drawings.confusion_matrix(matrix, clips.classes)
    yield "confusion", figure, f"Confusion in percent of the true class, with counts, {source}"
    if has_samples:
        figure = drawings.sample_accuracies(
            (evaluated.samples.argmax(-1) == labels).mean(-1),
            metrics.accuracy(summary.mean, labels),
            table["stored"]["accuracy_pooled"],
            table["recalibrated"]["accuracy_pooled"],
        )
        caption = "Accuracy of single MC samples and of their ensemble (ST-BLN paper, figure 2)"
        yield "mc_samples", figure, caption
    own = curves[evaluated.mode]
    yield reliability_figure(evaluated, own.reliability, labels)
    risks = {f"entropy ({source})": own.risk}
    if has_samples:
        correct = summary.mean.argmax(-1) == labels
        for name, measure in (
            ("mutual information", summary.mutual_information),
            ("1 - agreement", 1 - summary.agreement),
        ):
            risks[f"{name} ({source})"] = evaluation.risk_curve(measure, correct)
    risks["entropy (recalibrated)"] = curves["recalibrated"].risk
    yield "risk_coverage", risk_coverage(risks), "Error rate at each coverage"
    held = evaluated.trust.given.sets[np.arange(len(labels)), labels]
    yield from trust_report.figures(content["sets"], held, evaluated.people)
    if content["cross_database"] is not None:
        figure = drawings.uncertainty_curves(content["cross_database"]["rows"])
        yield "cross_database", figure, f"Uncertainty on each dataset, {source}"
    if has_samples:
        examples = _example_clips(evaluated) | chosen_clips(clips, evaluated, content)
        yield from clip_figures(clips, evaluated, examples)


def reliability_figure(evaluated: Evaluated, before: tuple, labels, right: str = "accuracy"):
    """Name, figure and caption: `Curves.reliability` before and after calibration.

    Args:
      before: of the probabilities that are not calibrated.
      labels: that it is of.
      right: name of the share of labels that are predicted.
    """
    trust, after = evaluated.trust, None
    if trust.fitted.calibrator.method != "none":
        after = evaluation.reliability_curve(trust.given.probabilities, labels)
    caption = f"{right.capitalize()} against confidence, {evaluated.source}"
    return "reliability", reliability(*before, after, right=right), caption


def chosen_clips(clips, evaluated: Evaluated, content: dict) -> dict[str, int]:
    """Predictions for the clips that the config names."""
    names = [clips.clip_ids[index] for index in evaluated.indices]
    return {f"chosen_{n}": names.index(name) for n, name in enumerate(content["figure_clips"], 1)}


def clip_figures(clips, evaluated: Evaluated, examples: dict[str, int]) -> Iterator[tuple]:
    """Figures of single clips: what is drawn, and the index of its prediction.

    A label below 0 is unknown.
    """
    for kind, index in examples.items():
        label = evaluated.labels[index]
        clip, words = evaluated.indices[index], kind.replace("_", " ")
        figure = drawings.class_distributions(
            evaluated.samples[:, index],
            clips.classes,
            clips.classes[label] if label >= 0 else None,
            clips.landmarks[clip],
            f"{clips.clip_ids[clip]} ({words})",
            None if clips.crops is None else take(clips, np.array([clip]))["frames"][0],
        )
        caption = f"MC samples of one clip: {words} (ST-BLN paper, figure 3)"
        yield f"clip_{kind}", figure, caption


def _example_clips(evaluated: Evaluated) -> dict[str, int]:
    """Picks the least certain, the most certain right and the most certain wrong prediction."""
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
    modes = content["inference_modes"]
    return [
        *by_class.lines(modes, content["subjects_evaluated"]),
        *report_lines.fold_lines(modes, "accuracy"),
        f"Chance level (share of the most frequent class): {content['chance_accuracy']:.4f}.",
        "",
        *_table(modes),
        "",
        report_lines.MEASURES,
        "",
        report_lines.epoch_lines(content["selected_epoch"], content["best_epoch"]),
        "",
        report_lines.single_samples_line(
            content["single_samples"],
            "accuracy {accuracy_mean:.4f} +- {accuracy_std:.4f}; ensemble of probabilities "
            "{ensemble_of_probabilities:.4f}, of log probabilities "
            "{ensemble_of_log_probabilities:.4f}",
        ),
        "",
        report_lines.abstaining_line(
            content["selective"], "the entropy", "above an entropy of {:.3f} nats", "clips"
        ),
        "",
        *trust_report.lines(content),
        *cross_database_report.lines(content["cross_database"]),
    ]


def _table(modes: dict) -> list[str]:
    """The table of calibration by inference mode."""
    keys = (
        "expected_calibration_error", "negative_log_likelihood", "area_under_risk_coverage",
        "area_under_generalised_risk",
    )  # fmt: skip
    rows = [
        [INFERENCE_MODES[name], *(number(row[key]) for key in keys)] for name, row in modes.items()
    ]
    return report_lines.table("inference mode | ECE | NLL | AURC | AUGRC", rows)
