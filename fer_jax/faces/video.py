"""Reads videos, folders of frames and still images as a stream of RGB frames."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from fer_jax.faces.media.clock import Clock
from fer_jax.faces.media.containers import Video
from fer_jax.faces.media.pictures import IMAGE_SUFFIXES, Pictures, pictures_of
from fer_jax.faces.sequence import ClipError

__all__ = ["IMAGE_SUFFIXES", "FrameSource", "Frames", "VideoPart", "open_frames"]

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_CUT = 0.5  # seconds that may be missing at the end: containers round, and count the sound


@dataclasses.dataclass
class Frames:
    """A stream of frames that can be read once.

    Iterating yields `(frame_index, image)`: the frame's number in the source (position in the video
    from 0, or a number in the file name) and `[H, W, 3]` uint8 RGB.

    Attributes:
      fps: frames per second, on average if the rate varies; 0 if unknown.
      size: width and height of a frame, pixels, after rotation.
      announced: number of frames according to the source; 0 if unknown.
      rotation: degrees clockwise by which the stored frames are turned.
      images: index and image of every frame, None for an image that cannot be decoded.
      clock: when each frame begins, by position; None: at a constant rate, or unknown.
      positions: position in the clock of a frame index; None: they are the same.
      note: what is doubtful about the source before it is read; empty if nothing is.
      sample: reads the images at some positions, ascending, without the others; None if the source
        can only be read through.
      expected: seconds at which a whole clip should end; 0 if unknown.
      rescaled: positions of frames of another size than the first, which were scaled to it.
      read: frames yielded so far.
      unreadable: frames skipped so far because they cannot be decoded.
      resized: pictures so far that have another size than the first, and were not scaled to it.
      ended: seconds at which the last frame that was yielded ends.
    """

    fps: float
    size: tuple[int, int]
    announced: int
    rotation: int
    images: Iterator[tuple[int, np.ndarray | None]]
    clock: Clock | None = None
    positions: dict[int, int] | None = None
    note: str = ""
    sample: Callable[[Sequence[int]], Iterator[np.ndarray]] | None = None
    expected: float = 0.0
    rescaled: list[int] = dataclasses.field(default_factory=list)
    read: int = 0
    unreadable: int = 0
    resized: int = 0
    ended: float = 0.0

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index, image in self.images:
            if image is None:
                self.unreadable += 1
                continue
            self.read += 1
            self.ended = self.span(index)[1]
            self.resized += _size(image, self.rotation) != self.size
            yield index, _turned(image, self.rotation)

    @property
    def steady(self) -> bool:
        """Whether the frame rate is known and constant."""
        return self.clock.steady if self.clock else self.fps > 0

    def span(self, index: int) -> tuple[float, float]:
        """Returns the seconds at which the frame of an index begins and ends.

        They count from the source's own start, for a part of a video from that of the video. NaN if
        neither time stamps nor a rate are known.
        """
        if self.clock is not None:
            return self.clock.span(self.positions[index] if self.positions else index)
        return (index / self.fps, (index + 1) / self.fps) if self.fps else (math.nan, math.nan)

    def shortfall(self) -> str:
        """Describes missing frames of a source that has been read; empty if it is complete."""
        if self.ended < self.expected - max(_CUT, self.expected / 50):
            ends = f"{self.ended:.2f} of {self.expected:.2f} s"
            return f"cut off after frame {self.read}, at {ends}"
        missing = self.announced - self.read - self.unreadable
        if missing > max(2, self.announced // 50):
            if self.expected:
                return f"{missing} of {self.announced} frames cannot be decoded"
            return f"cut off after frame {self.read} of {self.announced}"
        return f"unreadable frames skipped: {self.unreadable}" if self.unreadable else ""

    def notes(self) -> str:
        """What is doubtful about a source that has been read; empty if nothing is."""
        found = [self.shortfall(), self.note]
        if self.rescaled:
            found.append(f"pictures change their size at frame {self.rescaled[0]}: scaled")
        if self.resized:
            found.append(f"frames of another size than the first: {self.resized}")
        return "; ".join(filter(None, found))


class FrameSource:
    """A source with its own way to open frames."""

    def frames(self) -> Frames:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class VideoPart(FrameSource):
    """Consecutive frames of a video.

    The decoder seeks the time stamp of the first frame, so that a long video is not decoded again
    for each part.

    Attributes:
      path: the video.
      first: position of the first frame, from 0.
      count: number of frames.
    """

    path: pathlib.Path = dataclasses.field(repr=False)  # caches must not depend on the folder
    first: int
    count: int

    def frames(self) -> Frames:
        """Opens the part like `open_frames`; frames keep their index and time in the video.

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
        return _open_images(Pictures([pathlib.Path(path) for path in source]), rotation)
    path = pathlib.Path(source)
    if os.path.isdir(path):
        return _open_images(pictures_of(path), rotation)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _open_images(Pictures([path]), rotation)
    return _open_video(path, rotation)


def _open_video(path: pathlib.Path, rotation: int, first: int = 0, count: int = 0) -> Frames:
    """Opens a video at frame `first`; reads `count` frames, 0 for all."""
    video = Video(path)
    index, images = video.index, video.decode(first)
    start = next(images, None)
    if start is None:
        where = f" from frame {first} on" if first else ""
        what = f"is not a video, or is damaged: no frame can be decoded{where}"
        raise ClipError("unreadable", f"{path} {what}")
    images = itertools.islice(itertools.chain([start], images), count or None)
    rescaled: list[int] = []
    return Frames(
        fps=index.clock.fps if index.clock else 0.0,
        size=_size(start[1], rotation),
        announced=count or index.count,
        rotation=rotation,
        images=_of_one_size(images, start[1].shape, rescaled),
        rescaled=rescaled,
        clock=index.clock,
        note=index.clock.note if index.clock else "",
        sample=lambda places: (
            _fitted(image, start[1].shape)
            for image in video.sample([first + int(place) for place in places])
        ),
        expected=0.0 if count or not index.clock else max(index.stated, index.clock.end),
    )


def _of_one_size(images: Iterator, shape: tuple[int, ...], rescaled: list[int]) -> Iterator:
    """Scales the pictures of a video that changes its size, as calls do on a slow network."""
    for position, image in images:
        if image.shape != shape:
            rescaled.append(position)
        yield position, _fitted(image, shape)


def _fitted(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scales a picture into another size; black borders keep its proportions."""
    if image.shape == shape:
        return image
    scale = min(shape[0] / image.shape[0], shape[1] / image.shape[1])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, (width, height), interpolation=how)
    fitted = np.zeros(shape, image.dtype)
    fitted[top : top + height, left : left + width] = scaled
    return fitted


def _open_images(pictures: Pictures, rotation: int) -> Frames:
    images = iter(pictures)
    head = []  # pictures up to the first that can be decoded, which gives the size
    for index, image in images:
        head.append((index, image))
        if image is not None:
            break
    else:
        raise ClipError("unreadable", pictures.problem())
    return Frames(
        fps=pictures.clock.fps if pictures.clock else 0.0,
        size=_size(head[-1][1], rotation),
        announced=len(pictures.paths),
        rotation=rotation,
        images=itertools.chain(head, images),
        clock=pictures.clock,
        positions=pictures.positions,
        sample=pictures.sample,
        note=pictures.note,
    )


def _turned(image: np.ndarray, rotation: int) -> np.ndarray:
    return cv2.rotate(image, _TURNS[rotation]) if rotation else image


def _size(image: np.ndarray, rotation: int) -> tuple[int, int]:
    height, width = image.shape[:2]
    return (height, width) if rotation in (90, 270) else (width, height)
