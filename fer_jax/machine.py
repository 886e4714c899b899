"""What the machine gives a process: its cores, and files that are whole or not there."""

from __future__ import annotations

import os
import pathlib


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_whole(file: pathlib.Path, text: str) -> None:
    """Writes a file and renames it when complete, so that a kill leaves the old one or none."""
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(file)
