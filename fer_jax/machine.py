"""What the machine gives a process: cores, memory, files that are whole or missing, a terminal."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator

PARTIAL = ".partial"  # ends the name, before its suffix, of a file that is being written
_GROUPS = pathlib.Path("/sys/fs/cgroup")
_OWN_GROUP = pathlib.Path("/proc/self/cgroup")


class FileError(ValueError):
    """A file cannot be used; the message names it, says why and what to do."""


class StorageError(RuntimeError):
    """A file cannot be read or written; the message names it, says why and what to do."""


FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of a disk without room, or of a used up quota
_REMEDIES = {
    FULL: "free some space",
    (errno.EFBIG,): "raise the limit of file sizes",
    (errno.EROFS, errno.EACCES, errno.EPERM): "name a place that you may write to",
    (errno.EIO,): "the disk may be failing: copy what is there to another one",
    (errno.ENOTDIR, errno.EEXIST): "a file is where a folder belongs: name another",
    (errno.EISDIR, errno.EINVAL): "no file is where one belongs: move it away",
    (errno.ENAMETOOLONG,): "name a shorter one",
    (errno.EMFILE, errno.ENFILE): "raise the limit of open files",
    (errno.ENOLCK,): "its file system gives no locks: ask who runs it",
}


def storage_error(error: OSError, then: str = "then start the same command again") -> StorageError:
    """Makes one line of a failure of the storage: which file, why, and what to do.

    Args:
      error: any error of reading or writing a file.
      then: what to do afterwards.
    """
    file = "a file" if error.filename is None else printable(os.fsdecode(error.filename))
    reason = printable(error.strerror or error)
    remedies = (text for codes, text in _REMEDIES.items() if error.errno in codes)
    remedy = next(remedies, "make it readable and writable")
    return StorageError(f"{file}: {reason}: {remedy}, {then}")


@contextlib.contextmanager
def naming(file, partial=None) -> Iterator[None]:
    """Gives errors of the storage the name of a file.

    Args:
      file: errors that name none, as those of a full disk, get its name.
      partial: another file, whose errors get that name too.
    """
    try:
        yield
    except OSError as error:
        nameless = error.filename is None or error.filename in (partial, str(partial))
        if nameless and error.errno is not None:
            raise OSError(error.errno, error.strerror, os.fspath(file)) from error
        raise


def usable_cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has.

    SLURM binds processes to cores; the limit of a container is a share of the time on all.
    """
    bound = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
    shares = (math.ceil(time / period) for time, period in _limits("cpu.max"))
    return max(1, min([cores, *shares]))


def usable_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or a limit of its job or pod."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([whole, *(limit for (limit,) in _limits("memory.max"))])


def _limits(name: str) -> Iterator[list[int]]:
    """Numbers of a limit in the control group (version 2) of this process, and in those around."""
    try:
        found = re.search("(?m)^0::/(.*)$", _OWN_GROUP.read_text())
    except OSError:  # not Linux
        return
    group = pathlib.PurePosixPath(found[1] if found else "")
    for each in (group, *group.parents):
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max" in it
            yield [int(word) for word in (_GROUPS / each / name).read_text().split()]


@contextlib.contextmanager
def whole_file(file: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a name beside a file to write to, and renames it when the block is left.

    A kill, a full disk or any other failure leaves the old file or none.

    Args:
      file: its folder is created when missing.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.stem}{PARTIAL}{file.suffix}")
    try:
        with naming(file, partial):
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


def json_text(content, indent: int | None = None) -> str:
    """Writes JSON; NaN and infinity, which JSON lacks, become null."""
    valid = json.loads(json.dumps(content), parse_constant=lambda _: None)
    return json.dumps(valid, indent=indent)


def printable(text) -> str:
    """Escapes what a terminal would obey or cannot show, such as ESC, line ends, lone surrogates.

    Names of files, classes and fields come from others; no message passes them on as they are.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode()
        for each in str(text)
    )
