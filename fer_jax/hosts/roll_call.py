"""Who is there: all processes report to process 0 before JAX connects them.

JAX waits in silence, and aborts with a stack trace where it has waited in vain or two processes
have the same number. So process 0 first listens at the port that JAX's service takes afterwards,
the others report their numbers there, and each says in a line what it waits for or why it cannot
join. Messages are lines of JSON; the last one, `{"why": reason}`, refuses a process, or with ""
sends it on to JAX.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from multiprocessing.connection import wait

from fer_jax.hosts import HostsError, own_host

PATIENCE = 3.0  # seconds of waiting before a line says so, and between two such lines
_TALK = 5.0  # seconds that a message may take
_LONGEST = 1000  # bytes of a message
_POLL = 0.2  # seconds
_NAMED = 8  # missing processes that a line names


def gather(port: int, processes: int, seconds: float) -> None:
    """Waits in process 0 until all others have reported, and sends them on.

    Args:
      port: of --coordinator, on this host; free again afterwards.
      processes: their number, this one included.
      seconds: to wait at most.

    Raises:
      HostsError: another program has the port, or a process has not come in time; those that have
        come raise the same.
    """
    there: dict[int, socket.socket] = {}
    silent: set[socket.socket] = set()  # who they are is not known yet
    clock, server = _Clock(seconds), _listen(port)
    why = f"process 0 on {own_host()} was stopped while it waited for others: start all again"
    try:
        with server:
            while missing := [each for each in range(1, processes) if each not in there]:
                who = _named(missing)
                if clock.is_over():
                    why = (
                        f"{who} of {processes} did not come to process 0 on {own_host()} within "
                        f"{seconds:g} s: start all with the same --coordinator and --processes"
                    )
                    raise HostsError(why)
                clock.say(f"waiting for {who} at port {port} of {own_host()}")
                _hear(server, silent, there, processes)
        why = ""
    finally:
        for connection in there.values():
            _answer(connection, why)
        for connection in silent:
            connection.close()


def report(host: str, port: int, process: int, processes: int, seconds: float) -> None:
    """Tells process 0 that this one is there, and waits until all are.

    Args:
      host, port: of --coordinator.
      process, processes: index of this process, and their number.
      seconds: to wait at most until process 0 answers; it then says itself who is missing.

    Raises:
      HostsError: process 0 cannot be reached or refuses this process, and why.
    """
    own = {"process": process, "processes": processes, "host": own_host()}
    clock, why = _Clock(seconds), ""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    while not clock.is_over():
        try:
            with socket.create_connection((host, port), timeout=_TALK) as connection:
                connection.sendall(_line(own))
                refused = _wait_for_answer(connection, address, seconds)
        except (ValueError, KeyError, TypeError):
            busy = "has a training that has begun, or another program"
            taken = f"is --process={process} taken?"
            clock.say(f"{address} {busy} ({taken}): waiting until it ends", at_once=True)
            why = (
                f"--coordinator={address} {busy}: give each process its own --process, or wait "
                f"until all of the last training have ended"
            )
        except OSError as error:
            reason = error.strerror or str(error)
            clock.say(f"waiting for process 0 at {address} ({reason})")
            why = (
                f"process 0 does not answer at --coordinator={address} within {seconds:g} s "
                f"({reason}): start it there, and let the port through the firewall"
            )
        else:
            if refused:
                raise HostsError(refused)
            return
        time.sleep(_POLL)
    raise HostsError(why)


def _wait_for_answer(connection: socket.socket, address: str, seconds: float) -> str:
    """What process 0 says when all have come, or at once where it refuses this process."""
    clock = _Clock(seconds, 2 * _TALK)  # its own time began before, and it says when it is over
    while not wait([connection], _POLL):
        if clock.is_over():
            raise OSError("process 0 is silent")
        clock.say(f"waiting for the others, as process 0 at {address} does")
    return str(_receive(connection)["why"])


def _hear(server: socket.socket, silent: set, there: dict, processes: int) -> None:
    """Waits a moment for processes that come, report or end; a silent one keeps nobody waiting."""
    ready = {*wait([server, *silent, *there.values()], _POLL)}
    for connection in ready & {*there.values()}:  # it has nothing more to say: it has ended
        _forget(connection, there)
    for connection in ready & silent:
        silent.remove(connection)
        _admit(connection, there, processes)
    if server in ready:
        silent.add(server.accept()[0])


def _admit(connection: socket.socket, there: dict[int, socket.socket], processes: int) -> None:
    """Adds a process that has reported, or refuses it."""
    connection.settimeout(_TALK)
    try:
        told = _receive(connection)
        process, count = (int(str(told[name])) for name in ("process", "processes"))
        host = str(told["host"])
    except (OSError, ValueError, KeyError, TypeError):  # whoever tries ports
        connection.close()
        return
    if count != processes:
        why = f"--processes={count} of process {process} on {host}, but {processes} of process 0 "
        _answer(connection, f"{why}on {own_host()}: give all the same")
    elif process in there or not 0 < process < processes:
        why = f"--process={process} is taken: another process of the {processes} waits with it"
        _answer(connection, f"{why} already; give each one of its own, from 0 to {processes - 1}")
    else:
        there[process] = connection


def _named(missing: list[int]) -> str:
    """Names missing processes; of hundreds the first, as all would be no message any more."""
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return f"process {', '.join(map(str, missing[:_NAMED]))}{more}"


def _forget(connection: socket.socket, there: dict[int, socket.socket]) -> None:
    process = next(each for each, known in there.items() if known is connection)
    there.pop(process).close()


def _answer(connection: socket.socket, why: str) -> None:
    """Says the last word."""
    with connection:
        try:
            connection.sendall(_line({"why": why}))
        except OSError:  # it has ended meanwhile
            return


def _line(message: dict) -> bytes:
    return f"{json.dumps(message)}\n".encode()


def _receive(connection: socket.socket) -> dict:
    """Reads one message.

    Raises:
      OSError: the connection ends or is silent.
      ValueError: this is no message.
    """
    data = b""
    while not data.endswith(b"\n"):
        if not (more := connection.recv(_LONGEST)):
            raise OSError("it has ended")
        data += more
        if len(data) > _LONGEST or not data.startswith(b"{"):
            raise ValueError("this is no message")
    try:
        return json.loads(data)
    except RecursionError as error:  # brackets in brackets
        raise ValueError("this is no message") from error


def _listen(port: int) -> socket.socket:
    """Opens the port; JAX would crash where another program has it."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both, backlog=1024)
    except OSError as error:
        raise HostsError(
            f"process 0 cannot have port {port} ({os.strerror(error.errno)}): wait until another "
            "process 0 has ended, or give all the same --coordinator with a free port, and "
            "--process=0 to one of them only"
        ) from error


class _Clock:
    """How long to wait at most, and what was said about it; of the grace after it nothing is."""

    def __init__(self, seconds: float, grace: float = 0.0):
        self._end, self._grace, self._said = time.monotonic() + seconds, grace, ""
        self._next = time.monotonic() + PATIENCE

    def is_over(self) -> bool:
        return time.monotonic() >= self._end + self._grace

    def say(self, what: str, at_once: bool = False) -> None:
        """Prints what is waited for, unless it was said before or waiting is short so far."""
        now = time.monotonic()
        if what == self._said or (now < self._next and not at_once):
            return
        self._said, self._next = what, now + PATIENCE
        left = max(self._end - now, 0)
        print(f"{what}, {left:.0f} s at most", file=sys.stderr, flush=True)
