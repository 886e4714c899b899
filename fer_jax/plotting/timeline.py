"""What the timelines of all tasks share: steps over time, pictures above, shaded windows."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from PIL import Image

from fer_jax.machine import whole_file
from fer_jax.plotting.style import make_figure, set_title

WIDTH, PICTURES = 9.0, 1.15  # inches: width of a figure, height of its row of pictures
UNSURE, FACELESS = "#F9D3B4", "#D4D7DC"  # prediction withheld, no face found


def borders(start, end, moments=None) -> np.ndarray:
    """Divides a clip among its overlapping windows: each moment goes to the nearest one.

    Args:
      start, end: `[W]` seconds, in ascending order.
      moments: `[W]` seconds that each window describes; default: its centre.

    Returns:
      `[W + 1]` seconds; window `w` covers `borders[w] .. borders[w + 1]`.
    """
    start, end = np.asarray(start, float), np.asarray(end, float)
    centre = (start + end) / 2 if moments is None else np.asarray(moments, float)
    return np.concatenate([start[:1], (centre[:-1] + centre[1:]) / 2, end[-1:]])


def make_timeline(
    heights: Sequence[float], thumbnails: Sequence[np.ndarray] | None, title: str
) -> tuple[Figure, np.ndarray]:
    """Makes axes of the given heights (inches) below each other, under a row of pictures.

    Args:
      heights: one an axes.
      thumbnails: RGB pictures `[H, W, 3]` uint8, evenly spaced over the clip; none: no such row.
      title: which clip.

    Returns:
      The figure, and its axes without those of the pictures.
    """
    heights = ([PICTURES] if thumbnails else []) + list(heights)
    figure = make_figure(WIDTH, sum(heights) + 0.9)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if thumbnails:
        draw_thumbnails(panels[0], thumbnails)
        panels = panels[1:]
    set_title(figure, title)
    return figure, panels


def save_below(figures: Sequence[Figure], path) -> None:
    """Saves figures of one width below each other as one picture, a PNG, in one step.

    Raises:
      OSError: the file cannot be written.
    """
    with whole_file(pathlib.Path(path)) as partial:
        _save_below(figures, partial)


def _save_below(figures: Sequence[Figure], path: pathlib.Path) -> None:
    if len(figures) == 1:
        figures[0].savefig(path)
        return
    pictures = []
    for figure in figures:
        file = io.BytesIO()
        figure.savefig(file, format="png")
        pictures.append(Image.open(file).convert("RGB"))
    size = max(p.width for p in pictures), sum(p.height for p in pictures)
    whole, top = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    whole.save(path)


def draw_thumbnails(axes, thumbnails: Sequence[np.ndarray]) -> None:
    """Lays pictures `[H, W, 3]` side by side over the width of the axes."""
    inset_width = 1 / len(thumbnails)
    for index, picture in enumerate(thumbnails):
        inset = axes.inset_axes((index * inset_width, 0, inset_width, 1))
        inset.imshow(picture, aspect="equal", interpolation="antialiased")
        inset.set_axis_off()
    axes.set_axis_off()


def draw_steps(axes, values, edges, colour: str, baseline=None, **looks) -> None:
    """Draws values `[W]` as a line of steps, or as an area above a baseline.

    Does what `axes.stairs` does but leaves the limits of the axes alone, whose update takes far
    longer than the drawing.
    """
    if baseline is None:
        looks |= {"fill": False, "edgecolor": colour}
    else:
        looks |= {"fill": True, "facecolor": colour, "linewidth": 0}
    axes.add_artist(StepPatch(values, edges, baseline=baseline, **looks))


def shade_withheld(axes, rows: pd.DataFrame, edges) -> None:
    """Shades the windows whose prediction is withheld, and those without a face."""
    faceless = (rows["frames"] == 0).to_numpy()
    shade(axes, edges, rows["abstained"].to_numpy(bool) & ~faceless, UNSURE, "abstains")
    shade(axes, edges, faceless, FACELESS, "no face")


def shade(axes, edges, mask, colour: str, label: str) -> None:
    """Shades the windows of a mask `[W]` bool, the whole height of the axes."""
    for index in np.flatnonzero(mask):
        looks = {"color": colour, "alpha": 0.55, "linewidth": 0, "zorder": 0, "label": label}
        axes.axvspan(edges[index], edges[index + 1], **looks)
        label = None
