"""The figure of one clip: pictures, and the action units with their uncertainty over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_jax.faces.labels import PRESENT
from fer_jax.plotting.style import MAIN, OTHER, PALE, QUIET, TEXT, dress, legend_below
from fer_jax.plotting.timeline import FACELESS, UNSURE, borders, make_timeline, shade

_HEIGHT = 0.86  # of a probability of 1 in a lane


def draw_timeline(
    rows: pd.DataFrame, units, thresholds=None, thumbnails=None, title: str = ""
) -> Figure:
    """Draws a lane each action unit over time, see `Task.draw_timeline`."""
    edges = borders(rows["start"], rows["end"], rows["end"])
    figure, (axes,) = make_timeline([0.5 + 0.38 * len(units)], thumbnails, title)
    faceless = (rows["frames"] == 0).to_numpy()
    for index, unit in enumerate(units):
        _draw_lane(axes, rows, unit, len(units) - 1 - index, edges, ~faceless)
    shade(axes, edges, faceless, FACELESS, "no face")
    axes.set_yticks(np.arange(len(units))[::-1] + _HEIGHT / 2, units)
    axes.set_ylim(-0.04, len(units))  # a line at 0 is seen whole
    axes.set_xlim(edges[0], edges[-1])
    dress(axes, x="time (s)", title="probability of each action unit (lanes from 0 to 1)")
    axes.title.set_fontsize(TEXT)
    axes.tick_params(axis="y", length=0, labelsize=TEXT)
    axes.spines[["left", "bottom"]].set_visible(False)
    legend_below(figure, axes, 5)
    return figure


def _draw_lane(axes, rows: pd.DataFrame, unit: str, base: int, edges, seen) -> None:
    """Probability and its deviation over the samples, shaded where present or unsure."""
    mean = np.where(seen, rows[unit].to_numpy(float), np.nan)
    half = rows[f"std_{unit}"].to_numpy(float)
    unsure = rows[f"abstained_{unit}"].to_numpy(bool) & seen
    present = (np.nan_to_num(mean) > PRESENT) & ~unsure
    flat = {"fill": True, "linewidth": 0}
    for mask, colour, alpha, name in (
        (present, OTHER, 0.35, "present"), (unsure, UNSURE, 0.75, "unsure"),
    ):  # fmt: skip
        top = np.where(mask, base + _HEIGHT, base)
        label = name if base == 0 else None
        axes.stairs(top, edges, baseline=base, color=colour, alpha=alpha, label=label, **flat)
    low, high = (base + _HEIGHT * np.clip(mean + way * half, 0, 1) for way in (-1, 1))
    named = {"label": "± standard deviation of the passes"} if base == 0 else {}
    axes.stairs(high, edges, baseline=low, color=MAIN, alpha=0.3, **flat, **named)
    named = {"label": "probability"} if base == 0 else {}
    line = base + _HEIGHT * mean
    axes.stairs(line, edges, baseline=None, color=MAIN, linewidth=1.3, **named)
    axes.axhline(base, color=PALE, linewidth=0.8, zorder=1)
    axes.axhline(base + _HEIGHT * PRESENT, color=QUIET, linewidth=0.7, linestyle=":", zorder=1)
