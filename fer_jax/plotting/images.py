"""Figures of faces in a row: what is shown, what was said, where a network looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fer_jax.plotting.style import INK, SMALL, TITLE, make_figure

FACES = 10  # of the best and of the worst predictions
_COLUMN, _LINE = 1.05, 0.13  # inches: width of a face, height of a line of text


class Shown(NamedTuple):
    """A face of a figure.

    Attributes:
      picture: `[S, S, 3]` uint8 RGB.
      text: what stands above it, one line or several.
      maps: `[h, w]` each, what lies over the same face below it.
    """

    picture: np.ndarray
    text: str
    maps: Sequence[np.ndarray] = ()


def ends(order: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The first and, from the last on, the last of an order, at most `FACES` and none in both."""
    count = min(FACES, max(1, len(order) // 2))
    return order[:count], order[::-1][:count]


def faces(groups: Mapping[str, Sequence[Shown]], names: Sequence[str] = ()) -> Figure:
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
        part.suptitle(title, fontsize=TITLE, color=INK, x=0.01, ha="left")
    return figure


def _draw(axes, shown: Shown) -> None:
    side = shown.picture.shape[0]
    axes[0].set_title(shown.text, fontsize=SMALL - 2, color=INK, pad=2)
    grey = np.repeat(shown.picture.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    axes[0].imshow(shown.picture)
    for below, values in zip(axes[1:], shown.maps, strict=True):
        below.imshow(grey)
        below.imshow(
            values, cmap="inferno", alpha=0.55, interpolation="bilinear",
            extent=(-0.5, side - 0.5, side - 0.5, -0.5),
        )  # fmt: skip
