"""What the panels of all tasks share: a canvas beside the frames of a video."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_jax.faces.labels import reason_of, said_of
from fer_jax.uncertainty.stored import percent

LEAST_SIDE = 360  # pixels of the shorter side of a frame; smaller frames are enlarged
_WIDTH = 300  # pixels of a panel beside such a frame

GROUND, TEXT, FAINT, RAIL = (24, 27, 32), (240, 242, 245), (158, 165, 175), (52, 58, 66)
SURE, UNSURE = (86, 196, 180), (255, 158, 74)  # RGB; apart in lightness too


class Panel:
    """A canvas that is filled from the top; sizes in pixels of the smallest panel."""

    def __init__(self, height: int, scale: float):
        self.image = Image.new("RGB", (2 * round(_WIDTH * scale / 2), height), GROUND)
        self.draw, self.scale = ImageDraw.Draw(self.image), scale
        self.left, self.right = 16 * scale, self.image.width - 16 * scale
        self.y = 14 * scale

    def pixels(self) -> np.ndarray:
        return np.asarray(self.image)

    def text(self, x: float, y: float, text: str, size: float, colour, bold=False, anchor="la"):
        writing = font(round(size * self.scale), bold)
        while writing.getlength(text) > self.right - self.left and len(text) > 4:
            text = f"{text[:-2]}…"
        self.draw.text((x, y), text, colour, writing, anchor)

    def heading(self, title: str, detail: str, colour, sizes=(24, 12), steps=(31, 52)) -> None:
        """Writes a title and a detail below it, each smaller if it is long.

        Args:
          sizes: of the two texts.
          steps: down from the title to the detail, and to what comes next.
        """
        size = self._fitting(title, sizes[0], 12, True)
        top = self.y + (sizes[0] - size) * self.scale
        self.text(self.left, top, title, size, colour, bold=True)
        size = self._fitting(detail, sizes[1], 10, False)
        self.text(self.left, self.y + steps[0] * self.scale, detail, size, FAINT)
        self.y += steps[1] * self.scale

    def _fitting(self, text: str, size: float, least: float, bold: bool) -> float:
        """The size, or a smaller one, in which a text is as wide as the panel."""
        width = self.right - self.left
        while size > least and font(round(size * self.scale), bold).getlength(text) > width:
            size -= 1
        return size


def label_and_time(row: Mapping, faceless: bool) -> tuple[str, tuple[int, ...], str]:
    """Title, its colour, and the detail below it, for a row with one label.

    A row without times is that of a still picture, see `of_still`.
    """
    label, time = row["label"], of_still(row)
    if row["end"] is not None:
        places = 1 if row["end"] - row["start"] >= 0.1 else 2  # seconds: both ends differ
        time = f"{row['start']:.{places}f}–{row['end']:.{places}f} s"
    if faceless:
        return label, FAINT, time
    if row["abstained"]:
        return reason_of(row), UNSURE, f"perhaps {said_of(row)} · {time}"
    said = said_of(row)
    return said, SURE, time if said == label else f"{percent(row['set_level'])} set · {time}"


def of_still(row: Mapping) -> str:
    """What stands in place of the times of a window; one of `several` people is named."""
    return f"person {row['person']}" if row.get("several") else "one picture"


def mixed(colour, share: float) -> tuple[int, ...]:
    """Mixes a colour with the ground."""
    return tuple(round(share * a + (1 - share) * b) for a, b in zip(colour, GROUND, strict=True))


@functools.lru_cache(maxsize=32)
def font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # matplotlib ships this font, so every machine has it
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / name), max(6, size))
