"""What the machine gives a process: its cores, files that are whole or not there, a terminal."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def whole_file(file: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a name beside a file to write to, and renames it when the block is left.

    A kill, a full disk or any other failure leaves the old file or none.

    Args:
      file: its folder is created when missing.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.stem}.partial{file.suffix}")
    try:
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())  # on the disk before the name is
        partial.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_whole(file: pathlib.Path, content: str | bytes) -> None:
    """Writes a file in one step, see `whole_file`; what UTF-8 lacks is written as an escape."""
    content = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with whole_file(file) as partial:
        partial.write_bytes(content)


def printable(text) -> str:
    """Escapes what a terminal would obey or cannot show, such as ESC, line ends, lone surrogates.

    Names of files, classes and fields come from others; no message passes them on as they are.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode()
        for each in str(text)
    )
