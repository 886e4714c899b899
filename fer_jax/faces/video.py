"""Reads videos, folders of frames and still images as a stream of RGB frames."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Iterator

# Decoders print every damaged packet; the report has what matters.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
import cv2
import numpy as np

from fer_jax.faces.sequence import ClipError

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclasses.dataclass
class Frames:
    """A stream of frames that can be read once.

    Iterating yields `(frame_index, image)`: the frame's number in the source (position in the video
    from 0, or the number at the end of the file name) and `[H, W, 3]` uint8 RGB.

    Attributes:
      fps: frames per second, 0 if unknown.
      size: width and height of a frame, pixels, after rotation.
      announced: number of frames according to the source; 0 if unknown.
      rotation: degrees clockwise by which the stored frames are turned.
      read: frames yielded so far.
      unreadable: frames skipped so far because they cannot be decoded.
    """

    fps: float
    size: tuple[int, int]
    announced: int
    rotation: int
    images: Iterator[tuple[int, np.ndarray | None]]
    read: int = 0
    unreadable: int = 0

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index, image in self.images:
            if image is None:
                self.unreadable += 1
                continue
            self.read += 1
            yield index, _turned(image, self.rotation)

    def shortfall(self) -> str:
        """Describes missing frames of a source that has been read; empty if it is complete."""
        # Containers estimate the count from the duration: ignore small differences.
        if self.read + self.unreadable < self.announced - max(2, self.announced // 50):
            return f"cut off after frame {self.read} of {self.announced}"
        return f"unreadable frames skipped: {self.unreadable}" if self.unreadable else ""


class FrameSource:
    """A source with its own way to open frames."""

    def frames(self) -> Frames:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class VideoPart(FrameSource):
    """Consecutive frames of a video.

    The decoder seeks the first frame, so that a long video is not decoded again for each part. It
    seeks by time, which is exact if all frames have the same duration.

    Attributes:
      path: the video.
      first: position of the first frame, from 0.
      count: number of frames.
    """

    path: pathlib.Path = dataclasses.field(repr=False)  # caches must not depend on the folder
    first: int
    count: int

    def frames(self) -> Frames:
        """Opens the part like `open_frames`; frames keep their index in the video.

        Raises:
          ClipError: the video cannot be read, or ends before this part.
        """
        return _open_video(self.path, 0, self.first, self.count)


def open_frames(source, rotation: int = 0) -> Frames:
    """Opens a video, a folder of frames, a list of frame files, a still image or a `FrameSource`.

    Applies the rotation of the container or the EXIF header.

    Args:
      source: a path, a list of frame files in order, or a `FrameSource`.
      rotation: degrees clockwise (0, 90, 180, 270) by which frames are then turned.

    Raises:
      ClipError: the source is missing, not a video or image, or cannot be decoded.
    """
    if isinstance(source, FrameSource):
        frames = source.frames()
        size = frames.size[::-1] if rotation in (90, 270) else frames.size
        return dataclasses.replace(frames, rotation=rotation, size=size)
    if isinstance(source, (tuple, list)):
        return _open_images([pathlib.Path(path) for path in source], rotation)
    path = pathlib.Path(source)
    if path.is_dir():
        files = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            raise ClipError("no frames", f"folder {path} holds no images")
        return _open_images(sorted(files, key=_natural_order), rotation)
    if not path.exists():
        raise ClipError("missing file", f"{path} does not exist")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _open_images([path], rotation)
    return _open_video(path, rotation)


def frame_number(path: pathlib.Path, default: int) -> int:
    """Returns the number at the end of a frame's file name, `default` if there is none."""
    digits = re.search(r"(\d{1,9})\D*$", path.stem)
    return int(digits.group(1)) if digits else default


def _natural_order(path: pathlib.Path) -> tuple:
    return frame_number(path, -1), path.name


def _is_text(path: pathlib.Path) -> bool:
    """Returns whether a file is text, which the decoder would render as a video of letters."""
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


def _open_video(path: pathlib.Path, rotation: int, first: int = 0, count: int = 0) -> Frames:
    """Opens a video at frame `first`; reads `count` frames, 0 for all."""
    capture, ok, image = cv2.VideoCapture(), False, None
    try:
        if not _is_text(path) and capture.open(str(path), cv2.CAP_FFMPEG):
            if first:
                capture.set(cv2.CAP_PROP_POS_FRAMES, first)
            ok, image = capture.read()
    except (OSError, cv2.error) as error:
        raise ClipError("unreadable", f"{path}: {error}") from error
    if not ok:
        capture.release()
        start = f" from frame {first} on" if first else ""
        what = f"is not a video, or is damaged: no frame can be decoded{start}"
        raise ClipError("unreadable", f"{path} {what}")
    fps = capture.get(cv2.CAP_PROP_FPS)
    announced = count or max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    fps = float(fps) if 0 < fps < 1000 else 0.0
    images = itertools.islice(_decode(capture, image, first), count or None)
    return Frames(fps, _size(image, rotation), announced, rotation, images)


def _decode(capture, image, index: int) -> Iterator[tuple[int, np.ndarray]]:
    ok = True
    try:
        while ok:
            yield index, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            index += 1
            ok, image = capture.read()
    finally:
        capture.release()


def _open_images(paths: list[pathlib.Path], rotation: int) -> Frames:
    indices = [frame_number(path, position) for position, path in enumerate(paths)]
    if len(set(indices)) < len(indices):
        indices = list(range(len(paths)))
    first = next((image for image in map(_read_image, paths) if image is not None), None)
    if first is None:
        where = paths[0] if len(paths) == 1 else paths[0].parent
        raise ClipError("unreadable", f"no image of {where} can be decoded")
    images = ((index, _read_image(path)) for index, path in zip(indices, paths, strict=True))
    return Frames(0.0, _size(first, rotation), len(paths), rotation, images)


def _read_image(path: pathlib.Path) -> np.ndarray | None:
    try:
        # imread fails on some non-ASCII names on Windows.
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _turned(image: np.ndarray, rotation: int) -> np.ndarray:
    return cv2.rotate(image, _TURNS[rotation]) if rotation else image


def _size(image: np.ndarray, rotation: int) -> tuple[int, int]:
    height, width = image.shape[:2]
    return (height, width) if rotation in (90, 270) else (width, height)
