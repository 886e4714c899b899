"""What the machine gives a process: its cores, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable

CHECKSUMS = "checksums.json"  # SHA-256 of the files beside it


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checksum(file: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksums(folder: pathlib.Path, files: Iterable[pathlib.Path]) -> None:
    """Writes the checksums of files of a folder beside them."""
    sums = {file.name: checksum(file) for file in sorted(files)}
    write_whole(folder / CHECKSUMS, json.dumps(sums, indent=1))


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


def write_whole(file: pathlib.Path, text: str) -> None:
    """Writes a file and renames it when complete, so that a kill leaves the old one or none."""
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(file)
