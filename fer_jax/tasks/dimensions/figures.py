"""Figures of valence, arousal and dominance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MultipleLocator, PercentFormatter

from fer_jax.faces import emotion_ratings
from fer_jax.plotting.style import (
    ALERT,
    MAIN,
    OTHER,
    PALETTE,
    QUIET,
    SEQUENTIAL,
    SMALL,
    dress,
    legend_below,
    make_figure,
    set_panel_title,
    set_title,
)

_CROWD = 500  # number of points above which their density is drawn


def draw_words(axes, size: float = SMALL) -> None:
    """Marks the emotion words on axes of valence and arousal."""
    for word, (valence, arousal) in emotion_ratings.word_points(emotion_ratings.PLANE).items():
        axes.plot(valence, arousal, "+", color=ALERT, markersize=6, markeredgewidth=1.3, zorder=4)
        below = word in emotion_ratings.WRITTEN_BELOW
        text = axes.annotate(
            word, (valence, arousal), (0, -4 if below else 4), textcoords="offset points",
            ha="center", va="top" if below else "bottom", fontsize=size, color=ALERT, zorder=5,
        )  # fmt: skip
        text.set_path_effects([withStroke(linewidth=2, foreground="white", alpha=0.8)])


def dress_plane(axes, title: str = "") -> None:
    """Shows the whole scale of valence (to the right) and arousal (upwards)."""
    dress(axes, x="valence", y="arousal", title=title, grid="both")
    axes.set_aspect("equal")
    for axis, limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        limits(*emotion_ratings.SCALE)
        axis.set_major_locator(MultipleLocator(1))


def plane(panels: Mapping[str, np.ndarray]) -> Figure:
    """Draws images in the plane of valence and arousal, with the emotion words.

    Args:
      panels: title -> `[N, 2]` valence and arousal, 1 to 9.
    """
    figure = make_figure(4.6 * len(panels) + 0.4, 5.0)
    for axes, (title, values) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _draw_points(axes, *np.asarray(values).T)
        draw_words(axes)
        dress_plane(axes, title)
    return figure


def _draw_points(axes, x, y) -> None:
    """Draws a point each image, or the density of many images on a logarithmic scale."""
    if len(x) <= _CROWD:
        axes.scatter(x, y, s=16, color=MAIN, alpha=0.45, linewidths=0, zorder=3)
        return
    extent = (*emotion_ratings.SCALE, *emotion_ratings.SCALE)
    axes.hexbin(
        x, y, gridsize=48, extent=extent, mincnt=1, cmap=SEQUENTIAL, linewidths=0.1, zorder=2,
        norm=LogNorm(vmin=0.3),  # so that a single image is visible
    )  # fmt: skip


def scatter(dimensions: Sequence[str], labels, predicted, notes: Sequence[str]) -> Figure:
    """Draws predictions against labels, a panel each dimension.

    Args:
      dimensions: names.
      labels, predicted: `[N, D]`, 1 to 9.
      notes: text above the panel of each dimension.
    """
    figure = make_figure(3.4 * len(dimensions) + 0.4, 4.3)
    panels = figure.subplots(1, len(dimensions), squeeze=False)[0]
    for index, (axes, name) in enumerate(zip(panels, dimensions, strict=True)):
        ends = emotion_ratings.SCALE
        axes.plot(ends, ends, "--", color=QUIET, linewidth=1.2, zorder=1)
        _draw_points(axes, np.asarray(labels)[:, index], np.asarray(predicted)[:, index])
        dress(axes, x=f"{name}, label", y="predicted" if index == 0 else "")
        set_panel_title(axes, notes[index])
        axes.set_aspect("equal")
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.xaxis.set_major_locator(MultipleLocator(1))
        axes.yaxis.set_major_locator(MultipleLocator(1))
    set_title(figure, "Predictions against labels")
    return figure


def threshold_accuracy(
    thresholds, curves: Mapping[str, Sequence[float]], tolerance: float, reference: float
) -> Figure:
    """Draws the share of images whose error is below a threshold, over the threshold.

    Args:
      thresholds: `[K]`, on the scale of the dimensions.
      curves: inference mode -> `[K]` shares, 0..1.
      tolerance: the threshold of the reported accuracy.
      reference: accuracy of the best classifier of the same images, 0..1.

    Source: Zhou et al., arXiv 1805.01024, figure 6.
    """
    figure = make_figure(6.4, 4.6)
    axes = figure.add_subplot()
    styles = zip((QUIET, OTHER, MAIN), ("-", "--", "-"), ("s", "^", "o"), strict=True)
    last = len(curves) - 1
    for index, ((name, shares), style) in enumerate(zip(curves.items(), styles, strict=False)):
        colour, line, marker = style if index < last else (MAIN, "-", "o")
        axes.plot(
            thresholds, shares, line, color=colour, marker=marker, markersize=4, label=name,
            clip_on=False,
        )  # fmt: skip
    axes.axvline(tolerance, color=QUIET, linewidth=1, linestyle=":")
    label = f"{reference:.2%}, the best classifier of the Kaggle challenge"
    axes.axhline(reference, color=ALERT, linewidth=1.2, linestyle="--", label=label)
    title = "Images whose error is below a threshold"
    x, y = "threshold on the root mean square error of an image", "share"
    dress(axes, x=x, y=y, title=title, grid="both")
    axes.set_xlim(min(thresholds), max(thresholds))
    axes.set_ylim(0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(figure, axes, 1)
    return figure


def threshold_panels(
    thresholds, panels: Mapping[str, Mapping[str, Sequence[float]]], reference: float
) -> Figure:
    """Draws the curves of `threshold_accuracy` for several models, a panel each set of dimensions.

    Args:
      thresholds: `[K]`.
      panels: title -> model -> `[K]` shares, 0..1.
      reference: see `threshold_accuracy`.

    Source: Zhou et al., arXiv 1805.01024, figure 6.
    """
    figure = make_figure(4.8 * len(panels) + 0.4, 4.6)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        for index, (name, shares) in enumerate(curves.items()):
            style = {"color": PALETTE[index % len(PALETTE)], "marker": "os^Dv"[index % 5]}
            axes.plot(thresholds, shares, markersize=4, label=name, clip_on=False, **style)
        label = f"{reference:.2%}, RBM of the Kaggle challenge"
        axes.axhline(reference, color=ALERT, linewidth=1.2, linestyle="--", label=label)
        dress(axes, x="threshold", y="accuracy", title=title, grid="both")
        axes.set_xlim(min(thresholds), max(thresholds))
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(figure, max(grid, key=lambda axes: len(axes.lines)), 3)
    return figure


def rating_histograms(dimensions: Sequence[str], labels) -> Figure:
    """Draws the distribution of the labels of each dimension.

    Args:
      dimensions: names.
      labels: `[N, D]`, 1 to 9.

    Source: Zhou et al., arXiv 1805.01024, figure 4.
    """
    figure = make_figure(3.4 * len(dimensions) + 0.4, 3.4)
    panels = figure.subplots(1, len(dimensions), squeeze=False, sharey=True)[0]
    for index, (axes, name) in enumerate(zip(panels, dimensions, strict=True)):
        axes.hist(np.asarray(labels)[:, index], bins=40, range=emotion_ratings.SCALE, color=MAIN)
        dress(axes, x=name, y="images" if index == 0 else "", grid="y")
        axes.xaxis.set_major_locator(MultipleLocator(1))
    return figure


def interval_calibration(levels, kinds: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draws the coverage of the intervals against their nominal coverage.

    Args:
      levels: `[K]`, 0..1.
      kinds: kind of intervals -> dimension -> `[K]` coverages.
    """
    dimensions = list(next(iter(kinds.values())))
    figure = make_figure(3.3 * len(dimensions) + 0.4, 4.3)
    panels = figure.subplots(1, len(dimensions), squeeze=False)[0]
    for index, (axes, dimension) in enumerate(zip(panels, dimensions, strict=True)):
        axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1.2, label="perfectly calibrated")
        looks = ((MAIN, "o"), (ALERT, "s"))
        for (name, rows), (colour, marker) in zip(kinds.items(), looks, strict=False):
            axes.plot(
                levels, rows[dimension], color=colour, marker=marker, markersize=3.5,
                linewidth=1.6, label=name, clip_on=False,
            )  # fmt: skip
        y = "coverage" if index == 0 else ""
        dress(axes, x="nominal coverage", y=y, grid="both")
        set_panel_title(axes, dimension)
        axes.set_aspect("equal")
        for axis, limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
            limits(0, 1)
            axis.set_major_formatter(PercentFormatter(1))
    set_title(figure, "Calibration of the intervals")
    legend_below(figure, panels[0], 1)
    return figure
