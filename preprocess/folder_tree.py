"""Official directory trees: where their folders lie, which files are frames, what to say if not.

Names are compared without case. Hidden files (`.DS_Store`, the `._` files of macOS), `__MACOSX` and
whatever else a tree does not name are passed over.
"""

from __future__ import annotations

import collections
import contextlib
import pathlib
import re
from collections.abc import Callable, Iterator

from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import IMAGE_SUFFIXES

from .clip import Clip, SourceError

_SHOWN = 6  # entries of a folder in an error
_DEPTH = 2  # folders below the source in which a tree is looked for


def entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """Lists what a folder holds, sorted, without what the system has put there."""
    named = [p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX"]
    return sorted(named)


def folders(folder: pathlib.Path, pattern: str = ".*") -> list[pathlib.Path]:
    """Lists the folders in a folder whose whole name matches `pattern`, sorted."""
    named = re.compile(pattern, re.IGNORECASE)
    return [path for path in entries(folder) if named.fullmatch(path.name) and path.is_dir()]


def bases(source, inner: set[str], name: str, layout: str) -> Iterator[pathlib.Path]:
    """Gives the folders in which the tree may lie: the source, and where it was entered too deep.

    Args:
      source: what the user named.
      inner: names of folders of the tree, lower case; a source of such a name is left upwards.
      name, layout: see `layout_error`.

    Raises:
      SourceError: the source is no folder.
    """
    if source is None:
        raise SourceError(f"--source is missing: name the folder of {name}.\n{layout}")
    source = pathlib.Path(source).absolute()
    if not source.is_dir():
        what = "is a file, no folder" if source.exists() else "does not exist"
        raise SourceError(f"--source {source} {what}.\n{layout}")
    yield source
    while source.name.casefold() in inner:
        source = source.parent
        yield source


def levels(base: pathlib.Path) -> Iterator[list[pathlib.Path]]:
    """Gives the folders in which a tree may lie: `base`, then those in it, then those in these."""
    level = [base]
    yield level
    for _ in range(_DEPTH):
        below = []
        for folder in level:
            with contextlib.suppress(OSError):  # some folder beside the tree
                below += folders(folder)
        yield below
        level = below


def find(base: pathlib.Path, fits: Callable[[pathlib.Path], bool]) -> list[pathlib.Path]:
    """Returns the uppermost folders that fit: `base`, else in it, else in the folders in it."""
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
    """Returns the only folder that was found.

    Raises:
      SourceError: there are several.
    """
    if len(found) > 1:
        where = ", ".join(map(str, found))
        raise SourceError(
            f"{what} is there {len(found)} times ({where}): keep one, or name it as --source"
        )
    return found[0]


def frames(folder: pathlib.Path, pattern: str, example: str) -> tuple[pathlib.Path, ...]:
    """Lists the images of a sequence by their numbers, which may have gaps.

    Args:
      folder: the sequence.
      pattern: of the name without suffix; its first group is the number.
      example: such a name, for the message.

    Raises:
      ClipError: no such image, or the folder cannot be read.
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
    """Makes the error for a folder that is not laid out as expected.

    Args:
      name: of the dataset.
      source: what the user named.
      missing: what was not found.
      layout: the official layout, lines.
    """
    source = pathlib.Path(source).absolute()
    return SourceError(
        f"--source {source} is not the {name} tree: {missing}.\n{layout}\n"
        f"Found there: {_content(source)}"
    )


def _content(source: pathlib.Path) -> str:
    """What lies in a folder, and in the folders in it, shortened."""
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
    """Says where the clips are not as many as the official ones; nothing when they are.

    Args:
      kept: clips that are used.
      official: split -> class -> clips of the release.
      whole: the official size in words.
    """
    found = collections.Counter((clip.split, clip.label) for clip in kept)
    other = [
        f"{split} {label} {found[split, label]} instead of {index}"
        for split, indices in official.items()
        for label, index in indices.items()
        if found[split, label] != index
    ]
    return [f"not the official number of clips ({whole}): {', '.join(other)}"] if other else []
