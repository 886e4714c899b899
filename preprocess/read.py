"""Reads one clip: whatever its source is, out comes a landmark sequence and what was noticed."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from preprocess import faces
from preprocess.clip import Clip, ClipError, Sequence
from preprocess.openface import read_openface


def needs_detection(clip: Clip) -> bool:
    """Tells whether faces have to be found in this clip's frames."""
    source = clip.source
    known = hasattr(source, "load") or _is_csv(source)
    return clip.problem is None and not known


def _is_csv(source) -> bool:
    return isinstance(source, pathlib.Path) and source.suffix.lower() == ".csv"


def read_clip(clip: Clip, model_path=None) -> tuple[Sequence, dict]:
    """Reads a clip and finds the landmarks of the person it is about.

    Args:
      clip: what to read, see `Clip.source`.
      model_path: a dlib 68-point model, see `detector.landmark_model`.

    Returns:
      The sequence, and notes for the report: `other_faces`, `rotation` (degrees clockwise by which
      frames were turned; landmarks refer to the turned frame), `note`.

    Raises:
      ClipError: the source cannot be read or shows no face.
      detector.LandmarkModelError: a video is to be read and dlib or its model is missing.
    """
    notes = {"other_faces": 0, "rotation": 0, "note": ""}
    source = clip.source
    if hasattr(source, "load"):
        sequence = source.load()
    elif _is_csv(source):
        sequence, notes["other_faces"] = read_openface(source, clip.fps, clip.frame_size)
    else:
        sequence, notes = _read_frames(clip, model_path)
    if not sequence.detected.any():
        raise ClipError("no face", f"none in {len(sequence.detected)} frames")
    return sequence, notes


def _read_frames(clip: Clip, model_path) -> tuple[Sequence, dict]:
    followed = faces.follow(clip.source, model_path=model_path)
    numbers: list[int] = []
    tracks: dict[int, list[tuple[int, faces.Face]]] = {}
    for number, _, found in followed:
        for face in found:
            tracks.setdefault(face.track, []).append((len(numbers), face))
        numbers.append(number)
    frames = followed.frames
    landmarks = np.zeros((len(numbers), 68, 2), np.float32)
    detected = np.zeros(len(numbers), bool)
    main = max(tracks, key=lambda t: sum(face.side**2 for _, face in tracks[t]), default=None)
    for position, face in tracks.get(main, ()):
        landmarks[position], detected[position] = face.landmarks, True
    lasting = [t for t in tracks if len(tracks[t]) >= min(faces.FLEETING, len(numbers))]
    notes = {
        "other_faces": len(set(lasting) - {main}),
        "rotation": frames.rotation,
        "note": frames.shortfall(),
    }
    indices = np.array(numbers, np.int32)
    fps = frames.fps or clip.fps
    sequence = Sequence(landmarks, detected, indices, fps, frames.size)
    units = getattr(clip.source, "action_units", None)
    return dataclasses.replace(sequence, action_units=units), notes
