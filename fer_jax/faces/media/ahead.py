"""Reads a stream in a thread of its own, a little ahead of whoever takes from it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator

_POLL = 0.1  # seconds after which a thread that waits for room looks whether it is still needed


def ahead(stream: Iterable, count: int) -> Iterator:
    """Yields the items of a stream, in order, that a thread reads meanwhile.

    The work behind the stream and that between its items then take two cores, as far as both leave
    the interpreter free, as OpenCV, dlib and JAX do. What the stream raises is raised where its
    next item was expected. The thread starts with the first item and ends with the iterator.

    Args:
      stream: read by the thread alone.
      count: items that wait at most; one more is being made.
    """
    waiting: queue.Queue = queue.Queue(count)
    stopped = threading.Event()

    def put(kind: str, value=None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                return waiting.put((kind, value), timeout=_POLL)

    def read() -> None:
        try:
            for item in stream:
                put("item", item)
                del item  # it may hold pictures
                if stopped.is_set():
                    return
            put("end")
        except BaseException as error:  # it is raised where the stream is taken from
            put("error", error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (taken := waiting.get())[0] == "item":
            yield taken[1]
            del taken
        if taken[0] == "error":
            raise taken[1]
    finally:
        stopped.set()
