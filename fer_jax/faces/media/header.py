"""The size of a picture from its header, before anything is decoded."""

from __future__ import annotations

import struct
from typing import BinaryIO

_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG with the size
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def picture_size(file: BinaryIO) -> tuple[int, int] | None:
    """Returns the width and height of a PNG, JPEG, BMP, TIFF, WebP, PGM, PPM or PBM, pixels.

    Returns None for any other content, and for a damaged header.
    """
    head = file.read(32)
    try:
        for magic, read in _READERS.items():
            if head.startswith(magic):
                return read(file, head)
    except (struct.error, ValueError, IndexError, OverflowError):
        pass
    return None


def holds_several(file: BinaryIO) -> bool:
    """Whether a picture is the first of several in its file: an animation, or pages of a TIFF."""
    file.seek(0)
    head = file.read(4096)
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head[: head.find(b"IDAT")]
    if head.startswith(b"RIFF"):
        return head[12:16] == b"VP8X" and bool(head[20] & 2)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    order = "<" if head[:2] == b"II" else ">"
    try:
        file.seek(*struct.unpack(f"{order}I", head[4:8]))
        (tags,) = struct.unpack(f"{order}H", file.read(2))
        file.seek(12 * tags, 1)
        return struct.unpack(f"{order}I", file.read(4)) != (0,)
    except struct.error:
        return False


def _png(file, head):
    return struct.unpack(">II", head[16:24])


def _jpeg(file, head):
    """Walks the segments up to the one that starts a frame."""
    file.seek(2)
    while True:
        (prefix,) = struct.unpack(">B", file.read(1))
        if prefix != 0xFF:
            continue
        marker = 0xFF
        while marker == 0xFF:
            (marker,) = struct.unpack(">B", file.read(1))
        if marker in _START_OF_FRAME:
            height, width = struct.unpack(">3xHH", file.read(7))
            return width, height
        if marker == 0x01 or marker == 0x00 or 0xD0 <= marker <= 0xD8:
            continue  # markers without a segment
        (length,) = struct.unpack(">H", file.read(2))
        file.seek(length - 2, 1)


def _bmp(file, head):
    if struct.unpack("<I", head[14:18])[0] == 12:
        return struct.unpack("<HH", head[18:22])
    width, height = struct.unpack("<ii", head[18:26])
    return abs(width), abs(height)


def _webp(file, head):
    kind = head[12:16]
    if head[8:12] != b"WEBP":
        return None
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    return None


def _netpbm(file, head):
    """Reads the numbers after the magic; comments run to the end of their line."""
    file.seek(0)
    text = b"".join(line.split(b"#")[0] + b" " for line in file.read(4096).split(b"\n"))
    return int(text.split()[1]), int(text.split()[2])


def _tiff(file, head):
    """Reads the tags of the first image; of classic TIFF and BigTIFF."""
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(f"{order}H", head[2:4])[0] == 43
    count, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    file.seek(start)
    (tags,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
    sides = {}
    for _ in range(min(tags, 4096)):
        row = file.read(struct.calcsize(order + entry))
        tag, kind, _, value = struct.unpack(order + entry, row)
        if tag in (256, 257):
            (sides[tag],) = struct.unpack_from(order + _TIFF_TYPES[kind], value)
    return (sides[256], sides[257]) if len(sides) == 2 else None


_READERS = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"II+\0": _tiff,
    b"MM\0+": _tiff,
    **{b"P%d" % kind: _netpbm for kind in range(1, 8)},
}
