"""Figures about methods rather than one model: a network's growth, methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

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
)


def growth_curve(stages: Sequence[Mapping], title: str = "Growth of the network") -> Figure:
    """Draws the loss and the number of parameters of every topology that a search trained.

    Args:
      stages: one mapping a stage: `topology` (widths), `loss` (nats), `decision` ("new layer",
        "accepted", "rejected" or "fine-tuned"), `layer` ("kept" or "dropped" where it ends) and
        `params_without_U`.
      title: what was grown.

    Source: Heidari & Iosifidis, MMSP 2021, section III.C.
    """
    place = np.arange(1, len(stages) + 1)
    loss = np.array([stage["loss"] for stage in stages])
    topologies = ["-".join(map(str, stage["topology"])) for stage in stages]
    longest = max(map(len, topologies))
    figure = make_figure(max(7.0, 2.2 + 0.3 * len(stages)), 6.2 + 0.07 * longest)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    outcomes = np.array(_outcomes(stages))
    standing = ~np.isin(outcomes, ["rejected", "of a dropped layer"])
    upper.plot(place[standing], loss[standing], color=QUIET, linewidth=1.4, zorder=1)
    for name, colour, marker in (
        ("layer begins", OTHER, "s"),
        ("block accepted", MAIN, "o"),
        ("rejected", ALERT, "X"),
        ("of a dropped layer", QUIET, "D"),
        ("fine-tuned", INK, "*"),
    ):
        chosen = outcomes == name
        if chosen.any():
            style = {"color": colour, "marker": marker, "s": 110 if marker == "*" else 48}
            upper.scatter(place[chosen], loss[chosen], label=name, zorder=2, **style)
    colours = [MAIN if kept else "#C3C7CE" for kept in standing]
    lower.bar(place, [stage["params_without_U"] for stage in stages], color=colours, width=0.7)
    dress(upper, y="training loss (nats)", title=title, grid="y")
    order = "topology, in the order of training (grey: taken back)"
    dress(lower, x=order, y="parameters\nwithout U", grid="y")
    if loss.min() > 0 and loss.max() > 10 * loss.min():  # the rule is about relative falls
        upper.set_yscale("log")
    lower.set_xticks(place, topologies, rotation=90)
    lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lower.yaxis.set_major_formatter("{x:,.0f}")
    legend_below(figure, upper, 5)
    return figure


def _outcomes(stages: Sequence[Mapping]) -> list[str]:
    """What became of every stage, a dropped layer's first stages included."""
    names = {"new layer": "layer begins", "accepted": "block accepted"}
    outcomes = [names.get(stage["decision"], stage["decision"]) for stage in stages]
    dropped = {len(stage["topology"]) for stage in stages if stage.get("layer") == "dropped"}
    for number, stage in enumerate(stages):
        if len(stage["topology"]) in dropped and outcomes[number] != "rejected":
            outcomes[number] = "of a dropped layer"
    return outcomes


def comparison(rows: Sequence[Mapping], title: str = "Methods compared") -> Figure:
    """Accuracy of each reading with its 95% interval, beside parameters and time a clip.

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
    readings = (
        ("mc_dropout", "MC dropout", MAIN, "o", -0.2),
        ("recalibrated", "dropout off, recalibrated", OTHER, "s", 0.0),
        ("stored", "dropout off, stored", QUIET, "D", 0.2),
    )
    for reading, label, colour, marker, shift in readings:
        shown = [n for n, row in enumerate(rows) if reading != "mc_dropout" or row["ms_mcd"]]
        centre, low, high = (
            np.array([100 * rows[n][reading + end] for n in shown]) for end in ("", "_low", "_high")
        )
        left.errorbar(
            centre, places[shown] + shift, xerr=np.maximum([centre - low, high - centre], 0),
            fmt=marker, color=colour, markersize=5, linewidth=1.4, label=label,
        )  # fmt: skip
    paper = [(n, row["paper_with_mcd"] or row["paper_without_mcd"]) for n, row in enumerate(rows)]
    paper = [(n, value) for n, value in paper if value is not None]
    if paper:
        left.plot(*np.array(paper)[:, ::-1].T, "x", color=ALERT, markersize=8, label="paper")
    left.set_yticks(places, names)
    left.set_ylim(len(rows) - 0.5, -0.5)
    dress(left, x="accuracy, % (95% interval)", title=title, grid="x")
    parts = [[row[name] for row in rows] for name in ("params_total", "params_without_graph")]
    middle.plot(parts[0], places, "o", color=MAIN, label="with graph matrices")
    middle.plot(parts[1], places, "o", color=MAIN, mfc="white", label="without")
    _spread(middle, parts[0] + parts[1])
    dress(middle, x="parameters", grid="x")
    right.plot([row["ms"] for row in rows], places, "s", color=OTHER, label="one pass")
    passes = [(row["ms_mcd"], n) for n, row in enumerate(rows) if row["ms_mcd"]]
    if passes:
        right.plot(*np.array(passes).T, "o", color=MAIN, label="100 passes")
    _spread(right, [row["ms"] for row in rows] + [ms for ms, _ in passes])
    dress(right, x="ms a clip", grid="x")
    for axes, below in zip(panels, legends, strict=True):
        below.axis("off")
        below.legend(
            *axes.get_legend_handles_labels(), loc="upper center", fontsize=SMALL, frameon=False
        )
    return figure


def _spread(axes, values: Sequence[float]) -> None:
    """A scale of powers of ten where values lie decades apart, else an even one with labels."""
    if max(values) > 20 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter("{x:,.4g}" if max(values) < 1000 else "{x:,.0f}")
        axes.set_xlim(left=0)
