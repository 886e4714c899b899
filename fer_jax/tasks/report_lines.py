"""Lines of report.md that tasks share: tables, numbers, sentences on epochs and abstaining."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

MEASURES = (
    "ECE: expected calibration error (15 bins). NLL: negative log likelihood, nats. "
    "AURC: area under the risk-coverage curve of the entropy, 0 is perfect."
)


def table(headings: str, rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; its headings are divided by " | "."""
    headings = headings.split(" | ")

    def line(cells: Sequence[str]) -> str:
        return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"

    return [line(headings), "|" + "---|" * len(headings), *map(line, rows)]


def index(value: float | None, digits: int = 4) -> str:
    """A number of a table, "-" where there is none."""
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def interval(bounds: tuple[float, float]) -> str:
    """An interval of a table, "-" where there is none."""
    low, high = bounds
    return "-" if np.isnan(low) else f"{low:.4f} to {high:.4f}"


def kept_epoch_line(epoch: int | None) -> str:
    """Says which epoch's weights are scored."""
    if epoch is None:
        return "Last epoch throughout."
    return f"Weights of epoch {epoch}, whose loss on the validation part is the lowest."


def best_epoch_line(best: dict, examples: str) -> str:
    """Says what the best epochs reach; `examples` are "clips" or "images"."""
    return (
        f"Best epoch of each fold (chosen on the {examples} it is scored on, hence optimistic; "
        f"dropout off, stored statistics): {best['accuracy_mean_of_folds']:.4f}."
    )


def single_pass_line(single: dict | None, text: str) -> str:
    """Says what single samples reach; `text` is formatted with the row `single`."""
    if single is None:
        return "The model has no dropout: there is one pass."
    return f"Single passes with dropout ({single['mc_samples']}): {text.format(**single)}."


def abstaining_line(row: dict, measure: str, rule: str, examples: str, note: str = "") -> str:
    """Says what abstaining above a threshold gains.

    Args:
      row: of `evaluation.choose_threshold`.
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
    reached = "none" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
    return (
        f"Selective prediction: abstaining {rule.format(row['threshold'])} (threshold for {target} "
        f"accuracy, chosen on {row['chosen_on']}) answers {row['coverage']:.1%} of the {examples}, "
        f"accuracy on them {reached}{note}."
    )
