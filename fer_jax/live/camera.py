"""Predicts a camera without a window: rows as they come, until Ctrl-C or the end of a file."""

from __future__ import annotations

import csv
import math
import os
import pathlib
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TextIO

import cv2
import numpy as np

from fer_jax.live.engine import Engine, Seen
from fer_jax.predict.windows import columns
from fer_jax.tasks.csv_cells import quoted

_SAID_EVERY = 5.0  # seconds between two lines about the speed
_UNKNOWN_FPS, _MOST_FPS = 30.0, 240.0  # of files that do not state it, or state nonsense
_PATIENCE = 10.0  # seconds without a picture after which a camera counts as gone
_MOST_CAMERAS = 2**31 - 1  # as large as a number that OpenCV takes
_QUIET = "-8"  # FFmpeg inside OpenCV says nothing


class CameraError(Exception):
    """A camera that gives no pictures; the message tells what to do."""


class Shot(NamedTuple):
    """A picture of a camera.

    Attributes:
      picture: `[H, W, 3]` uint8 RGB.
      seconds: when it was taken, see `Camera.clock`.
      number: how many the camera gave up to it, itself included.
    """

    picture: np.ndarray
    seconds: float
    number: int


class Camera:
    """The newest picture of a camera; a thread takes them all, those that nobody asks for are lost.

    It is opened at once, and recorded from when the first picture is asked for.

    Args:
      source: number of a camera, a file, which is played at its speed, or an address of a stream,
        as `cv2.VideoCapture` takes it.

    Raises:
      CameraError: it cannot be opened.
    """

    def __init__(self, source: int | str):
        # the error says why a camera cannot be opened
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)
        if isinstance(source, int) and source > _MOST_CAMERAS:
            raise CameraError(_not_opened(source))
        if isinstance(source, str) and pathlib.Path(source).is_fifo():
            raise CameraError(f"{source} is a pipe: give a file, or the address of a stream")
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise CameraError(_not_opened(source))
        self._source, self._started = source, 0.0
        self._newest: Shot | None = None
        self._changed, self._ended, self._stopped = threading.Condition(), False, False
        self._thread: threading.Thread | None = None

    def clock(self) -> float:
        """Seconds since the first picture was asked for."""
        return time.perf_counter() - self._started

    def newest(self) -> Shot | None:
        """Waits for a picture that was not given before; None: a file has ended.

        Raises:
          CameraError: none came for long, or the camera gave no picture at all.
        """
        if self._thread is None:
            self._started = time.perf_counter()
            self._thread = threading.Thread(target=self._take_all, daemon=True)
            self._thread.start()
        with self._changed:
            came = self._changed.wait_for(lambda: self._newest or self._ended, _PATIENCE)
            shot, self._newest = self._newest, None
        if shot is not None:
            return shot
        if came and _is_file(self._source):
            return None
        raise CameraError(
            f"camera {self._source} gives no more pictures: plug it in again, or close what else "
            "uses it"
        )

    def close(self) -> None:
        """Gives the camera back."""
        self._stopped = True
        if self._thread is not None:
            self._thread.join(timeout=2.0)
            if self._thread.is_alive():  # a camera that hangs is left to the end of the process
                return
        self._capture.release()

    def _take_all(self) -> None:
        paced = self._period() if _is_file(self._source) else 0.0
        number = 0
        while not self._stopped:
            good, picture = self._capture.read()
            if not good:
                break
            due = number * paced
            if (early := due - self.clock()) > 0:
                time.sleep(early)
            number += 1
            shot = Shot(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), self.clock(), number)
            with self._changed:
                self._newest = shot
                self._changed.notify()
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _period(self) -> float:
        """Seconds from one frame of a file to the next."""
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        return 1 / (rate if 0 < rate <= _MOST_FPS else _UNKNOWN_FPS)


def _is_file(source: int | str) -> bool:
    return isinstance(source, str) and pathlib.Path(source).is_file()


def _not_opened(source: int | str) -> str:
    if isinstance(source, int):
        return (
            f"camera {source} cannot be opened: plug it in, close what else uses it, or give the "
            "number of another (--camera 1), a file or an address"
        )
    return f"{source} is no camera, video or address that OpenCV can open"


class Pace:
    """Figures of the last seconds: pictures a second, share that was left out, delay.

    Args:
      clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._since, self._before = clock, clock(), 0
        self._delays: list[float] = []

    def add(self, shot: Shot) -> str | None:
        """Counts a picture that was answered; returns a line every few seconds, else None."""
        now = self._clock()
        self._delays.append(now - shot.seconds)
        if now - self._since < _SAID_EVERY:
            return None
        taken, count = shot.number - self._before, len(self._delays)
        line = (
            f"{now:.0f} s: {count / (now - self._since):.0f} pictures/s of "
            f"{taken / (now - self._since):.0f}, delay {1000 * statistics.median(self._delays):.0f}"
            " ms"
        )
        self._since, self._before, self._delays = now, shot.number, []
        return line


def run(
    predictor, camera: Camera, out: TextIO, say: Callable[[str], None] | None = None, **options
) -> int:
    """Writes a row for every window, as soon as it is complete, until the camera ends.

    Args:
      predictor: of `fer_jax.load_model`.
      camera: is closed at the end.
      out: takes the table: CSV, the columns of `fer-jax predict` without the clip.
      say: takes each line about speed and people; default: prints to stderr.
      options: of `Engine`.

    Returns:
      The number of rows.

    Raises:
      CameraError, ClipProblem, OSError: see `Camera`, `Engine.look`; or a row cannot be written.
    """
    say = say or (lambda line: print(line, file=sys.stderr))
    names = columns(predictor.classes, predictor.task)[1:]
    table, engine, pace, written = csv.writer(out), Engine(predictor, **options), None, 0
    try:
        table.writerow(map(quoted, names))
        out.flush()
        while (shot := camera.newest()) is not None:
            seen = engine.look(shot.picture, shot.seconds)
            for row in seen.rows:
                table.writerow(_cell(row.get(name)) for name in names)
            if seen.rows:
                out.flush()
                written += len(seen.rows)
            pace = pace or Pace(camera.clock)
            if (line := pace.add(shot)) is not None:
                say(f"{line}, {_who(seen)}")
    finally:
        engine.close()
        camera.close()
    return written


def _cell(value):
    """A value as `fer-jax predict` writes it: nothing for NaN."""
    return "" if isinstance(value, float) and math.isnan(value) else quoted(value)


def _who(seen: Seen) -> str:
    """Who is there, in words."""
    if not seen.people:
        return "no face"
    return "1 face" if len(seen.people) == 1 else f"{len(seen.people)} faces"
