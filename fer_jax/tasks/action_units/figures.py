"""Figures of action units: one panel or one group of bars each; data in, Figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_jax.faces.labels import PRESENT
from fer_jax.plotting.style import (
    ALERT,
    INK,
    MAIN,
    OTHER,
    QUIET,
    SMALL,
    dress,
    legend_below,
    make_figure,
    set_panel_title,
    set_title,
)

_COLUMNS = 4  # panels beside each other


def f1(inference_modes: Mapping[str, Mapping[str, Mapping]]) -> Figure:
    """Draws the F1 of each action unit by reading, over the share of windows that show it.

    Args:
      inference_modes: mode -> action unit -> `{"known", "f1", "base_rate"}`; without the
        latter two where no label is known.
    """
    units = list(next(iter(inference_modes.values())))
    figure = make_figure(max(6.4, 1.6 + 0.62 * len(units)), 4.2)
    axes = figure.add_subplot()
    place, width = np.arange(len(units)), 0.8 / len(inference_modes)
    for index, (name, rows) in enumerate(inference_modes.items()):
        values = [rows[unit].get("f1", np.nan) for unit in units]
        left = place - 0.4 + (index + 0.5) * width
        colour = (QUIET, OTHER, MAIN)[index % 3]
        mean = np.nan_to_num(values).mean()
        axes.bar(left, values, 0.92 * width, color=colour, label=f"{name}: mean {mean:.3f}")
    rates = [next(iter(inference_modes.values()))[unit].get("base_rate", np.nan) for unit in units]
    axes.hlines(
        rates, place - 0.42, place + 0.42, color=ALERT, linewidth=2.2, label="share of windows"
    )
    dress(axes, y="F1", title="F1 of the action units", grid="y")
    axes.set_xticks(place, units)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(-0.6, len(units) - 0.4)
    legend_below(figure, axes, 2)
    return figure


def reliability(curves: Mapping[str, tuple]) -> Figure:
    """Draws accuracy against confidence for each action unit.

    Args:
      curves: action unit -> (confidence `[K]`, accuracy `[K]`, windows `[K]`, calibration error).
    """

    def draw(axes, curve):
        confidence, accuracy, count, _ = curve
        used = np.asarray(count) > 0
        axes.plot([0.5, 1], [0.5, 1], "--", color=QUIET, linewidth=1.2)
        size = 8 + 90 * np.asarray(count)[used] / max(np.sum(count), 1)
        axes.plot(confidence[used], accuracy[used], color=MAIN, linewidth=1.4)
        axes.scatter(confidence[used], accuracy[used], s=size, color=MAIN, clip_on=False, zorder=3)
        axes.set_xlim(0.48, 1.0)
        axes.set_ylim(min(0.5, np.min(accuracy[used], initial=0.5)) - 0.02, 1.02)

    return _panels(
        curves, draw, "confidence", "accuracy", "Reliability (dots: share of the windows)",
        lambda unit, curve: f"{unit}, error {curve[3]:.3f}",
    )  # fmt: skip


def risk_coverage(curves: Mapping[str, tuple]) -> Figure:
    """Draws the error rate among the most certain windows for each action unit.

    Args:
      curves: action unit -> (coverage `[K]`, risk `[K]`, area under the curve).
    """
    highest = max(float(np.max(risk, initial=0)) for _, risk, _ in curves.values())

    def draw(axes, curve):
        coverage, risk, _ = curve
        axes.step(coverage, risk, where="post", color=MAIN, linewidth=1.6)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, min(1.0, 1.1 * highest) or 0.1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))

    return _panels(
        curves, draw, "windows answered", "error rate", "Selective prediction: risk at coverage",
        lambda unit, curve: f"{unit}, area {curve[2]:.3f}",
    )  # fmt: skip


def _panels(curves: Mapping[str, tuple], draw, x: str, y: str, title: str, name) -> Figure:
    columns = min(_COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = make_figure(2.4 * columns + 0.4, 2.1 * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(panels.flat):
        if index >= len(curves):
            axes.set_axis_off()
    for index, (unit, curve) in enumerate(curves.items()):
        axes, last = panels.flat[index], index + columns >= len(curves)
        draw(axes, curve)
        dress(axes, x=x if last else "", y=y if index % columns == 0 else "", grid="both")
        set_panel_title(axes, name(unit, curve))
    set_title(figure, title)
    return figure


def timeline(
    units: Sequence[str], seconds, mean, deviation, labels, title: str = "", unit: str = "seconds"
) -> Figure:
    """Draws the probabilities of one recording over time, a row each action unit.

    Args:
      units: names.
      seconds: `[L]` when the windows end.
      mean: `[L, A]` probabilities.
      deviation: `[L, A]` over the samples, drawn as a band; or None.
      labels: `[L, A]` 1 present, 0 absent, NaN unknown; or None.
      title: which recording.
      unit: of `seconds`, where the source does not say how fast frames follow.
    """
    seconds, mean = np.asarray(seconds, float), np.asarray(mean, float)
    figure = make_figure(8.0, 1.2 + 0.52 * len(units))
    panels = figure.subplots(len(units), 1, sharex=True, squeeze=False)[:, 0]
    step = np.median(np.diff(seconds)) if len(seconds) > 1 else 1.0
    for index, (axes, name) in enumerate(zip(panels, units, strict=True)):
        if labels is not None:
            truth = np.asarray(labels)[:, index]
            style = {"step": "mid", "linewidth": 0, "alpha": 0.35}
            axes.fill_between(
                seconds, 0, 1, where=truth == 1, color=OTHER, label="present", **style
            )
            axes.fill_between(
                seconds, 0, 1, where=np.isnan(truth), color=QUIET, label="not known", **style
            )
        if deviation is not None:
            half = np.asarray(deviation)[:, index]
            bounds = np.clip([mean[:, index] - half, mean[:, index] + half], 0, 1)
            band = "± standard deviation of the passes"
            axes.fill_between(seconds, *bounds, color=MAIN, alpha=0.3, linewidth=0, label=band)
        axes.plot(seconds, mean[:, index], color=MAIN, linewidth=1.3, label="probability")
        axes.axhline(PRESENT, color=QUIET, linewidth=0.8, linestyle=":")
        dress(axes)
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=SMALL, color=INK)
        axes.spines[["left", "bottom"]].set_visible(index == len(units) - 1)
        axes.tick_params(bottom=index == len(units) - 1)
    panels[-1].set_xlim(seconds[0] - step / 2, seconds[-1] + step / 2)
    panels[-1].xaxis.set_major_locator(MaxNLocator(9))
    panels[-1].set_xlabel(unit, fontsize=SMALL, color=INK)
    panels[-1].spines["left"].set_visible(False)
    if title:
        set_title(figure, title)
    legend_below(figure, panels[0], 4)
    return figure
