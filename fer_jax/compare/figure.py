"""The figure of compared methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from fer_jax.plotting.style import ALERT, MAIN, OTHER, QUIET, SMALL, dress, make_figure


def comparison(rows: Sequence[Mapping], title: str = "Methods compared") -> Figure:
    """Draws the main measure by inference mode with its interval, beside parameters and time.

    Args:
      rows: one mapping a method, as `fer_jax.compare` makes them.
    """
    heights = (0.8 + 0.55 * len(rows), 0.9)  # inches: the panels and their legends
    figure = make_figure(10, sum(heights))
    panels, legends = figure.subplots(
        2, 3, sharey="row", width_ratios=(2.2, 1, 1), height_ratios=heights
    )
    left, middle, right = panels
    several = len({row["dataset"] for row in rows}) > 1
    names = [f"{row['method']} ({row['dataset']})" if several else row["method"] for row in rows]
    places = np.arange(len(rows))
    inference_modes = (
        ("posterior", "posterior", ALERT, "^", -0.35),
        ("mc_dropout", "MC dropout", MAIN, "o", -0.2),
        ("recalibrated", "dropout off, recalibrated", OTHER, "s", 0.0),
        ("stored", "dropout off, stored", QUIET, "D", 0.2),
    )
    for inference_mode, label, colour, marker, shift in inference_modes:
        shown = [n for n, row in enumerate(rows) if row.get(inference_mode) is not None]
        if not shown:
            continue
        centre, low, high = (
            100 * np.array([rows[n][inference_mode + end] for n in shown], float)
            for end in ("", "_low", "_high")
        )
        sides = np.nan_to_num([centre - low, high - centre])  # nothing for too few people
        left.errorbar(
            centre, places[shown] + shift, xerr=np.maximum(sides, 0),
            fmt=marker, color=colour, markersize=5, linewidth=1.4, label=label,
        )  # fmt: skip
    paper = [(n, row["paper_with_mcd"] or row["paper_without_mcd"]) for n, row in enumerate(rows)]
    paper = [(n, value) for n, value in paper if value is not None]
    if paper:
        left.plot(*np.array(paper)[:, ::-1].T, "x", color=ALERT, markersize=8, label="paper")
    left.margins(x=0.08)
    left.set_yticks(places, names)
    left.set_ylim(len(rows) - 0.5, -0.5)
    dress(left, x=f"{rows[0]['score']}, % (95% interval)", title=title, grid="x")
    counts = [[row[name] for row in rows] for name in ("params_total", "params_without_graph")]
    middle.plot(counts[0], places, "o", color=MAIN, label="with graph matrices")
    middle.plot(counts[1], places, "o", color=MAIN, mfc="white", label="without")
    _spread(middle, counts[0] + counts[1])
    dress(middle, x="parameters", grid="x")
    plain = [(row["ms"], n) for n, row in enumerate(rows) if row["ms"]]
    if plain:
        right.plot(*np.array(plain).T, "s", color=OTHER, label="dropout off")
    mc_samples = [(row["ms_mcd"], n) for n, row in enumerate(rows) if row["ms_mcd"]]
    if mc_samples:
        right.plot(*np.array(mc_samples).T, "o", color=MAIN, label="100 MC samples")
    _spread(right, [ms for ms, _ in plain + mc_samples])
    dress(right, x="ms per clip", grid="x")
    for axes, below in zip(panels, legends, strict=True):
        below.axis("off")
        below.legend(
            *axes.get_legend_handles_labels(), loc="upper center", fontsize=SMALL, frameon=False
        )
    return figure


def _spread(axes, values: Sequence[float]) -> None:
    """A logarithmic scale for values decades apart, else a linear one from 0."""
    if not values:
        axes.set_xticks([])
    elif max(values) > 20 * min(values):
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:,.4g}" if max(values) < 1000 else "{x:,.0f}")
        axes.set_xlim(0, 1.1 * max(values))  # room for the markers
