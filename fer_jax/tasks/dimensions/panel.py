"""The panel beside a picture in the annotated video: a point in the plane of the dimensions."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from fer_jax.faces import emotion_ratings
from fer_jax.plotting.panel import (
    FAINT,
    GROUND,
    RAIL,
    SURE,
    TEXT,
    Panel,
    font,
    label_and_time,
    mixed,
)
from fer_jax.tasks.base import NO_FACE, Bar, Gauge
from fer_jax.tasks.dimensions.scores import level_of
from fer_jax.uncertainty.stored import percent

TRAIL_SECONDS = 3.0
_LINE = 25  # pixels of a dimension in the smallest panel
_LOW, _HIGH = emotion_ratings.SCALE


def draw_panel(row: Mapping, dimensions, threshold, height: int, scale: float) -> np.ndarray:
    """Draws the nearest word, the plane, a line each, see `Task.draw_panel`."""
    names = [f"{prefix}{name}" for name in dimensions for prefix in ("", "low_", "high_")]
    names += ["label", "start", "end", "uncertainty", "abstained", "reason"]
    names += ["interval_level", "person", "several"]
    trail = ()
    if emotion_ratings.has_plane(dimensions):
        trail = tuple(
            tuple(one[name] for name in emotion_ratings.PLANE) for one in row.get("before", ())
        )
    return _draw(
        tuple((name, row.get(name)) for name in names), trail, tuple(dimensions), height, scale
    )


@functools.lru_cache(maxsize=4)
def _draw(row: tuple, trail: tuple, dimensions: tuple, height: int, scale: float) -> np.ndarray:
    """Draws the panel of one prediction, cached as a window covers several frames."""
    row, panel = dict(row), Panel(height, scale)
    faceless = row["label"] == NO_FACE
    title, colour, detail = label_and_time(row, faceless)
    panel.heading(title, detail if colour != SURE else f"nearest word · {detail}", colour)
    if emotion_ratings.has_plane(dimensions):
        room = height - panel.y - (_LINE * len(dimensions) + 28) * scale
        plane = _Plane(panel, min(room, panel.right - panel.left))
        plane.draw_frame()
        plane.draw_trail(trail)
        if not faceless:
            plane.draw_point(row, colour)
        panel.y += plane.side + 8 * scale
    for name in dimensions:
        _draw_line(panel, row, name, colour, faceless)
    text = f"bars: {percent(level_of(row))} prediction intervals"
    text += "; ellipse: both" if emotion_ratings.has_plane(dimensions) else ""
    panel.text(panel.left, height - 7 * scale, text, 9.5, FAINT, anchor="ls")
    return panel.pixels()


class _Plane:
    """The square of valence (to the right) and arousal (upwards); lengths in pixels."""

    def __init__(self, panel: Panel, side: float):
        self.panel, self.side = panel, side
        self.left = (panel.left + panel.right - side) / 2
        self.bottom = panel.y + side

    def place(self, valence: float, arousal: float) -> tuple[float, float]:
        across, up = (np.clip((x - _LOW) / (_HIGH - _LOW), 0, 1) for x in (valence, arousal))
        return self.left + across * self.side, self.bottom - up * self.side

    def draw_frame(self) -> None:
        draw, scale = self.panel.draw, self.panel.scale
        thin = max(1, round(scale))
        top = self.bottom - self.side
        draw.rectangle((self.left, top, self.left + self.side, self.bottom), None, RAIL, thin)
        centre = self.place((_LOW + _HIGH) / 2, (_LOW + _HIGH) / 2)
        draw.line((self.left, centre[1], self.left + self.side, centre[1]), RAIL, thin)
        draw.line((centre[0], top, centre[0], self.bottom), RAIL, thin)
        writing = font(round(10 * scale), False)
        for word, values in emotion_ratings.word_points(emotion_ratings.PLANE).items():
            x, y = self.place(*values)
            self._disc(x, y, 1.6 * scale, FAINT)
            below = word in emotion_ratings.WRITTEN_BELOW
            gap = (4 if below else -4) * scale
            draw.text((x, y + gap), word, FAINT, writing, "ma" if below else "ms")
        gap = 4 * scale
        ends = self.left + self.side - gap, self.bottom - gap
        draw.text(ends, "valence →", FAINT, writing, "rs")
        draw.text((self.left + gap, top + gap), "arousal ↑", FAINT, writing, "la")

    def draw_trail(self, trail: tuple) -> None:
        for index, values in enumerate(trail):
            if np.isfinite(values).all():
                fresh = 0.15 + 0.6 * (index + 1) / len(trail)
                self._disc(*self.place(*values), 2.2 * self.panel.scale, mixed(SURE, fresh))

    def draw_point(self, row: dict, colour) -> None:
        x, y = self.place(*(row[name] for name in emotion_ratings.PLANE))
        left, bottom = self.place(*(row[f"low_{name}"] for name in emotion_ratings.PLANE))
        right, top = self.place(*(row[f"high_{name}"] for name in emotion_ratings.PLANE))
        thin = max(1, round(1.5 * self.panel.scale))
        self.panel.draw.ellipse((left, top, right, bottom), None, mixed(colour, 0.75), thin)
        self._disc(x, y, 5 * self.panel.scale, GROUND)
        self._disc(x, y, 4 * self.panel.scale, colour)

    def _disc(self, x: float, y: float, radius: float, colour) -> None:
        self.panel.draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _draw_line(panel: Panel, row: dict, name: str, colour, faceless: bool) -> None:
    """Name, scale from 1 to 9 with value and interval, the value as a number."""
    draw, scale = panel.draw, panel.scale
    writing = font(round(12.5 * scale), False)
    middle = panel.y + _LINE * scale / 2
    panel.y += _LINE * scale
    start, end = panel.left + 78 * scale, panel.right - 38 * scale
    ink = FAINT if faceless else TEXT
    draw.text((panel.left, middle), name, ink, writing, "lm")
    value = "–" if faceless else f"{row[name]:.2f}"
    draw.text((panel.right, middle), value, ink, writing, "rm")
    draw.rectangle((start, middle - 3 * scale, end, middle + 3 * scale), RAIL)
    if faceless:
        return

    def place(value: float) -> float:
        return start + float(np.clip((value - _LOW) / (_HIGH - _LOW), 0, 1)) * (end - start)

    span = place(row[f"low_{name}"]), place(row[f"high_{name}"])
    draw.rectangle((span[0], middle - 3 * scale, span[1], middle + 3 * scale), mixed(colour, 0.5))
    x, radius = place(row[name]), 5 * scale
    draw.ellipse((x - radius, middle - radius, x + radius, middle + radius), colour)


def bars(row: Mapping, dimensions) -> list[Bar]:
    """Values with their prediction intervals on the scale of the labels, see `Task.bars`."""
    found = []
    for name in dimensions:
        values = np.array([row[f"{prefix}{name}"] for prefix in ("", "low_", "high_")])
        places = np.clip((values - _LOW) / (_HIGH - _LOW), 0, 1).tolist()
        text = "{:.1f} ({:.1f} to {:.1f})".format(*values)
        found.append(Bar(name, *places, text, True))
    return found


def ambiguity(row: Mapping, dimensions, threshold: float | None) -> Gauge:
    """Uncertainty between 0 and that of ratings drawn at random, see `Task.ambiguity`."""
    most = float((_HIGH - _LOW) / np.sqrt(12))
    text = f"uncertainty {row['uncertainty']:.2f} rating points"
    return Gauge(row["uncertainty"], most, threshold, text)
