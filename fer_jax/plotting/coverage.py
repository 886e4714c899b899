"""Figures of prediction sets: coverage of each person, and how many classes a set holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_jax.plotting.style import ALERT, MAIN, OTHER, dress, legend_below, make_figure

_MOST_BARS = 60  # people who are drawn one by one


def coverage_by_person(shares, level: float, what: str = "prediction sets") -> Figure:
    """Draws the coverage of each person beside the level.

    Args:
      shares: `[K]`, 0..1, ascending.
      level: that sets shall reach.
      what: holds the labels.
    """
    shares = np.asarray(shares, float)
    figure = make_figure(6.4, 4.0)
    axes = figure.add_subplot()
    if len(shares) <= _MOST_BARS:
        axes.bar(np.arange(1, len(shares) + 1), shares, width=0.8, color=OTHER, label="a person")
    else:
        edges = np.arange(len(shares) + 1) + 0.5
        axes.stairs(shares, edges, fill=True, color=OTHER, label="people, one beside the other")
    axes.axhline(shares.mean(), color=MAIN, linewidth=1.6, label=f"mean {shares.mean():.1%}")
    axes.axhline(level, color=ALERT, linestyle="--", linewidth=1.6, label=f"level {level:.0%}")
    title = f"Coverage of {what} by person ({len(shares)} people)"
    dress(axes, x="people, by coverage", y="share of their labels inside", title=title, grid="y")
    axes.set_xlim(0.5, len(shares) + 0.5)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(figure, axes, 3)
    return figure


def set_sizes(counts: Sequence[int]) -> Figure:
    """Draws how many prediction sets hold 0, 1, 2 ... classes.

    Args:
      counts: `[C + 1]`.
    """
    counts = np.asarray(counts)
    sizes = np.arange(len(counts))
    shown = sizes if counts[0] else sizes[1:]  # an empty set is the exception
    figure = make_figure(5.6, 3.8)
    axes = figure.add_subplot()
    axes.bar(shown, counts[shown], width=0.8, color=OTHER)
    for size in shown[counts[shown] > 0]:
        share = f"{counts[size] / counts.sum():.0%}"
        axes.annotate(share, (size, counts[size]), ha="center", va="bottom", fontsize=8.5)
    mean = (sizes * counts).sum() / max(counts.sum(), 1)
    title = f"Sizes of the prediction sets (mean {mean:.2f} classes)"
    dress(axes, x="classes in a set", y="clips", title=title, grid="y")
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure
