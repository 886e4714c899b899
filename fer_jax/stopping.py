"""The signals that ask a process to end, and a block that they do not interrupt at once."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Iterator

# Ctrl-C, a batch system that takes its machine back, a terminal that is closed (not on Windows).
SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))
GRACE = 4.0  # seconds that a block may take after the signal


@contextlib.contextmanager
def held() -> Iterator[threading.Event]:
    """Holds a signal back while the block reaches a good place to stop.

    Yields:
      The event that a signal came. The block then has `GRACE` seconds to raise `KeyboardInterrupt`
      by itself, after which it is raised wherever it is.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread is interrupted
        return
    timer = threading.Timer(GRACE, interrupt_main)
    timer.daemon = True

    def hold(number, frame) -> None:
        if not asked.is_set():
            asked.set()
            timer.start()
        elif number == signal.SIGINT:  # the others often come in pairs
            raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        for each, handler in before.items():
            if callable(handler):  # whoever ignores or kills stays
                signal.signal(each, hold)
        yield asked
        if asked.is_set():
            raise KeyboardInterrupt
    finally:
        for each, handler in before.items():
            if callable(handler):
                signal.signal(each, handler)
        timer.cancel()


def interrupt_main() -> None:
    """Raises `KeyboardInterrupt` in the main thread, once it runs Python."""
    main = ctypes.c_ulong(threading.main_thread().ident)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(KeyboardInterrupt))
