"""Who uses the page: a session each, a bounded number of them, closed when they leave."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable

MOST = 4  # visitors at a time: they share the processor
IDLE = 600.0  # seconds without a sign of life after which a session is closed


class Refused(Exception):
    """A request that is not answered; the message tells the visitor what to do."""


class Session:
    """What is kept for one visitor.

    Attributes:
      engine: of the camera, see `Visitors`; made when the first picture comes.
      lock: held while the engine is used.
      last: moment of the last request, seconds of the clock of `Visitors`.
      closed: whether the visitor has left.
      folder: of an uploaded file and its results, see `new_folder`; removed with the session.
    """

    def __init__(self, make_engine: Callable, folder: pathlib.Path | None):
        self._make, self._parent, self.folder = make_engine, folder, None
        self.engine, self.lock, self.last, self.closed = None, threading.Lock(), 0.0, False

    def look(self, picture, seconds: float):
        """Returns what the engine sees in a picture, see `engine.Engine.look`.

        Raises:
          Refused: the visitor has left.
        """
        with self.lock:
            self._check_open()
            self.engine = self.engine or self._make()
            return self.engine.look(picture, seconds)

    def _check_open(self) -> None:
        if self.closed:
            raise Refused("The session was closed: reload the page.")

    def rows(self) -> list[dict]:
        """The rows of the camera so far."""
        with self.lock:
            return [] if self.engine is None else list(self.engine.rows())

    def new_folder(self) -> pathlib.Path:
        """Makes a folder for a file and its results; the one before is removed at once.

        Raises:
          Refused: the visitor has left.
        """
        with self.lock:
            self._check_open()
            self._remove_folder()
            self.folder = pathlib.Path(tempfile.mkdtemp(dir=self._parent))
            return self.folder

    def _remove_folder(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Forgets everything of the visitor."""
        with self.lock:
            self.closed = True
            if self.engine is not None:
                self.engine.close()
            self.engine = None
        self._remove_folder()


class Visitors:
    """The open sessions by the key of their page.

    Args:
      make_engine: makes an engine for a camera.
      most: sessions at a time.
      idle: seconds after which a session without requests is closed.
      folder: in which sessions have their own; None: that of the system for temporary files.
      clock: seconds.
    """

    def __init__(
        self,
        make_engine: Callable,
        *,
        most: int = MOST,
        idle: float = IDLE,
        folder: pathlib.Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._make, self._most, self._idle = make_engine, most, idle
        self._folder, self._clock = folder, clock
        self._present: set[str] = set()  # pages that are open
        self._sessions: dict[str, Session] = {}
        self._lock, self._closing = threading.Lock(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def __len__(self) -> int:
        return len(self._sessions)

    def arrive(self, key: str) -> None:
        """Notes that a page was opened; it has no session before it asks for something."""
        with self._lock:
            self._present.add(key)

    def session(self, key: str) -> Session:
        """Returns the session of a page, a new one if it has none.

        Raises:
          Refused: the page was closed, or too many others are in use.
        """
        self.close_idle()
        with self._lock:
            if key not in self._present:
                raise Refused("The connection was lost: reload the page.")
            if key not in self._sessions:
                if len(self._sessions) >= self._most:
                    raise Refused(
                        f"{len(self._sessions)} people use this page already, as many as it takes: "
                        "try again in a few minutes."
                    )
                self._sessions[key] = Session(self._make, self._folder)
            found = self._sessions[key]
            found.last = self._clock()
            return found

    def leave(self, key: str) -> None:
        """Closes the session of a page that was closed."""
        with self._lock:
            self._present.discard(key)
            session = self._sessions.pop(key, None)
        if session is not None:
            session.close()

    def close_idle(self) -> None:
        """Closes the sessions that have not been used for long; their pages may begin new ones."""
        with self._lock:
            late = self._clock() - self._idle
            keys = [key for key, session in self._sessions.items() if session.last < late]
            sessions = [self._sessions.pop(key) for key in keys]
        for session in sessions:
            session.close()

    def _watch(self) -> None:
        while not self._closing.wait(self._idle / 4):
            self.close_idle()
            self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Removes old files from the folder, such as of uploads that were broken off."""
        late = time.time() - self._idle
        with self._lock:  # what is in use goes with its session
            kept = [session.folder for session in self._sessions.values() if session.folder]
        for file in self.files():
            with contextlib.suppress(OSError):  # its visitor may leave just now
                if any(file.is_relative_to(folder) for folder in kept):
                    continue
                if file.stat().st_mtime < late:
                    file.unlink()

    def files(self) -> list[pathlib.Path]:
        """The files in the folder, of whoever; empty if it is that of the system."""
        found = [] if self._folder is None else os.walk(self._folder)  # passes over what vanishes
        return [pathlib.Path(folder, name) for folder, _, names in found for name in names]

    def close(self) -> None:
        """Closes all sessions and removes the folder; later requests are refused."""
        self._closing.set()
        self._remove_folder()  # at once: a session closes when its picture is answered
        for key in list(self._present | self._sessions.keys()):
            self.leave(key)
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
