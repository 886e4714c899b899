"""Figures of prediction sets: coverage of each person, and how many classes a set holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from fer_jax.plotting.style import ALERT, MAIN, OTHER, dress, legend_below, make_figure
from fer_jax.uncertainty.stored import percent

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
    axes.axhline(level, color=ALERT, linestyle="--", linewidth=1.6, label=f"level {percent(level)}")
    count = f"{len(shares)} people" if len(shares) > 1 else "1 person"
    title = f"Coverage of {what} by person ({count})"
    dress(axes, x="people, by coverage", y="share of their labels inside", title=title, grid="y")
    axes.set_xlim(0.5, len(shares) + 0.5)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(figure, axes, 3)
    return figure


def set_sizes(counts: Sequence[int], level: float, mean: float) -> Figure:
    """Draws how many prediction sets hold 0, 1, 2 ... classes.

    Args:
      counts: `[C + 1]`.
      level: how often they hold the label.
      mean: size, every person with the same weight.
    """
    counts = np.asarray(counts)
    sizes = np.arange(len(counts))
    shown = sizes if counts[0] else sizes[1:]  # an empty set is the exception
    figure = make_figure(5.6, 3.8)
    axes = figure.add_subplot()
    axes.bar(shown, counts[shown], width=0.8, color=OTHER)
    for size in shown[counts[shown] > 0]:
        share = counts[size] / counts.sum()
        share = f"{share:.0%}" if share >= 0.005 else "< 1%"
        axes.annotate(share, (size, counts[size]), ha="center", va="bottom", fontsize=8.5)
    title = f"Sizes of the {percent(level)} prediction sets\n{counts.sum():,} clips, "
    title += f"mean over people {mean:.2f} classes"
    dress(axes, x="classes in a set", y="clips", title=title, grid="y")
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure
