"""Official directory trees: finds their folders and frames, and explains what is missing.

Names are compared without case. Hidden files (`.DS_Store`, the `._` files of macOS), `__MACOSX` and
everything that a tree does not name are ignored.
"""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterator

from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import IMAGE_SUFFIXES
from fer_jax.machine import printable

from .clip import Clip, SourceError, UsageError

_SHOWN = 6  # entries of a folder in an error message
_DEPTH = 2  # levels below the source that are searched for a tree


def entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """Lists the contents of a folder, sorted, without hidden files and `__MACOSX`."""
    named = [p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX"]
    return sorted(named)


def resolved(path: pathlib.Path, missing: str) -> pathlib.Path:
    """Follows the links of a path.

    Raises:
      ClipError: it leads to no file or folder that can be opened; `missing` says that it is not
        there.
    """
    try:
        found = path.resolve(strict=True)
        mode = found.stat().st_mode
    except FileNotFoundError as error:
        raise ClipError("missing file", missing) from error
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise ClipError("unreadable", f"{reason}: {printable(path)[:100]}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ClipError("unreadable", f"{path} is a pipe or a device, no file")
    if not os.access(found, os.R_OK):
        raise ClipError("unreadable", f"{path}: Permission denied")
    return found


def folders(folder: pathlib.Path, pattern: str = ".*") -> list[pathlib.Path]:
    """Lists the subfolders whose whole name matches `pattern`, sorted."""
    named = re.compile(pattern, re.IGNORECASE)
    return [path for path in entries(folder) if named.fullmatch(path.name) and path.is_dir()]


def bases(source, inner: set[str], name: str, layout: str) -> Iterator[pathlib.Path]:
    """Yields the source, then its parents while it is itself a folder of the tree.

    Args:
      source: the folder given by the user.
      inner: names of folders within the tree, lower case.
      name, layout: see `layout_error`.

    Raises:
      SourceError: the source is not a folder.
    """
    if source is None:
        raise UsageError(f"--source is missing: name the folder of {name}.\n{layout}")
    source = pathlib.Path(source).absolute()
    if not source.is_dir():
        what = "is a file, not a folder" if source.exists() else "does not exist"
        raise SourceError(f"--source {source} {what}.\n{layout}")
    yield source
    while source.name.casefold() in inner:
        source = source.parent
        yield source


def levels(base: pathlib.Path) -> Iterator[list[pathlib.Path]]:
    """Yields the folders that may contain a tree, level by level: `base`, then its subfolders."""
    level = [base]
    yield level
    for _ in range(_DEPTH):
        below = []
        for folder in level:
            with contextlib.suppress(OSError):  # a folder outside the tree
                below += folders(folder)
        yield below
        level = below


def find(base: pathlib.Path, fits: Callable[[pathlib.Path], bool]) -> list[pathlib.Path]:
    """Returns the folders for which `fits` is true on the uppermost level that has any."""
    for level in levels(base):
        fitting = []
        for folder in level:
            with contextlib.suppress(OSError):
                if fits(folder):
                    fitting.append(folder)
        if fitting:
            return fitting
    return []


def the_one(found: list[pathlib.Path], what: str) -> pathlib.Path:
    """Returns the only folder found.

    Raises:
      SourceError: there are several.
    """
    if len(found) > 1:
        where = ", ".join(map(str, found))
        raise SourceError(
            f"{what} exists {len(found)} times ({where}): keep one, or name it as --source"
        )
    return found[0]


def parts(
    source, inner: set[str], name: str, layout: str, wanted: dict[str, tuple[Callable, str]]
) -> list[pathlib.Path]:
    """Finds the folder of each part of a tree.

    Args:
      source, inner, name, layout: see `bases`.
      wanted: part in words -> whether a folder is that part, and an example of its content.

    Raises:
      SourceError: a part is missing, or exists several times.
    """
    missing: list[str] = []
    for base in bases(source, inner, name, layout):
        found = {what: find(base, fits) for what, (fits, _) in wanted.items()}
        if all(found.values()):
            return [the_one(folders, f"{name} folder of {what}") for what, folders in found.items()]
        missing = missing or [what for what in found if not found[what]]
    text = " and ".join(f"no folder of {what} (with {wanted[what][1]})" for what in missing)
    raise layout_error(name, source, text, layout)


def frames(folder: pathlib.Path, pattern: str, example: str) -> tuple[pathlib.Path, ...]:
    """Lists the images of a sequence in the order of their numbers, which may have gaps.

    Args:
      folder: the sequence.
      pattern: matches a name without suffix; its first group is the frame number.
      example: such a name, for the error message.

    Raises:
      ClipError: there is no such image, or the folder cannot be read.
    """
    named = re.compile(pattern, re.IGNORECASE)
    numbered = []
    try:
        for path in entries(folder):
            match = named.fullmatch(path.stem)
            if match and path.suffix.lower() in IMAGE_SUFFIXES:
                numbered.append((int(match[1]), path))
    except FileNotFoundError as error:
        raise ClipError("no frames", f"there is no folder {folder}") from error
    except OSError as error:
        raise ClipError("unreadable", f"{folder}: {error.strerror}") from error
    if not numbered:
        raise ClipError("no frames", f"no image in {folder} is named like {example}")
    return tuple(path for _, path in sorted(numbered))


def layout_error(name: str, source, missing: str, layout: str) -> SourceError:
    """Returns the error for a folder that does not have the expected layout.

    Args:
      name: the dataset.
      source: the folder given by the user.
      missing: what was not found.
      layout: a description of the official layout, several lines.
    """
    source = pathlib.Path(source).absolute()
    return SourceError(
        f"--source {source} is not the {name} tree: {missing}.\n{layout}\n"
        f"Found there: {_content(source)}"
    )


def _content(source: pathlib.Path) -> str:
    """Lists the contents of a folder and of its subfolders, shortened."""
    try:
        shown = [_entry(path) for path in entries(source)[: _SHOWN + 1]]
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return _shortened(shown) or "nothing"


def _entry(path: pathlib.Path) -> str:
    if not path.is_dir():
        return path.name
    try:
        inside = [p.name + "/" * p.is_dir() for p in entries(path)[: _SHOWN + 1]]
    except OSError:
        return f"{path.name}/ (cannot be read)"
    return f"{path.name}/ ({_shortened(inside, 3) or 'empty'})"


def _shortened(names: list[str], most: int = _SHOWN) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def official_note(kept: list[Clip], official: dict[str, dict[str, int]], whole: str) -> list[str]:
    """Notes where the number of clips differs from the release.

    Args:
      kept: clips that are used.
      official: split -> class -> number of clips in the release.
      whole: the official size in words.
    """
    found = collections.Counter((clip.split, clip.label) for clip in kept)
    other = [
        f"{split} {label} {found[split, label]} instead of {count}"
        for split, counts in official.items()
        for label, count in counts.items()
        if found[split, label] != count
    ]
    return [f"not the official number of clips ({whole}): {', '.join(other)}"] if other else []
