"""A signal ends a command within seconds, whatever it is doing, and a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from fer_jax.stopping import SIGNALS, interrupt_main

PATIENCE = 8.0  # seconds from the first signal to the end
CODE = 130  # as a shell reports a process ended by SIGINT
LINE = "\ninterrupted: the same command resumes"
_said = threading.Event()


@contextlib.contextmanager
def bounded() -> Iterator[threading.Event]:
    """Bounds the time that leaving takes after Ctrl-C, and lets the other signals end it likewise.

    Python handles a signal between two of its own instructions: a compiled call, a thread that does
    not end or a disk that does not answer may delay that for ever. A thread of its own learns of
    the signal at once. Files are replaced only when complete, so leaving loses nothing.

    Yields:
      The event that a signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    seen = threading.Event()
    # the thread also keeps the other end open, as long as signals may be written to it
    threading.Thread(target=_watch, args=(reading, writing, seen), daemon=True).start()
    handlers = {each: signal.getsignal(each) for each in SIGNALS}
    for each, handler in handlers.items():
        if handler == signal.SIG_DFL:  # `nohup` ignores one, which stays
            signal.signal(each, signal.default_int_handler)
    hook, sys.unraisablehook = sys.unraisablehook, _raise_again(sys.unraisablehook)
    try:
        yield seen
    finally:
        sys.unraisablehook = hook
        if not seen.is_set():  # else the thread also guards the end of the interpreter
            for each, handler in handlers.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(before)
            writing.close()


def _raise_again(hook: Callable) -> Callable:
    """Makes a hook that raises Ctrl-C again where a callback of garbage collection swallowed it."""

    def handle(unraisable) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            timer = threading.Timer(0.05, interrupt_main)  # when the callback is left
            timer.daemon = True
            timer.start()
        else:
            hook(unraisable)

    return handle


def _watch(reading: socket.socket, writing: socket.socket, seen: threading.Event) -> None:
    """Ends the process after `PATIENCE`, or at the second Ctrl-C."""
    while data := reading.recv(64):
        pressed = data.count(signal.SIGINT)
        if seen.is_set() and pressed or pressed > 1:
            _leave()
        if not seen.is_set() and any(each in data for each in SIGNALS):
            seen.set()
            timer = threading.Timer(PATIENCE, _leave)
            timer.daemon = True
            timer.start()
    reading.close()
    writing.close()


def _leave(*signal_and_frame) -> None:
    """Ends the process without waiting for anything."""
    del signal_and_frame
    say_interrupted()
    os._exit(CODE)


def say_interrupted(line: str = LINE) -> int:
    """Says once that the command was interrupted; from then on a signal ends it at once.

    Returns:
      The exit code.
    """
    if not _said.is_set():
        _said.set()
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())  # a stream may be locked by another thread
    if threading.current_thread() is threading.main_thread():
        for each in SIGNALS:
            if callable(signal.getsignal(each)):
                signal.signal(each, _leave)
    return CODE
