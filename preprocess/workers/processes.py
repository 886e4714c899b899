"""Calls a function for many tasks in processes of this machine, which a bad task may kill."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Series
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from fer_jax import stopping

from . import Crash

START_METHOD = "spawn"


class Processes:
    """Processes of this machine.

    Args:
      count: most of them at a time.
    """

    def __init__(self, count: int):
        self.count = count

    def each(
        self, function: Callable, tasks: Series, again: Callable | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """Yields `(task, function(task))`, or `(task, Crash)`, as each is finished, in any order.

        Args:
          function: of a module, as processes import it.
          tasks: what it is called with.
          again: not used, see `cluster.Cluster.each`; here a second try would end as the first.
        """
        if not _can_start_processes():
            yield from ((task, function(task)) for task in tasks)
            return
        waiting = collections.deque(tasks)
        while waiting:
            running: dict[futures.Future, Any] = {}
            try:
                with _pool(min(self.count, len(waiting))) as pool:
                    while waiting or running:
                        while waiting and len(running) < 2 * self.count:
                            running[_submit(pool, function, waiting[0])] = waiting[0]
                            waiting.popleft()
                        for future in futures.wait(running, None, futures.FIRST_COMPLETED).done:
                            result = future.result()
                            yield running.pop(future), result
            except BrokenProcessPool:
                for task in running.values():
                    yield task, _alone(function, task)


def _alone(function: Callable, task):
    """Calls a function for a task that may have killed its process, alone in a new one."""
    try:
        with _pool(1) as pool:
            return _submit(pool, function, task).result()
    except BrokenProcessPool:
        return Crash("it killed the process (out of memory, or a decoder bug)")


@contextlib.contextmanager
def _pool(count: int) -> Iterator[futures.ProcessPoolExecutor]:
    context = multiprocessing.get_context(START_METHOD)
    pool = futures.ProcessPoolExecutor(count, context, initializer=_start_process)
    try:
        yield pool
        pool.shutdown()
    finally:
        # After an interrupt, unfinished tasks are abandoned: the next run does them again.
        processes = list((pool._processes or {}).values())  # other pools may have children as well
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _submit(pool: futures.ProcessPoolExecutor, function: Callable, task) -> futures.Future:
    """Submits a task; a process started by this leaves signals to end to the parent.

    A signal meanwhile is held back, not lost, and processes inherit that it is.
    """
    multiprocessing.resource_tracker.ensure_running()  # it would let interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    try:
        with _script_not_run_again():
            return pool.submit(function, task)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_STARTING = threading.Lock()


@contextlib.contextmanager
def _script_not_run_again() -> Iterator[None]:
    """Keeps new processes from importing the script that runs, which may prepare without a guard.

    `multiprocessing` finds the script by these two names; processes need nothing of it.
    """
    main = sys.modules["__main__"]
    with _STARTING:
        names = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
        try:
            vars(main).update(dict.fromkeys(names))
            yield
        finally:
            vars(main).update(names)


def _can_start_processes() -> bool:
    """Whether this process can have others: not inside a daemon, or without semaphores."""
    if multiprocessing.current_process().daemon:
        return False
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError):
        return False
    return True


def _start_process() -> None:
    import cv2

    cv2.setNumThreads(1)
    for each in stopping.SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # the parent ends its processes
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
