"""Action units over time: the figure of one clip, and that of one labelled recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_jax.faces.labels import PRESENT, undecided_units
from fer_jax.plotting.style import MAIN, OTHER, PALE, QUIET, TEXT, dress, legend_below
from fer_jax.plotting.timeline import FACELESS, UNSURE, borders, draw_steps, make_timeline, shade

_HEIGHT = 0.86  # of a probability of 1 in a lane
# Label, colour, and opacity or hatching of shaded windows.
_PRESENT, _UNSURE = ("present", OTHER, 0.35), ("unsure", UNSURE, 0.75)
_UNDECIDED = ("undecided (its set holds both)", QUIET, "/////")
_LABELLED, _UNKNOWN = ("labelled present", OTHER, 0.35), ("label unknown", QUIET, 0.35)


def draw_timeline(
    rows: pd.DataFrame, units, thresholds=None, thumbnails=None, title: str = ""
) -> Figure:
    """Draws a lane each action unit over time, see `Task.draw_timeline`."""
    edges = borders(rows["start"], rows["end"], rows["end"])
    faceless = (rows["frames"] == 0).to_numpy()[:, None]
    mean, deviation, unsure = (
        rows[[f"{name}{unit}" for unit in units]].to_numpy(kind)
        for name, kind in (("", float), ("std_", float), ("abstained_", bool))
    )
    mean, unsure = np.where(faceless, np.nan, mean), unsure & ~faceless
    undecided = np.array([
        [unit in found for unit in units]
        for found in (undecided_units(row, units) for row in rows.to_dict("records"))
    ])  # fmt: skip
    present = (np.nan_to_num(mean) > PRESENT) & ~unsure & ~undecided
    shades = {_PRESENT: present, _UNSURE: unsure}
    if undecided.any():
        shades[_UNDECIDED] = undecided & ~faceless
    return _draw(units, edges, mean, deviation, shades, title, thumbnails, faceless[:, 0])


def draw_recording(
    units: Sequence[str], ends, mean, deviation, labels, title: str, unit: str
) -> Figure:
    """Draws the predictions and labels of one recording, a lane each action unit.

    Args:
      units: names.
      ends: `[L]` when the windows end.
      mean: `[L, A]` probabilities.
      deviation: `[L, A]` over the MC samples; or None.
      labels: `[L, A]` 1 present, 0 absent, NaN unknown.
      title: which recording.
      unit: of `ends`, on the axis of time.
    """
    ends = np.asarray(ends, float)
    step = np.median(np.diff(ends))
    edges = np.concatenate([ends[:1] - step, ends[1:] - np.diff(ends) / 2, ends[-1:]])
    shades = {_LABELLED: labels == 1, _UNKNOWN: np.isnan(labels)}
    return _draw(units, edges, mean, deviation, shades, title, unit=unit)


def _draw(
    units, edges, mean, deviation, shades: dict, title: str, thumbnails=None, faceless=None,
    unit: str = "time (s)",
) -> Figure:  # fmt: skip
    figure, (axes,) = make_timeline([0.5 + 0.38 * len(units)], thumbnails, title)
    for index in range(len(units)):
        half = None if deviation is None else deviation[:, index]
        own = {looks: mask[:, index] for looks, mask in shades.items()}
        _draw_lane(axes, len(units) - 1 - index, edges, mean[:, index], half, own)
    if faceless is not None:
        shade(axes, edges, faceless, FACELESS, "no face")
    axes.set_yticks(np.arange(len(units))[::-1] + _HEIGHT / 2, units)
    axes.set_ylim(-0.04, len(units))  # so that a line at 0 is not cut
    axes.set_xlim(edges[0], edges[-1])
    dress(axes, x=unit, title="probability of each action unit (lanes from 0 to 1)")
    axes.title.set_fontsize(TEXT)
    axes.tick_params(axis="y", length=0, labelsize=TEXT)
    axes.spines[["left", "bottom"]].set_visible(False)
    legend_below(figure, axes, 3 if len(shades) > 2 else 5)
    return figure


def _draw_lane(axes, base: int, edges, mean, half, shades: dict) -> None:
    """Probability and its deviation over the MC samples, above shaded windows."""
    named = (lambda label: {"label": label}) if base == 0 else lambda label: {}
    for (label, colour, looks), mask in shades.items():
        top = np.where(mask, base + _HEIGHT, base)
        if isinstance(looks, str):
            hatched = {"edgecolor": colour, "hatch": looks}
            draw_steps(axes, top, edges, "none", base, **hatched, **named(label))
        else:
            draw_steps(axes, top, edges, colour, base, alpha=looks, **named(label))
    if half is not None:
        low, high = (base + _HEIGHT * np.clip(mean + way * half, 0, 1) for way in (-1, 1))
        label = named("± standard deviation of the MC samples")
        draw_steps(axes, high, edges, MAIN, low, alpha=0.3, **label)
    line = base + _HEIGHT * mean
    draw_steps(axes, line, edges, MAIN, linewidth=1.3, **named("probability"))
    axes.axhline(base, color=PALE, linewidth=0.8, zorder=1)
    axes.axhline(base + _HEIGHT * PRESENT, color=QUIET, linewidth=0.7, linestyle=":", zorder=1)
