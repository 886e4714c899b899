"""Reads one clip of any kind of source into a landmark sequence, with notes for the report."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import NamedTuple

import numpy as np

from fer_jax.faces import tracker
from fer_jax.faces.crop import Crop, make_crop, pack
from fer_jax.faces.landmark_csv import Recording
from fer_jax.faces.landmarks import Framing
from fer_jax.faces.people import lasting, person_numbers
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.faces.video import Frames
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


def read_clip(
    clip: Clip, model_path=None, crop_size: int = 0, every_frame: bool = False
) -> tuple[Sequence, dict]:
    """Reads one clip, see `Reader.read`."""
    return Reader(model_path, crop_size, every_frame).read(clip)


class Reader:
    """Reads clips; people of one source that are read in turn share one decoding.

    Args:
      model_path: a dlib 68-point model, see `detector.landmark_model`.
      crop_size: side of the face crops, pixels; 0 for none.
      every_frame: searches every frame instead of following faces, see `tracker.Tracker`.
    """

    def __init__(self, model_path=None, crop_size: int = 0, every_frame: bool = False):
        self._model_path, self._crop_size, self._every_frame = model_path, crop_size, every_frame
        self._watched: tuple[object, _Watched] | None = None

    def read(self, clip: Clip) -> tuple[Sequence, dict]:
        """Reads a clip and finds the landmarks of its person.

        Args:
          clip: the clip, see `Clip.source` and `Clip.person`.

        Returns:
          The sequence, and notes for the report: `other_faces`, `rotation` (degrees clockwise by
          which frames were turned; landmarks refer to the turned frame), `note`, `person`,
          `people`, and with crops `crop_side` and `crop_bytes`, see `pipeline.Outcome`.

        Raises:
          ClipError: the source or its codes cannot be read, there is no face or not the person, or
            there are no pictures to crop.
          detector.LandmarkModelError: a video needs dlib, but dlib or its model is missing.
        """
        notes = {"other_faces": 0, "rotation": 0, "note": "", "person": 0, "people": []}
        source, crop_size = clip.source, self._crop_size
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
            sequence, found = read_landmarks(clip, source)
            notes |= found
        else:
            sequence, found = _one_person(self._watch(clip), clip, crop_size)
            notes |= found
        if not sequence.detected.any():
            found = (f"none in {len(sequence.detected)} frames", notes["note"])
            raise ClipError("no face", "; ".join(filter(None, found)))
        if min(clip.fps, sequence.fps) > 0 and abs(sequence.fps / clip.fps - 1) > _OTHER_RATE:
            own = f"its own {sequence.fps:g} are used"
            other = f"{clip.fps:g} frames a second are stated for it, {own}"
            notes["note"] = "; ".join(filter(None, (notes["note"], other)))
        if clip.codes:  # by frame number: frames that cannot be decoded are not in the sequence
            units = units_at(coded, sequence.frame_index, clip.codes)
            sequence = dataclasses.replace(sequence, action_units=units)
            if not isinstance(source, tuple):  # a tuple was already chosen by the codes
                gone = left_over(coded, sequence.frame_index)
                notes["note"] = "; ".join(filter(None, (notes["note"], gone)))
        return sequence, notes

    def _watch(self, clip: Clip) -> _Watched:
        what = (clip.source, clip.framing)
        if self._watched is None or self._watched[0] != what:
            watched = _watch(clip, self._model_path, self._crop_size, self._every_frame)
            self._watched = what, watched
        return self._watched[1]


def read_landmarks(clip: Clip, path: pathlib.Path) -> tuple[Sequence, dict]:
    """Reads the landmarks of a clip's person from a landmark CSV.

    Returns:
      The sequence, and notes, see `Reader.read`.

    Raises:
      ClipError: the CSV cannot be read, or the person is not in it.
    """
    recording = Recording(path, clip.fps, clip.frame_size)
    people = [_described(number, *recording.faces(number)) for number in recording.lasting()]
    number = clip.person or recording.main
    _check_person(clip, recording.people, people)
    sequence, found = recording.sequence(number)
    others = len(recording.people) - 1
    notes = {"other_faces": others, "person": number, "people": people, "note": "; ".join(found)}
    return sequence, notes


def _described(number: int, frames, landmarks: np.ndarray) -> dict:
    """Tells a person of a clip from the others, for the report.

    Args:
      number: of the person.
      frames: `[F]` numbers of the frames that show the person.
      landmarks: `[F, 68, 2]`, pixels.
    """
    box = np.median(np.concatenate([landmarks.min(1), landmarks.max(1)], axis=1), axis=0)
    return {
        "person": number,
        "frames": len(frames),
        "first_frame": int(min(frames)),
        "last_frame": int(max(frames)),
        "box": [round(float(edge)) for edge in box],
    }


def _check_person(clip: Clip, numbers, people: list[dict]) -> None:
    """Refuses a person who is not there, or several people of whom none is named."""
    listed = "; ".join(
        f"person {one['person']} in frames {one['first_frame']} to {one['last_frame']}, box "
        f"{', '.join(map(str, one['box']))}"
        for one in people
    )
    if clip.person and numbers and clip.person not in numbers:
        shown = listed or "nobody for long"
        raise ClipError("no such person", f"it does not show person {clip.person}, but {shown}")
    if clip.alone and not clip.person and len(people) > 1:
        raise ClipError("several people", f"name one in the column person: {listed}")


class _Seen(NamedTuple):
    """A face at a position in the clip; only its encoded crop is held, no other pixels."""

    position: int
    face: tracker.Face
    crop: Crop | None


class _Watched(NamedTuple):
    """A source that has been read: its frames, and the faces of each track in them."""

    frames: Frames
    indices: list[int]
    times: list[float]
    tracks: dict[int, list[_Seen]]
    seen: dict[int, int]  # track -> frames; more than in `tracks` where faces cannot be aligned


def _watch(clip: Clip, model_path, crop_size: int, every_frame: bool) -> _Watched:
    followed = tracker.follow(clip.source, model_path=model_path, every_frame=every_frame)
    watched = _Watched(followed.frames, [], [], {}, {})
    for index, image, found in followed:
        for face in found:
            watched.seen[face.track] = watched.seen.get(face.track, 0) + 1
            # The main person is known only at the end, so every face is cut out.
            crop = _cut(image, face, crop_size, clip.framing) if crop_size else None
            if crop or not crop_size:
                seen = _Seen(len(watched.indices), face, crop)
                watched.tracks.setdefault(face.track, []).append(seen)
        watched.indices.append(index)
        watched.times.append(followed.frames.span(index)[0])
    return watched


def _one_person(watched: _Watched, clip: Clip, crop_size: int) -> tuple[Sequence, dict]:
    """Returns the sequence of the clip's person, and notes, see `Reader.read`."""
    frames, indices, tracks = watched.frames, watched.indices, watched.tracks
    numbers = person_numbers(watched.seen, len(indices))
    lasts = [track for track in lasting(watched.seen, len(indices)) if track in tracks]
    people = [_described(numbers[t], *_places(watched, tracks[t])) for t in lasts]
    _check_person(clip, numbers.values(), people)
    if clip.person:
        chosen = {number: track for track, number in numbers.items()}.get(clip.person)
    else:
        chosen = max(tracks, key=lambda t: sum(s.face.side**2 for s in tracks[t]), default=None)
    kept = tracks.get(chosen, [])
    notes = {
        "other_faces": len(set(lasts) - {chosen}),
        "rotation": frames.rotation,
        "note": frames.notes(),
        "person": numbers.get(chosen, 0),
        "people": people,
    }
    sequence = Sequence(
        landmarks=_over_time(len(indices), [(s.position, s.face.landmarks) for s in kept]),
        detected=np.isin(np.arange(len(indices)), [s.position for s in kept]),
        frame_index=np.array(indices, np.int32),
        fps=frames.fps or clip.fps,
        frame_size=frames.size,
        action_units=getattr(clip.source, "action_units", None),
        times=_known_times(watched.times, indices, clip.fps),
    )
    return _with_crops(sequence, kept, notes) if crop_size and kept else (sequence, notes)


def _places(watched: _Watched, seen: list[_Seen]) -> tuple[list[int], np.ndarray]:
    """Frame numbers of sightings, and their landmarks `[F, 68, 2]`."""
    indices = [watched.indices[one.position] for one in seen]
    return indices, np.stack([one.face.landmarks for one in seen])


def _known_times(times: list[float], indices: list[int], fps: float) -> np.ndarray | None:
    """Time stamps of the frames, else those of the rate that is stated for the clip, else None."""
    if not times or not np.isnan(times).any():
        return np.array(times, np.float64)
    return (np.array(indices, np.float64) - indices[0]) / fps if fps > 0 else None


def _cut(image: np.ndarray, face: tracker.Face, crop_size: int, framing: Framing) -> Crop | None:
    try:
        return make_crop(image, face.landmarks, crop_size, framing)
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
