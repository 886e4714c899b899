"""The style that all figures share; `save` writes one, or `figure.savefig(path)`."""

from __future__ import annotations

import pathlib

import matplotlib
from matplotlib.figure import Figure

from fer_jax.machine import whole_file

# Colours stay apart for colour-blind readers (Paul Tol's "muted" scheme).
PALETTE = (
    "#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933",
    "#AA4499",
)  # fmt: skip
MAIN, OTHER, ALERT, QUIET = "#332288", "#44AA99", "#D55E00", "#8A8F98"
INK = "#22262B"
GRID, PALE = "#E4E6EA", "#C3C7CE"
SEQUENTIAL = "Blues"
TITLE, TEXT, SMALL = 12, 10, 8.5  # points
DPI = 150


def class_colours(count: int) -> list[str]:
    """Returns one colour a class; they repeat beyond nine, so colour is never the only cue."""
    return [PALETTE[index % len(PALETTE)] for index in range(count)]


def make_figure(width: float, height: float) -> Figure:
    """An empty figure; width and height in inches."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def save(figure: Figure, file: pathlib.Path) -> None:
    """Writes a figure as PNG and, for papers, as PDF beside it, with its fonts embedded.

    Args:
      figure: of `make_figure` or `make_grid`.
      file: NAME.png.
    """
    with whole_file(file) as partial:
        figure.savefig(partial)
    figure.set_layout_engine("none")  # the texts lie as in the PNG, without a second search
    save_pdf(figure, file.with_suffix(".pdf"))


def save_pdf(figure: Figure, file: pathlib.Path) -> None:
    """Writes a figure as PDF; equal figures are equal files."""
    # TrueType fonts, which publishers ask for
    with (
        matplotlib.rc_context({"pdf.fonttype": 42}),
        whole_file(file) as partial,
    ):
        figure.savefig(partial, metadata={"CreationDate": None})


def make_grid(
    rows: int, columns: int, size: tuple[float, float], *, top: float = 0.75, right: float = 0.2,
    gaps: tuple[float, float] = (0.5, 0.55), left: float = 0.75, bottom: float = 0.55,
):  # fmt: skip
    """Makes a figure of equal axes with fixed margins, which saves the search for a layout.

    Args:
      rows, columns: of the grid.
      size: width and height of an axes, inches.
      top, right, left, bottom: margins, inches.
      gaps: between columns and between rows, inches.

    Returns:
      The figure, and its axes `[rows, columns]`.
    """
    (wide, high), (across, down) = size, gaps
    width = left + columns * (wide + across) - across + right
    height = bottom + rows * (high + down) - down + top
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    margins = {
        "left": left / width, "right": 1 - right / width, "bottom": bottom / height,
        "top": 1 - top / height, "wspace": across / wide, "hspace": down / high,
    }  # fmt: skip
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins)


def dress(axes, *, x: str = "", y: str = "", title: str = "", grid: str | None = None) -> None:
    """Styles axes; labels carry their unit."""
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    if title:
        axes.set_title(title, fontsize=TITLE, color=INK, loc="left", pad=8)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)


def legend_below(figure: Figure, axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False
    )


def set_title(figure: Figure, text: str) -> None:
    """Writes the title of a figure of several panels."""
    place = {}
    if figure.get_layout_engine() is None:  # of a tall figure the default is within the panels
        place = {"y": 1 - 0.12 / figure.get_figheight(), "va": "top"}
    figure.suptitle(text, fontsize=TITLE, color=INK, x=0.01, ha="left", **place)


def set_panel_title(axes, text: str) -> None:
    """Writes the small title of one panel of several."""
    axes.set_title(text, fontsize=SMALL, color=INK, loc="left")


def dress_colour_bar(bar, label: str, size: float = SMALL) -> None:
    bar.set_label(label, fontsize=size, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
