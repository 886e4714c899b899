"""Reads one clip of any kind of source into a landmark sequence, with notes for the report."""

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

_OTHER_RATE = 0.05  # part by which a stated rate may differ from the one of the source


def needs_detection(clip: Clip) -> bool:
    """Returns whether faces have to be detected in this clip's frames."""
    source = clip.source
    known = isinstance(source, LandmarkSource) or is_face(clip) or _is_csv(source)
    return clip.problem is None and not known


def is_face(clip: Clip) -> bool:
    """Returns whether the source is a face crop in memory, cheaper to read than to cache."""
    return isinstance(clip.source, FaceSource)


def _is_csv(source) -> bool:
    return isinstance(source, pathlib.Path) and source.suffix.lower() == ".csv"


def no_pictures(clip: Clip) -> ClipError | None:
    """Returns why no crops can be cut from this clip, None if they can."""
    if clip.problem or needs_detection(clip) or is_face(clip):
        return None
    return ClipError(
        "no pictures",
        "landmarks alone cannot be cropped: list the video, or omit --crops, or have a video "
        f"drawn ({prepare_command()} manifest --render)",
    )


def read_clip(clip: Clip, model_path=None, crop_size: int = 0) -> tuple[Sequence, dict]:
    """Reads a clip and finds the landmarks of its main person.

    Args:
      clip: the clip, see `Clip.source`.
      model_path: a dlib 68-point model, see `detector.landmark_model`.
      crop_size: side of the face crops, pixels; 0 for none.

    Returns:
      The sequence, and notes for the report: `other_faces`, `rotation` (degrees clockwise by which
      frames were turned; landmarks refer to the turned frame), `note`, and with crops `crop_side`
      and `crop_bytes`, see `pipeline.Outcome`.

    Raises:
      ClipError: the source or its codes cannot be read, there is no face, or there are no pictures
        to crop.
      detector.LandmarkModelError: a video needs dlib, but dlib or its model is missing.
    """
    notes = {"other_faces": 0, "rotation": 0, "note": ""}
    source = clip.source
    if crop_size and (problem := no_pictures(clip)):
        raise problem
    coded = read_codes(clip.codes) if clip.codes else {}  # before the slow search for faces
    if is_face(clip):
        sequence = source.face(crop_size)
        if crop_size:
            notes |= {"crop_side": min(sequence.frame_size), "crop_bytes": len(sequence.crops)}
    elif isinstance(source, LandmarkSource):
        sequence = source.load()
    elif _is_csv(source):
        sequence, notes["other_faces"], found = read_openface(source, clip.fps, clip.frame_size)
        notes["note"] = "; ".join(found)
    else:
        sequence, notes = _read_frames(clip, model_path, crop_size)
    if not sequence.detected.any():
        found = (f"none in {len(sequence.detected)} frames", notes["note"])
        raise ClipError("no face", "; ".join(filter(None, found)))
    if min(clip.fps, sequence.fps) > 0 and abs(sequence.fps / clip.fps - 1) > _OTHER_RATE:
        other = f"{clip.fps:g} frames a second are stated for it, its own {sequence.fps:g} are used"
        notes["note"] = "; ".join(filter(None, (notes["note"], other)))
    if clip.codes:  # by frame number: frames that cannot be decoded are not in the sequence
        units = units_at(coded, sequence.frame_index, clip.codes)
        sequence = dataclasses.replace(sequence, action_units=units)
        if not isinstance(source, tuple):  # a tuple was already chosen by the codes
            gone = left_over(coded, sequence.frame_index)
            notes["note"] = "; ".join(filter(None, (notes["note"], gone)))
    return sequence, notes


class _Seen(NamedTuple):
    """A face at a position in the clip; only its encoded crop is held, no other pixels."""

    position: int
    face: tracker.Face
    crop: Crop | None


def _read_frames(clip: Clip, model_path, crop_size: int) -> tuple[Sequence, dict]:
    followed = tracker.follow(clip.source, model_path=model_path)
    indices: list[int] = []
    times: list[float] = []
    tracks: dict[int, list[_Seen]] = {}
    for index, image, found in followed:
        for face in found:
            # The main person is known only at the end, so every face is cut out.
            crop = _cut(image, face, crop_size) if crop_size else None
            if crop or not crop_size:
                tracks.setdefault(face.track, []).append(_Seen(len(indices), face, crop))
        indices.append(index)
        times.append(followed.frames.span(index)[0])
    frames = followed.frames
    main = max(tracks, key=lambda t: sum(s.face.side**2 for s in tracks[t]), default=None)
    kept = tracks.get(main, [])
    lasting = [t for t in tracks if len(tracks[t]) >= min(tracker.FLEETING, len(indices))]
    notes = {
        "other_faces": len(set(lasting) - {main}),
        "rotation": frames.rotation,
        "note": frames.notes(),
    }
    sequence = Sequence(
        landmarks=_over_time(len(indices), [(s.position, s.face.landmarks) for s in kept]),
        detected=np.isin(np.arange(len(indices)), [s.position for s in kept]),
        frame_index=np.array(indices, np.int32),
        fps=frames.fps or clip.fps,
        frame_size=frames.size,
        action_units=getattr(clip.source, "action_units", None),
        times=_known_times(times, indices, clip.fps),
    )
    return _with_crops(sequence, kept, notes) if crop_size and kept else (sequence, notes)


def _known_times(times: list[float], indices: list[int], fps: float) -> np.ndarray | None:
    """Time stamps of the frames, else those of the rate that is stated for the clip, else None."""
    if not times or not np.isnan(times).any():
        return np.array(times, np.float64)
    return (np.array(indices, np.float64) - indices[0]) / fps if fps > 0 else None


def _cut(image: np.ndarray, face: tracker.Face, crop_size: int) -> Crop | None:
    try:
        return make_crop(image, face.landmarks, crop_size)
    except ValueError:
        return None  # eyes coincide: what cannot be aligned counts as not detected


def _over_time(frames: int, points: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Returns landmarks of all frames, `[T, 68, 2]`; 0 where there is no face."""
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
