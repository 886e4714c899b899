"""The figure of a PST-BLN search: how the network grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.plotting.style import (
    ALERT,
    INK,
    MAIN,
    OTHER,
    PALE,
    QUIET,
    dress,
    legend_below,
    make_figure,
)


def growth_curve(stages: Sequence[Mapping]) -> Figure:
    """Draws the loss and the number of parameters of every trained topology of a search.

    Args:
      stages: one mapping per stage: `topology` (widths), `loss` (nats), `decision` ("new layer",
        "accepted", "rejected" or "fine-tuned"), `layer` ("kept" or "dropped" where it ends) and
        `params_without_U`.

    Source: Heidari & Iosifidis, MMSP 2021, section III.C.
    """
    order = np.arange(1, len(stages) + 1)
    loss = np.array([stage["loss"] for stage in stages])
    topologies = ["-".join(map(str, stage["topology"])) for stage in stages]
    longest = max(map(len, topologies))
    figure = make_figure(max(7.0, 2.2 + 0.3 * len(stages)), 6.2 + 0.07 * longest)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    outcomes = np.array(_outcomes(stages))
    standing = ~np.isin(outcomes, ["rejected", "of a dropped layer"])
    upper.plot(order[standing], loss[standing], color=QUIET, linewidth=1.4, zorder=1)
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
            upper.scatter(order[chosen], loss[chosen], label=name, zorder=2, **style)
    colours = [MAIN if kept else PALE for kept in standing]
    lower.bar(order, [stage["params_without_U"] for stage in stages], color=colours, width=0.7)
    dress(upper, y="training loss (nats)", title="Growth of the network", grid="y")
    dress(
        lower,
        x="topology, in the order of training (grey: removed)",
        y="parameters\nwithout U",
        grid="y",
    )
    if loss.min() > 0 and loss.max() > 10 * loss.min():  # the rule compares relative decreases
        upper.set_yscale("log")
    lower.set_xticks(order, topologies, rotation=90)
    lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lower.yaxis.set_major_formatter("{x:,.0f}")
    legend_below(figure, upper, 5)
    return figure


def _outcomes(stages: Sequence[Mapping]) -> list[str]:
    """Outcome of every stage; all accepted stages of a dropped layer count as dropped."""
    names = {"new layer": "layer begins", "accepted": "block accepted"}
    outcomes = [names.get(stage["decision"], stage["decision"]) for stage in stages]
    dropped = {len(stage["topology"]) for stage in stages if stage.get("layer") == "dropped"}
    for index, stage in enumerate(stages):
        if len(stage["topology"]) in dropped and outcomes[index] != "rejected":
            outcomes[index] = "of a dropped layer"
    return outcomes
