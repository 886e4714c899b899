"""Pictures: a limit of size before they are decoded, 16 bits and floating point, folders."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from fer_jax.faces.media.containers import MOST_PIXELS, too_large
from fer_jax.faces.media.header import holds_several, picture_size
from fer_jax.faces.media.numbering import in_order, number_frames
from fer_jax.faces.media.regular import open_regular
from fer_jax.faces.sequence import ClipError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
_LEVELS = (1, 255, 1023, 4095, 16383, 65535)  # white, of deep pictures
_OTHERS = {
    ".arw", ".avif", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".j2k",
    ".jp2", ".jxl", ".nef", ".npy", ".orf", ".psd", ".tga",
}  # fmt: skip
_PROBES = 8  # pictures of a folder that tell how deep it is


class Pictures:
    """Frame files in order; iterating yields index and image `[H, W, 3]` uint8 RGB, or None.

    Attributes:
      paths: the files.
      clock: when each frame begins, if the names are times; else None.
      positions: position of each frame index.
      note: what is doubtful about the files.
    """

    def __init__(self, paths: Sequence[pathlib.Path]):
        self.paths = list(paths)
        numbering = number_frames(self.paths)
        self.clock, self.note = numbering.clock, numbering.note
        self.positions = {index: place for place, index in enumerate(numbering.indices)}
        self._range: tuple[float, float] | None = None  # black and white
        self._several = False
        self._problems: list[str] = []

    def __iter__(self) -> Iterator[tuple[int, np.ndarray | None]]:
        for index, path in zip(self.positions, self.paths, strict=True):
            yield index, self._read(path)

    def sample(self, places: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the pictures at some places, without those that cannot be decoded."""
        images = (self._read(self.paths[place]) for place in places)
        return (image for image in images if image is not None)

    def problem(self) -> str:
        """Says why no picture can be used, after all were tried."""
        if len(self.paths) == 1:
            return self._problems[0]
        return f"no image of {self.paths[0].parent} can be decoded ({self._problems[0]})"

    def _read(self, path: pathlib.Path) -> np.ndarray | None:
        try:
            image = read_picture(path)
        except ClipError as error:
            self._problems.append(error.detail)
            return None
        if not self._several and _holds_several(path):
            self._several = True
            self.add_note(f"{path.name} holds several pictures, of which the first is read")
        return image if image.dtype == np.uint8 else self._shallow(image)

    def _shallow(self, image: np.ndarray) -> np.ndarray:
        """Scales a deep picture to 8 bits, all pictures of a folder alike."""
        if self._range is None:
            self._range = _range(*self._probe())
            black, white = (f"{level:g}" for level in self._range)
            taken = (
                f"{black} is taken for black, {white}" if self._range[0] else f"{white} is taken"
            )
            self.add_note(f"pictures of more than 8 bits: {taken} for white")
        return _scaled(image, *self._range)

    def add_note(self, note: str) -> None:
        """Adds what is doubtful to `note`."""
        self.note = "; ".join(filter(None, [self.note, note]))

    def _probe(self) -> tuple[float, float, bool]:
        """Returns the smallest and largest value in some pictures, and whether they are int16."""
        places = np.unique(np.linspace(0, len(self.paths) - 1, _PROBES).astype(int))
        smallest = largest = 0.0
        short = False
        for place in places:
            try:
                image = read_picture(self.paths[place])
            except ClipError:
                continue
            if image.dtype != np.uint8:
                finite = image[np.isfinite(image)]
                largest = max(largest, float(finite.max(initial=0)))
                smallest = min(smallest, float(finite.min(initial=0)))
                short |= image.dtype == np.int16
        return smallest, largest, short


def _range(smallest: float, largest: float, short: bool) -> tuple[float, float]:
    """The values of black and white: the ends of the shortest usual range with all values."""
    slack = 1e-3 if largest < 2 else 0  # rounding of floating point
    if smallest < 0:
        small = smallest >= -1 - slack and largest <= 1 + slack
        return (-1.0, 1.0) if small else (smallest, largest)
    levels = sorted((*_LEVELS, 32767)) if short else _LEVELS
    return 0.0, float(next((level for level in levels if largest <= level + slack), largest))


def _scaled(image: np.ndarray, black: float, white: float) -> np.ndarray:
    if np.issubdtype(image.dtype, np.integer) and not black and white in _LEVELS[1:]:
        shift = int(white + 1).bit_length() - 9
        return np.clip(image >> shift, 0, 255).astype(np.uint8)
    image = np.nan_to_num(image.astype(np.float32), nan=black, posinf=white, neginf=black)
    return np.clip(np.round((image - black) * (255 / (white - black))), 0, 255).astype(np.uint8)


def read_picture(path: pathlib.Path) -> np.ndarray:
    """Decodes a picture `[H, W, 3]` RGB of any type of numbers, upright by its EXIF header.

    Raises:
      ClipError: it is no picture or no regular file, is damaged, or too large.
    """
    with open_regular(path) as file:
        size = picture_size(file)
        if size is None:
            raise ClipError("unreadable", f"{path} is not a picture, or is damaged")
        if size[0] * size[1] > MOST_PIXELS:
            raise ClipError("too large", too_large(path, *size))
        file.seek(0)
        content = np.frombuffer(file.read(), np.uint8)
    image = _decoded(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:  # of floating point, one channel is read only as it is
        image = _decoded(content, cv2.IMREAD_UNCHANGED)
    if image is None or not image.size:
        raise ClipError("unreadable", f"{path} is not a picture, or is damaged")
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., 2::-1])


def _holds_several(path: pathlib.Path) -> bool:
    with open_regular(path) as file:
        return holds_several(file)


def _decoded(content: np.ndarray, how: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(content, how)  # imread fails on some non-ASCII names on Windows
    except cv2.error:
        return None


def pictures_of(folder: pathlib.Path) -> Pictures:
    """Lists the frames of a folder in natural order.

    Raises:
      ClipError: the folder holds no pictures.
    """
    with os.scandir(folder) as entries:
        # macOS adds ._frame1.jpg, which is none, to frame1.jpg
        seen = [entry for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    files = [pathlib.Path(entry.path) for entry in seen]
    others = sorted(file.suffix.lower() for file in files if file.suffix.lower() in _OTHERS)
    files = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    left = f"{len(others)} pictures of other kinds ({', '.join(sorted(set(others)))})"
    if not files:
        other = f", but {left}: convert them to PNG or JPEG" if others else ""
        raise ClipError("no frames", f"folder {folder} holds no images{other}")
    pictures = Pictures(in_order(files))
    if others:
        pictures.add_note(f"left out: {left}; convert them to PNG or JPEG")
    return pictures
