"""Runs one action on damaged files and says how it ended."""

from __future__ import annotations

import contextlib
import io
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

SHOWN = 1500  # characters of the output of a fault


class Case(NamedTuple):
    """A case.

    Attributes:
      what: what was done, so that it can be done again.
      end: "same", "refused", "changed", "traceback", "hang" or "lost".
      output: what the action printed, if it ended badly.
    """

    what: str
    end: str
    output: str = ""


class TooLongError(BaseException):
    """No end within the time limit; no handler of `Exception` catches it."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_):
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judge(what: str, action: Callable, same: Callable[[object], bool], limit: float = 60) -> Case:
    """Calls an action and classifies its end.

    Args:
      what: description of the case.
      action: returns its result; refuses by `SystemExit`, with or without a message, or by a code
        other than 0 as result.
      same: whether a result is that of undamaged files.
      limit: seconds.
    """
    printed = io.StringIO()
    try:
        with _limited(limit), redirect_stdout(printed), redirect_stderr(printed):
            result = action()
    except TooLongError:
        return Case(what, "hang", _end(printed.getvalue()))
    except SystemExit as leaving:
        return refusal(what, f"{printed.getvalue()}{leaving.code or ''}", 1)
    except BaseException:
        return Case(what, "traceback", _end(printed.getvalue() + traceback.format_exc()))
    if isinstance(result, int):
        return refusal(what, printed.getvalue(), result)
    if same(result):
        return Case(what, "same")
    return Case(what, "changed", f"{_end(printed.getvalue())}\n{result}")


def refusal(what: str, output: str, code: int) -> Case:
    """Judges the output of a command that ended with an error: Python must not speak there."""
    if "Traceback (most recent call last)" in output or "Warning: " in output:
        return Case(what, "traceback", _end(output))
    lines = [line for line in output.splitlines() if line.strip()]
    if not code or not lines:
        return Case(what, "lost", f"exit code {code} without a message\n{_end(output)}")
    return Case(what, "refused")


def _end(output: str) -> str:
    return output[-SHOWN:]
