"""The figure of one clip: pictures, predictions, class probabilities, uncertainty over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_jax.faces.labels import classes_in, reason_of, said_of
from fer_jax.plotting.style import (
    ALERT,
    INK,
    OTHER,
    PALE,
    SMALL,
    TEXT,
    class_colours,
    dress,
    legend_below,
)
from fer_jax.plotting.timeline import (
    FACELESS,
    UNSURE,
    WIDTH,
    borders,
    draw_steps,
    make_timeline,
    shade_withheld,
)
from fer_jax.tasks.classification.panel import LEAST_INFORMATION
from fer_jax.uncertainty.stored import percent


def draw_timeline(
    rows: pd.DataFrame, classes, threshold=None, thumbnails=None, title: str = ""
) -> Figure:
    """Draws class probabilities and uncertainty over time, see `Task.draw_timeline`."""
    edges = borders(rows["start"], rows["end"])
    figure, panels = make_timeline((0.9 + 0.42 * len(classes), 1.5), thumbnails, title)
    upper, lower = panels
    _draw_classes(upper, rows, classes, edges)
    _draw_uncertainty(lower, rows, edges, threshold, len(classes))
    for axes in panels:
        shade_withheld(axes, rows, edges)
        axes.set_xlim(edges[0], edges[-1])
    upper.tick_params(labelbottom=False)
    legend_below(figure, lower, 5)
    return figure


def _draw_classes(axes, rows, classes, edges) -> None:
    """A lane each class, filled to its probability, under a strip of the predictions."""
    probabilities = np.nan_to_num(rows[list(classes)].to_numpy(float))
    covered, sets = ~rows["abstained"].to_numpy(bool), _sets(rows)
    for lane, (name, colour) in enumerate(zip(classes, class_colours(len(classes)), strict=True)):
        base = len(classes) - 1 - lane
        height = base + 0.86 * probabilities[:, lane]
        predicted = np.where(covered & [name in held for held in sets], height, base)
        draw_steps(axes, height, edges, colour, base, alpha=0.4)
        draw_steps(axes, predicted, edges, colour, base)
        axes.axhline(base, color=PALE, linewidth=0.8, zorder=1)
    _draw_predictions(axes, rows, classes, edges)
    lanes = np.append(np.arange(len(classes))[::-1] + 0.36, len(classes) + 0.5)
    axes.set_yticks(lanes, [*classes, "prediction"])
    axes.set_ylim(0, len(classes) + 0.85)
    several = any(len(held) > 1 for held, own in zip(sets, covered, strict=True) if own)
    solid = f"; solid: in the {percent(rows['set_level'].max())} set" if several else ""
    dress(axes, title=f"prediction, and probability of each class (lanes from 0 to 1{solid})")
    axes.title.set_fontsize(TEXT)
    axes.tick_params(axis="both", length=0, labelsize=TEXT)
    axes.get_yticklabels()[-1].set_fontweight("bold")
    axes.spines[["left", "bottom"]].set_visible(False)


def _sets(rows: pd.DataFrame) -> list[list[str]]:
    """Classes in the set of each window, the likeliest first."""
    return [classes_in(row) for row in rows.to_dict("records")]


def _draw_predictions(axes, rows, classes, edges) -> None:
    """A box for each run of equal predictions, with the name where it fits.

    The box of a set of several classes has a stripe each.
    """
    colours = dict(zip(classes, class_colours(len(classes)), strict=True))
    withheld = rows["abstained"].to_numpy(bool) & (rows["frames"] > 0).to_numpy()
    shown = [
        (reason_of(row),) if out else tuple(classes_in(row))
        for row, out in zip(rows.to_dict("records"), withheld, strict=True)
    ]
    starts = [n for n, names in enumerate(shown) if n == 0 or names != shown[n - 1]]
    for first, end in zip(starts, [*starts[1:], len(shown)], strict=True):
        left, width, names = edges[first], edges[end] - edges[first], shown[first]
        stripes = [colours.get(name, FACELESS) for name in names]
        if withheld[first]:
            stripes = [UNSURE]
        for index, colour in enumerate(stripes[::-1]):  # the likeliest on top
            height = 0.5 / len(stripes)
            box = {"height": height, "color": colour, "linewidth": 0, "align": "edge"}
            axes.barh(len(classes) + 0.25 + index * height, width, left=left, **box)
        name = names[0] if withheld[first] else said_of(rows.iloc[first])
        inches = width / (edges[-1] - edges[0]) * WIDTH * 0.85
        if inches > 0.085 * len(name) + 0.1:
            style = {"ha": "center", "va": "center", "fontsize": SMALL}
            style["color"] = "white" if _is_dark(stripes[0]) else INK
            if len(stripes) > 1:
                ground = {"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1.5}
                style |= {"color": INK, "bbox": ground}
            axes.text(left + width / 2, len(classes) + 0.5, name, **style)


def _is_dark(colour: str) -> bool:
    return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) < 0.55


def _draw_uncertainty(axes, rows, edges, threshold, classes: int) -> None:
    """Entropy, and its part that is mutual information."""
    entropy = rows["entropy"].fillna(0).to_numpy(float)
    information = rows["mutual_information"].fillna(0).to_numpy(float)
    draw_steps(axes, entropy, edges, "#B9D7D3", 0, label="entropy")
    if information.max() >= LEAST_INFORMATION:
        label = "its part that is mutual information"
        draw_steps(axes, information, edges, OTHER, 0, label=label)
    draw_steps(axes, entropy, edges, INK, linewidth=1.2)
    if threshold is not None and np.isfinite(threshold):
        label = f"threshold {threshold:.2f} nats"
        axes.axhline(threshold, color=ALERT, linestyle="--", linewidth=1.6, label=label)
    axes.set_ylim(0, 1.05 * np.log(max(classes, 2)))  # a single class has entropy 0
    dress(axes, x="time (s)", y="uncertainty\n(nats)", grid="y")
    axes.yaxis.set_major_locator(MaxNLocator(4))
