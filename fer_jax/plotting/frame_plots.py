"""Figures about the frames of a clip: how much each counts, and where a network looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.plotting.style import (
    ALERT,
    INK,
    MAIN,
    QUIET,
    SMALL,
    TITLE,
    dress,
    legend_below,
    make_figure,
)


def intensity_weights(weights, motion, title: str = "Expression intensity of the frames") -> Figure:
    """Draws the weight that a model gives each step of a clip over how far faces have moved.

    Args:
      weights: `[R, N]`, the weights of R trained networks, each adding to 1.
      motion: `[N]` mean distance of the landmarks from their place at the first step, in
        distances of the eyes.
      title: what was trained.

    Source: Liu, Zhang & Zhou, ICPR 2020, figure 4 (there through a sigmoid).
    """
    weights, motion = np.atleast_2d(weights), np.asarray(motion)
    steps = np.arange(1, weights.shape[1] + 1)
    figure = make_figure(6.4, 5.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    weights = weights * len(steps)
    upper.axhline(1, color=QUIET, linestyle="--", linewidth=1.4, label="equal weights")
    for row in weights if len(weights) > 1 else ():
        upper.plot(steps, row, color=MAIN, linewidth=0.8, alpha=0.3)
    label = "learned weight" + (f", mean of {len(weights)} folds" if len(weights) > 1 else "")
    upper.plot(steps, weights.mean(0), "o-", color=MAIN, linewidth=2, markersize=4, label=label)
    lower.plot(steps, motion, "s-", color=ALERT, linewidth=1.6, markersize=4)
    upper.ticklabel_format(axis="y", useOffset=False)
    dress(upper, y="weight (1: its equal share)", title=title, grid="y")
    dress(lower, x="step of the clip", y="landmark motion\n(eye distances)", grid="y")
    lower.set_ylim(bottom=0)
    lower.set_xlim(0.5, len(steps) + 0.5)
    lower.xaxis.set_major_locator(MaxNLocator(16, integer=True))
    legend_below(figure, upper, 2)
    return figure


def heat_maps(
    crops, rows: Sequence[tuple[str, np.ndarray]], title: str, scale: str = "", shown: int = 8
) -> Figure:
    """Draws face crops and, below each, what maps say about them.

    Args:
      crops: `[T, S, S, 3]` uint8 RGB.
      rows: name and maps `[T, h, w]`, 0 and more.
      title: what is seen.
      scale: what a colour bar from 0 to 1 says that the maps are, which then lie over grey crops;
        without it each row is drawn on the scale of its own largest.
      shown: columns, at equal intervals over the clip.

    Source: Liu, Zhang & Zhou, ICPR 2020, figure 3.
    """
    chosen = np.unique(np.linspace(0, len(crops) - 1, shown).round().astype(int))
    width = 1.15 * len(chosen) + 0.9 + 0.8 * bool(scale)
    figure = make_figure(width, 1.25 * (len(rows) + 1) + 0.5)
    grid = figure.subplots(len(rows) + 1, len(chosen), squeeze=False)
    side = crops.shape[1]
    for column, frame in enumerate(chosen):
        for row, axes in enumerate(grid[:, column]):
            axes.imshow(_grey(crops[frame]) if scale and row else crops[frame])
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        grid[0, column].set_title(f"step {frame + 1}", fontsize=SMALL, color=INK, pad=3)
        for axes, (_, maps) in zip(grid[1:, column], rows, strict=True):
            largest = 1.0 if scale else max(float(maps.max()), 1e-12)
            image = axes.imshow(
                maps[frame] / largest, cmap="inferno", alpha=0.55, vmin=0, vmax=1,
                interpolation="bilinear", extent=(-0.5, side - 0.5, side - 0.5, -0.5),
            )  # fmt: skip
    for axes, name in zip(grid[:, 0], ("crop", *(name for name, _ in rows)), strict=True):
        axes.set_ylabel(name, fontsize=SMALL, color=INK)
    if scale:
        bar = figure.colorbar(image, ax=grid, aspect=36, pad=0.015)
        bar.ax.set_facecolor("grey")  # as the crops: the colours on it are those of the maps
        bar.set_label(scale, fontsize=SMALL, color=INK)
        bar.ax.tick_params(labelsize=SMALL, colors=INK)
        bar.outline.set_visible(False)
    figure.suptitle(title, fontsize=TITLE, color=INK, x=0.01, ha="left")
    return figure


def _grey(crop: np.ndarray) -> np.ndarray:
    return np.repeat(crop.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
