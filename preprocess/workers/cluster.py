"""Calls a function for many tasks on the workers of a dask cluster.

A worker (a process) has one task at a time, so that it is known whose task a dead worker had: this
one goes to another worker, and the others lose nothing.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pickle
import queue
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Series
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

from . import Crash

LIVES = 4  # workers that may die with a task before it is given up
TRIES = 3  # times that a task may fail without killing its worker
PATIENCE = 60.0  # seconds without a scheduler or a worker
LOADING = 300.0  # the same while workers load fer_jax, all at once from a shared file system
_LOOK = 1.0  # seconds from one look at who is there to the next
_ANSWER = 1.0  # seconds after which it is asked again whether a worker that had finished is there

_AGAIN = object()
_DONE, _FAILED, _LOST, _CANCELLED = "done", "failed", "lost", "cancelled"

_AT_ONCE = 16  # results that are fetched


class ClusterError(RuntimeError):
    """A cluster cannot be used or is gone; the message says what to do."""


@dataclasses.dataclass
class _Attempt:
    """A task, how many workers died with it, and how often it failed otherwise."""

    task: Any
    lost: int = 0
    failed: int = 0

    def settle(self, how: str, found, again: Callable):
        """Returns the result of the task, or `_AGAIN` if it is to be tried again.

        Args:
          how: it ended.
          found: its result or its error.
          again: whether a result is no success.

        Raises:
          Exception: its error, if it failed too often.
        """
        if how == _DONE and not again(found):
            return found
        self.lost += how == _LOST
        self.failed += how in (_DONE, _FAILED)
        if self.lost >= LIVES:
            return Crash(f"it killed {LIVES} workers (out of memory, or a decoder bug)")
        if self.failed < TRIES:
            return _AGAIN
        if how == _FAILED:
            raise found
        return found


class Cluster:
    """Workers of a running dask scheduler.

    Args:
      client: `distributed.Client` of the scheduler.
      admission: function that each worker calls first; returns why it cannot be used, else "".
      say: shows a line to the user.
      patient: whether to wait for workers without end, as those of a queue.
    """

    def __init__(self, client, admission: Callable[[], str], say: Callable, patient: bool = False):
        self._client, self._admission = client, _by_value(admission)
        self._say, self._patient = say, patient
        self._fit: set[str] = set()
        self._unfit: dict[str, str] = {}  # worker -> why
        self._asked: dict[Any, str] = {}  # future -> worker
        self._done: queue.SimpleQueue = queue.SimpleQueue()
        self._ask = ThreadPoolExecutor(_AT_ONCE).map  # the client makes one request of several
        self._looked = -_LOOK
        self._answered = self._manned = self._waiting = time.monotonic()

    @property
    def count(self) -> int:
        """Workers that can be used."""
        return len(self._fit)

    def each(
        self, function: Callable, tasks: Series, again: Callable = lambda result: False
    ) -> Iterator[tuple[Any, Any]]:
        """Yields `(task, function(task))`, or `(task, Crash)`, as each is finished, in any order.

        Args:
          function: of a module, as workers import it; the scheduler need not have fer_jax.
          tasks: what it is called with.
          again: whether a result is no success, so that the task is tried again.

        Raises:
          ClusterError: the scheduler is gone, or no worker can be used.
          Exception: of a task that failed `TRIES` times.
        """
        waiting, call = collections.deque(map(_Attempt, tasks)), _by_value(function)
        running: dict[Any, tuple[str, _Attempt]] = {}
        self._manned = time.monotonic()
        try:
            while waiting or running:
                self._look()
                ended = {
                    f: (_LOST, None) for f, (who, _) in running.items() if who not in self._fit
                }
                for worker in self._fit - {worker for worker, _ in running.values()}:
                    if waiting:
                        attempt = waiting.popleft()
                        future = self._submit(worker, call, pickle.dumps(attempt.task))
                        running[future] = worker, attempt
                ended |= self._ended(running)
                for future, ending in ended.items():
                    attempt = running.pop(future)[1]
                    result = attempt.settle(*ending, again)
                    if result is _AGAIN:
                        future.cancel()
                        waiting.append(attempt)
                    else:
                        yield attempt.task, result
        finally:
            self._cancel([*running])

    def _submit(self, worker: str, function: Callable, *arguments):
        future = self._client.submit(function, *arguments, workers=[worker], pure=False)
        future.add_done_callback(self._done.put)
        return future

    def _ended(self, running) -> dict[Any, tuple[str, Any]]:
        """Returns how those ended that did by now, or within the time of a look, see `_ending`."""
        futures = []
        with contextlib.suppress(queue.Empty):
            futures.append(self._done.get(timeout=_LOOK))
            while True:
                futures.append(self._done.get_nowait())
        for future in futures:
            if future in self._asked:
                self._admit(self._asked.pop(future), *_ending(future))
        ended = [future for future in futures if future in running]  # others were given up
        return dict(zip(ended, self._ask(_ending, ended), strict=True))

    def _admit(self, worker: str, how: str, found) -> None:
        """Learns whether a worker can be used."""
        if how == _DONE and not found:
            self._fit.add(worker)
        elif how in (_DONE, _FAILED):
            lacks = isinstance(found, ImportError)
            remedy = ": install there what this machine has, in the same version" if lacks else ""
            self._unfit[worker] = f"{found}{remedy}"
            self._say(f"worker {worker} is not used: {self._unfit[worker]}")

    def _look(self) -> None:
        """Looks who is there; asks new workers whether they can be used."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        try:
            present = set(self._client.nthreads())
            self._answered = now
        except (OSError, TimeoutError, AttributeError, RuntimeError):  # as without a connection
            if self._client.status == "closed" or now - self._answered > PATIENCE:
                raise ClusterError(
                    "the dask scheduler does not answer any more; finished clips are kept: start "
                    "it again and give the same command again"
                ) from None
            return
        self._fit &= present
        self._asked = {future: who for future, who in self._asked.items() if who in present}
        for worker in present - self._fit - self._unfit.keys() - {*self._asked.values()}:
            self._asked[self._submit(worker, self._admission)] = worker
        self._bound_the_wait(now, present)

    def _bound_the_wait(self, now: float, present: set[str]) -> None:
        """Ends the wait for workers that cannot be used or never come."""
        if self._fit:
            self._manned = self._waiting = now
        if self._patient and not present:  # the first to come out of a queue may be the bad one
            self._manned = now
        patience = LOADING if self._asked else PATIENCE
        unfit = [why for worker, why in self._unfit.items() if worker in present]
        if now - self._manned > patience and unfit:
            raise ClusterError(f"none of {len(present)} workers can be used: {unfit[0]}")
        if now - self._manned > patience and not self._patient:
            raise ClusterError(
                f"the dask scheduler {self._client.scheduler.address} has had no usable worker for "
                f"{patience:.0f} seconds: start some (dask worker ADDRESS --nworkers auto "
                "--nthreads 1) and give the same command again"
            )
        if now - self._waiting > PATIENCE:
            self._waiting = now
            self._say("no worker has started yet; Ctrl-C ends the wait")

    def _cancel(self, futures: list) -> None:
        """Takes back what is not needed any more; a scheduler that is gone has forgotten it."""
        if self._client.status == "running":
            with contextlib.suppress(OSError, TimeoutError):
                self._client.cancel(futures)


def _by_value(function: Callable) -> Callable:
    """Makes a function of pickled arguments that loads where fer_jax is not installed.

    A scheduler then needs no fer_jax, and a worker can say that it lacks it.
    """
    name = pickle.dumps(function)

    def call(*arguments: bytes):  # as a local function it is sent as a whole
        import pickle

        return pickle.loads(name)(*map(pickle.loads, arguments))

    return call


def _ending(future) -> tuple[str, Any]:
    """How a task ended, and its result or its error."""
    import distributed

    if future.status == "cancelled":  # by a scheduler that was away for a moment
        return _CANCELLED, None
    while future.status == "finished":
        with contextlib.suppress(CancelledError, TimeoutError):
            return _DONE, future.result(timeout=_ANSWER)
    if future.status != "error":  # the worker died before it could hand the result over
        return _LOST, None
    error = future.exception(timeout=_ANSWER)
    return (_LOST, None) if isinstance(error, distributed.KilledWorker) else (_FAILED, error)
