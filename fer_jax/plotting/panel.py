"""The panel beside a picture in the annotated video: class bars and uncertainty."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEAST_SIDE = 360  # pixels of the shorter side of the smallest picture that a panel stands beside
_WIDTH = 300  # pixels of a panel beside such a picture
_LINE = 30  # pixels, the same

GROUND, TEXT, FAINT, RAIL = (24, 27, 32), (240, 242, 245), (158, 165, 175), (52, 58, 66)
SURE, UNSURE = (86, 196, 180), (255, 158, 74)  # RGB; apart in lightness too


def draw_classes(
    row: Mapping, classes: Sequence[str], threshold: float | None, height: int, scale: float
) -> np.ndarray:
    """Draws the panel of a class: label, a bar a class, entropy.

    Args:
      row: of `predict_clips`.
      classes: names, also keys of the row.
      threshold: entropy (nats) above which the model withholds its answer, or None.
      height: pixels.
      scale: of everything in it, 1 for pictures of `LEAST_SIDE`.

    Returns:
      `[height, W, 3]` uint8 RGB.
    """
    return _class_panel(_frozen(row, classes), threshold, height, scale)


def _frozen(row: Mapping, classes) -> tuple:
    probabilities = tuple((name, float(row[name])) for name in classes)
    others = ("label", "start", "end", "entropy", "mutual_information", "agreement", "abstained")
    return probabilities, tuple((name, row[name]) for name in others)


@functools.lru_cache(maxsize=4)
def _class_panel(row: tuple, threshold: float | None, height: int, scale: float) -> np.ndarray:
    """Draws the panel of one prediction; it changes only from window to window."""
    probabilities, row = row[0], dict(row[1])
    panel = Panel(height, scale)
    faceless = not np.isfinite(row["entropy"])
    label, tone, detail = row["label"], SURE, f"{row['start']:.1f}–{row['end']:.1f} s"
    if faceless:
        tone = FAINT
    elif row["abstained"]:
        label, tone, detail = "unsure", UNSURE, f"perhaps {label} · {detail}"
    panel.heading(label, detail, tone)
    room = height - panel.y - scale * 88
    lines = max(1, min(len(probabilities), int(room / (17 * scale))))
    spacing = min(_LINE * scale, room / lines)
    chances = [0.0 if faceless else chance for _, chance in probabilities]
    colour = UNSURE if row["abstained"] else SURE
    for index in sorted(np.argsort(chances, kind="stable")[::-1][:lines]):
        tone = colour if not faceless and chances[index] == max(chances) else FAINT
        panel.bar(probabilities[index][0], chances[index], tone, spacing, faceless)
    if not faceless:
        panel.gauge(row, threshold, float(np.log(len(probabilities))), colour)
    return panel.pixels()


class Panel:
    """A pen that writes line below line; lengths in pixels of the smallest panel."""

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

    def heading(self, title: str, detail: str, colour) -> None:
        self.text(self.left, self.y, title, 27, colour, bold=True)
        self.text(self.left, self.y + 37 * self.scale, detail, 13, FAINT)
        self.y += 66 * self.scale

    def bar(self, name: str, chance: float, colour, spacing: float, faceless: bool) -> None:
        size = min(14, 0.62 * spacing / self.scale)
        middle = self.y + spacing / 2
        start, end = self.left + 104 * self.scale, self.right - 46 * self.scale
        writing = font(round(size * self.scale), False)
        while writing.getlength(name) > 98 * self.scale and len(name) > 3:
            name = f"{name[:-2]}…"
        shown = FAINT if colour is FAINT else TEXT
        self.draw.text((self.left, middle), name, shown, writing, "lm")
        half = 0.27 * spacing
        self.draw.rectangle((start, middle - half, end, middle + half), RAIL)
        if chance * (end - start) >= 1:
            box = start, middle - half, start + chance * (end - start), middle + half
            self.draw.rectangle(box, colour)
        number = "–" if faceless else f"{100 * chance:.0f} %"
        self.draw.text((self.right, middle), number, shown, writing, "rm")
        self.y += spacing

    def gauge(self, row: dict, threshold: float | None, most: float, colour) -> None:
        """Entropy between nothing and that of guessing, the threshold a mark on it."""
        self.y += 12 * self.scale
        most = max(most, 1e-9)  # a single class leaves nothing to be unsure of
        amount = row["entropy"] / most
        self.text(self.left, self.y, "uncertainty", 13, TEXT)
        value = f"{row['entropy']:.2f} of {most:.2f} nats"
        self.text(self.right, self.y, value, 13, TEXT, anchor="ra")
        top, bottom = self.y + 22 * self.scale, self.y + 34 * self.scale
        length = self.right - self.left
        self.draw.rectangle((self.left, top, self.right, bottom), RAIL)
        self.draw.rectangle((self.left, top, self.left + min(amount, 1) * length, bottom), colour)
        if threshold is not None and np.isfinite(threshold):
            x = self.left + np.clip(threshold / most, 0, 1) * length
            mark = (x, top - 3 * self.scale, x, bottom + 3 * self.scale)
            self.draw.line(mark, TEXT, max(1, round(2 * self.scale)))
        passes = f"{100 * row['agreement']:.0f} % of passes agree"
        information = f"mutual inf. {row['mutual_information']:.2f}"
        self.text(self.left, bottom + 8 * self.scale, passes, 11.5, FAINT)
        self.text(self.right, bottom + 8 * self.scale, information, 11.5, FAINT, anchor="ra")


@functools.lru_cache(maxsize=32)
def font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # matplotlib brings this font along, so it is there on every machine
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / name), max(6, size))
