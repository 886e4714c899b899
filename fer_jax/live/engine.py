"""Predicts the pictures of a camera as they come, one engine a camera."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fer_jax.predict import sources
from fer_jax.predict.options import ALL, Options
from fer_jax.predict.windows import Faces, Frame, points_of, predict_windows

# Kept: an hour of one face, ten rows a second, which takes 100 MB for seven classes and 260 MB for
# twenty action units; older ones are forgotten.
MOST_ROWS = 36_000
_LATEST = 1e10  # seconds, 300 years: at more, doubles are too coarse for the times of frames
_FIRST, _LONGEST = 1 / 25, 0.5  # seconds that a picture lasts: the first one, any one at most
_ENDING = 2.0  # seconds that a closed stream has at most for the picture it is looking at


class Person(NamedTuple):
    """A face in a picture.

    Attributes:
      track: the same as long as the face is followed.
      number: of the person, 1, 2, ..., as the column `person` has it; 0 before the first row.
      points: `[68, 2]` landmarks, or `[2, 2]` corners of a box, pixels.
      row: the newest of `fer_jax.predict_clips`, without its clip, that is not out of date; None:
        no window is complete yet.
    """

    track: int
    number: int
    points: np.ndarray
    row: dict | None


class Seen(NamedTuple):
    """What an engine sees in a picture.

    Attributes:
      seconds: moment of the picture.
      people: whose faces are in it.
      rows: those that the picture completed, also of windows without a face.
    """

    seconds: float
    people: list[Person]
    rows: list[dict]


class Engine:
    """Predicts the pictures of one camera, window by window.

    Rows are those of `predict_frames` for pictures at these moments. A thread of its own runs the
    stream; every call waits for it.

    Args:
      predictor: of `fer_jax.load_model`.
      people, mc_samples, smoothing, threshold, landmark_model: see `predict_clips`.
    """

    def __init__(
        self, predictor, *, people: str = ALL, mc_samples: int = 100,
        smoothing: float | None = None, threshold: float | None = None, landmark_model=None,
    ):  # fmt: skip
        self._predictor = predictor
        self._options = Options(
            mc_samples=mc_samples, threshold=threshold, landmark_model=landmark_model,
            people=people, smoothing=smoothing,
        )  # fmt: skip
        # seconds for which a row holds
        self._lasting = 2 * predictor.spec.window_seconds + _LONGEST
        self._rows: collections.deque[dict] = collections.deque(maxlen=MOST_ROWS)
        self._newest: dict[int | None, dict] = {}
        self._earlier, self._numbered = 0, 0  # people: of the streams before, of all
        self._stream: _Stream | None = None

    def look(self, picture: np.ndarray, seconds: float) -> Seen:
        """Returns what is seen in the next picture.

        A picture of another size than the one before begins a new stream, in which everybody is
        new: people get further numbers.

        Args:
          picture: `[H, W, 3]` uint8 RGB, upright.
          seconds: moment at which it was taken, later than the one before.

        Raises:
          ValueError: it is no such picture, or not later; or the moment is no possible time.
          ClipProblem: faces cannot be found, or the model has no answer.
        """
        picture = next(sources.checked([picture]))
        if picture is None:
            raise ValueError("the picture is empty: give RGB [H, W, 3] of uint8")
        if not abs(seconds) < _LATEST:  # nor if NaN
            raise ValueError(f"the picture is at {seconds:g} s: give seconds from any fixed moment")
        if self._stream is not None and self._stream.size != picture.shape:
            self.close()
        if self._stream is None:
            self._stream = _Stream(self._predictor, self._options, picture.shape)
        try:
            faces, rows = self._stream.push(picture, seconds)
        except BaseException:
            self.close()
            raise
        for row, track in rows:
            if row["person"]:  # 0: nobody
                row["person"] += self._earlier
                self._numbered = max(self._numbered, row["person"])
            self._newest[track] = row
        self._newest = {
            track: row
            for track, row in self._newest.items()
            if seconds - row["end"] < self._lasting
        }
        self._rows.extend(row for row, _ in rows)
        people = [self._person(track, face) for track, face in faces.items()]
        return Seen(seconds, people, [row for row, _ in rows])

    def _person(self, track: int, face) -> Person:
        row = self._newest.get(track)
        return Person(track, 0 if row is None else row["person"], points_of(face), row)

    def rows(self) -> list[dict]:
        """The rows so far, the newest `MOST_ROWS` of them."""
        return list(self._rows)

    def close(self) -> None:
        """Ends the stream; rows stay, a further picture begins a new one."""
        if self._stream is not None:
            self._stream.close()
        self._stream, self._newest, self._earlier = None, {}, self._numbered


class _Stream:
    """Pushes pictures through `predict_windows`, which pulls them, in a thread.

    Attributes:
      size: shape of the pictures.
    """

    def __init__(self, predictor, options: Options, size: tuple[int, int, int]):
        self.size = size
        self._given: queue.Queue = queue.Queue(1)
        self._done: queue.Queue = queue.Queue(1)
        self._faces: Faces = {}
        self._found: list[tuple[dict, int | None]] = []
        self._moment, self._lasts = None, _FIRST
        self._work = threading.Thread(target=self._run, args=(predictor, options), daemon=True)
        self._work.start()
        self._wait()

    def push(self, picture, seconds: float) -> tuple[Faces, list[tuple[dict, int | None]]]:
        """Returns the faces of a picture and the rows, with their tracks, that it completed."""
        if self._moment is not None:
            if seconds <= self._moment:
                raise ValueError(f"the picture at {seconds:g} s is not later than the one before")
            self._lasts = min(seconds - self._moment, _LONGEST)
        self._moment, self._found = seconds, []
        self._given.put(picture)
        self._wait()
        return self._faces, self._found

    def close(self) -> None:
        """Ends the thread; the window that is not complete is not predicted.

        A process may end right after it: a thread that still frees arrays of JAX would crash it.
        """
        self._given.put(None)
        self._work.join(_ENDING)

    def _wait(self) -> None:
        """Waits until the thread asks for the next picture."""
        if (error := self._done.get()) is not None:
            raise error

    def _run(self, predictor, options: Options) -> None:
        try:
            rows = predict_windows(
                predictor, self._frames(predictor, options), options, fps=0.0, width=self.size[1]
            )
            for row, track in rows:
                row.pop("inputs", None)
                self._found.append((row, track))
        except _Closed:
            return
        except BaseException as error:  # it is raised where the picture was given
            self._done.put(error)

    def _frames(self, predictor, options: Options) -> Iterator[Frame]:
        for faces in sources.watch(predictor, self._pictures(), None, options):
            self._faces = faces
            yield Frame(self._moment, self._moment + self._lasts, faces)

    def _pictures(self) -> Iterator[np.ndarray]:
        while True:
            self._done.put(None)
            if (picture := self._given.get()) is None:
                raise _Closed
            yield picture
            del picture


class _Closed(Exception):
    """The stream was closed."""
