"""The figure of two kinds of doubt: how ambiguous and how unfamiliar each prediction is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from fer_jax.faces.labels import AMBIGUOUS, UNFAMILIAR
from fer_jax.plotting.style import (
    ALERT,
    INK,
    MAIN,
    SMALL,
    dress,
    legend_below,
    make_figure,
    make_grid,
    set_panel_title,
    set_title,
)

# Ticks of an axis, which ends as far above the threshold, 1, as below it.
_TICKS = (
    (0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4),
    (0.5, 0.7, 1, 1.4, 2),
    (0.3, 0.5, 1, 2, 3),
    (0.2, 0.5, 1, 2, 5),
    (0.05, 0.2, 1, 5, 20),
)
_ABOVE, _BELOW = 0.01, 0.1  # at most, share of the points beyond the ends of an axis
_MARGIN = {"x": 1.15, "y": 1.5}  # of an axis, beside the logarithm of its last tick
_MOST = 3000  # points drawn, in all panels
_COLUMNS = 3  # of panels


class Doubted(NamedTuple):
    """Predictions of one kind.

    Attributes:
      ambiguity: `[N]` an uncertainty, over its threshold if there is one.
      threshold: on the uncertainty; None: there is none.
      unfamiliarity: `[N]` over its threshold.
      right: `[N]` bool.
    """

    ambiguity: np.ndarray
    threshold: float | None
    unfamiliarity: np.ndarray
    right: np.ndarray


def doubts(
    panels: Mapping[str, Doubted], measure: str, examples: str = "clips", unit: str = ""
) -> Figure:
    """Draws how unfamiliar predictions are over how ambiguous they are, a panel each kind.

    What lies beyond an axis is drawn at its edge, whose tick says so. Of very many points an even
    share is drawn; the numbers in the corners are of all.

    Args:
      panels: action unit or the like -> its predictions; a single one has no title.
      measure: name of the uncertainty.
      examples: what is predicted, in the plural.
      unit: of the uncertainty, after a space.
    """
    ticks = _ticks(np.concatenate([own.unfamiliarity for own in panels.values()]))
    title = f"Two kinds of doubt: {AMBIGUOUS} and {UNFAMILIAR} {examples}"
    if len(panels) == 1:
        figure = make_figure(6.4, 5.6)
        axes, (own,) = figure.add_subplot(), panels.values()
        _draw(axes, own, ticks, _MOST, f" {examples}")
        y = f"{UNFAMILIAR}: distance from the training clips,\nover its threshold"
        dress(axes, x=_label(own, measure, unit), y=y, title=title)
        legend_below(figure, axes, 2)
        return figure
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = make_grid(rows, columns, (2.7, 2.2), gaps=(0.5, 0.75), bottom=0.95, top=0.7)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for index, (name, own) in enumerate(panels.items()):
        axes = grid.flat[index]
        _draw(axes, own, ticks, _MOST // len(panels))
        x = _label(own, measure, unit, short=True)
        y = f"{UNFAMILIAR}: distance / threshold" if index % columns == 0 else ""
        dress(axes, x=x, y=y)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(SMALL)
        set_panel_title(axes, name)
        if index % columns:
            axes.yaxis.set_major_formatter(NullFormatter())
    set_title(figure, title)
    legend_below(figure, grid.flat[0], 2)
    return figure


def _label(own: Doubted, measure: str, unit: str, short: bool = False) -> str:
    """Label of the axis of ambiguity."""
    if own.threshold is None:
        return f"{measure}{unit and f' ({unit.strip()})'}, no threshold"
    if short:
        return f"{AMBIGUOUS}: {measure} / {own.threshold:.2f}{unit}"
    return f"{AMBIGUOUS}: {measure}, over its threshold of {own.threshold:.2f}{unit}"


def _ticks(ratios: np.ndarray) -> tuple[float, ...]:
    """Ticks of the shortest axis that has room for nearly all ratios."""
    for ticks in _TICKS:
        beyond = ~(ratios <= ticks[-1])
        if beyond.mean() <= _ABOVE and (ratios < ticks[0]).mean() <= _BELOW:
            break
    return ticks


def _draw(axes, own: Doubted, ticks: tuple, most: int, examples: str = "") -> None:
    """At most so many points, the thresholds, and in the corners how many are right."""
    x, right = own.ambiguity, np.asarray(own.right, bool)
    y = _scaled(axes.yaxis, own.unfamiliarity, ticks)
    axes.axhline(1, color=INK, linestyle="--", linewidth=1.2)
    if own.threshold is not None:
        x = _scaled(axes.xaxis, x, _ticks(x))
        axes.axvline(1, color=INK, linestyle="--", linewidth=1.2)
    shown = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).round().astype(int))
    kinds = ((right, "right", {"marker": "o", "facecolors": "none", "edgecolors": MAIN, "s": 14}),
             (~right, "wrong", {"marker": "x", "color": ALERT, "s": 18}))  # fmt: skip
    for mask, name, looks in kinds:
        chosen = shown[mask[shown]]
        style = {"alpha": 0.6, "linewidths": 1, "rasterized": len(chosen) > 500, **looks}
        axes.scatter(x[chosen], y[chosen], label=f"{name} prediction", **style)
    _name_regions(axes, own, examples)


def _name_regions(axes, own: Doubted, examples: str) -> None:
    """Writes the reason of a prediction into each corner, and how many are right there.

    With few words where `examples` is empty.
    """
    right, unfamiliar = np.asarray(own.right, bool), ~(own.unfamiliarity <= 1)
    ambiguous = np.zeros(len(right), bool) if own.threshold is None else ~(own.ambiguity <= 1)
    regions = {
        (0, 0): "answered", (1, 0): AMBIGUOUS, (0, 1): UNFAMILIAR,
        (1, 1): f"{UNFAMILIAR} ({AMBIGUOUS} too)" if examples else UNFAMILIAR,
    }  # fmt: skip
    for (right_hand, upper), name in regions.items():
        if right_hand and own.threshold is None:
            continue
        inside = (ambiguous == right_hand) & (unfamiliar == upper)
        place = (0.98 if right_hand else 0.02, 0.985 if upper else 0.015)
        align = {"ha": "right" if right_hand else "left", "va": "top" if upper else "bottom"}
        text = f"{name}\n{inside.sum():,}{examples[:-1] if inside.sum() == 1 else examples}"
        text += f", {right[inside].mean():.0%} right" if inside.any() else ""
        axes.text(*place, text, transform=axes.transAxes, fontsize=SMALL - 1, color=INK, **align)


def _scaled(axis, ratios: np.ndarray, ticks: tuple) -> np.ndarray:
    """Makes an axis logarithmic, with 1 in its middle; returns where on it ratios are drawn."""
    name, end = axis.axis_name, ticks[-1] ** _MARGIN[axis.axis_name]
    axis.axes.set(**{f"{name}scale": "log", f"{name}lim": (1 / end, end)})
    labels = [f"{tick:g}" for tick in ticks]
    ratios = np.nan_to_num(ratios, nan=np.inf, posinf=np.inf)
    if (ratios < ticks[0]).any():
        labels[0] = f"≤ {labels[0]}"
    if (ratios > ticks[-1]).any():
        labels[-1] = f"≥ {labels[-1]}"
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())
    return np.clip(ratios, ticks[0], ticks[-1])
