"""Turns one record of a prepared dataset into its clips, pieces or windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax.data.frame_selection import (
    CUT,
    PIECES,
    piece_frames,
    select_frames,
    thin_frames,
    window_frames,
)
from fer_jax.faces.labels import PRESENT_INTENSITY
from fer_jax.faces.media.clock import last_step

_STEADY = 0.1  # frames by which the steps of a constant rate may differ
REFERENCE_WIDTH = 500.0  # published pixel figures (noise, mean shapes) refer to frames this wide


def scale_to_reference(landmarks, frame_width: int):
    """Scales pixels of a frame `frame_width` wide to a frame 500 wide; width 0 scales nothing."""
    return landmarks * (REFERENCE_WIDTH / frame_width) if frame_width else landmarks


def rows_of_record(example, frames: int, rule: str, frames_per_second: float, target: str) -> list:
    """Makes one row per clip: the whole recording, each piece, or each window with a face.

    Clips without any known label get no row.

    Args:
      example: the record.
      frames, rule, frames_per_second, target: see `load.load_clips`.
    """
    width, times = int(example["frame_size"][0]), _times(example)
    detected = thin_frames(example["detected"], times, frames_per_second)
    arrays = {
        name: example[name].astype(np.float32)
        for name in ("landmarks", "crop_landmarks")
        if name in example
    }
    arrays["landmarks"] = scale_to_reference(arrays["landmarks"], width)
    name = _text(example["clip_id"])
    whole = {"recording": name, "subject": _text(example["subject"]), "scaled": width > 0}
    whole["seconds"] = _seconds(example, None if rule not in CUT else frames)
    if rule == "windows":
        parts = _windows(example, detected, frames, target)
    elif rule in PIECES:
        parts = _pieces(example, detected, frames, rule, target)
    else:
        chosen = select_frames(detected, frames, rule, times)
        label = _label(example, target, chosen[-1])
        parts = [{"clip_id": name, "chosen": chosen, "end": whole["seconds"], "label": label}]
    return [
        # overlapping windows share all frames of their recording
        {**whole, **part, **(arrays if rule == "windows" else _at(part["chosen"], arrays))}
        for part in parts
        if not np.isnan(part["label"]).all()
    ]


def _at(chosen, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values[chosen] for name, values in arrays.items()}


def _windows(example, detected, frames: int, target: str) -> Iterator[dict]:
    """Yields the own fields of each window with a face."""
    name, indices, ends = _text(example["clip_id"]), example["frame_index"], _ends(example)
    for frame, chosen in enumerate(window_frames(detected, frames, indices)):
        if chosen[0] >= 0:
            yield {
                "clip_id": f"{name}@{indices[frame]}",
                "chosen": chosen,
                "end": ends[frame],
                "label": _label(example, target, frame),
            }


def _pieces(example, detected, frames: int, rule: str, target: str) -> Iterator[dict]:
    """Yields the own fields of each piece."""
    name, ends = _text(example["clip_id"]), _ends(example)
    for index, chosen in piece_frames(detected, frames, rule).items():
        yield {
            "clip_id": f"{name}#{index}",
            "chosen": chosen,
            "end": ends[chosen[-1]],
            "label": _label(example, target, chosen[-1]),
        }


def _times(example) -> np.ndarray | None:
    """Seconds at which each frame of a record begins, `[L]`, None if unknown.

    Datasets of earlier versions have a rate instead.
    """
    times, fps = _stamps(example), float(example["fps"])
    if times is not None:
        return times
    return np.arange(len(example["detected"])) / fps if fps > 0 else None


def _stamps(example) -> np.ndarray | None:
    """Time stamps of the frames, `[L]` seconds, None without."""
    times = example.get("times")
    known = times is not None and len(times) and np.isfinite(times).all()
    return np.asarray(times, np.float64) if known else None


def _seconds(example, frames: int | None) -> float:
    """Seconds that some frames last at the mean rate, or all frames; NaN if unknown."""
    if frames is None and _stamps(example) is not None:
        return float(_ends(example)[-1])
    count, fps = frames or len(example["detected"]), float(example["fps"])
    return count / fps if fps > 0 else np.nan


def _ends(example) -> np.ndarray:
    """Seconds into the recording at which each of its frames ends, `[L]`; NaN if unknown."""
    indices, fps, times = example["frame_index"], float(example["fps"]), _stamps(example)
    if fps <= 0:
        return np.full(len(indices), np.nan)
    if times is None or np.abs(np.diff(times) * fps - np.diff(indices)).max(initial=0) < _STEADY:
        return (indices - indices[0] + 1) / fps
    return np.append(times[1:], times[-1] + last_step(times)) - times[0]


def _label(example, target: str, frame: int):
    """The class, the votes of people, or the action units of a frame, `[A]`: 1, 0, NaN (unknown).

    Votes for no class follow those for the classes; without any for a class all are NaN.
    """
    if target == "label":
        return np.int32(example["label"])
    if target == "votes":
        votes = example["votes"]
        known = 1.0 if votes.any() else np.nan
        return np.concatenate([votes, example.get("other_votes", votes[:0])]) * np.float32(known)
    intensity = example["action_units"][frame]
    return np.where(np.isnan(intensity), np.nan, intensity >= PRESENT_INTENSITY).astype(np.float32)


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
