"""Figures of a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_jax.plotting.style import (
    ALERT,
    INK,
    MAIN,
    OTHER,
    PALE,
    PALETTE,
    QUIET,
    SEQUENTIAL,
    SMALL,
    TEXT,
    TITLE,
    dress,
    dress_colour_bar,
    legend_below,
    make_figure,
    set_title,
)

_CONTOURS = (  # contours of the 68 points; True where one is closed
    (range(0, 17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False),
    (range(31, 36), False), (range(36, 42), True), (range(42, 48), True), (range(48, 60), True),
    (range(60, 68), True),
)  # fmt: skip


def confusion_matrix(matrix, classes: Sequence[str], title: str = "Confusion matrix") -> Figure:
    """Draws percent of the true class (rows) by predicted class (columns), with counts below.

    Args:
      matrix: `[C, C]` counts; the recall of each class is on the diagonal.
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
        colour = "white" if share[row, column] > 0.55 else (INK if count else PALE)
        place = {"ha": "center", "color": colour}
        text = f"{100 * share[row, column]:.1f}" if count else "0"
        axes.text(column, row, text, va="bottom" if count else "center", fontsize=TEXT, **place)
        if count:
            axes.text(column, row + 0.1, f"{count:.0f}", va="top", fontsize=SMALL, **place)
    dress(axes, x="predicted class", y="true class")
    accuracy = f"accuracy {np.trace(matrix) / total:.1%}, {matrix.sum():.0f} clips"
    axes.set_title(f"{title}\n{accuracy}", fontsize=TITLE, color=INK, loc="left", pad=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=28, format=PercentFormatter(1))
    dress_colour_bar(bar, "share of the true class", TEXT)
    return figure


def confusion_panels(panels: Mapping[str, tuple]) -> Figure:
    """Draws confusion matrices in percent of the true class, two a row.

    Args:
      panels: title -> matrix `[C, C]` of counts, true class by predicted class, and C names.

    Source: Hasani & Mahoor, CVPRW 2017, figures 4 and 5.
    """
    rows, columns = -(-len(panels) // 2), min(len(panels), 2)
    side = 1.5 + 0.45 * max(len(classes) for _, classes in panels.values())
    figure = make_figure(columns * side + 0.4, rows * side + 0.2)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, (matrix, classes)) in zip(grid, panels.items(), strict=False):
        percent = 100 * matrix / np.maximum(np.sum(matrix, 1, keepdims=True), 1)
        axes.imshow(percent, cmap=SEQUENTIAL, vmin=0, vmax=100)
        for (row, column), value in np.ndenumerate(percent):
            colour = "white" if value > 55 else (INK if value else PALE)
            style = {"ha": "center", "va": "center", "color": colour, "fontsize": SMALL}
            axes.text(column, row, f"{value:.0f}", **style)
        dress(axes, x="predicted class", y="true class", title=f"{title}, %")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right")
        axes.set_yticks(range(len(classes)), classes)
    return figure


def recall_bars(recalls: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draws the share of the clips of each class that each method recognises.

    Args:
      recalls: method -> class -> percent.
      title: the dataset.

    Source: Yu et al., Neurocomputing 317, 2018, figures 7 to 9.
    """
    classes = list(next(iter(recalls.values())))
    figure = make_figure(1.6 + 1.1 * len(classes), 4.2)
    axes = figure.add_subplot()
    width = 0.8 / len(recalls)
    for index, (method, values) in enumerate(recalls.items()):
        places = np.arange(len(classes)) + width * (index + 0.5) - 0.4
        shown = [values.get(name, np.nan) for name in classes]
        axes.bar(places, shown, width * 0.94, label=method, color=PALETTE[index % len(PALETTE)])
    axes.set_xticks(range(len(classes)), classes)
    axes.set_ylim(0, 102)
    dress(axes, y="clips recognised, %", title=title, grid="y")
    legend_below(figure, axes, 4)
    return figure


def sample_accuracies(
    accuracies,
    ensemble: float,
    deterministic: float | None = None,
    recalibrated: float | None = None,
    title: str = "Accuracy of single MC samples",
) -> Figure:
    """Draws the distribution of the accuracies of single MC samples, and that of their ensemble.

    Args:
      accuracies: `[S]`, 0..1, of each sample on the whole evaluation set.
      ensemble: accuracy of the mean of all samples.
      deterministic: accuracy without dropout, stored BatchNorm statistics.
      recalibrated: accuracy without dropout, recalibrated BatchNorm statistics.
      title: what was evaluated.

    Source: Heidari & Iosifidis, MMSP 2021, figure 2.
    """
    accuracies = np.asarray(accuracies, float)
    figure = make_figure(6.6, 4.1)
    axes = figure.add_subplot()
    values, counts = np.unique(accuracies.round(6), return_counts=True)
    if len(values) <= 24:  # a bar each value, as bins would fall between the multiples of one clip
        width = 0.85 * np.diff(values).min() if len(values) > 1 else 0.002
        axes.bar(values, counts, width=width, color=OTHER, label=_samples_label(accuracies))
    else:
        axes.hist(accuracies, bins=20, color=OTHER, label=_samples_label(accuracies), rwidth=0.94)
    lines = (
        (ensemble, f"ensemble of all MC samples: {ensemble:.1%}", MAIN, "-"),
        (deterministic, "dropout off, stored statistics", ALERT, "--"),
        (recalibrated, "dropout off, recalibrated statistics", INK, ":"),
    )
    for value, label, colour, style in lines:
        if value is not None:
            label = label if "%" in label else f"{label}: {value:.1%}"
            axes.axvline(value, color=colour, linestyle=style, linewidth=2.2, label=label)
    dress(axes, x="accuracy on the evaluation set", y="number of MC samples", title=title, grid="y")
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    least = max(0, 0.02 - (high - low) / 2)  # no zoom into negligible differences
    axes.set_xlim(low - least, high + least)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes, 1)
    return figure


def _samples_label(accuracies: np.ndarray) -> str:
    mean, deviation = accuracies.mean(), accuracies.std()
    return f"{len(accuracies)} MC samples: {mean:.1%} ± {deviation:.1%} (standard deviation)"


def class_distributions(
    samples,
    classes: Sequence[str],
    true_label: str | None = None,
    landmarks=None,
    title: str = "",
    pictures=None,
) -> Figure:
    """Draws the probabilities of every class over the MC samples of one clip.

    Args:
      samples: `[S, C]` probabilities.
      classes: names.
      true_label: the clip's class, marked in the figure.
      landmarks: `[T, 68, 2]` pixels; first, middle and last frame are drawn above.
      title: which clip.
      pictures: `[T, S, S, 3]` uint8 RGB, drawn instead of landmarks that are unknown (NaN).

    Source: Heidari & Iosifidis, MMSP 2021, figure 3.
    """
    samples = np.asarray(samples, float)
    if landmarks is not None and not np.isfinite(landmarks).all():
        landmarks = None
    drawn = landmarks is not None or pictures is not None
    heights = ([1.35] if drawn else []) + [1.1 + 0.36 * len(classes)]
    figure = make_figure(6.6, sum(heights) + 0.3)
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if landmarks is not None:
        _draw_frames(rows[0], np.asarray(landmarks, float))
    elif drawn:
        _draw_pictures(rows[0], pictures)
    axes = rows[-1].subplots()
    _draw_samples(axes, samples)
    ticks = [f"{name} (true)" if name == true_label else name for name in classes]
    axes.set_yticks(range(len(classes)), ticks)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    dress(axes, x=f"probability ({len(samples)} MC samples)", grid="x")
    for tick, name in zip(axes.get_yticklabels(), classes, strict=True):
        tick.set_fontsize(TEXT)
        tick.set_fontweight("bold" if name == true_label else "normal")
    axes.tick_params(axis="y", length=0)
    if title:
        set_title(figure, title)
    return figure


def _draw_samples(axes, samples: np.ndarray) -> None:
    """A dot each MC sample, a box of the quartiles; mean and deviation in the right margin."""
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


def _positions(frames: int) -> dict[str, int]:
    """The frames to draw of a clip: name -> index; of a still image there is one."""
    if frames == 1:
        return {"": 0}
    return {"first frame": 0, "middle frame": frames // 2, "last frame": frames - 1}


def _draw_pictures(figure, pictures: np.ndarray) -> None:
    shown = _positions(len(pictures))
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (name, position) in zip(grid, shown.items(), strict=True):
        axes.imshow(pictures[position])
        axes.set_axis_off()
        axes.set_title(name, fontsize=SMALL, color=INK, pad=3)


def _draw_frames(figure, landmarks: np.ndarray) -> None:
    shown = _positions(len(landmarks))
    low, high = landmarks.min((0, 1)), landmarks.max((0, 1))
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (name, position) in zip(grid, shown.items(), strict=True):
        for run, closed in _CONTOURS:
            points = landmarks[position, [*run, *run[:1]] if closed else list(run)]
            axes.plot(*points.T, color=MAIN, linewidth=1.1, solid_capstyle="round")
        margin = 0.05 * (high - low)
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(high[1] + margin[1], low[1] - margin[1])
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(name, fontsize=SMALL, color=INK, pad=3)


def uncertainty_curves(rows: Mapping[str, Mapping]) -> Figure:
    """Draws the distribution function of the uncertainty of each dataset.

    Args:
      rows: dataset -> `known`, and evenly spaced `quantiles` of `entropy` and
        `mutual_information`, nats.
    """
    measures = {"entropy": "entropy (nats)", "mutual_information": "mutual information (nats)"}
    figure = make_figure(9.0, 4.2)
    for axes, (measure, label) in zip(figure.subplots(1, 2), measures.items(), strict=True):
        for index, (name, row) in enumerate(rows.items()):
            role = "known, validation subjects" if row["known"] else "unseen"
            quantiles = row["quantiles"][measure]
            axes.plot(
                [0, *quantiles], [0, *np.linspace(0, 1, len(quantiles))],
                color=PALETTE[(index + 1) % len(PALETTE)] if row["known"] else ALERT,
                linestyle="-" if row["known"] else "--", linewidth=2, label=f"{name} ({role})",
            )  # fmt: skip
        dress(axes, x=label, y="share of the clips", title=label.partition(" (")[0], grid="both")
        axes.set_ylim(0, 1.02)
        axes.set_xlim(left=0)
    legend_below(figure, axes, 3)
    return figure
