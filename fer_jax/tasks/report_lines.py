"""Lines of report.md that tasks share: tables, numbers, sentences on epochs and abstaining."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fer_jax.tasks.evaluation import INFERENCE_MODES
from fer_jax.uncertainty.stored import percent

MEASURES = (
    "ECE: expected calibration error (15 bins). NLL: negative log likelihood, nats. "
    "AURC: area under the risk-coverage curve of the entropy; the error rate is useless. AUGRC: "
    "the share of all clips that is covered and wrong, mean over coverages; half the error rate is "
    "useless. Of each, less is better."
)
# Of what is promised in a cross-validation.
OF_ALL = "That the bundle's network, trained on all of them, is no worse is likely, not promised."
LEAST_SUBJECTS = 3  # an interval from fewer says nothing about people


def table(headings: str, rows: Iterable[Sequence[str]]) -> list[str]:
    """Makes a Markdown table; " | " separates its headings."""
    headings = headings.split(" | ")

    def line(cells: Sequence[str]) -> str:
        return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"

    return [line(headings), "|" + "---|" * len(headings), *map(line, rows)]


def number(value: float | None, digits: int = 4) -> str:
    """Formats a number of a table; "-" stands for a missing one."""
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def interval(bounds: tuple[float, float], subjects: int = LEAST_SUBJECTS) -> str:
    """Formats an interval of a table.

    Args:
      bounds: lower and upper.
      subjects: number of subjects that it comes from.

    Returns:
      "-" for one that is missing, has no width or comes from too few subjects.
    """
    low, high = map(number, bounds)
    return f"{low} to {high}" if low != high and subjects >= LEAST_SUBJECTS else "-"


def fold_lines(modes: Mapping[str, Mapping], score: str) -> list[str]:
    """Lists mean and standard deviation of a score over folds, and over repeats if there are any.

    Args:
      modes: inference mode -> row of metrics.json with `SCORE_folds` and `SCORE_repeats`.
      score: "accuracy" or "f1".
    """
    lines = []
    for name, row in modes.items():
        repeats, folds = row[f"{score}_repeats"], list(row[f"{score}_folds"].values())
        if len(folds) < 2:
            continue
        over_folds = f"{np.mean(folds):.4f} +- {np.std(folds, ddof=1):.4f} over {len(folds)} folds"
        line = f"- {INFERENCE_MODES[name]}: {over_folds}"
        if len(repeats) > 1:
            line += f", +- {np.std(repeats, ddof=1):.4f} over {len(repeats)} repeats"
        lines.append(line)
    name = {"accuracy": "Accuracy", "f1": "Mean F1"}[score]
    return [f"{name} of the folds, mean and standard deviation:", "", *lines, ""] if lines else []


def epoch_lines(selected: int | None, best: dict | None = None, examples: str = "clips") -> str:
    """Says which epoch's weights are evaluated, and what the best epochs reach.

    Args:
      selected: the epoch that the validation loss selected; None: the last one counts.
      best: of `evaluation.best_epoch_accuracy`.
      examples: "clips" or "images".
    """
    text = "The weights of the last epoch are evaluated."
    if selected is not None:
        text = (
            f"The weights of epoch {selected} are evaluated, which has the lowest validation loss."
        )
    if best is None:
        return text
    return (
        f"{text} Accuracy of each fold's best epoch, mean of folds: "
        f"{best['accuracy_mean_of_folds']:.4f} (dropout off, stored BatchNorm statistics; "
        f"optimistic, as it is chosen on the evaluation {examples})."
    )


def single_samples_line(single: dict | None, text: str) -> str:
    """Says what single samples reach; `text` is formatted with the row `single`."""
    if single is None:
        return "The model has no dropout, so there are no MC samples."
    return f"Single samples ({single['mc_samples']}): {text.format(**single)}."


def abstaining_line(row: dict, measure: str, rule: str, examples: str, note: str = "") -> str:
    """Says what abstaining above a threshold gains, and what is promised of it.

    Args:
      row: of `abstaining.content`.
      measure: the uncertainty.
      rule: where the model abstains; formatted with the threshold.
      examples: "clips" or "images".
      note: what to add.
    """
    target = f"{row['target_accuracy']:.2f}"
    if row["threshold"] is None:
        return (
            f"Selective prediction: no threshold on {measure} reaches the target accuracy "
            f"{target}; the bundle never abstains{note}."
        )
    reached = number(row["accuracy"]).replace("-", "none")
    return (
        f"Selective prediction: the model abstains {rule.format(row['threshold'])} (threshold for "
        f"an accuracy of {target}, chosen on {row['chosen_on']}). Coverage {row['coverage']:.1%} "
        f"of the {examples}, accuracy on them {reached}{note}. {promise_line(row, examples)}"
    )


def promise_line(row: dict, examples: str) -> str:
    """Says what is promised of a threshold that there is, and of which networks.

    Args:
      row, examples: see `abstaining_line`.
    """
    promise, sure = row["promise"], percent(row["promise"]["confidence"])
    people = f"{promise['people']} people, {promise['clips']} {examples}"
    if promise["threshold"] is None:
        return (
            f"No threshold can promise that target with {sure} confidence over people ({people}): "
            f"this one reached it on the {examples} it was chosen on."
        )
    whose = " for the networks of the folds" * row["crossed"]
    return (
        f"Promised{whose} with {sure} confidence over people ({people}): on those {examples} it "
        f"covers {promise['coverage']:.1%} with an accuracy of {promise['accuracy']:.4f}, at least "
        f"{promise['bound']:.4f} for people like them.{f' {OF_ALL}' * row['crossed']}"
    )
