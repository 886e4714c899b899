"""What the page shows of a picture from the camera, as plain values for its script."""

from __future__ import annotations

import math

import numpy as np

from fer_jax.faces.labels import classes_in, reason_of, said_of
from fer_jax.predict.annotate import drawn_box
from fer_jax.predict.options import Options, chosen_threshold
from fer_jax.tasks import TASKS
from fer_jax.tasks.action_units.scores import NO_UNIT
from fer_jax.tasks.base import Gauge
from fer_jax.uncertainty.stored import percent

_FAMILIAR = 1.0  # limit of `unfamiliarity`
SURE, UNSURE, WAITING = "sure", "unsure", "waiting"


def shown(predictor, seen) -> dict:
    """Returns what is drawn of a picture.

    Args:
      predictor: of `load_model`.
      seen: of `Engine.look`.

    Returns:
      `people`, a dict each, the largest face first, and `status`, a line of text.
    """
    people = [_person(predictor, person) for person in seen.people]
    people.sort(key=lambda one: -_area(one["box"]))
    return {"people": people, "status": _status(people)}


def _status(people: list[dict]) -> str:
    if not people:
        return "No face."
    text = "1 face" if len(people) == 1 else f"{len(people)} faces"
    waiting = sum(one["tone"] == WAITING for one in people)
    return f"{text}, {people[0]['said']}." if waiting == len(people) else f"{text}."


def _person(predictor, person) -> dict:
    """Box, number and what is said of one person; details where there is a row."""
    row = person.row
    common = {"number": int(person.number), "box": _box(person.points)}
    if row is None or not row["frames"]:
        return common | {"said": awaited(predictor), "tone": WAITING}
    unsure = bool(row["abstained"])
    return common | {
        "said": reason_of(row) if unsure else said_of(row),
        "tone": UNSURE if unsure else SURE,
        "detail": _detail(row),
        "bars": [bar._asdict() for bar in TASKS[predictor.task].bars(row, predictor.classes)],
        "ambiguity": _plain(ambiguity(predictor, row)),
        "unfamiliarity": _unfamiliarity(row),
        "second": int(row["end"]),
    }


def awaited(predictor) -> str:
    """What a face without a row waits for."""
    spec = predictor.spec
    return "looking" if spec.frames == 1 else f"{spec.window_seconds:.1f} s of motion needed"


def _detail(row: dict) -> str:
    """A line below what is said: what it rests on, or what a row that is withheld would say."""
    if row["abstained"]:
        return "" if row["label"] == NO_UNIT else f"perhaps {said_of(row)}"
    if "set_level" not in row:
        return "nearest word"
    if math.isnan(row["set_level"]):
        return ""
    undecided = len(classes_in(row)) > 1
    return f"{percent(row['set_level'])} set" + ": undecided" * undecided


def ambiguity(predictor, row: dict) -> Gauge:
    """How ambiguous a row that shows a face is."""
    threshold = chosen_threshold(predictor, Options())
    return TASKS[predictor.task].ambiguity(row, predictor.classes, threshold)


def _unfamiliarity(row: dict) -> dict:
    """As `_plain`; the value is None if the model cannot tell."""
    value = _finite(row["unfamiliarity"])
    text = "unfamiliarity unknown: the model cannot tell"
    if value is not None:
        text = f"unfamiliarity {value:.2f}, limit {_FAMILIAR:g}"
    return {"value": value, "most": 2 * _FAMILIAR, "limit": _FAMILIAR, "text": text}


def _plain(gauge: Gauge) -> dict:
    value = _finite(gauge.value)
    return gauge._asdict() | {"value": value, "limit": _finite(gauge.limit)}


def _finite(value) -> float | None:
    """A number that JSON can hold."""
    return value if value is not None and math.isfinite(value) else None


def _box(points) -> list[float]:
    """Left, top, right, bottom of the box around a face, pixels."""
    return [round(float(value), 1) for value in drawn_box(np.asarray(points, float))]


def _area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
