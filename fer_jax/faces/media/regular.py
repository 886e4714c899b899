"""Opens regular files only: a named pipe or a device would be waited for without end."""

from __future__ import annotations

import errno
import os
import pathlib
from typing import BinaryIO

from fer_jax import storage
from fer_jax.faces.sequence import ClipError


def open_regular(path: pathlib.Path) -> BinaryIO:
    """Opens a regular file, or a link to one, for reading.

    Raises:
      ClipError: it is missing, no regular file, empty, or cannot be read.
    """
    try:
        file = storage.open_regular(path)
    except FileNotFoundError as error:
        raise ClipError("missing file", f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.EINVAL, errno.EISDIR):
            what = f"{path} is a folder, a pipe or a device: give a file"
            raise ClipError("no regular file", what) from error
        raise ClipError("unreadable", f"{path} cannot be opened: {_why(error)}") from error
    if not os.fstat(file.fileno()).st_size:
        file.close()
        raise ClipError("unreadable", f"{path} is empty")
    return file


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
