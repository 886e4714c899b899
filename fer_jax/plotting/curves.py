"""Curves that tasks share: learning curves, reliability, risk at coverage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_jax.plotting.style import (
    ALERT,
    MAIN,
    OTHER,
    PALETTE,
    QUIET,
    dress,
    legend_below,
    make_figure,
    set_title,
)

_FEW = 0.05  # share of the clips


def learning_curves(
    history: pd.DataFrame, title: str = "Learning curves", loss: str = "cross-entropy (nats)"
) -> Figure:
    """Draws loss and accuracy over epochs: thin lines for folds, a thick one for their mean.

    Args:
      history: columns `fold`, `epoch`, `train_loss`, `train_accuracy` and, if an evaluation set
        was evaluated during training, `evaluation_loss`, `evaluation_accuracy` (0..1).
      title: what was trained.
      loss: name of the loss with its unit.
    """
    figure = make_figure(9.0, 3.9)
    panels = figure.subplots(1, 2)
    folds = history["fold"].nunique()
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        for split, colour in (("train", MAIN), ("evaluation", ALERT)):
            column = f"{split}_{quantity}"
            if column in history and history[column].notna().any():
                _draw_curve(axes, history[["fold", "epoch", column]].dropna(), colour, split)
        dress(axes, x="epoch", y=loss if quantity == "loss" else quantity, grid="both")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylim(0, panels[0].dataLim.y1 * 1.05 or 1)
    panels[1].set_ylim(0, 1.02)
    panels[1].yaxis.set_major_formatter(PercentFormatter(1))
    folds = f" ({folds} folds thin, mean thick)" if folds > 1 else ""
    set_title(figure, title + folds)
    legend_below(figure, panels[1], 2)
    return figure


def _draw_curve(axes, history: pd.DataFrame, colour: str, label: str) -> None:
    column = history.columns[-1]
    folds = [fold for _, fold in history.groupby("fold")]
    for fold in folds if len(folds) > 1 else ():
        axes.plot(fold["epoch"], fold[column], color=colour, linewidth=0.7, alpha=0.35)
    mean = history.groupby("epoch")[column].mean()
    marker = "o" if len(mean) < 3 else None
    axes.plot(mean.index, mean, color=colour, linewidth=2.2, label=label, marker=marker)


def points(series: Mapping[str, Mapping], x: str, y: str, title: str) -> Figure:
    """Draws one line of points for each series.

    Args:
      series: name -> position -> value.
      x, y: labels of the axes with their units.
      title: what is shown.
    """
    figure = make_figure(6.0, 4.2)
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(series.items()):
        style = {"color": PALETTE[index % len(PALETTE)], "marker": "os^Dv"[index % 5]}
        axes.plot(list(values), list(values.values()), label=name, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress(axes, x=x, y=y, title=title, grid="both")
    legend_below(figure, axes, 4)
    return figure


def reliability(
    confidence,
    accuracy,
    count,
    ece: float,
    calibrated: tuple | None = None,
    title: str = "Reliability of the probabilities",
    right: str = "accuracy",
) -> Figure:
    """Draws accuracy against confidence, and the number of clips in every bin.

    Args:
      confidence, accuracy: `[K]` means of the bins, 0..1, NaN where empty.
      count: `[K]` clips in the bins; bins share 0..1 evenly.
      ece: expected calibration error, 0..1.
      calibrated: the same four of the calibrated probabilities, drawn as a line; None: there are
        none.
      title: what was evaluated.
      right: what `accuracy` is called.
    """
    confidence, accuracy = np.asarray(confidence, float), np.asarray(accuracy, float)
    count = np.asarray(count)
    left, width = np.arange(len(count)) / len(count), 1 / len(count)
    figure = make_figure(5.6, 6.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    used = np.isfinite(accuracy) & (count > 0)
    upper.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1.4, label="perfectly calibrated")
    upper.bar(
        left[used], accuracy[used], width=0.94 * width, align="edge", color=OTHER, alpha=0.75,
        label=f"{right} in a bin",
    )  # fmt: skip
    upper.plot(
        confidence[used], accuracy[used], "o", color=MAIN, markersize=5, clip_on=False, zorder=3,
        label="at the bin's mean confidence",
    )  # fmt: skip
    lower.bar(left, count, width=0.94 * width, align="edge", color=QUIET)
    note = f"expected calibration error {ece:.3f}"
    if calibrated is not None:
        own, shares, clips, error = calibrated
        filled = np.asarray(clips) > 0
        looks = {"color": ALERT, "marker": "D", "markersize": 4.5, "linewidth": 1.4}
        label = "after calibration, at the bin's mean confidence"
        upper.plot(own[filled], shares[filled], label=label, clip_on=False, zorder=4, **looks)
        lower.stairs(clips, np.append(left, 1), color=ALERT, linewidth=1.4)
        note = f"ECE {ece:.3f}, after calibration {error:.3f}"
    note = f"{title}\n{note}; {int(count.sum()):,} clips"
    dress(upper, y=right, title=note, grid="y")
    dress(lower, x="confidence (probability of the predicted class)", y="clips", grid="y")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    legend_below(figure, upper, 1)
    return figure


def risk_coverage(
    curves: Mapping[str, tuple], title: str = "Selective prediction: risk at coverage"
) -> Figure:
    """Draws the error rate among the most certain clips against their share, the coverage.

    The axis leaves out what a few clips alone say, see `highest_risk`.

    Args:
      curves: name of an uncertainty -> (coverage `[N]`, risk `[N]`, area under the curve).
      title: what was evaluated.
    """
    figure = make_figure(6.4, 4.5)
    axes = figure.add_subplot()
    styles = ("-", "--", "-.", ":")
    highest = highest_risk(curves)
    for index, (name, (coverage, risk, area)) in enumerate(curves.items()):
        colour = (MAIN, ALERT, OTHER, *PALETTE)[index % (3 + len(PALETTE))]
        style = {"color": colour, "linestyle": styles[index % 4], "linewidth": 2}
        if len(coverage) == 1:  # clips that all tie: a point, which no line shows
            style |= {"marker": "o", "clip_on": False}
        axes.step(coverage, risk, where="post", label=f"{name} (area {area:.3f})", **style)
    x, y = "coverage (share of the clips)", "risk (error rate)"
    dress(axes, x=x, y=y, title=title, grid="both")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, highest)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    legend_below(figure, axes, 1 if len(curves) < 3 else 2)
    return figure


def highest_risk(curves: Mapping[str, tuple]) -> float:
    """Upper end of the axis of risk: that of fewer clips than `_FEW` is luck.

    Args:
      curves: see `risk_coverage`.
    """
    highest = 0.0
    for coverage, risk, _ in curves.values():
        own = np.asarray(risk)[np.asarray(coverage) >= _FEW]
        highest = max(highest, float(np.max(own, initial=0)))
    return min(1.0, 1.1 * highest) or 0.1
