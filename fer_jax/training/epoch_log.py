"""The log of a run's epochs: a file of JSON lines, and TensorBoard."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable

from fer_jax.installation import needs
from fer_jax.machine import FileError, json_text, naming, write_whole
from fer_jax.storage import read_regular

_FLUSH_SECONDS = 10.0


class Hook:
    """A function of the user's that gets every row of a log as well, e.g. to send it to W&B.

    Whatever it raises costs no training: a message says so, and it gets no more rows.

    Args:
      function: takes a row, a dict with `fold`, `epoch` and numbers.
      say: takes the message, one line.
    """

    def __init__(self, function: Callable[[dict], object], say: Callable[[str], None]):
        self._function, self._say = function, say

    def __call__(self, row: dict) -> None:
        if self._function is None:
            return
        try:
            self._function(row)
        except Exception as error:
            self._function = None
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            self._say(
                f"on_epoch failed ({reason}): it gets no more rows of this run, which goes on"
            )


class EpochLog:
    """Appends one row per epoch to a file and to TensorBoard; a resumed run repeats no row.

    Args:
      file: JSON lines, shared by all folds; null for NaN.
      tensorboard: folder, with one subfolder per fold.
      fold: name of the fold.
      history: rows of the epochs before the checkpoint.
      say: takes a message, one line, if TensorBoard fails; default: prints to stderr.
      hook: gets every row as well.
    """

    def __init__(
        self,
        file: pathlib.Path,
        tensorboard: pathlib.Path,
        fold: str,
        history: list[dict],
        say: Callable[[str], None] | None = None,
        hook: Hook | None = None,
    ):
        self._file, self._fold, self._hook = file, fold, hook
        kept = [row for row in read_history(file) if row["fold"] != fold]
        lines = [json_text(row) + "\n" for row in kept]
        lines += [json_text({"fold": fold, **row}) + "\n" for row in history]
        write_whole(self._file, "".join(lines))
        self._events = Events(tensorboard / fold, len(history) + 1, say)

    def write(self, row: dict) -> None:
        with naming(self._file), self._file.open("a") as file:
            file.write(json_text({"fold": self._fold, **row}) + "\n")
        values = {name: each for name, each in row.items() if name not in ("epoch", "seconds")}
        self._events.write(row["epoch"], values)
        if self._hook is not None:
            self._hook({"fold": self._fold, **row})

    def close(self) -> None:
        self._events.close()


class Events:
    """Scalars for TensorBoard, written at once: no thread or queue may keep a run from ending.

    The log is a convenience: if its folder fails, a message says so and the run goes on.

    Args:
      folder: of the event files.
      first: epoch from which on TensorBoard drops what an interrupted run wrote.
      say: takes the message; default: prints to stderr.
    """

    def __init__(self, folder: pathlib.Path, first: int, say: Callable[[str], None] | None = None):
        with needs("train"):
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto import event_pb2
        self._protocol, self._scalar = event_pb2, summary.scalar
        self._folder, self._writer, self._flushed = folder, None, 0.0
        self._say = say or functools.partial(print, file=sys.stderr)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = event_file_writer.EventsWriter(str(folder / "events"), f".{os.getpid()}")
        except OSError as error:
            self._give_up(error)
        session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(event_pb2.Event(step=first, session_log=session))

    def write(self, epoch: int, values: dict[str, float]) -> None:
        """Writes the scalars of an epoch."""
        for name, value in values.items():
            self._add(self._protocol.Event(step=epoch, summary=self._scalar(name, value)))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._do(lambda writer: writer.flush())
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._do(lambda writer: writer.close())
        self._writer = None

    def _add(self, event) -> None:
        event.wall_time = time.time()
        self._do(lambda writer: writer.write_event(event))

    def _do(self, action: Callable) -> None:
        if self._writer is None:
            return
        try:
            action(self._writer)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):  # it still has what could not be written
                self._writer._py_recordio_writer.close()
        self._writer = None
        self._say(
            f"{self._folder} cannot be written ({error.strerror or error}): TensorBoard shows no "
            "more of this run, which goes on"
        )


def read_history(file: pathlib.Path) -> list[dict]:
    """Reads the rows of an epoch log; a last line that a kill cut short is dropped.

    A score that an epoch does not have is null there, and NaN here.

    Raises:
      FileError: another line is no row of such a log.
    """
    lines = read_regular(file).splitlines() if file.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row["fold"], str) or not isinstance(row["epoch"], int):
                raise ValueError
            row["seconds"] = float(row["seconds"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number == len(lines):
                break
            raise FileError(
                f"{file} is damaged: line {number} is no row of a log of epochs. Remove this line; "
                "the curves of the report then lack its epoch"
            ) from error
        rows.append({name: math.nan if value is None else value for name, value in row.items()})
    return rows
