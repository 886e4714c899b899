"""Opens regular files only: a named pipe or a device would be waited for without end."""

from __future__ import annotations

import os
import pathlib
import stat
from typing import BinaryIO

from fer_jax.faces.sequence import ClipError

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # not on Windows, which has no named pipes in folders
_BYTES = getattr(os, "O_BINARY", 0)  # on Windows only


def open_regular(path: pathlib.Path) -> BinaryIO:
    """Opens a regular file, or a link to one, for reading.

    Raises:
      ClipError: it is missing, no regular file, empty, or cannot be read.
    """
    try:
        # Without O_NONBLOCK a named pipe is opened only when somebody writes into it.
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except FileNotFoundError as error:
        raise ClipError("missing file", f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        raise ClipError("unreadable", f"{path} cannot be opened: {_why(error)}") from error
    file = os.fdopen(handle, "rb") if stat.S_ISREG(os.fstat(handle).st_mode) else None
    if file is None:
        os.close(handle)
        raise ClipError("no regular file", f"{path} is a folder, a pipe or a device: give a file")
    if not os.fstat(handle).st_size:
        file.close()
        raise ClipError("unreadable", f"{path} is empty")
    return file


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
