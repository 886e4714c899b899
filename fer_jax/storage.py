"""Folders of results: checksums of their files, and a lock for the process that writes them."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterable

CHECKSUMS = "checksums.json"  # SHA-256 of the files beside it


def checksum(file: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksums(folder: pathlib.Path, files: Iterable[pathlib.Path]) -> None:
    """Writes the checksums of files of a folder beside them."""
    sums = {file.name: checksum(file) for file in sorted(files)}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=1))


def damaged_file(folder: pathlib.Path) -> str:
    """Says which file differs from its checksum in a folder with checksums; empty if none does."""
    try:
        sums = dict(json.loads((folder / CHECKSUMS).read_text()))
    except (OSError, ValueError, TypeError):
        return f"{folder / CHECKSUMS} is damaged"
    for name, stated in sums.items():
        file = folder / pathlib.PurePath(str(name)).name
        try:
            if checksum(file) != stated:
                return f"{file} is damaged (its checksum is another)"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
    return ""
