"""Names of emotions and action units, in the order of each dataset; which values labels have."""

from __future__ import annotations

import numpy as np

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
CKPLUS_CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
OULU_CLASSES = EMOTIONS
MMI_CLASSES = EMOTIONS
# Other names of the same classes, for experiments across datasets.
_SAME = {
    "angry": "anger", "disgusted": "disgust", "fearful": "fear", "happy": "happiness",
    "joy": "happiness", "sad": "sadness", "surprised": "surprise",
}  # fmt: skip
AFEW_CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
FERA_CLASSES = ("anger", "fear", "joy", "relief", "sadness")
DISFA_CLASSES = AFEW_CLASSES
RAVDESS_CLASSES = ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")

# The action units of FERA 2015 (Valstar et al., FG 2015), in its order.
BP4D_ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23))
# Intensity from which an action unit counts as present on a scale of 0..1 (A to E: 0.2 to 1.0): B,
# as is usual for DISFA.
PRESENT_INTENSITY = 0.4
# Columns of the table of predictions beside those of the classes: no class can be named like one.
PREDICTION_COLUMNS = (
    "clip", "start", "end", "person", "label", "entropy", "mutual_information", "agreement",
    "set", "set_level", "interval_level", "uncertainty", "frames", "abstained", "reason",
    "unfamiliarity",
    "face_share", "face_size", "box_left", "box_top", "box_right", "box_bottom", "yaw", "pitch",
    "roll", "sharpness", "fit",
)  # fmt: skip
# Of every class, action unit or dimension the table may have one of each, PREFIX_NAME.
COLUMN_PREFIXES = (
    "std", "set", "low", "high", "entropy", "mutual_information", "agreement", "abstained",
)  # fmt: skip
NO_FACE = "no face"  # label of a window without a face, so of no class
# Why a row of predictions abstains: people might disagree about the face, the model was not trained
# on such faces, or it cannot be read; in what follows stands why.
AMBIGUOUS, UNFAMILIAR, UNREADABLE = "ambiguous", "unfamiliar", "unreadable: "
PRESENT = 0.5  # probability above which an action unit is predicted

DISFA_ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26))


def impossible_labels(field: str, values) -> np.ndarray:
    """Which values no label can have, `[...]` bool.

    Args:
      field: "votes" or "other_votes", how many people chose each; "action_units", intensities 0 to
        1, of which NaN is unknown.
      values: `[...]`.
    """
    values = np.asarray(values, float)
    if field == "action_units":
        return ~(((values >= 0) & (values <= 1)) | np.isnan(values))
    return ~((values >= 0) & np.isfinite(values))


def columns_among(names) -> list[str]:
    """Those names of classes that the table of predictions of these classes has as columns."""
    own = {f"{prefix}_{name}" for prefix in COLUMN_PREFIXES for name in names}
    return [name for name in names if name in own.union(PREDICTION_COLUMNS)]


def reason_of(row) -> str:
    """Why a row abstains, in a word or two; rows of older tables do not say it."""
    reason = row.get("reason")  # NaN in a table with rows that have none
    known = isinstance(reason, str) and reason
    return reason.removeprefix(UNREADABLE) if known else AMBIGUOUS


def said_of(row) -> str:
    """What a drawing says of a row: the classes of its set if there are several, else its label.

    Of more than three classes it names the two likeliest: "anger or fear or 2 more". An action unit
    whose set holds both absent and present has a question mark: "AU06+AU12?".
    """
    names = classes_in(row)
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
    if len(names) > 1:
        return " or ".join(names)
    units = row["label"].split("+")
    undecided = undecided_units(row, units)
    return "+".join(f"{unit}?" if unit in undecided else unit for unit in units)


def classes_in(row) -> list[str]:
    """Names of the classes in the set of a row, the likeliest first; without a set its label."""
    names = row.get("set")  # NaN or missing in older tables, and of other tasks
    return names.split("|") if isinstance(names, str) and names else [row["label"]]


def undecided_units(row, units) -> list[str]:
    """Names of the action units whose set in a row holds both absent and present."""
    # NaN or missing in older tables
    return [unit for unit in units if "|" in str(row.get(f"set_{unit}", ""))]


def canonical(name: str) -> str:
    """Returns the name of a class shared by all datasets: "happiness" for "joy" and "happy"."""
    return _SAME.get(name.lower(), name.lower())
