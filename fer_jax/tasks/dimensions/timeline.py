"""The figure of one clip: pictures, its path in the plane, the dimensions over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MultipleLocator

from fer_jax.faces import emotion_ratings
from fer_jax.plotting.style import (
    INK,
    MAIN,
    OTHER,
    QUIET,
    TEXT,
    dress,
    dress_colour_bar,
    legend_below,
    make_figure,
    set_panel_title,
    set_title,
)
from fer_jax.plotting.timeline import (
    PICTURES,
    WIDTH,
    borders,
    draw_steps,
    draw_thumbnails,
    shade_withheld,
)
from fer_jax.tasks.dimensions.figures import draw_words, dress_plane
from fer_jax.tasks.dimensions.scores import level_of
from fer_jax.uncertainty.stored import percent

# Colours of time, without the light end, which would vanish on white.
_COLOURS = ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, 256)))
_PLANE, _LANE = 4.2, 1.35  # inches


def draw_timeline(
    rows: pd.DataFrame, dimensions, threshold=None, thumbnails=None, title: str = ""
) -> Figure:
    """Draws the path in the plane, and a lane each dimension, see `Task.draw_timeline`.

    Source: Zhou et al., arXiv 1805.01024, figure 1.
    """
    has_plane = emotion_ratings.has_plane(dimensions)
    body = max(_PLANE if has_plane else 0, 0.7 + _LANE * len(dimensions))
    heights = ([PICTURES] if thumbnails else []) + [body]
    figure = make_figure(WIDTH + (2.0 if has_plane else 0), sum(heights) + 0.6)
    rows_of_figure = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if thumbnails:
        draw_thumbnails(rows_of_figure[0].subplots(), thumbnails)
    lanes = rows_of_figure[-1]
    if has_plane:
        plane, lanes = lanes.subfigures(1, 2, width_ratios=(_PLANE, WIDTH + 2.0 - _PLANE))
        _draw_plane(plane, rows)
    _draw_lanes(lanes, rows, dimensions)
    set_title(figure, title)
    return figure


def _draw_plane(figure, rows: pd.DataFrame) -> None:
    """The path of the clip, coloured by time; intervals of its first and its last point."""
    axes = figure.subplots()
    draw_words(axes, TEXT - 1)
    seen = rows[rows["frames"] > 0]
    time = ((seen["start"] + seen["end"]) / 2).to_numpy(float)
    x, y = (seen[name].to_numpy(float) for name in emotion_ratings.PLANE)
    # a gap marks windows without a face
    follows = np.diff(np.flatnonzero((rows["frames"] > 0).to_numpy())) == 1
    points = np.stack([x, y], -1)
    segments = np.stack([points[:-1], points[1:]], 1)[follows]
    lines = LineCollection(segments, cmap=_COLOURS, linewidth=1.6, alpha=0.8, zorder=2)
    lines.set_array((time[:-1] + time[1:])[follows] / 2)
    limits = time[0], max(time[-1], time[0] + 1e-3)
    lines.set_clim(*limits)
    axes.add_collection(lines)
    sure = ~seen["abstained"].to_numpy(bool)
    looks = {"cmap": _COLOURS, "vmin": limits[0], "vmax": limits[1], "s": 20, "zorder": 3}
    dots = axes.scatter(x[sure], y[sure], c=time[sure], **looks)
    axes.scatter(x[~sure], y[~sure], c=time[~sure], alpha=0.45, marker="x", linewidth=1, **looks)
    for index in {0, len(seen) - 1}:
        low, high = (
            seen[[f"{end}_{name}" for name in emotion_ratings.PLANE]].to_numpy(float)[index]
            for end in ("low", "high")
        )
        colour = dots.to_rgba(time[index])
        ellipse = Ellipse((low + high) / 2, *(high - low), fill=False, linestyle="--", color=colour)
        axes.add_patch(ellipse)
    dress_plane(axes)
    words = f"dashed: {percent(level_of(seen.iloc[0]))} interval of each axis" + (
        ", first and last" if len(seen) > 1 else ""
    )
    words += "" if sure.all() else "; crosses: unsure"
    set_panel_title(axes, words)
    if len(seen) > 1:
        bar = figure.colorbar(dots, ax=axes, shrink=0.75, aspect=30, location="bottom", pad=0.02)
        dress_colour_bar(bar, "time (s)")


def _draw_lanes(figure, rows: pd.DataFrame, dimensions: Sequence[str]) -> None:
    """A panel each dimension: value, prediction interval and deviation over the MC samples."""
    panels = figure.subplots(len(dimensions), 1, sharex=True, squeeze=False)[:, 0]
    edges = borders(rows["start"], rows["end"])
    for axes, name in zip(panels, dimensions, strict=True):
        mean, low, high, deviation = (
            rows[f"{part}{name}"].to_numpy(float) for part in ("", "low_", "high_", "std_")
        )
        label = f"{percent(level_of(rows.max(numeric_only=True)))} prediction interval"
        draw_steps(axes, high, edges, OTHER, low, alpha=0.25, label=label)
        label = "± standard deviation of the MC samples"
        bounds = mean + deviation, edges, MAIN, mean - deviation
        draw_steps(axes, *bounds, alpha=0.3, label=label)
        draw_steps(axes, mean, edges, MAIN, linewidth=1.5, label="prediction")
        axes.axhline(np.mean(emotion_ratings.SCALE), color=QUIET, linewidth=0.7, linestyle=":")
        shade_withheld(axes, rows, edges)
        dress(axes, y=name, grid="y")
        axes.set_ylim(*emotion_ratings.SCALE)
        axes.yaxis.set_major_locator(MultipleLocator(2, offset=1))
    panels[-1].set_xlabel("time (s)", fontsize=TEXT, color=INK)
    panels[-1].set_xlim(edges[0], edges[-1])
    legend_below(figure, panels[0], 3)
