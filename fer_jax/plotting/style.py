"""The house look and the figures of an evaluation: data in, matplotlib Figure out.

`figure.savefig(path)` writes one. `timeline.py` draws predictions over time in the same look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

# The house look. Colours stay apart for colour-blind readers (Paul Tol's "muted" scheme).
PALETTE = (
    "#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933",
    "#AA4499",
)  # fmt: skip
MAIN, OTHER, ALERT, QUIET = "#332288", "#44AA99", "#D55E00", "#8A8F98"
INK = "#22262B"
SEQUENTIAL = "Blues"
TITLE, TEXT, SMALL = 12, 10, 8.5  # points
DPI = 150

CONTOURS = (  # runs of the 68 points that belong together; True where the run is closed
    (range(0, 17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False),
    (range(31, 36), False), (range(36, 42), True), (range(42, 48), True), (range(48, 60), True),
    (range(60, 68), True),
)  # fmt: skip


def class_colours(number: int) -> list[str]:
    """Returns one colour a class; they repeat beyond nine, so never let colour alone tell."""
    return [PALETTE[index % len(PALETTE)] for index in range(number)]


def make_figure(width: float, height: float) -> Figure:
    """An empty figure; width and height in inches."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def dress(axes, *, x: str = "", y: str = "", title: str = "", grid: str | None = None) -> None:
    """Gives axes the house look; labels carry their unit."""
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    if title:
        axes.set_title(title, fontsize=TITLE, color=INK, loc="left", pad=8)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(axis=grid, color="#E4E6EA", linewidth=0.8)
        axes.set_axisbelow(True)


def legend_below(figure: Figure, axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False
    )


def confusion_matrix(matrix, classes: Sequence[str], title: str = "Confusion matrix") -> Figure:
    """Draws counts of true class (rows) against predicted class (columns).

    Args:
      matrix: `[C, C]` counts; the colour is the share of the row.
      classes: names, in the matrix's order.
      title: what was evaluated; accuracy and number of clips are added.
    """
    matrix = np.asarray(matrix)
    rows = matrix.sum(1, keepdims=True)
    share = matrix / np.maximum(rows, 1)
    total = max(int(matrix.sum()), 1)
    side = 2.6 + 0.58 * len(classes)
    figure = make_figure(side + 0.9, side)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap=SEQUENTIAL, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.55 else (INK if count else "#C3C7CE")
        text = f"{count:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=TEXT)
    dress(axes, x="predicted class", y="true class")
    accuracy = f"accuracy {np.trace(matrix) / total:.1%}, {matrix.sum():.0f} clips"
    axes.set_title(f"{title}\n{accuracy}", fontsize=TITLE, color=INK, loc="left", pad=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=28, format=PercentFormatter(1))
    bar.set_label("share of the true class", fontsize=TEXT, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    return figure


def learning_curves(
    history: pd.DataFrame, title: str = "Learning curves", loss: str = "cross-entropy (nats)"
) -> Figure:
    """Draws loss and accuracy over epochs; of several folds each thin and their mean thick.

    Args:
      history: columns `fold`, `epoch`, `train_loss`, `train_accuracy` and, where an evaluation
        set was looked at, `evaluation_loss`, `evaluation_accuracy` (0..1).
      title: what was trained.
      loss: what it is, with its unit.
    """
    figure = make_figure(9.0, 3.9)
    panels = figure.subplots(1, 2)
    folds = history["fold"].nunique()
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        for part, colour in (("train", MAIN), ("evaluation", ALERT)):
            column = f"{part}_{quantity}"
            if column in history and history[column].notna().any():
                _draw_curve(axes, history[["fold", "epoch", column]].dropna(), colour, part)
        dress(axes, x="epoch", y=loss if quantity == "loss" else quantity)
        axes.grid(color="#E4E6EA", linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylim(0, panels[0].dataLim.y1 * 1.05 or 1)
    panels[1].set_ylim(0, 1.02)
    panels[1].yaxis.set_major_formatter(PercentFormatter(1))
    folds = f" ({folds} folds thin, mean thick)" if folds > 1 else ""
    figure.suptitle(title + folds, fontsize=TITLE, color=INK, x=0.01, ha="left")
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


def pass_accuracies(
    accuracies,
    ensemble: float,
    deterministic: float | None = None,
    recalibrated: float | None = None,
    title: str = "Accuracy of single passes with dropout",
) -> Figure:
    """Draws how the accuracies of single stochastic passes scatter, and the ensemble's as a line.

    Args:
      accuracies: `[S]`, 0..1, one of each pass over the whole evaluation set.
      ensemble: accuracy of the mean of all passes.
      deterministic: accuracy without dropout, stored BatchNorm statistics.
      recalibrated: accuracy without dropout, statistics re-estimated without dropout.
      title: what was evaluated.

    Source: Heidari & Iosifidis, MMSP 2021, figure 2.
    """
    accuracies = np.asarray(accuracies, float)
    figure = make_figure(6.6, 4.1)
    axes = figure.add_subplot()
    values, counts = np.unique(accuracies.round(6), return_counts=True)
    if len(values) <= 24:  # accuracies are multiples of one clip: bins would cut between them
        width = 0.85 * np.diff(values).min() if len(values) > 1 else 0.002
        axes.bar(values, counts, width=width, color=OTHER, label=_passes(accuracies))
    else:
        axes.hist(accuracies, bins=20, color=OTHER, label=_passes(accuracies), rwidth=0.94)
    lines = (
        (ensemble, f"ensemble of all passes: {ensemble:.1%}", MAIN, "-"),
        (deterministic, "without dropout, stored statistics", ALERT, "--"),
        (recalibrated, "without dropout, re-estimated statistics", INK, ":"),
    )
    for value, label, colour, style in lines:
        if value is not None:
            label = label if "%" in label else f"{label}: {value:.1%}"
            axes.axvline(value, color=colour, linestyle=style, linewidth=2.2, label=label)
    dress(axes, x="accuracy on the evaluation set", y="number of passes", title=title, grid="y")
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    least = max(0, 0.02 - (high - low) / 2)  # accuracies that hardly differ look that way
    axes.set_xlim(low - least, high + least)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes, 1)
    return figure


def _passes(accuracies: np.ndarray) -> str:
    mean, deviation = accuracies.mean(), accuracies.std()
    return f"{len(accuracies)} single passes: {mean:.1%} ± {deviation:.1%} (standard deviation)"


def class_distributions(
    samples,
    classes: Sequence[str],
    true_label: str | None = None,
    landmarks=None,
    title: str = "",
) -> Figure:
    """Draws, for one clip, how the passes' probabilities of every class scatter.

    Args:
      samples: `[S, C]` probabilities, one row a stochastic pass.
      classes: names.
      true_label: the clip's class, marked in the figure.
      landmarks: `[T, 68, 2]` pixels; first, middle and last frame are drawn above.
      title: which clip.

    Source: Heidari & Iosifidis, MMSP 2021, figure 3.
    """
    samples = np.asarray(samples, float)
    heights = ([1.35] if landmarks is not None else []) + [1.1 + 0.36 * len(classes)]
    figure = make_figure(6.6, sum(heights) + 0.3)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if landmarks is not None:
        _draw_frames(parts[0], np.asarray(landmarks, float))
    axes = parts[-1].subplots()
    _draw_samples(axes, samples)
    ticks = [f"{name} (true)" if name == true_label else name for name in classes]
    axes.set_yticks(range(len(classes)), ticks)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    dress(axes, x=f"probability ({len(samples)} passes with dropout)", grid="x")
    for tick, name in zip(axes.get_yticklabels(), classes, strict=True):
        tick.set_fontsize(TEXT)
        tick.set_fontweight("bold" if name == true_label else "normal")
    axes.tick_params(axis="y", length=0)
    if title:
        figure.suptitle(title, fontsize=TITLE, color=INK, x=0.01, ha="left")
    return figure


def _draw_samples(axes, samples: np.ndarray) -> None:
    """Every pass a dot, quartiles a box; mean and standard deviation in the right margin."""
    mean, deviation = samples.mean(0), samples.std(0)
    scatter = np.linspace(-0.26, 0.26, len(samples))
    scatter = scatter[np.random.default_rng(0).permutation(len(samples))]
    for row, values in enumerate(samples.T):
        colour = MAIN if row == mean.argmax() else QUIET
        style = {"color": colour, "alpha": 0.45, "s": 9, "linewidths": 0}
        axes.scatter(values, row + scatter, **style)
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        box = {"height": 0.62, "edgecolor": colour, "facecolor": "none", "linewidth": 1.4}
        axes.barh(row, high - low, left=low, **box)
        axes.plot([middle, middle], [row - 0.31, row + 0.31], color=colour, linewidth=2.2)
        text = f"{mean[row]:.2f} ± {deviation[row]:.2f}"
        axes.text(1.05, row, text, va="center", fontsize=SMALL, color=INK)
    axes.text(1.05, -0.75, "mean ± s.d.", va="center", fontsize=SMALL, color=INK)


def _draw_frames(figure, landmarks: np.ndarray) -> None:
    positions = (0, len(landmarks) // 2, len(landmarks) - 1)
    names = ("first frame", "middle frame", "last frame")
    low, high = landmarks.min((0, 1)), landmarks.max((0, 1))
    for axes, position, name in zip(figure.subplots(1, 3), positions, names, strict=True):
        for run, closed in CONTOURS:
            points = landmarks[position, [*run, *run[:1]] if closed else list(run)]
            axes.plot(*points.T, color=MAIN, linewidth=1.1, solid_capstyle="round")
        margin = 0.05 * (high - low)
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(high[1] + margin[1], low[1] - margin[1])
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(name, fontsize=SMALL, color=INK, pad=3)


def reliability(
    confidence, accuracy, count, ece: float, title: str = "Reliability of the probabilities"
) -> Figure:
    """Draws accuracy against confidence, and how many clips lie in every bin.

    Args:
      confidence, accuracy: `[K]` means of the bins, 0..1, NaN where empty.
      count: `[K]` clips in the bins; bins share 0..1 evenly.
      ece: expected calibration error, 0..1.
      title: what was evaluated.
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
        label="accuracy of the clips in a bin",
    )  # fmt: skip
    upper.plot(
        confidence[used], accuracy[used], "o", color=MAIN, markersize=5, clip_on=False, zorder=3,
        label="at the bin's mean confidence",
    )  # fmt: skip
    lower.bar(left, count, width=0.94 * width, align="edge", color=QUIET)
    note = f"{title}\nexpected calibration error {ece:.3f}, {int(count.sum())} clips"
    dress(upper, y="accuracy", title=note, grid="y")
    dress(lower, x="confidence (probability of the predicted class)", y="clips", grid="y")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    legend_below(figure, upper, 1)
    return figure


def risk_coverage(
    curves: Mapping[str, tuple], title: str = "Selective prediction: risk at coverage"
) -> Figure:
    """Draws the error rate among the most certain clips against how many are answered.

    Args:
      curves: name of an uncertainty -> (coverage `[N]`, risk `[N]`, area under the curve).
      title: what was evaluated.
    """
    figure = make_figure(6.4, 4.5)
    axes = figure.add_subplot()
    styles = ("-", "--", "-.", ":")
    highest = 0.0
    for index, (name, (coverage, risk, area)) in enumerate(curves.items()):
        colour = (MAIN, ALERT, OTHER, *PALETTE)[index % (3 + len(PALETTE))]
        style = {"color": colour, "linestyle": styles[index % 4], "linewidth": 2}
        axes.step(coverage, risk, where="post", label=f"{name} (area {area:.3f})", **style)
        highest = max(highest, float(np.max(risk, initial=0)))
    dress(axes, x="coverage (share of clips answered)", y="risk (error rate)", title=title)
    axes.grid(color="#E4E6EA", linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, min(1.0, 1.1 * highest) or 0.1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    legend_below(figure, axes, 1 if len(curves) < 3 else 2)
    return figure
