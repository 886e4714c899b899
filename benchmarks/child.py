"""What a Python process costs: seconds on the clock and on the cores, peak memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import NamedTuple

TOLD = 2000  # characters of the output of a process that failed


class Cost(NamedTuple):
    """Cost of a process and of those that it started and waited for.

    Attributes:
      seconds: from start to end.
      core_seconds: user and system time, of all together.
      mebibytes: peak of resident memory, of the largest of them.
    """

    seconds: float
    core_seconds: float
    mebibytes: float


def run(arguments: list[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Runs Python with these arguments and returns what it cost.

    Linux counts the memory of the process that starts another as the other's, too: a small one, of
    this file alone, stands between them.

    Args:
      environment: variables added to those of this process.

    Raises:
      SystemExit: it failed; the end of its output is in the message.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, *arguments],
            stdout=subprocess.PIPE,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            told, _ = process.communicate()
        except BaseException:  # as Ctrl-C; those that it started end with it
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        code, *cost = json.loads(told) if process.returncode == 0 else [process.returncode]
        if code:
            output.seek(0)
            said = output.read().decode(errors="replace")[-TOLD:]
            raise SystemExit(f"{said}\nerror: python {' '.join(arguments)} ended with {code}")
    return Cost(*cost)


def _start(arguments: list[str]) -> tuple:
    """Runs Python, its output to stderr; returns its exit code and the fields of `Cost`."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    kibibytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return process.returncode, seconds, usage.ru_utime + usage.ru_stime, kibibytes / 1024


if __name__ == "__main__":
    print(json.dumps(_start(sys.argv[1:])))
