"""The images of FER-2013: 48 x 48 gray faces in a table, as named files, or in archives."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import itertools
import lzma
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from fer_jax.faces import crop
from fer_jax.faces.sequence import ClipError, Sequence
from fer_jax.progress import track
from fer_jax.storage import open_text, read_regular

from .. import folder_tree
from ..clip import FaceSource, SourceError

SIDE = 48  # pixels
TABLE = "fer2013.csv"
NAME = re.compile(r"fer(\d{7})\.png", re.IGNORECASE)
_SLOW = 5000  # more images than this are read under a progress bar
_TWICE = "image twice"
# Errors raised by damaged files, archives and images.
_DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    cv2.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Still(FaceSource):
    """A face image in memory.

    Attributes:
      pixels: the 48 x 48 gray values, row by row.
      copies: for a training image, the splits of other usable images with the same pixels.
    """

    pixels: bytes = dataclasses.field(repr=False)
    copies: tuple[str, ...] = ()

    def face(self, size: int) -> Sequence:
        """Returns it as a sequence of one frame without landmarks.

        Args:
          size: side of the crop, pixels; 0 for none.
        """
        unknown = np.full((1, 68, 2), np.nan, np.float32)
        seen, index = np.ones(1, bool), np.zeros(1, np.int32)
        sequence = Sequence(unknown, seen, index, 0.0, (SIDE, SIDE))
        if not size:
            return sequence
        image = np.frombuffer(self.pixels, np.uint8).reshape(SIDE, SIDE)
        if size != SIDE:
            kind = cv2.INTER_CUBIC if size > SIDE else cv2.INTER_AREA
            image = cv2.resize(image, (size, size), interpolation=kind)
        # PNG is lossless
        packed, offsets = crop.pack([cv2.imencode(".png", image)[1].tobytes()])
        cut = {"crops": packed, "crop_offsets": offsets, "crop_landmarks": unknown}
        return dataclasses.replace(sequence, **cut)


def find_table(base: pathlib.Path) -> pathlib.Path | None:
    """Finds fer2013.csv; returns None if there is none.

    Raises:
      SourceError: there are several.
    """
    found = folder_tree.find(base, lambda folder: (folder / TABLE).is_file())
    return folder_tree.the_one(found, f"{TABLE} of FER-2013") / TABLE if found else None


def read_table(path: pathlib.Path) -> list[tuple[str, bytes | ClipError]]:
    """Reads fer2013.csv.

    Returns:
      For each row its usage, and its pixels or why they cannot be used.

    Raises:
      SourceError: the file cannot be read, or lacks a column.
    """
    rows = read_cells(path, ["usage", "pixels"])
    counted = enumerate(track(rows, f"reading {TABLE}", 35_887))
    return [(usage, _pixels(text, f"row {index} of {path}")) for index, (usage, text) in counted]


def _pixels(text: str, where: str) -> bytes | ClipError:
    try:
        pixels = bytes(map(int, text.split()))
    except ValueError as error:
        return ClipError("torn pixels", f"{where}: {error}")
    if len(pixels) != SIDE**2:
        return ClipError("torn pixels", f"{where} has {len(pixels)} of {SIDE**2} pixels")
    return pixels


def read_cells(path: pathlib.Path, columns: list[str]) -> Iterator[list[str]]:
    """Yields the cells of some columns of a CSV, row by row; missing cells are empty.

    Args:
      path: the CSV; case and surrounding blanks of its column names do not matter.
      columns: names in lower case.

    Raises:
      SourceError: the file cannot be read, or lacks a column.
    """
    try:
        with open_text(path) as file:
            rows = csv.reader(file)
            header = [name.strip().casefold() for name in next(rows, [])]
            if missing := [name for name in columns if name not in header]:
                raise SourceError(f"{path} has no column {', '.join(missing)}")
            indices = [header.index(name) for name in columns]
            for cells in filter(None, rows):
                yield [cells[k].strip() if k < len(cells) else "" for k in indices]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def read_named(base: pathlib.Path) -> tuple[dict[str, bytes | ClipError], list[str]]:
    """Reads images from files, then from archives those that are missing or damaged as files.

    An image may occur several times if its pixels are the same each time.

    Args:
      base: the folder that holds files or archives, directly or in subfolders.

    Returns:
      Name in lower case -> pixels, or why they cannot be used; and the archives that cannot be
      read, each with the reason.
    """
    paths = _paths(base)
    images: dict[str, bytes | ClipError] = {}
    _read_into(images, [(p, functools.partial(read_regular, p)) for p in paths if _is_image(p)])
    files = {name for name, image in images.items() if isinstance(image, bytes)}
    damaged = []
    for path in paths:
        if path.suffix.lower() != ".zip" or path.is_dir():
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                members = [
                    (path / member.filename, functools.partial(archive.read, member))
                    for member in archive.infolist()
                ]
                wanted = [m for m in members if _is_image(m[0]) and m[0].name.lower() not in files]
                _read_into(images, wanted)
        except _DAMAGE as error:
            damaged.append(f"{path} ({_what(error)})")
    return images, damaged


def _paths(base: pathlib.Path) -> list[pathlib.Path]:
    paths = []
    for folder in itertools.chain.from_iterable(folder_tree.levels(base)):
        with contextlib.suppress(OSError):  # a folder outside the tree
            paths += folder_tree.entries(folder)
    return paths


def _is_image(path: pathlib.Path) -> bool:
    return bool(NAME.fullmatch(path.name))


def _read_into(images: dict[str, bytes | ClipError], found: list) -> None:
    """Adds images; `found` are pairs of a path and a function that returns its bytes."""
    shown = track(found, "reading images", len(found)) if len(found) > _SLOW else found
    for path, read in shown:
        name, image = path.name.lower(), _image(path, read)
        images[name] = _joined(images[name], image, path) if name in images else image


def _joined(known: bytes | ClipError, new: bytes | ClipError, path: pathlib.Path):
    """Chooses between two images of one name: the usable one, neither if both differ."""
    if known == new or isinstance(new, ClipError):
        return known
    if isinstance(known, bytes):
        return ClipError(_TWICE, f"{path} and another image of the same name have different pixels")
    return known if known.reason == _TWICE else new


def _image(path: pathlib.Path, read: Callable[[], bytes]) -> bytes | ClipError:
    try:
        values = np.frombuffer(read(), np.uint8)
        image = cv2.imdecode(values, cv2.IMREAD_GRAYSCALE) if len(values) else None
    except _DAMAGE as error:
        return ClipError("unreadable", f"{path}: {_what(error)}")
    if image is None:
        return ClipError("unreadable", f"{path} is not an image")
    if image.shape != (SIDE, SIDE):
        size = f"{image.shape[1]} x {image.shape[0]}"
        return ClipError("other size", f"{path} has {size} pixels, not {SIDE} x {SIDE}")
    return image.tobytes()


def _what(error: Exception) -> str:
    """Returns the error in one line; some errors have no text."""
    return " ".join(str(error).split()) or type(error).__name__
