"""The panel beside a picture in the annotated video: class bars and uncertainty."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from fer_jax.faces.labels import classes_in
from fer_jax.plotting.panel import (
    FAINT,
    RAIL,
    SURE,
    TEXT,
    UNSURE,
    Panel,
    font,
    label_and_time,
    mixed,
)
from fer_jax.tasks.base import Bar, Gauge, chance_bar

# Nats; with less there is a single sample, of which neither agreement nor this says anything.
LEAST_INFORMATION = 1e-12
_LINE = 30  # pixels of a class in the smallest panel, at most
_SHOWN = (
    "label", "set", "set_level", "start", "end", "entropy", "mutual_information", "agreement",
    "abstained", "reason", "person", "several",
)  # fmt: skip


def draw_panel(row: Mapping, classes, threshold, height: int, scale: float) -> np.ndarray:
    """Draws label or set, a bar a class and the entropy, see `Task.draw_panel`."""
    probabilities = tuple((name, float(row[name])) for name in classes)
    shown = tuple((name, row.get(name)) for name in _SHOWN)
    return _draw(probabilities, shown, threshold, height, scale)


@functools.lru_cache(maxsize=4)
def _draw(probabilities, row: tuple, threshold, height: int, scale: float) -> np.ndarray:
    """Draws the panel of one prediction, cached as a window covers several frames."""
    row, panel = dict(row), Panel(height, scale)
    faceless = not np.isfinite(row["entropy"])
    title, tone, detail = label_and_time(row, faceless)
    panel.heading(title, detail, tone, sizes=(27, 13), steps=(37, 66))
    room = height - panel.y - scale * 88
    lines = max(1, min(len(probabilities), int(room / (17 * scale))))
    spacing = min(_LINE * scale, room / lines)
    chances = [0.0 if faceless else chance for _, chance in probabilities]
    colour, held = UNSURE if row["abstained"] else SURE, classes_in(row)
    for index in sorted(np.argsort(chances, kind="stable")[::-1][:lines]):
        name, tone = probabilities[index][0], FAINT
        if not faceless and chances[index] == max(chances):
            tone = colour
        elif not faceless and name in held:
            tone = mixed(colour, 0.6)
        _draw_bar(panel, name, chances[index], tone, spacing, faceless)
    if not faceless:
        _draw_gauge(panel, row, threshold, float(np.log(len(probabilities))), colour)
    return panel.pixels()


def _draw_bar(
    panel: Panel, name: str, chance: float, colour, spacing: float, faceless: bool
) -> None:
    """Name, bar of the probability, and the probability as a number."""
    size = min(14, 0.62 * spacing / panel.scale)
    middle = panel.y + spacing / 2
    start, end = panel.left + 104 * panel.scale, panel.right - 52 * panel.scale
    writing = font(round(size * panel.scale), False)
    while writing.getlength(name) > 98 * panel.scale and len(name) > 3:
        name = f"{name[:-2]}…"
    shown = FAINT if colour is FAINT else TEXT
    panel.draw.text((panel.left, middle), name, shown, writing, "lm")
    half = 0.27 * spacing
    panel.draw.rectangle((start, middle - half, end, middle + half), RAIL)
    if chance * (end - start) >= 1:
        box = start, middle - half, start + chance * (end - start), middle + half
        panel.draw.rectangle(box, colour)
    value = "–" if faceless else f"{100 * chance:.0f} %"
    panel.draw.text((panel.right, middle), value, shown, writing, "rm")
    panel.y += spacing


def _draw_gauge(panel: Panel, row: dict, threshold: float | None, most: float, colour) -> None:
    """Entropy on a bar from 0 to that of a uniform guess, with a mark at the threshold."""
    panel.y += 12 * panel.scale
    most = max(most, 1e-9)  # a single class has entropy 0
    amount = row["entropy"] / most
    panel.text(panel.left, panel.y, "uncertainty", 13, TEXT)
    value = f"{row['entropy']:.2f} of {most:.2f} nats"
    panel.text(panel.right, panel.y, value, 13, TEXT, anchor="ra")
    top, bottom = panel.y + 22 * panel.scale, panel.y + 34 * panel.scale
    length = panel.right - panel.left
    panel.draw.rectangle((panel.left, top, panel.right, bottom), RAIL)
    panel.draw.rectangle((panel.left, top, panel.left + min(amount, 1) * length, bottom), colour)
    if threshold is not None and np.isfinite(threshold):
        x = panel.left + np.clip(threshold / most, 0, 1) * length
        mark = (x, top - 3 * panel.scale, x, bottom + 3 * panel.scale)
        panel.draw.line(mark, TEXT, max(1, round(2 * panel.scale)))
    agreement = f"{100 * row['agreement']:.0f} % agreement"
    information = f"mutual inf. {row['mutual_information']:.2f}"
    if row["mutual_information"] < LEAST_INFORMATION:
        agreement, information = "a single pass: no samples to agree", ""
    panel.text(panel.left, bottom + 8 * panel.scale, agreement, 11.5, FAINT)
    panel.text(panel.right, bottom + 8 * panel.scale, information, 11.5, FAINT, anchor="ra")


def bars(row: Mapping, classes) -> list[Bar]:
    """Probabilities with their standard deviation over the MC samples, see `Task.bars`."""
    held = classes_in(row)
    return [chance_bar(name, row[name], row[f"std_{name}"], name in held) for name in classes]


def ambiguity(row: Mapping, classes, threshold: float | None) -> Gauge:
    """Entropy between 0 and that of a uniform guess, see `Task.ambiguity`."""
    most = float(np.log(len(classes)))
    text = f"entropy {row['entropy']:.2f} of {most:.2f} nats"
    return Gauge(row["entropy"], most, threshold, text)
