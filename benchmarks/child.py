"""What a Python process costs: seconds on the clock and on the cores, peak memory."""

from __future__ import annotations

import os
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

    Linux counts the memory of a process that only starts another as its child's, too: call this
    from one that is small itself.

    Args:
      environment: variables added to those of this process.

    Raises:
      SystemExit: it failed; the end of its output is in the message.
    """
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-TOLD:]
            command = f"python {' '.join(arguments)}"
            raise SystemExit(f"{said}\nerror: {command} ended with {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
