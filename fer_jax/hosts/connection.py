"""How the processes of a training find each other, and how all end when one does."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import threading
import time
from typing import NoReturn

import jax

import fer_jax
from fer_jax.hosts import HostsError, check_same, client, is_writer, own_host, roll_call, wait_for
from fer_jax.machine import printable

CONNECT_SECONDS = 300  # until all processes have come
HEARTBEAT_SECONDS = 60  # of silence, after which a process counts as dead
_LATER = 60  # seconds after which JAX would abort what this file ends
_FAREWELL = 0.5  # seconds in which others learn why a process ends, before it does
_WATCH = "fer_jax watches other processes"
_LAST_WORDS = "fer_jax/ended"  # key of what the first process that ends early says
_TELL_MS = 1000
_AGAIN = "start the same command again on all hosts, which resumes"
_CONNECTION = re.compile("gloo|nccl|unavailable|connection|peer|socket", re.IGNORECASE)
_ended: dict = {}  # the last words of another process


def connect(coordinator: str | None, process: int | None, processes: int | None) -> None:
    """Joins the processes of a training; must come before any other use of JAX.

    Args:
      coordinator: HOST:PORT of process 0, the same for all.
      process, processes: index of this process, and how many there are. All three None: SLURM or
        Kubernetes tells them.

    Raises:
      HostsError: they do not come together within `CONNECT_SECONDS`, or differ in versions or
        number of devices.
    """
    if coordinator is not None:
        host, port = _parse(coordinator)
        if process:
            roll_call.report(host, port, process, processes, CONNECT_SECONDS)
        else:
            roll_call.gather(port, processes, CONNECT_SECONDS)
    missing = (
        f"not all processes have come within {CONNECT_SECONDS} s, or one has ended: see the output "
        f"of the others, and give all the same --coordinator and --processes"
    )
    _say_when_aborted(missing)
    try:
        with _ended_in_time(missing):
            jax.distributed.initialize(
                coordinator, processes, process,
                initialization_timeout=CONNECT_SECONDS + _LATER,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            )  # fmt: skip
    except Exception as error:  # of JAX, its cluster detection and the network, many types
        raise HostsError(_why_not_connected(error, coordinator)) from error
    _say_when_aborted(
        f"another process has ended without a word (killed, out of memory, or its host is gone): "
        f"{_AGAIN} from the last checkpoint; JAX's lines above mean the same"
    )
    threading.Thread(target=_watch, args=(client(),), name=_WATCH, daemon=True).start()
    if not is_writer():
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # also what compiled code prints
    check_same(
        "version or number of devices",
        {
            "fer_jax": fer_jax.__version__,
            "jax": jax.__version__,
            "devices": jax.local_device_count(),
        },
    )


def disconnect() -> None:
    """Ends the connection when all is done; waits for the others."""
    _tell({"process": jax.process_index(), "host": own_host(), "why": "", "code": 0})
    for each in threading.enumerate():
        if each.name == _WATCH:
            each.join()
    jax.distributed.shutdown()
    signal.signal(signal.SIGABRT, signal.SIG_DFL)


def end_all(why: str, code: int, *, said: bool = False) -> None:
    """Ends this process and all others, telling them why; a process alone goes on.

    Args:
      why: one line, printed by all but those that end for the same reason by themselves.
      code: exit code.
      said: this process has printed its reason.
    """
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return
    if not is_writer():
        time.sleep(_FAREWELL)  # process 0 speaks first where all fail alike
    own = {"process": jax.process_index(), "host": own_host(), "why": why, "code": code}
    told = _tell(own)
    if told == own and not said or told["why"] != why:
        print(_line(own, told), file=sys.stderr)
    # process 0 ends last: with it the others lose the service that connects them
    time.sleep(4 * _FAREWELL if is_writer() else _FAREWELL)
    _leave(code)


def lost_connection(error: Exception) -> str:
    """Says that a call of all failed because another process has ended; "" of other errors."""
    reason = printable(str(error).strip().partition("\n")[0])[:200]
    if not isinstance(error, jax.errors.JaxRuntimeError) or not _CONNECTION.search(reason):
        return ""
    return f"another process is gone ({reason}): {_AGAIN} from the last checkpoint"


def _line(own: dict, told: dict) -> str:
    if told == own:
        return f"error: {own['why']}"
    return f"error: process {told['process']} on {told['host']} has ended: {told['why']}"


def _leave(code: int) -> NoReturn:
    """Ends at once: JAX would wait for the others at the end of the interpreter."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _tell(own: dict) -> dict:
    """Leaves the last words; returns those of the first process that failed."""
    service = client()
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # there are some, or nobody is left
        service.key_value_set(_LAST_WORDS, json.dumps(own))
    try:
        told = json.loads(service.blocking_key_value_get(_LAST_WORDS, _TELL_MS))
    except jax.errors.JaxRuntimeError:
        return own
    return told if told["why"] else own  # another one was done before this one failed


def _watch(service) -> None:
    """Ends this process when another one has ended early."""
    try:
        told = json.loads(wait_for(service, _LAST_WORDS))
    except jax.errors.JaxRuntimeError:
        return
    if not told["why"] or told["process"] == jax.process_index():
        return  # all is done, or this process ends by itself
    _ended.update(told)
    time.sleep(2 * _FAREWELL)  # it may end for the same reason by itself
    os.write(2, f"{_line({}, _ended)}\n".encode())
    _leave(_ended["code"])


@contextlib.contextmanager
def _ended_in_time(line: str):
    """Says that JAX waits for others, and ends this process before JAX would abort it."""

    def end() -> None:
        os.write(2, f"error: {line}\n".encode())
        _leave(1)

    said = f"waiting for the other processes, {CONNECT_SECONDS} s at most"
    timers = [
        threading.Timer(roll_call.PATIENCE, print, [said], {"file": sys.stderr}),
        threading.Timer(CONNECT_SECONDS, end),
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


def _say_when_aborted(line: str) -> None:
    """Lets one line end the output where JAX aborts a process that has lost the others."""

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def aborted(number) -> None:
        del number
        os.write(2, f"{_line({}, _ended) if _ended else f'error: {line}'}\n".encode())
        os._exit(_ended.get("code", 1))

    _say_when_aborted.kept = aborted  # ctypes does not keep it alive
    # Python's own handlers run too late: a process that aborts never returns to the interpreter
    handle = ctypes.CDLL(None).signal
    handle.argtypes, handle.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    handle(signal.SIGABRT, ctypes.cast(aborted, ctypes.c_void_p))


def _parse(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isdecimal() and 0 < int(port) < 2**16
    if not is_port or not _may_be_host(inner) or (":" in inner and inner == host):
        raise HostsError(
            f"--coordinator={coordinator}: give HOST:PORT of process 0, e.g. n1:23456, or "
            "[fd00::1]:23456"
        )
    return inner, int(port)


def _may_be_host(name: str) -> bool:
    """Whether a name can be looked up at all; Python raises no error of the network otherwise."""
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def _why_not_connected(error: Exception, coordinator: str | None) -> str:
    reason = printable(str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
    if coordinator is None:
        return (
            f"--distributed found no SLURM or Kubernetes that says which process this is "
            f"({reason}): give --coordinator HOST:PORT --process INDEX --processes COUNT"
        )
    return f"the processes cannot be connected at --coordinator={coordinator}: {reason}"
