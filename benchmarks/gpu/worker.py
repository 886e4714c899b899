"""The measuring process, which can be killed without losing the results of other rows."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterator

# Names of the rows and their time limits in seconds, the most important first. `rows.MEASURES` has
# their functions and imports JAX and PyTorch.
LIMITS = {
    "ceilings of the device": 60,
    "correct: ST-BLN": 90,
    "correct: PST-BLN": 90,
    "correct: AGCN": 90,
    "correct: FER-GCN": 90,
    "correct: STC-NLSTM": 90,
    "correct: 3D Inception-ResNet": 120,
    "correct: bilinear CNN": 90,
    "speed: ST-BLN, T=4, B=128": 120,
    "speed: PST-BLN, T=4, B=128": 120,
    "speed: ST-BLN, T=150, B=64": 120,
    "speed: STC-NLSTM, B=64": 120,
    "speed: FER-GCN, B=4": 120,
    "folds side by side": 240,
    "MC dropout: ST-BLN, T=4, B=32": 90,
    "speed: bilinear CNN, B=50": 120,
    "speed: 3D Inception-ResNet, B=8": 180,
    "speed: AGCN, T=4, B=128": 120,
    "memory: STC-NLSTM": 90,
    "memory: FER-GCN": 90,
    "memory: 3D Inception-ResNet": 150,
    "memory: bilinear CNN": 90,
    "search of 6 stages": 150,
    "MC dropout: ST-BLN, T=150, B=16": 120,
    "MC dropout: PST-BLN, T=4, B=32": 90,
    "speed: ST-BLN, T=4, B=2048": 120,
    "speed: PST-BLN, T=150, B=64": 120,
    "speed: ST-GCN, T=4, B=128": 120,
    "speed: DGNN, T=4, B=128": 120,
    "speed: FER-GCN, B=32": 120,
    "speed: STC-NLSTM, B=256": 120,
    "speed: 3D Inception-ResNet, B=32": 180,
    "speed: bilinear CNN, B=200": 120,
    "compiled mirror: ST-BLN, T=4, B=128": 180,
    "compiled mirror: PST-BLN, T=4, B=128": 180,
    "compiled mirror: STC-NLSTM, B=64": 180,
    "compiled mirror: FER-GCN, B=32": 180,
    "compiled mirror: bilinear CNN, B=50": 180,
    "compiled mirror: 3D Inception-ResNet, B=8": 240,
    "all devices": 120,
}


class Worker:
    """Runs rows in a separate process, which starts with the first row.

    Args:
      small: toy sizes.
      rows: name of the module with the functions; only the process imports it.
    """

    def __init__(self, small: bool, rows: str = "benchmarks.gpu.rows"):
        self.small, self.rows, self.process, self.pipe = small, rows, None, None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def run(self, name: str, seconds: float) -> Iterator[tuple[str, object]]:
        """Yields `("result", dict)` for each result of a row, then `("status", text)` if it failed.

        Args:
          name: key of `LIMITS`.
          seconds: left for it and all later rows.
        """
        if self.process is None or not self.process.is_alive():
            self._stop()
            self._start()
        self.pipe.send(name)
        limit = min(LIMITS[name], seconds)
        deadline = time.monotonic() + limit
        while True:
            if not self.pipe.poll(max(deadline - time.monotonic(), 0)):
                self._stop()
                yield "status", f"stopped after {limit:.0f} s"
                return
            try:
                kind, content = self.pipe.recv()
            except (EOFError, OSError):
                self.process.join()
                code = self.process.exitcode
                self._stop()
                yield "status", f"its process died with exit code {code}"
                return
            if kind == "end":
                return
            if kind == "status":
                self._stop()  # an error of the device may persist in its process
            yield kind, content
            if kind == "status":
                return

    def _start(self) -> None:
        # JAX would reserve three quarters of the device memory, which PyTorch shares.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        if self.small:  # compiling takes most of the time
            os.environ["XLA_FLAGS"] = (
                f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
            )
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        # Not a daemon: it starts processes of its own.
        self.process = context.Process(target=_serve, args=(other, self.small, self.rows))
        self.process.start()
        other.close()

    def _stop(self) -> None:
        """Ends the process and those it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()  # if it has no group of its own yet
            self.process.join()
            self.pipe.close()
        self.process = self.pipe = None


def _serve(pipe, small: bool, module: str) -> None:
    os.setpgrp()  # processes it starts end with it
    rows = importlib.import_module(module)
    rows.set_up(small)
    while True:
        try:
            name = pipe.recv()
        except EOFError:  # the command was stopped
            return
        try:
            for result in rows.MEASURES[name](small):
                pipe.send(("result", result))
        except Exception as error:
            traceback.print_exc()
            reason = (str(error).strip() or repr(error)).splitlines()[0][:200]
            pipe.send(("status", f"failed: {type(error).__name__}: {reason}"))
            return
        pipe.send(("end", None))
        rows.clean_up(small)
