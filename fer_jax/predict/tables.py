"""Names the files of a prediction, saves and prints its table."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from etils import epath
from rich.console import Console
from rich.table import Table

from fer_jax import __version__
from fer_jax.machine import printable, write_whole
from fer_jax.storage import read_regular, sha256
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import NO_FACE, Column, reason_of
from fer_jax.tasks.csv_cells import save_csv

_FORMATS = (".csv", ".json")
_ROWS_SHOWN = 60
_PIPE_WIDTH = 160  # characters, if the output is no terminal
_PERSON = 9  # characters of the column of people
_SHORT = "unsure"  # reasons up to this length fit any table


def drawn_files(options) -> list[dict[str, pathlib.Path]]:
    """Names the files to draw for every clip, before any work.

    Args:
      options: parsed command line with `clips`, `out`, `annotate` and `figure`.

    Returns:
      For each clip its `annotate` and `figure` files, if asked for.

    Raises:
      ValueError: an output has no usable name or would overwrite a clip.
    """
    if options.out is not None and options.out.suffix.lower() not in _FORMATS:
        raise ValueError(f"--out {options.out}: name a .csv or a .json file")
    if options.out is not None and options.out.is_dir():
        raise ValueError(f"--out {options.out} is a folder: name a file")
    targets: list[dict[str, pathlib.Path]] = [{} for _ in options.clips]
    for kind, suffix in (("annotate", ".mp4"), ("figure", ".png")):
        target = getattr(options, kind)
        if target is None:
            continue
        as_folder = target.is_dir() or not target.suffix
        if not as_folder and len(options.clips) > 1:
            raise ValueError(f"--{kind} {target}: for several clips name a folder")
        if not as_folder and target.suffix.lower() != suffix:
            raise ValueError(f"--{kind} {target}: name a {suffix} file or a folder")
        for files, clip in zip(targets, options.clips, strict=True):
            taken = {str(other.get(kind)) for other in targets}
            files[kind] = _free_name(target, clip, suffix, taken) if as_folder else target
    written = {path.resolve() for files in targets for path in files.values()}
    written |= {options.out.resolve()} if options.out else set()
    for clip in options.clips:
        if clip.resolve() in written:
            raise ValueError(f"{clip} would be overwritten: name another output")
    return targets


def _free_name(folder: pathlib.Path, clip: pathlib.Path, suffix: str, taken: set[str]):
    stem = f"{clip.resolve().stem}_{'annotated' if suffix == '.mp4' else 'timeline'}"
    path, index = folder / f"{stem}{suffix}", 2
    while str(path) in taken:
        path, index = folder / f"{stem}_{index}{suffix}", index + 1
    return path


def save_table(table: pd.DataFrame, path: pathlib.Path) -> None:
    """Writes the predictions as CSV or JSON, by the suffix; numbers keep all digits.

    Raises:
      OSError: the file cannot be written.
    """
    if path.suffix.lower() == ".json":
        write_whole(path, table.to_json(orient="records", indent=1, double_precision=15))
    else:
        save_csv(table, path)


def print_table(table: pd.DataFrame, classes: Sequence[str], task: str = "classification") -> None:
    """Prints the predictions, rounded; a narrow terminal gets the most important columns only."""
    terminal = Console()
    width = terminal.width if terminal.is_terminal else _PIPE_WIDTH
    names = {path: printable(pathlib.Path(path).name) for path in table["clip"].unique()}
    if len(set(names.values())) < len(names):
        names = {path: printable(path) for path in names}
    several = table["person"].max() > 1
    withheld = table[table["abstained"] & (table["label"] != NO_FACE)].to_dict("records")
    longest = max((len(reason_of(row)) for row in withheld), default=0)
    taken = max(map(len, names.values())) + _PERSON * several + max(0, longest - len(_SHORT))
    columns = TASKS[task].terminal_columns(classes, width - taken)
    shown = Table(header_style="bold", caption_style="default")
    shown.add_column("clip")
    shown.add_column("seconds", justify="right", no_wrap=True)
    if several:
        shown.add_column("person", justify="right")
    for column in columns:
        justify = "right" if column.right else "left"
        shown.add_column(column.heading, justify=justify, no_wrap=True)
    shown.add_column("frames", justify="right", no_wrap=True)
    previous = None
    first = _first_rows(table)
    for row in first.to_dict("records"):
        if previous not in (None, row["clip"]):
            shown.add_section()
        seconds = f"{row['start']:.2f}–{row['end']:.2f}"
        person = [str(row["person"] or "–")] if several else []
        cells = [names[row["clip"]], seconds, *person, *_cells(row, columns), str(row["frames"])]
        shown.add_row(*cells, style=_style(row))
        previous = row["clip"]
    if len(table) > len(first):
        shown.caption = f"... and {len(table) - len(first)} more windows (--out saves them all)"
    Console(width=width, markup=False, highlight=False).print(shown)


def _first_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The first rows of every clip, as many of each as `_ROWS_SHOWN` has room for."""
    places = table.groupby("clip", sort=False).cumcount()
    counts = np.bincount(places).cumsum()  # rows that are shown if each clip has one, two, ...
    share = max(1, np.searchsorted(counts, _ROWS_SHOWN, side="right"))
    return table[places < share].head(_ROWS_SHOWN)


def _style(row: dict) -> str | None:
    if row["label"] == NO_FACE:
        return "dim"
    return "yellow" if row["abstained"] else None


def _cells(row: dict, columns: Sequence[Column]) -> list[str]:
    if row["label"] == NO_FACE:
        return [NO_FACE, *["–"] * (len(columns) - 1)]
    return [column.text(row) for column in columns]


class SavedRows:
    """The rows of finished clips in `OUT.partial`, one line a clip, beside the table to come.

    They count for the same model, options and version, and for a clip of the same size and time.

    Args:
      out: file of the table.
      bundle: folder of the model.
      options: how clips are read and predicted, any values with a `repr`.
      say: takes each message, one line.
    """

    def __init__(self, out: pathlib.Path, bundle, options: dict, say: Callable[[str], None]):
        self.file, self._say = out.with_name(f"{out.name}.partial"), say
        options = {name: repr(value) for name, value in options.items()}
        head = json.dumps({"version": __version__, "model": _digest(bundle), "options": options})
        lines = self._read()
        if lines and lines[0] != head:
            say(
                f"note: {self.file} is of another model, other options or damaged: prediction "
                "begins anew"
            )
        kept = [line for line in lines[1:] if _parsed(line)] if lines[:1] == [head] else []
        self._tables = {line["clip"]: line for line in map(_parsed, kept)}
        text = "".join(f"{each}\n" for each in [head, *kept])
        self._attempt(lambda: write_whole(self.file, text))

    @property
    def empty(self) -> bool:
        """Whether no clip of an earlier run can be taken from here."""
        return not self._tables

    def _read(self) -> list[str]:
        try:
            return read_regular(self.file).decode(errors="replace").splitlines()
        except OSError:
            return []

    def find(self, clip: pathlib.Path, drawn: dict[str, pathlib.Path]) -> pd.DataFrame | None:
        """Returns the rows of a clip that was predicted before, if its drawings are there too."""
        line = self._tables.get(str(clip))
        if line is None or line["state"] != _state(clip):
            return None
        return pd.DataFrame(line["rows"]) if all(map(os.path.exists, drawn.values())) else None

    def add(self, clip: pathlib.Path, table: pd.DataFrame) -> None:
        """Appends the rows of a clip."""
        content = {"clip": str(clip), "state": _state(clip), "rows": table.to_dict("records")}
        text = json.dumps(content)
        line = json.dumps({"sha256": sha256([text.encode()]), "text": text})

        def append():
            with self.file.open("a") as file:
                file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())

        self._attempt(append)

    def finish(self) -> None:
        """Removes the file: the table is complete."""
        self._attempt(lambda: self.file.unlink(missing_ok=True))

    def _attempt(self, action: Callable[[], None]) -> None:
        """Does without the file if the storage fails: the table itself may still be written."""
        try:
            action()
        except OSError as error:
            reason = error.strerror or error
            self._say(f"note: {self.file} cannot be written ({reason}): a killed run begins anew")


def _parsed(line: str) -> dict | None:
    """The content of a line, None if it is torn or damaged."""
    try:
        outer = json.loads(line)
        if sha256([outer["text"].encode()]) == outer["sha256"]:
            return json.loads(outer["text"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _state(clip: pathlib.Path) -> list[int]:
    """Size and time of a clip, of a folder those of its files; a changed clip has others."""
    try:
        files = sorted(clip.iterdir()) if clip.is_dir() else [clip]
        found = [os.stat(file) for file in files]
    except OSError:
        return []
    size, time = sum(each.st_size for each in found), max((n.st_mtime_ns for n in found), default=0)
    return [len(found), size, time]


def _digest(bundle) -> str:
    """SHA-256 of the files of a bundle, whose members and draws may lack checksums."""
    folder = epath.Path(bundle)
    files = sorted(folder.iterdir(), key=lambda file: file.name) if folder.exists() else []
    kept = (file for file in files if file.suffix in (".json", ".msgpack") and file.is_file())
    return sha256(file.read_bytes() for file in kept)
