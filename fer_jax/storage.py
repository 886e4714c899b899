"""Folders of results: checksums of their files, and a lock for the process that writes them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import socket
from collections.abc import Iterable, Iterator

CHECKSUMS = "checksums.json"  # SHA-256 of the files beside it
_LOCK, _HOLDER = ".lock", ".lock.holder"


class InUseError(RuntimeError):
    """Another process writes into a folder; the message says which."""


@contextlib.contextmanager
def lock(folder: pathlib.Path) -> Iterator[None]:
    """Lets one process at a time write into a folder; it ends with the process, even if killed.

    Raises:
      InUseError: another one holds it.
    """
    import filelock

    held = filelock.FileLock(folder / _LOCK)
    try:
        held.acquire(blocking=False)
    except filelock.Timeout:
        raise InUseError(
            f"{folder} is in use by {_holder(folder)}: wait until it has ended, or name another "
            "folder"
        ) from None
    try:
        (folder / _HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / _HOLDER).unlink()
        held.release()


def _holder(folder: pathlib.Path) -> str:
    try:
        return (folder / _HOLDER).read_text(errors="replace")[:200] or "another process"
    except OSError:
        return "another process"


def checksum(file: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksums(folder: pathlib.Path, files: Iterable[pathlib.Path]) -> None:
    """Writes the checksums of files of a folder beside them."""
    sums = {file.name: checksum(file) for file in sorted(files)}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=1))


def damaged_file(folder: pathlib.Path, needed: Iterable[str]) -> str:
    """Says which file differs from its checksum in a folder with checksums; empty if none does.

    Args:
      folder: with checksums.
      needed: names of files that must have one.
    """
    try:
        sums = dict(json.loads((folder / CHECKSUMS).read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return f"{folder / CHECKSUMS} is damaged"
    if missing := sorted(set(needed) - sums.keys()):
        return f"{folder / CHECKSUMS} is damaged (it lacks {missing[0]})"
    for name, stated in sums.items():
        file = folder / pathlib.PurePath(str(name)).name
        try:
            if checksum(file) != stated:
                return f"{file} is damaged (its checksum is another)"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
    return ""
