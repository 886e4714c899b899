"""The images of FER-2013: 48 x 48 gray faces in a table, as named files, or in archives."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from rich.progress import track

from preprocess import crops, tree
from preprocess.clip import ClipError, Sequence, SourceError

SIDE = 48  # pixels
TABLE = "fer2013.csv"
NAME = re.compile(r"fer(\d{7})\.png")
_SLOW = 5000  # images whose reading is worth a progress bar


@dataclasses.dataclass(frozen=True)
class Still:
    """A face image in memory.

    Attributes:
      pixels: the 48 x 48 gray values, row by row.
    """

    pixels: bytes = dataclasses.field(repr=False)

    def face(self, size: int) -> Sequence:
        """Makes one frame of it, of which no landmarks are known.

        Args:
          size: side of the crop, pixels; 0 for none.
        """
        unknown = np.full((1, 68, 2), np.nan, np.float32)
        seen, number = np.ones(1, bool), np.zeros(1, np.int32)
        sequence = Sequence(unknown, seen, number, 0.0, (SIDE, SIDE))
        if not size:
            return sequence
        image = np.frombuffer(self.pixels, np.uint8).reshape(SIDE, SIDE)
        if size != SIDE:
            kind = cv2.INTER_CUBIC if size > SIDE else cv2.INTER_AREA
            image = cv2.resize(image, (size, size), interpolation=kind)
        # PNG, so that the pixels stay what they are
        packed, offsets = crops.pack([cv2.imencode(".png", image)[1].tobytes()])
        cut = {"crops": packed, "crop_offsets": offsets, "crop_landmarks": unknown}
        return dataclasses.replace(sequence, **cut)


def find_table(base: pathlib.Path) -> pathlib.Path | None:
    """Finds fer2013.csv; None where there is none.

    Raises:
      SourceError: there are several.
    """
    found = tree.find(base, lambda folder: (folder / TABLE).is_file())
    return tree.the_one(found, f"{TABLE} of FER-2013") / TABLE if found else None


def read_table(path: pathlib.Path) -> list[tuple[str, bytes | ClipError]]:
    """Reads fer2013.csv.

    Returns:
      One a row: its usage, and its pixels or why they cannot be used.

    Raises:
      SourceError: the file cannot be read, or lacks a column.
    """
    rows = read_cells(path, ["usage", "pixels"])
    counted = enumerate(track(rows, f"reading {TABLE}", total=35_887, transient=True))
    return [(usage, _pixels(text, f"row {number} of {path}")) for number, (usage, text) in counted]


def _pixels(text: str, where: str) -> bytes | ClipError:
    try:
        pixels = bytes(map(int, text.split()))
    except ValueError as error:
        return ClipError("torn pixels", f"{where}: {error}")
    if len(pixels) != SIDE**2:
        return ClipError("torn pixels", f"{where} has {len(pixels)} of {SIDE**2} pixels")
    return pixels


def read_cells(path: pathlib.Path, columns: list[str]) -> Iterator[list[str]]:
    """Gives the cells of some columns of a CSV, row by row; missing cells are empty.

    Args:
      path: the CSV; blanks around its column names and their case do not matter.
      columns: lower case.

    Raises:
      SourceError: the file cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [name.strip().casefold() for name in next(rows, [])]
            if missing := [name for name in columns if name not in header]:
                raise SourceError(f"{path} has no column {', '.join(missing)}")
            places = [header.index(name) for name in columns]
            for cells in filter(None, rows):
                yield [cells[place].strip() if place < len(cells) else "" for place in places]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def read_named(base: pathlib.Path) -> dict[str, bytes | ClipError]:
    """Reads the images that are files, else those in archives.

    Args:
      base: the folder in which they lie, directly or in folders.

    Returns:
      Name -> pixels, or why they cannot be used.
    """
    images: dict[str, bytes | ClipError] = {}
    files = _files(base) or _members(base)
    shown = track(files, "reading images", transient=True) if len(files) > _SLOW else files
    archives: dict[pathlib.Path, zipfile.ZipFile] = {}
    try:
        for archive, path in shown:
            if archive and archive not in archives:
                archives[archive] = zipfile.ZipFile(archive)
            name = pathlib.PurePosixPath(path).name
            if name in images:
                images[name] = ClipError("image twice", f"{name} lies in several places in {base}")
            else:
                images[name] = _image(archives.get(archive), path)
    finally:
        for opened in archives.values():
            opened.close()
    return images


def _files(base: pathlib.Path) -> list[tuple[None, str]]:
    folders = tree.find(base, lambda folder: any(_is_image(path) for path in folder.iterdir()))
    return [(None, str(p)) for folder in folders for p in tree.entries(folder) if _is_image(p)]


def _is_image(path: pathlib.PurePath) -> bool:
    return bool(NAME.fullmatch(path.name))


def _members(base: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
    """Lists the images in all archives in the uppermost folders that hold such archives."""

    def in_folder(folder: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
        archives = [path for path in tree.entries(folder) if path.suffix.lower() == ".zip"]
        return [(path, name) for path in archives for name in _names(path)]

    return [member for folder in tree.find(base, in_folder) for member in in_folder(folder)]


def _names(path: pathlib.Path) -> list[str]:
    """Lists the images in an archive; none where it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [n for n in archive.namelist() if _is_image(pathlib.PurePosixPath(n))]
    except (OSError, zipfile.BadZipFile):
        return []


def _image(archive: zipfile.ZipFile | None, path: str) -> bytes | ClipError:
    try:
        content = archive.read(path) if archive else pathlib.Path(path).read_bytes()
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        return ClipError("unreadable", f"{path}: {error}")
    values = np.frombuffer(content, np.uint8)
    image = cv2.imdecode(values, cv2.IMREAD_GRAYSCALE) if len(values) else None
    if image is None:
        return ClipError("unreadable", f"{path} is no image")
    if image.shape != (SIDE, SIDE):
        size = f"{image.shape[1]} x {image.shape[0]}"
        return ClipError("other size", f"{path} has {size} pixels, not {SIDE} x {SIDE}")
    return image.tobytes()
