"""Reads one clip: whatever its source is, out comes a landmark sequence and what was noticed."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import NamedTuple

import numpy as np

from fer_jax.faces import tracker
from fer_jax.faces.crop import Crop, make_crop, pack
from fer_jax.faces.openface import read_openface
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.installation import prepare_command

from .annotations import left_over, read_codes, units_at
from .clip import Clip, FaceSource, LandmarkSource


def needs_detection(clip: Clip) -> bool:
    """Tells whether faces have to be found in this clip's frames."""
    source = clip.source
    known = isinstance(source, LandmarkSource) or is_face(clip) or _is_csv(source)
    return clip.problem is None and not known


def is_face(clip: Clip) -> bool:
    """Tells whether the source is a face crop in memory, which costs less to read than to keep."""
    return isinstance(clip.source, FaceSource)


def _is_csv(source) -> bool:
    return isinstance(source, pathlib.Path) and source.suffix.lower() == ".csv"


def no_pictures(clip: Clip) -> ClipError | None:
    """Says why no crops can be cut from this clip, None where they can."""
    if clip.problem or needs_detection(clip) or is_face(clip):
        return None
    return ClipError(
        "no pictures",
        "landmarks alone cannot be cropped: list the video, or leave --crops out, or have a video "
        f"drawn ({prepare_command()} manifest --render)",
    )


def read_clip(clip: Clip, model_path=None, crop_size: int = 0) -> tuple[Sequence, dict]:
    """Reads a clip and finds the landmarks of the person it is about.

    Args:
      clip: what to read, see `Clip.source`.
      model_path: a dlib 68-point model, see `detector.landmark_model`.
      crop_size: side of the face crops, pixels; 0 for none.

    Returns:
      The sequence, and notes for the report: `other_faces`, `rotation` (degrees clockwise by which
      frames were turned; landmarks refer to the turned frame), `note`, and with crops `crop_side`
      and `crop_bytes`, see `pipeline.Outcome`.

    Raises:
      ClipError: the source or its codes cannot be read, it shows no face, or holds no pictures to
        crop.
      detector.LandmarkModelError: a video is to be read and dlib or its model is missing.
    """
    notes = {"other_faces": 0, "rotation": 0, "note": ""}
    source = clip.source
    if crop_size and (problem := no_pictures(clip)):
        raise problem
    coded = read_codes(clip.codes) if clip.codes else {}  # before the search for faces: it is long
    if is_face(clip):
        sequence = source.face(crop_size)
        if crop_size:
            notes |= {"crop_side": min(sequence.frame_size), "crop_bytes": len(sequence.crops)}
    elif isinstance(source, LandmarkSource):
        sequence = source.load()
    elif _is_csv(source):
        sequence, notes["other_faces"] = read_openface(source, clip.fps, clip.frame_size)
    else:
        sequence, notes = _read_frames(clip, model_path, crop_size)
    if not sequence.detected.any():
        raise ClipError("no face", f"none in {len(sequence.detected)} frames")
    if clip.codes:  # by number: frames that cannot be decoded are not in the sequence
        units = units_at(coded, sequence.frame_index, clip.codes)
        sequence = dataclasses.replace(sequence, action_units=units)
        if not isinstance(source, tuple):  # of files that a dataset chose by their codes
            gone = left_over(coded, sequence.frame_index)
            notes["note"] = "; ".join(filter(None, (notes["note"], gone)))
    return sequence, notes


class _Seen(NamedTuple):
    """A face at a position in the clip; of its pixels only the encoded crop is held."""

    position: int
    face: tracker.Face
    crop: Crop | None


def _read_frames(clip: Clip, model_path, crop_size: int) -> tuple[Sequence, dict]:
    followed = tracker.follow(clip.source, model_path=model_path)
    indices: list[int] = []
    tracks: dict[int, list[_Seen]] = {}
    for index, image, found in followed:
        for face in found:
            # Whom the clip is about shows only in the end, so everybody is cut out.
            crop = _cut(image, face, crop_size) if crop_size else None
            if crop or not crop_size:
                tracks.setdefault(face.track, []).append(_Seen(len(indices), face, crop))
        indices.append(index)
    frames = followed.frames
    main = max(tracks, key=lambda t: sum(s.face.side**2 for s in tracks[t]), default=None)
    kept = tracks.get(main, [])
    lasting = [t for t in tracks if len(tracks[t]) >= min(tracker.FLEETING, len(indices))]
    notes = {
        "other_faces": len(set(lasting) - {main}),
        "rotation": frames.rotation,
        "note": frames.shortfall(),
    }
    sequence = Sequence(
        landmarks=_over_time(len(indices), [(s.position, s.face.landmarks) for s in kept]),
        detected=np.isin(np.arange(len(indices)), [s.position for s in kept]),
        frame_index=np.array(indices, np.int32),
        fps=frames.fps or clip.fps,
        frame_size=frames.size,
        action_units=getattr(clip.source, "action_units", None),
    )
    return _with_crops(sequence, kept, notes) if crop_size and kept else (sequence, notes)


def _cut(image: np.ndarray, face: tracker.Face, crop_size: int) -> Crop | None:
    try:
        return make_crop(image, face.landmarks, crop_size)
    except ValueError:
        return None  # eyes in one point: what cannot be aligned counts as not detected


def _over_time(frames: int, points: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Puts landmarks at their frames, `[T, 68, 2]`; 0 elsewhere."""
    landmarks = np.zeros((frames, 68, 2), np.float32)
    for position, face in points:
        landmarks[position] = face
    return landmarks


def _with_crops(sequence: Sequence, seen: list[_Seen], notes: dict) -> tuple[Sequence, dict]:
    files = [b""] * len(sequence.detected)
    for position, _, crop in seen:
        files[position] = crop.jpeg
    packed, offsets = pack(files)
    points = _over_time(len(files), [(s.position, s.crop.landmarks) for s in seen])
    side = round(float(np.median([s.crop.side for s in seen])), 1)
    cut = {"crops": packed, "crop_offsets": offsets, "crop_landmarks": points}
    notes = {**notes, "crop_side": side, "crop_bytes": len(packed)}
    return dataclasses.replace(sequence, **cut), notes
