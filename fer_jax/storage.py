"""Files that are no pipes, checksums, a lock for the process that writes, arrays beyond memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import pathlib
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, TextIO

import numpy as np

from fer_jax.machine import StorageError, naming, storage_error, write_whole

CHECKSUMS = "checksums.json"  # SHA-256 of the files beside it
_LOCK = ".lock"
_READ = 2**20  # bytes at a time
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP)  # errors of a file system that has none
ELSEWHERE = "or set TMPDIR to a folder on another disk"  # for temporary files


def open_regular(file: pathlib.Path) -> BinaryIO:
    """Opens a regular file, or a link to one, for reading.

    A named pipe or a device would be waited for, or read, without end.

    Raises:
      OSError: it is missing, cannot be read, or is no regular file, which its `strerror` says.
    """
    # without O_NONBLOCK a named pipe is opened only when somebody writes into it
    own = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # not on every system
    handle = os.open(file, os.O_RDONLY | own)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "no regular file", os.fspath(file))
    return os.fdopen(handle, "rb")


def read_regular(file: pathlib.Path) -> bytes:
    """Reads a regular file, see `open_regular`."""
    with open_regular(file) as stream:
        return stream.read()


def open_text(file: pathlib.Path, errors: str = "strict") -> TextIO:
    """Opens a regular file of text in UTF-8, line ends as they are, see `open_regular`.

    Args:
      file: to read.
      errors: what becomes of bytes that are no UTF-8, see `codecs`.
    """
    return io.TextIOWrapper(open_regular(file), "utf-8-sig", errors, newline="")


class InUseError(RuntimeError):
    """Another process writes into a folder or a file; the message says which."""


@contextlib.contextmanager
def lock(target: pathlib.Path, called: str = "", instead: str = "") -> Iterator[None]:
    """Lets one process at a time write a folder or a file; ends with the process, even if killed.

    Keeps nobody out where the file system has no locks, as Lustre mounted without `flock`.

    Args:
      target: a folder, or a file that need not exist; its folder must.
      called: what it is to the user; default: its path.
      instead: what to do instead of waiting; default: to name another one.

    Raises:
      InUseError: another one holds it.
    """
    is_folder = target.is_dir()
    file = target / _LOCK if is_folder else target.with_name(f".{target.name}{_LOCK}")
    holder = _holder_file(file)
    instead = instead or f"name another {'folder' if is_folder else 'file'}"
    with _held(file, called or str(target), instead, alone=True):
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            for each in [holder] if is_folder else [holder, file]:  # nothing stays beside a file
                with contextlib.suppress(OSError):
                    each.unlink()


@contextlib.contextmanager
def share(folder: pathlib.Path) -> Iterator[None]:
    """Shares a folder with others that call this, but not with one that has its `lock`.

    On Windows they have it one after another.

    Raises:
      InUseError: somebody has it.
    """
    with _held(folder / _LOCK, str(folder), "name another folder", alone=False):
        yield


@contextlib.contextmanager
def _held(file: pathlib.Path, target: str, instead: str, alone: bool) -> Iterator[None]:
    """Holds a file that stands for a target, alone or with others."""
    try:
        import fcntl
    except ImportError:  # Windows
        import filelock

        held = filelock.FileLock(file)
        try:
            held.acquire(blocking=False)
        except filelock.Timeout:
            raise InUseError(_in_use(file, target, instead)) from None
        try:
            yield
        finally:
            held.release()
        return
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            with naming(file):
                fcntl.flock(handle, fcntl.LOCK_NB | (fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        except BlockingIOError:
            raise InUseError(_in_use(file, target, instead)) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not os.fstat(handle).st_nlink:  # its holder removed it after it was opened here
            raise InUseError(_in_use(file, target, instead))
        yield
    finally:
        os.close(handle)


def _in_use(file: pathlib.Path, target: str, instead: str) -> str:
    holder = _holder(_holder_file(file))
    return f"{target} is in use by {holder}: wait until it has ended, or {instead}"


def _holder_file(file: pathlib.Path) -> pathlib.Path:
    return file.with_name(f"{file.name}.holder")


def _holder(file: pathlib.Path) -> str:
    try:
        return read_regular(file).decode(errors="replace")[:200] or "another process"
    except OSError:
        return "another process"


def sha256(parts: Iterable) -> str:
    """SHA-256 of bytes, or arrays, one after another; hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def checksum(file: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open_regular(file) as stream:
        return sha256(iter(lambda: stream.read(_READ), b""))


def write_checksums(
    folder: pathlib.Path, files: Iterable[pathlib.Path], known: Mapping[str, str] | None = None
) -> None:
    """Writes the checksums of files of a folder beside them.

    Args:
      folder: of the files.
      files: to sum.
      known: name -> checksum of files that need not be read again.
    """
    known = known or {}
    sums = {file.name: known.get(file.name) or checksum(file) for file in sorted(files)}
    write_whole(folder / CHECKSUMS, json.dumps(sums, indent=1))


def damaged_file(
    folder: pathlib.Path, needed: Iterable[str], share: tuple[int, int] = (0, 1)
) -> str:
    """Says which file differs from its checksum in a folder with checksums; empty if none does.

    Args:
      folder: with checksums.
      needed: names of files that must have one.
      share: of I and N, only every Nth file is read, from the one with index I on.
    """
    try:
        sums = dict(json.loads(read_regular(folder / CHECKSUMS)))
    except (OSError, ValueError, TypeError, RecursionError):
        return f"{folder / CHECKSUMS} is damaged"
    if missing := sorted(set(needed) - sums.keys()):
        return f"{folder / CHECKSUMS} is damaged (it lacks {missing[0]})"
    first, step = share
    for name, stated in list(sums.items())[first::step]:
        file = folder / pathlib.PurePath(str(name)).name
        try:
            if checksum(file) != stated:
                return f"{file} is damaged (its checksum is another)"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
    return ""


@contextlib.contextmanager
def naming_temporary() -> Iterator[None]:
    """Says of a failure of the storage that it is of the folder for temporary files ($TMPDIR).

    Raises:
      StorageError: names the folder and the way out.
    """
    try:
        folder = tempfile.gettempdir()
    except OSError as error:  # it looks for one that can be written to
        raise StorageError(f"{error.strerror}: free some space, {ELSEWHERE}") from error
    try:
        with naming(folder):
            yield
    except OSError as error:
        raise storage_error(error, ELSEWHERE) from error


class _Temporary(io.FileIO):
    """A file whose failures name the folder for temporary files."""

    _failed = False

    def write(self, data) -> int:
        if self._failed:  # closing it, which writes what is left, would say the same again
            return len(data)
        try:
            with naming_temporary():
                return super().write(data)
        except StorageError:
            self._failed = True
            raise


def temporary_file(folder: pathlib.Path | None = None) -> BinaryIO:
    """Opens a file without a name that vanishes when it is closed; it can be written and read.

    Writing and closing raise the `StorageError` of `naming_temporary`.

    Args:
      folder: in that for temporary files; None: that one itself.

    Raises:
      StorageError: the folder is full or cannot be written to.
    """
    with naming_temporary(), tempfile.TemporaryFile(buffering=0, dir=folder) as file:
        return io.BufferedRandom(_Temporary(os.dup(file.fileno()), "rb+"))


class Spool:
    """Collects arrays one after the other: in memory up to a limit, in a file beyond it.

    The file has no name, lies in the folder for temporary files ($TMPDIR) and vanishes with the
    array that reads it. The system keeps as much of it in memory as there is room for.

    Args:
      shape: of a row.
      most: bytes that are kept in memory.
    """

    def __init__(self, shape: tuple[int, ...], most: float = math.inf):
        self._shape, self._most, self._rows = shape, most, 0
        self._kept: list[np.ndarray] = []
        self._file: BinaryIO | None = None

    def add(self, rows: np.ndarray) -> int:
        """Appends `[L, *shape]`, as float32; returns the index of its first row.

        Raises:
          StorageError: the folder for temporary files is full.
        """
        first, self._rows = self._rows, self._rows + len(rows)
        self._kept.append(np.ascontiguousarray(rows, np.float32))
        if self._file is not None or 4 * math.prod((self._rows, *self._shape)) > self._most:
            self._file = self._file or temporary_file()
            try:
                for part in self._kept:
                    self._file.write(part.data)
            except StorageError:
                self._file.close()
                raise
            self._kept = []
        return first

    def values(self) -> np.ndarray:
        """All rows, `[N, *shape]` float32, and forgets them; a `memmap` if they are in a file."""
        shape = (self._rows, *self._shape)
        if self._file is not None:
            with naming_temporary(), self._file as file:  # the mapping keeps it
                file.flush()
                return np.memmap(file, np.float32, "r", shape=shape)
        values, first = np.empty(shape, np.float32), 0
        self._kept.reverse()
        while self._kept:  # each part is freed as soon as it is copied
            part = self._kept.pop()
            values[first : first + len(part)] = part
            first += len(part)
        return values
