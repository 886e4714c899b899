"""What a model says of a window and how far to trust it: a class, action units or dimensions.

`ANSWERS` has an entry a task: what predicts, saves and prints asks here; `annotate.DRAWINGS` is
the same for what is drawn. To both a row of predictions is a dict.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fer_jax.faces import emotion_ratings
from fer_jax.faces.labels import PRESENT
from fer_jax.uncertainty import INTERVAL

NO_FACE = "no face"
NO_UNIT = "none"  # label of a window of which no action unit is present and trusted
_UNCERTAINTY = ("entropy", "mutual_information", "agreement")
_OF_A_UNIT = ("std", *_UNCERTAINTY, "abstained")


class Column(NamedTuple):
    """A column of the table in the terminal.

    Attributes:
      heading: its name.
      text: what it says of a row that shows a face.
      right: whether it is set right, as numbers are.
    """

    heading: str
    text: Callable[[dict], str]
    right: bool = True


@dataclasses.dataclass(frozen=True)
class Answer:
    """The functions of a task; `names` are those of the classes, action units or dimensions.

    Attributes:
      columns: `names -> ` columns of the table between the times and the frames of a window.
      row: `(summary, names, threshold) -> ` these columns and `abstained`, of the one window that a
        `uncertainty.Summary` or `Spread` speaks of.
      blank: `names -> ` the same for a window without a face.
      threshold: `(the bundle's, the user's, names) -> ` entropy (nats; of dimensions: doubt) above
        which nothing is claimed, one each where each is a claim of its own; the user's single
        number comes first.
      warning: `(threshold, names) -> ` what is never marked unsure, empty where all may be.
      moments: `(start [W], end [W], fps) -> [W]` seconds of which each window speaks.
      shown: `(names, room) -> ` columns in the terminal, `room` characters beside the clip's name.
    """

    columns: Callable[[Sequence[str]], list[str]]
    row: Callable[..., dict]
    blank: Callable[[Sequence[str]], dict]
    threshold: Callable[..., float | None | tuple[float | None, ...]]
    warning: Callable[..., str]
    moments: Callable[..., np.ndarray]
    shown: Callable[[Sequence[str], int], list[Column]]


# --- one class --------------------------------------------------------------------------------


def _class_columns(classes) -> list[str]:
    return [*classes, "label", *_UNCERTAINTY]


def _class_row(summary, classes, threshold) -> dict:
    entropy = max(0.0, float(summary.entropy[0]))
    row = {name: float(p) for name, p in zip(classes, summary.mean[0], strict=True)}
    return row | {
        "label": classes[int(summary.mean[0].argmax())],
        "entropy": entropy,
        "mutual_information": float(summary.mutual_information[0]),
        "agreement": float(summary.agreement[0]),
        "abstained": threshold is not None and entropy > threshold,
    }


def _class_blank(classes) -> dict:
    numbers = dict.fromkeys((*classes, *_UNCERTAINTY), math.nan)
    return numbers | {"label": NO_FACE, "abstained": True}


def _class_threshold(own, asked, classes) -> float | None:
    del classes
    return own if asked is None else asked


def _class_warning(threshold, classes) -> str:
    del classes
    if threshold is not None:
        return ""
    return "the model has no threshold, so no prediction is marked unsure (--threshold sets one)"


def _centres(start, end, fps) -> np.ndarray:
    del fps
    return (np.asarray(start, float) + np.asarray(end, float)) / 2


def _class_shown(classes, room: int) -> list[Column]:
    """Every class, or the likeliest three, or the likeliest, as there is room."""

    def label(row: dict) -> str:
        return f"unsure ({row['label']})" if row["abstained"] else row["label"]

    def likeliest(row: dict) -> str:
        names = sorted(classes, key=lambda name: -row[name])[:3]
        return "  ".join(f"{name} {row[name]:.2f}" for name in names)

    def chance(name: str) -> Column:
        return Column(name, lambda row: f"{row[name]:.2f}")

    if room < 76:  # a terminal of 80 columns: the rest is in the table that --out saves
        return [
            Column("label", label, right=False),
            Column("prob.", lambda row: f"{max(row[name] for name in classes):.2f}"),
            Column("entropy", lambda row: f"{row['entropy']:.2f}"),
        ]
    wide = 74 + sum(max(len(name), 4) + 3 for name in classes) <= room
    return [
        Column("label", label, right=False),
        *(map(chance, classes) if wide else [Column("likeliest classes", likeliest, right=False)]),
        Column("entropy", lambda row: f"{row['entropy']:.2f}"),
        Column("mutual inf.", lambda row: f"{row['mutual_information']:.3f}"),
        Column("agree", lambda row: f"{row['agreement']:.0%}"),
    ]


# --- action units -----------------------------------------------------------------------------


def _unit_columns(units) -> list[str]:
    return [*units, "label", *(f"{name}_{unit}" for name in _OF_A_UNIT for unit in units)]


def _unit_row(summary, units, thresholds) -> dict:
    row, present = {}, []
    for number, (unit, threshold) in enumerate(zip(units, thresholds, strict=True)):
        one = {name: float(values[0, number]) for name, values in summary._asdict().items()}
        entropy = max(0.0, one["entropy"])
        abstained = threshold is not None and entropy > threshold
        row |= {
            unit: one["mean"],
            f"std_{unit}": one["variance"] ** 0.5,
            f"entropy_{unit}": entropy,
            f"mutual_information_{unit}": one["mutual_information"],
            f"agreement_{unit}": one["agreement"],
            f"abstained_{unit}": abstained,
        }
        if one["mean"] > PRESENT and not abstained:
            present.append(unit)
    return row | {
        "label": "+".join(present) or NO_UNIT,
        "abstained": all(row[f"abstained_{unit}"] for unit in units),
    }


def _unit_blank(units) -> dict:
    row = dict.fromkeys(_unit_columns(units), math.nan)
    withheld = dict.fromkeys((f"abstained_{unit}" for unit in units), True)
    return row | withheld | {"label": NO_FACE, "abstained": True}


def _unit_threshold(own, asked, units) -> tuple[float | None, ...]:
    return (asked,) * len(units) if asked is not None or own is None else tuple(own)


def _unit_warning(thresholds, units) -> str:
    without = [unit for unit, threshold in zip(units, thresholds, strict=True) if threshold is None]
    if not without:
        return ""
    one = "(--threshold sets one for all)"
    if len(without) == len(units):
        return f"the model has no threshold, so no action unit is marked unsure {one}"
    names = ", ".join(without)
    return f"the model has no threshold for {names}, so these are never marked unsure {one}"


def _last_frames(start, end, fps) -> np.ndarray:
    del start
    return np.asarray(end, float) - 0.5 / fps


def present_units(row: dict) -> list[str]:
    """Names of the action units that a row says are present and trusted."""
    return [] if row["label"] in (NO_UNIT, NO_FACE) else row["label"].split("+")


def unsure_units(row: dict, units) -> list[str]:
    """Names of the action units of which a row claims nothing."""
    return [unit for unit in units if row[f"abstained_{unit}"]]


def _unit_shown(units, room: int) -> list[Column]:
    """Those present, and those that the model is unsure of, as far as there is room."""
    half = max(14, (room - 40) // 2)

    def present(row: dict) -> str:
        if row["abstained"]:
            return "unsure"
        return _fitting([f"{unit} {row[unit]:.2f}" for unit in present_units(row)], half) or NO_UNIT

    def unsure(row: dict) -> str:
        names = unsure_units(row, units)
        count = f"{len(names):{len(str(len(units)))}}  "
        return (count + _fitting(names, half - len(count))).rstrip()

    return [
        Column("present", present, right=False),
        Column(f"unsure, of {len(units)}", unsure, right=False),
    ]


def _fitting(words: list[str], room: int) -> str:
    """As many words as there is room for, and how many are left out."""
    for shown in range(len(words), -1, -1):
        left = [f"+{len(words) - shown}"] if shown < len(words) else []
        text = "  ".join(words[:shown] + left)
        if len(text) <= room:
            break
    return text


# --- dimensions -------------------------------------------------------------------------------


def _dimension_columns(names) -> list[str]:
    around = (f"{part}_{name}" for part in ("std", "low", "high") for name in names)
    return [*names, "label", *around, "doubt"]


def _dimension_row(summary, names, threshold) -> dict:
    mean, deviation = summary.mean[0], summary.variance[0] ** 0.5
    low, high = (ends[0] for ends in summary.interval())
    parts = {"": mean, "std_": deviation, "low_": low, "high_": high}
    row = {
        f"{part}{name}": float(value)
        for part, values in parts.items()
        for name, value in zip(names, values, strict=True)
    }
    doubt = float(summary.doubt[0])
    return row | {
        "label": emotion_ratings.nearest(mean, names),
        "doubt": doubt,
        "abstained": threshold is not None and doubt > threshold,
    }


def _dimension_blank(names) -> dict:
    row = dict.fromkeys(_dimension_columns(names), math.nan)
    return row | {"label": NO_FACE, "abstained": True}


def _dimension_shown(names, room: int) -> list[Column]:
    """Every dimension, as far as there is room with its interval and its whole name."""
    letters = sum(map(len, names))
    whole, intervals = (56 + letters + more * len(names) <= room for more in (3, 18))

    def label(row: dict) -> str:
        return f"unsure ({row['label']})" if row["abstained"] else row["label"]

    def value(name: str) -> Column:
        if not intervals:
            return Column(name if whole else name[0].upper(), lambda row: f"{row[name]:.2f}")
        return Column(
            f"{name} ({INTERVAL:.0%} interval)",
            lambda row: f"{row[name]:.2f} ({row[f'low_{name}']:.1f}–{row[f'high_{name}']:.1f})",
        )

    return [
        Column("nearest word", label, right=False),
        *map(value, names),
        *([Column("doubt", lambda row: f"{row['doubt']:.2f}")] if whole else []),
    ]


ANSWERS = {
    "classification": Answer(
        columns=_class_columns,
        row=_class_row,
        blank=_class_blank,
        threshold=_class_threshold,
        warning=_class_warning,
        moments=_centres,
        shown=_class_shown,
    ),
    "action_units": Answer(
        columns=_unit_columns,
        row=_unit_row,
        blank=_unit_blank,
        threshold=_unit_threshold,
        warning=_unit_warning,
        moments=_last_frames,
        shown=_unit_shown,
    ),
    "dimensional": Answer(
        columns=_dimension_columns,
        row=_dimension_row,
        blank=_dimension_blank,
        threshold=_class_threshold,
        warning=_class_warning,
        moments=_centres,
        shown=_dimension_shown,
    ),
}
