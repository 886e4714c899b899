"""Figures of action units: a panel or a group of bars for each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from fer_jax.plotting.curves import highest_risk
from fer_jax.plotting.style import (
    ALERT,
    MAIN,
    OTHER,
    QUIET,
    dress,
    legend_below,
    make_figure,
    make_grid,
    set_panel_title,
    set_title,
)

_COLUMNS = 4  # panels beside each other


def f1(inference_modes: Mapping[str, Mapping[str, Mapping]]) -> Figure:
    """Draws the F1 of each action unit by inference mode, over the share of windows that show it.

    Args:
      inference_modes: mode -> action unit -> `{"known", "f1", "base_rate"}`, the
        latter two only where a label is known.
    """
    units = list(next(iter(inference_modes.values())))
    figure = make_figure(max(6.4, 1.6 + 0.62 * len(units)), 4.2)
    axes = figure.add_subplot()
    positions, width = np.arange(len(units)), 0.8 / len(inference_modes)
    for index, (name, rows) in enumerate(inference_modes.items()):
        values = [rows[unit].get("f1", np.nan) for unit in units]
        left = positions - 0.4 + (index + 0.5) * width
        colour = (QUIET, OTHER, MAIN)[index % 3]
        mean = np.nan_to_num(values).mean()
        axes.bar(left, values, 0.92 * width, color=colour, label=f"{name}: mean {mean:.3f}")
    rates = [next(iter(inference_modes.values()))[unit].get("base_rate", np.nan) for unit in units]
    axes.hlines(
        rates,
        positions - 0.42,
        positions + 0.42,
        color=ALERT,
        linewidth=2.2,
        label="share of windows",
    )
    dress(axes, y="F1", title="F1 of the action units", grid="y")
    axes.set_xticks(positions, units)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(-0.6, len(units) - 0.4)
    legend_below(figure, axes, 2)
    return figure


def reliability(curves: Mapping[str, tuple], calibrated: Mapping[str, tuple]) -> Figure:
    """Draws accuracy against confidence for each action unit.

    Args:
      curves: action unit -> (confidence `[K]`, accuracy `[K]`, windows `[K]`, calibration error).
      calibrated: the same of the units that have a calibrator.
    """

    def draw(axes, curve):
        confidence, accuracy, count, *_ = curve
        used = np.asarray(count) > 0
        axes.plot([0.5, 1], [0.5, 1], "--", color=QUIET, linewidth=1.2)
        size = 8 + 90 * np.asarray(count)[used] / max(np.sum(count), 1)
        axes.plot(confidence[used], accuracy[used], color=MAIN, linewidth=1.4)
        axes.scatter(confidence[used], accuracy[used], s=size, color=MAIN, clip_on=False, zorder=3)
        for own, right, windows, _ in curve[4:]:
            filled = np.asarray(windows) > 0
            looks = {"color": ALERT, "marker": "D", "markersize": 3.5, "linewidth": 1.2}
            axes.plot(own[filled], right[filled], clip_on=False, zorder=4, **looks)

    drawn = [*curves.values(), *calibrated.values()]
    lowest = min(np.nanmin(accuracy, initial=0.5) for _, accuracy, *_ in drawn)
    limits = (0.48, 1.0), (lowest - 0.02, 1.02)
    title = "Reliability (area of a dot: share of the windows)"
    if calibrated:
        title += "; diamonds: after calibration"
    both = {
        unit: (*curve, *([calibrated[unit]] if unit in calibrated else []))
        for unit, curve in curves.items()
    }

    def note(curve):
        return "error " + " → ".join(f"{error:.3f}" for *_, error in (curve[:4], *curve[4:]))

    return _panels(both, draw, limits, "confidence", "accuracy", title, note)


def risk_coverage(curves: Mapping[str, tuple]) -> Figure:
    """Draws the error rate among the most certain windows for each action unit.

    Args:
      curves: action unit -> (coverage `[K]`, risk `[K]`, area under the curve).
    """

    def draw(axes, curve):
        axes.step(*curve[:2], where="post", color=MAIN, linewidth=1.6)

    limits = (0, 1), (0, highest_risk(curves))
    title = "Selective prediction: risk at coverage"
    return _panels(
        curves, draw, limits, "coverage", "error rate", title, lambda curve: f"area {curve[2]:.3f}"
    )


def _panels(curves: Mapping[str, tuple], draw, limits, x: str, y: str, title: str, note) -> Figure:
    """Draws a panel each action unit on common scales; `note` makes words of a curve."""
    columns = min(_COLUMNS, len(curves))
    figure, panels = make_grid(-(-len(curves) // columns), columns, (2.1, 1.5), gaps=(0.4, 0.35))
    for axes in panels.flat[len(curves) :]:
        axes.remove()
    for index, (unit, curve) in enumerate(curves.items()):
        axes, first, last = panels.flat[index], index % columns == 0, index + columns >= len(curves)
        draw(axes, curve)
        axes.set_xlim(limits[0])
        axes.set_ylim(limits[1])
        for axis, shown in ((axes.xaxis, last), (axes.yaxis, first)):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(PercentFormatter(1) if shown else NullFormatter())
        dress(axes, x=x if last else "", y=y if first else "", grid="both")
        set_panel_title(axes, f"{unit}, {note(curve)}")
    set_title(figure, title)
    return figure
