"""Opens clips and camera frames as streams of faces."""

from __future__ import annotations

import itertools
import math
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from fer_jax.data.model_inputs import NORMALISED
from fer_jax.faces.boxes.placed import Boxed
from fer_jax.faces.landmarks import Framing
from fer_jax.faces.media.ahead import ahead
from fer_jax.faces.media.clock import Clock, make_clock, steady_clock
from fer_jax.faces.quality import sharpness
from fer_jax.predict.images.boxed import box_detector, pairs, without_detector
from fer_jax.predict.options import ALL, LARGEST, Options, of_type
from fer_jax.predict.windows import ClipProblem, Face, Faces, Frame, Source

_LARGEST_CANVAS = 4096  # side for drawing landmarks without a picture, pixels
_AHEAD = 16  # frames that are read and searched for faces while a window is predicted
_LONGEST_CLIP = 1_000_000  # frames, 11 hours; larger frame numbers in a file are mistakes


def open_source(predictor, path, options: Options, say) -> Source:
    """Opens a clip of any kind for a model.

    Args:
      predictor, options: see `predict_clips`.
      path: video, folder of frames, still image or landmark CSV.
      say: takes a note if the landmarks have another scale than those of training.

    Raises:
      ClipProblem: the clip cannot be read, lacks the pictures that the model needs, or needs a
        package that is not installed.
    """
    from fer_jax.faces.detector import LandmarkModelError
    from fer_jax.faces.sequence import ClipError

    path, cut = pathlib.Path(path), _cut(predictor)
    try:
        if path.suffix.lower() != ".csv":
            detector = box_detector(predictor, options)
            source = _open_pictures(path, options, cut, predictor.spec.frames == 1, detector)
        elif cut:
            raise ClipProblem(
                "the model needs pictures of faces, and a CSV holds landmarks only: give the video "
                "or the folder of frames that they were found in"
            )
        else:
            source = _open_landmarks(path, options)
    except ClipError as error:
        raise ClipProblem(str(error)) from error
    except LandmarkModelError as error:
        raise without_detector(predictor, error) from error
    if not predictor.takes_crops:
        _check_scale(predictor, source, say)
    return source


def _cut(predictor) -> tuple[int, Framing] | None:
    """Side and framing of the crops that a model takes, None for landmark models."""
    spec = predictor.spec
    return (spec.prepared_size, spec.framing) if predictor.takes_crops else None


def _check_scale(predictor, source: Source, say) -> None:
    if predictor.spec.features in NORMALISED:
        return
    scaled = predictor.record.dataset.get("scaled")
    if scaled is True and not source.width:
        say(
            "note: the model was trained on landmarks scaled to frames 500 pixels wide; those of "
            "CSV files without a width are not scaled: give the width of their frames (--width)"
        )
    if scaled is False and source.width:
        say(
            "note: the model was trained on unscaled landmarks, as the width of their frames was "
            "unknown; these are scaled to frames 500 pixels wide, so take the result with care"
        )


def _open_landmarks(path: pathlib.Path, options: Options) -> Source:
    from fer_jax.faces.landmark_csv import Recording

    recording = Recording(path, options.fps, (options.width, 0))
    others = len(recording.people) - 1
    shown = list(recording.people) if options.people == ALL else [recording.main]
    read = {number: recording.sequence(number) for number in shown}
    sequence = read[recording.main][0]
    first = int(sequence.frame_index.min())
    length = max(int(one.frame_index.max()) for one, _ in read.values()) + 1 - first
    if length > _LONGEST_CLIP:
        raise ClipProblem(
            f"the frame numbers of its {len(sequence.frame_index)} rows span {length} frames: fix "
            "or remove the column `frame`"
        )
    known: dict[int, Faces] = {}
    for number, (one, _) in read.items():
        for index, face in _given(one, first):
            known.setdefault(index, {})[number] = face

    def pictures() -> Iterator[np.ndarray]:
        corner = 1.1 * np.max([one.landmarks.max((0, 1)) for one, _ in read.values()], axis=0) + 1
        width, height = np.clip(corner, 64, _LARGEST_CANVAS).astype(int)
        blank = np.full((height, width, 3), 48, np.uint8)
        return itertools.repeat(blank, length)

    remarks = []
    if others and options.people == LARGEST:
        remarks.append(f"{others} other faces in the file, the one seen most is used")
    clock, start = _clock(sequence, first - recording.first_frame, length, options)
    remarks += dict.fromkeys(note for _, notes in read.values() for note in notes)
    if sequence.times is None and length > 1:
        remarks.append(f"{options.fps:g} frames a second assumed (--fps)")
    return Source(
        path=str(path),
        frames=(
            Frame(start + clock.span(index)[0], start + clock.span(index)[1], known.get(index, {}))
            for index in range(length)
        ),
        pictures=pictures,
        fps=clock.fps,
        width=sequence.frame_size[0],
        announced=length,
        steady=clock.steady,
        remarks=lambda: remarks,
        numbers=lambda: {number: number for number in read},
    )


def _given(sequence, first: int) -> Iterator[tuple[int, Face]]:
    """Frames that show the person of a sequence, counted from the frame `first`, and the face."""
    for place in np.flatnonzero(sequence.detected):
        fit = math.nan if sequence.confidence is None else float(sequence.confidence[place])
        yield int(sequence.frame_index[place]) - first, Face(sequence.landmarks[place], fit=fit)


def _clock(sequence, skipped: int, length: int, options: Options) -> tuple[Clock, float]:
    """The clock of `length` frames and its start, seconds.

    Args:
      sequence: landmarks of T frames, stamped or at a rate.
      skipped: how many frames of the video lie before the first of them.
    """
    fps, times = sequence.fps or options.fps, sequence.times
    if times is not None and length > 1 and (np.diff(times) > 0).all():
        indices = sequence.frame_index - sequence.frame_index.min()
        clock = make_clock(np.interp(np.arange(length), indices, times), [fps])
        if not clock.steady:
            return clock, float(times[0])
        return steady_clock(length, clock.fps), float(times[0])
    return steady_clock(length, fps), max(0, skipped) / fps


def _open_pictures(path: pathlib.Path, options: Options, cut, stills: bool, detector) -> Source:
    from fer_jax.faces.people import lasting, person_numbers
    from fer_jax.faces.tracker import follow
    from fer_jax.faces.video import open_frames

    followed = follow(path, model_path=options.landmark_model, detector=detector)
    frames, seen = followed.frames, {}

    def timed() -> Iterator[Frame]:
        for position, (index, image, found) in enumerate(followed):
            for face in found:
                seen[face.track] = seen.get(face.track, 0) + 1
            faces = _faces(image, {f.track: (f.landmarks, f.fit, f.boxed) for f in found}, cut)
            stated = position / options.fps, (position + 1) / options.fps
            yield Frame(*(frames.span(index) if frames.fps else stated), faces)
            del faces

    def remarks() -> list[str]:
        faces_seen = len(lasting(seen, frames.read))
        still = path.is_file() and frames.read == 1
        noticed = {
            frames.notes(): bool(frames.notes()),
            f"{faces_seen} faces, the largest of each window is used (--people all: every one)": (
                faces_seen > 1 and options.people == LARGEST
            ),
            f"turned by {frames.rotation} degrees to be upright": frames.rotation,
            "a still image shows no motion: take the result with care": still and not stills,
            f"{options.fps:g} frames a second assumed (--fps)": not frames.fps and not still,
        }
        return [remark for remark, holds in noticed.items() if holds]

    return Source(
        path=str(path),
        frames=ahead(timed(), _AHEAD),
        pictures=lambda: (image for _, image in open_frames(path, frames.rotation)),
        fps=frames.fps or options.fps,
        steady=frames.steady or not frames.fps,
        width=frames.size[0],
        announced=frames.announced,
        remarks=remarks,
        numbers=lambda: person_numbers(seen, frames.read),
    )


def _faces(
    image: np.ndarray,
    found: dict[int, tuple[np.ndarray, float, Boxed | None]],
    cut: tuple[int, Framing] | None,
) -> Faces:
    """Cuts out all faces of a frame: the largest of a window is known only later.

    Args:
      image: `[H, W, 3]` uint8 RGB.
      found: landmarks `[68, 2]`, fit and `Face.boxed` of every face by track.
      cut: of `_cut`.
    """
    from fer_jax.faces.crop import cut_crop

    faces = {}
    for track, (points, fit, boxed) in found.items():
        clear = {"fit": fit, "sharpness": sharpness(image, points), "boxed": boxed}
        try:
            crop = cut_crop(image, points, *cut) if cut else ()
            faces[track] = Face(points, *crop, **clear)
        except ValueError:
            continue  # both eyes in one point: a face that cannot be aligned counts as not seen
    return faces


def watch(predictor, images: Iterable, landmarks: Iterable | None, options: Options):
    """Yields the faces of every frame; arguments and errors as in `predict_frames`.

    A dropped frame has none.

    Args:
      images: from `checked`.
    """
    cut = _cut(predictor)
    if landmarks is not None:
        from fer_jax.faces.landmark_csv.jumps import Track

        track = Track(options.fps)
        for index, (image, points) in enumerate(pairs(images, landmarks, "landmarks")):
            known = _known(points, index, image)
            found = {} if known is None else {track.at(index, known): (known, np.nan, None)}
            yield {} if image is None else _faces(image, found, cut)
        return
    from fer_jax.faces.detector import LandmarkModelError
    from fer_jax.faces.tracker import Tracker

    try:
        tracker = Tracker(options.landmark_model, detector=box_detector(predictor, options))
    except LandmarkModelError as error:
        raise without_detector(predictor, error) from error
    for image in images:
        found = [] if image is None else tracker.step(image)
        yield _faces(image, {f.track: (f.landmarks, f.fit, f.boxed) for f in found}, cut)


def checked(images: Iterable) -> Iterator[np.ndarray | None]:
    """Yields images one by one; None stays: a frame that the camera dropped, as an empty one is.

    Raises:
      ValueError: an image is not `[H, W, 3]` uint8, or of another size than the first.
    """
    size = None
    for index, image in enumerate(images):
        if image is None:
            yield None
            continue
        image = as_array(image, f"image {index}", "RGB [H, W, 3] of uint8")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"image {index} is {image.dtype} {list(image.shape)}: give RGB [H, W, 3] of uint8"
            )
        if not image.size:
            yield None
            continue
        size = size or image.shape
        if image.shape != size:
            shapes = f"{list(image.shape)}, the first {list(size)}"
            raise ValueError(f"image {index} is {shapes}: give images of one size")
        yield image


def as_array(value, name: str, wanted: str, kind=None) -> np.ndarray:
    """Returns an array; raises a ValueError that names the value if that is none."""
    try:
        array = np.asarray(value, kind)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is a {type(value).__name__}: give {wanted}") from error
    if not array.ndim:
        raise ValueError(f"{name} is {of_type(value)}: give {wanted}")
    return array


def _known(points, index: int, image) -> np.ndarray | None:
    name = f"landmarks of image {index}"
    points = np.full((68, 2), np.nan) if points is None else points
    points = as_array(points, name, "[68, 2], or None", np.float32)
    if points.shape != (68, 2):
        raise ValueError(f"{name} are {list(points.shape)}: give [68, 2], or None")
    if not np.isfinite(points).all() or not np.ptp(points, axis=0).any():
        return None
    if image is not None:
        size = np.array(image.shape[1::-1])
        if (np.abs(points.mean(0) / size - 0.5) > 1).any():
            where = ", ".join(f"{value:.0f}" for value in points.mean(0))
            raise ValueError(f"{name} lie around {where}, outside of it: give pixels of the image")
    return points
