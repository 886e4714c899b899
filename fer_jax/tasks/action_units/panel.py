"""The panel beside a picture in the annotated video: action units, each with its uncertainty."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from fer_jax.faces.labels import PRESENT, undecided_units
from fer_jax.plotting.panel import (
    FAINT,
    GROUND,
    RAIL,
    SURE,
    TEXT,
    UNSURE,
    Panel,
    font,
    mixed,
    of_still,
)
from fer_jax.tasks.action_units.scores import present_units, unsure_units
from fer_jax.tasks.base import NO_FACE, Bar, Gauge, chance_bar, reason_of

_LEAST_LINE, _LINE = 12.5, 24  # pixels of a unit in the smallest panel, at least and at most
FADED, PALE = mixed(UNSURE, 0.42), mixed(FAINT, 0.5)


def draw_panel(row: Mapping, units, thresholds, height: int, scale: float) -> np.ndarray:
    """Draws the units present and a bar each, see `Task.draw_panel`.

    The bar of a unit is faded where it is unsure, and hollow where its set holds both states.
    """
    own = ("label", "end", "abstained", "reason", "person", "several")
    prefixes = ("", "std_", "abstained_", "set_")
    of_units = [f"{prefix}{unit}" for unit in units for prefix in prefixes]
    frozen = tuple((name, row.get(name)) for name in (*own, *of_units))
    return _draw(frozen, tuple(units), height, scale)


@functools.lru_cache(maxsize=4)
def _draw(row: tuple, units: tuple[str, ...], height: int, scale: float) -> np.ndarray:
    """Draws the panel of one prediction, cached as a window covers several frames."""
    row, panel = dict(row), Panel(height, scale)
    faceless = row["label"] == NO_FACE
    _draw_heading(panel, row, units, faceless)
    room = height - panel.y - 28 * scale
    lines = max(1, min(len(units), int(room / (_LEAST_LINE * scale))))
    spacing = min(_LINE * scale, room / lines)
    chances = np.array([0.0 if faceless else row[unit] for unit in units])
    for index in sorted(np.argsort(-chances, kind="stable")[:lines]):
        _draw_unit(panel, row, units[index], spacing, faceless)
    if not faceless:
        _draw_key(panel, height, any(row[f"set_{unit}"] for unit in units))
    return panel.pixels()


def _draw_heading(panel: Panel, row: dict, units, faceless: bool) -> None:
    present, unsure = present_units(row), unsure_units(row, units)
    undecided = undecided_units(row, units)
    named = [f"{unit}?" if unit in undecided else unit for unit in present]
    title, colour = " ".join(named) or "none present", SURE if set(named) & set(present) else TEXT
    moment = of_still(row) if row["end"] is None else f"at {row['end']:.2f} s"
    detail = f"{moment} · {len(unsure)} of {len(units)} unsure"
    detail += f", {len(undecided)} undecided" if undecided else ""
    if faceless:
        title, colour, detail = NO_FACE, FAINT, moment
    elif row["abstained"]:
        title, colour = reason_of(row), UNSURE
    panel.heading(title, detail, colour, steps=(31, 54))


def _draw_unit(panel: Panel, row: dict, unit: str, spacing: float, faceless: bool) -> None:
    """Name, bar of the probability with its deviation over the MC samples, and both numbers.

    An undecided unit has an outline alone, which is neither that of present nor of absent ones.
    """
    draw, scale = panel.draw, panel.scale
    writing = font(round(min(13, 0.78 * spacing / scale) * scale), False)
    middle, half = panel.y + spacing / 2, 0.3 * spacing
    panel.y += spacing
    start, end = panel.left + 50 * scale, panel.right - 72 * scale
    if faceless:
        fill, ink, value = RAIL, FAINT, "–"
    else:
        chance, deviation = row[unit], row[f"std_{unit}"]
        value = f"{100 * chance:.0f} ± {100 * deviation:.0f} %"
        certain = SURE if chance > PRESENT else PALE
        fill, ink = certain, TEXT if chance > PRESENT else FAINT
        if undecided := bool(undecided_units(row, [unit])):
            fill, ink = FAINT, FAINT
        if row[f"abstained_{unit}"]:
            fill, ink = FADED, FAINT
    draw.text((panel.left, middle), unit, ink, writing, "lm")
    draw.text((panel.right, middle), value, ink, writing, "rm")
    draw.rectangle((start, middle - half, end, middle + half), RAIL)
    if faceless:
        return

    def place(share: float) -> float:
        return start + float(np.clip(share, 0, 1)) * (end - start)

    thin, box = max(1, round(scale)), (start, middle - half, place(chance), middle + half)
    if undecided:
        draw.rectangle(box, GROUND, fill, max(2, round(1.5 * scale)))
    elif place(chance) - start >= 1:
        draw.rectangle(box, fill)
    draw.line((place(PRESENT), middle - half, place(PRESENT), middle + half), GROUND, thin)
    ends = place(chance - deviation), place(chance + deviation)
    draw.line((ends[0], middle, ends[1], middle), ink, max(1, round(1.5 * scale)))


def _draw_key(panel: Panel, height: int, sets: bool) -> None:
    """What the colours mean, at the foot of the panel."""
    x, y, scale = panel.left, height - 13 * panel.scale, panel.scale
    writing = font(round(10 * scale), False)
    meanings = {"present": SURE, "absent": PALE, "unsure": FADED}
    for meaning, colour in (meanings | ({"undecided": None} if sets else {})).items():
        box = (x, y - 4 * scale, x + 8 * scale, y + 4 * scale)
        panel.draw.rectangle(box, colour, colour or FAINT, max(1, round(1.5 * scale)))
        panel.draw.text((x + 12 * scale, y), meaning, FAINT, writing, "lm")
        x += 19 * scale + writing.getlength(meaning)
    panel.draw.text((panel.right, y), "± s.d.", FAINT, writing, "rm")


def bars(row: Mapping, units) -> list[Bar]:
    """Probabilities with their standard deviation over the MC samples, see `Task.bars`."""
    present = present_units(row)
    return [chance_bar(unit, row[unit], row[f"std_{unit}"], unit in present) for unit in units]


def ambiguity(row: Mapping, units, thresholds) -> Gauge:
    """How many units are unsure, see `Task.ambiguity`; the model abstains where all are.

    Withheld rows call all of them unsure, so it is counted again.
    """
    limits = [np.inf if limit is None else limit for limit in thresholds]
    unsure = sum(row[f"entropy_{u}"] > limit for u, limit in zip(units, limits, strict=True))
    least = None if None in thresholds else len(units) - 0.5
    return Gauge(unsure, len(units), least, f"{unsure} of {len(units)} units unsure")
