"""Training in several processes, on one host or many: who writes, what they share, how they end.

All processes run the same program on the same config and data, so that they take the same decisions
in the same order. Process 0 alone reads and writes the work directory. What only it knows it shares
here; what must be known of all is gathered here. A process alone is process 0 of one.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization
from jax.experimental import multihost_utils

from fer_jax.machine import printable

CONNECT_SECONDS = 300  # until all processes have come
HEARTBEAT_SECONDS = 60  # of silence, after which a process counts as dead
_WATCH = "fer_jax watches other processes"
_LAST_WORDS = "fer_jax/ended"  # key of what the first process that ends early says
_POLL_MS = 1000
_FAREWELL = 0.5  # seconds in which others learn why a process ends, before it does
_AGAIN = "start the same command again on all hosts, which resumes"
_CONNECTION = re.compile("gloo|nccl|unavailable|connection|peer|socket", re.IGNORECASE)
_calls = itertools.count()
_ended: dict = {}  # the last words of another process


class HostsError(RuntimeError):
    """The processes cannot work together; the message says why and what to do."""


def is_writer() -> bool:
    """Whether this process reads and writes the work directory, and shows progress."""
    return jax.process_index() == 0


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
        _check_address(coordinator)
        if process:
            _reach(coordinator)
    _say_when_aborted(
        f"not all processes have come within {CONNECT_SECONDS} s, or one has ended: see the output "
        f"of the others, and give all the same --coordinator and --processes"
    )
    try:
        jax.distributed.initialize(
            coordinator, processes, process,
            initialization_timeout=CONNECT_SECONDS, heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )  # fmt: skip
    except Exception as error:  # of JAX, its cluster detection and the network, many types
        raise HostsError(_why_not_connected(error, coordinator)) from error
    _say_when_aborted(
        f"another process has ended without a word (killed, out of memory, or its host is gone): "
        f"{_AGAIN} from the last checkpoint"
    )
    threading.Thread(target=_watch, args=(_client(),), name=_WATCH, daemon=True).start()
    if not is_writer():
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # also what compiled code prints
    check_same(
        "version or number of devices",
        {"jax": jax.__version__, "devices": jax.local_device_count()},
    )


def disconnect() -> None:
    """Ends the connection when all is done; waits for the others."""
    _tell({"process": jax.process_index(), "host": _host(), "why": "", "code": 0})
    for each in threading.enumerate():
        if each.name == _WATCH:
            each.join()
    jax.distributed.shutdown()
    signal.signal(signal.SIGABRT, signal.SIG_DFL)


def everyone(value) -> list:
    """Returns the values of all processes, in their order; all must call it alike.

    Args:
      value: what MessagePack can hold; tuples come back as lists, arrays as NumPy.
    """
    if jax.process_count() == 1:
        return [value]
    client, call, own = _client(), next(_calls), jax.process_index()
    data = serialization.msgpack_serialize({"value": value})
    client.key_value_set_bytes(f"fer_jax/{call}/{own}", data)
    found = [_wait(client, f"fer_jax/{call}/{each}") for each in range(jax.process_count())]
    if call:  # whoever is here has read what was said the time before
        client.key_value_delete(f"fer_jax/{call - 1}/{own}")
    return [serialization.msgpack_restore(each)["value"] for each in found]


def from_writer(make: Callable):
    """Returns in every process what `make` returns in process 0; see `everyone` for the types."""
    return make() if jax.process_count() == 1 else everyone(make() if is_writer() else None)[0]


def arrays_from_writer(make: Callable, like):
    """The same for a large tree of arrays, sent from device to device.

    Args:
      make: called in process 0 only.
      like: a tree of arrays of the same structure, shapes and types.
    """
    if jax.process_count() == 1:
        return make()
    sent = multihost_utils.broadcast_one_to_all(make() if is_writer() else like)
    return jax.tree.map(jnp.asarray, sent)


def gathered(outputs):
    """Puts the parts of all processes one behind the other along axis 0, in every process."""
    if jax.process_count() == 1:
        return outputs
    return multihost_utils.process_allgather(jax.tree.map(np.asarray, outputs), tiled=True)


def check_same(what: str, own: dict) -> None:
    """Refuses processes that differ in something that they must have in common.

    Args:
      what: it is, in words.
      own: of this process: name -> value, as JSON has them.

    Raises:
      HostsError: names the first process that differs from process 0, and in what.
    """
    rows = [(each["host"], each["own"]) for each in everyone({"host": _host(), "own": own})]
    for index, (host, theirs) in enumerate(rows):
        if found := differences(rows[0][1], theirs):
            raise HostsError(
                f"process {index} on {host} has another {what} than process 0 on {rows[0][0]} "
                f"({', '.join(found)}): start all with the same command, data and versions"
            )


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Names the fields in which two nested dicts differ, with both values."""
    rows = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            rows += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            rows.append(f"{prefix}{name}: {before} there, {after} here")
    return rows


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
    own = {"process": jax.process_index(), "host": _host(), "why": why, "code": code}
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


def _client():
    """JAX's client of the service that connects the processes; it has no public name."""
    from jax._src import distributed

    return distributed.global_state.client


def _wait(client, key: str) -> bytes:
    """Waits for a value; a signal is handled meanwhile, and a dead process ends this one."""
    while True:
        try:
            return client.blocking_key_value_get_bytes(key, _POLL_MS)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def _tell(own: dict) -> dict:
    """Leaves the last words; returns those of the first process that left any."""
    client = _client()
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # there are some, or nobody is left
        client.key_value_set(_LAST_WORDS, json.dumps(own))
    try:
        return json.loads(client.blocking_key_value_get(_LAST_WORDS, _POLL_MS))
    except jax.errors.JaxRuntimeError:
        return own


def _watch(client) -> None:
    """Ends this process when another one has ended early."""
    try:
        _ended.update(json.loads(_wait(client, _LAST_WORDS)))
    except jax.errors.JaxRuntimeError:
        return
    if not _ended["why"] or _ended["process"] == jax.process_index():
        return  # all is done, or this process ends by itself
    time.sleep(2 * _FAREWELL)  # it may end for the same reason by itself
    os.write(2, f"{_line({}, _ended)}\n".encode())
    _leave(_ended["code"])


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


def _check_address(coordinator: str) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise HostsError(f"--coordinator={coordinator}: give HOST:PORT of process 0, e.g. n1:23456")


def _reach(coordinator: str) -> None:
    """Waits until process 0 answers; JAX would end without a reason if it never does."""
    host, _, port = coordinator.rpartition(":")
    end, reason = time.monotonic() + CONNECT_SECONDS, ""
    while time.monotonic() < end:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return
        except OSError as error:
            reason = error.strerror or str(error)
        time.sleep(0.2)
    raise HostsError(
        f"process 0 does not answer at --coordinator={coordinator} within {CONNECT_SECONDS} s "
        f"({reason}): start it there, and let the port through the firewall"
    )


def _why_not_connected(error: Exception, coordinator: str | None) -> str:
    reason = printable(str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
    if coordinator is None:
        return (
            f"--distributed found no SLURM or Kubernetes that says which process this is "
            f"({reason}): give --coordinator HOST:PORT --process INDEX --processes COUNT"
        )
    return f"the processes cannot be connected at --coordinator={coordinator}: {reason}"


def _host() -> str:
    return socket.gethostname()
