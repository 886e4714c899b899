"""Figures of faces and frames: pictures, predictions, saliency maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fer_jax.plotting.style import INK, SMALL, dress_colour_bar, make_figure, set_title

FACES = 10  # number of best and of worst predictions shown
_COLUMN, _LINE = 1.05, 0.13  # inches: width of a face, height of a line of text


class Shown(NamedTuple):
    """A face of a figure.

    Attributes:
      picture: `[S, S, 3]` uint8 RGB.
      text: one line or several above it.
      maps: `[h, w]` each, drawn over the same face below it.
    """

    picture: np.ndarray
    text: str
    maps: Sequence[np.ndarray] = ()


def best_and_worst(order: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the first and, reversed, the last of an order: at most `FACES` each, no overlap."""
    count = min(FACES, max(1, len(order) // 2))
    return order[:count], order[::-1][:count]


def face_rows(groups: Mapping[str, Sequence[Shown]], names: Sequence[str] = ()) -> Figure:
    """Draws groups of faces, a row each, and below every face its maps.

    Args:
      groups: title -> faces.
      names: of the maps; each map is drawn between its own lowest and highest value.

    Source: Zhou et al., arXiv 1805.01024, figures 7 and 8.
    """
    columns = max(map(len, groups.values()))
    lines = max(shown.text.count("\n") + 1 for group in groups.values() for shown in group)
    height = _COLUMN * (1 + len(names)) + _LINE * lines + 0.35
    figure = make_figure(_COLUMN * columns + 0.5, height * len(groups))
    parts = np.atleast_1d(figure.subfigures(len(groups), 1))
    for part, (title, group) in zip(parts, groups.items(), strict=True):
        grid = part.subplots(1 + len(names), columns, squeeze=False)
        for column, axes in enumerate(grid.T):
            for each in axes:
                each.set_axis_off()
            if column < len(group):
                _draw(axes, group[column])
        for axes, name in zip(grid[1:, 0], names, strict=True):
            axes.text(
                -0.08, 0.5, name, rotation=90, ha="right", va="center", fontsize=SMALL, color=INK,
                transform=axes.transAxes,
            )  # fmt: skip
        set_title(part, title)
    return figure


def _draw(axes, shown: Shown) -> None:
    side = shown.picture.shape[0]
    axes[0].set_title(shown.text, fontsize=SMALL - 2, color=INK, pad=2)
    grey = _grey(shown.picture)
    axes[0].imshow(shown.picture)
    for below, values in zip(axes[1:], shown.maps, strict=True):
        below.imshow(grey)
        below.imshow(
            values, cmap="inferno", alpha=0.55, interpolation="bilinear",
            extent=(-0.5, side - 0.5, side - 0.5, -0.5),
        )  # fmt: skip


def heat_maps(
    crops, rows: Sequence[tuple[str, np.ndarray]], title: str, scale: str = "", shown: int = 8
) -> Figure:
    """Draws face crops and, below each, its maps.

    Args:
      crops: `[T, S, S, 3]` uint8 RGB.
      rows: name and maps `[T, h, w]`, 0 and more.
      title: what is shown.
      scale: label of a colour bar from 0 to 1 for maps over grey crops; without it each row is
        scaled to its largest value.
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
        bar.ax.set_facecolor(
            "grey"
        )  # grey as the crops, so that its colours equal those of the maps
        dress_colour_bar(bar, scale)
    set_title(figure, title)
    return figure


def _grey(crop: np.ndarray) -> np.ndarray:
    return np.repeat(crop.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
