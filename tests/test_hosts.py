"""Processes that cannot train together say why, within a bounded time."""

import json
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from fer_jax import hosts
from fer_jax.commands.train import main
from fer_jax.hosts import HostsError, connection
from tests.conftest import ROOT
from tests.processes import environment, free_port


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--coordinator=a:1"], "--distributed is missing"),
        (["--process=0", "--processes=2"], "--distributed is missing"),
        (["--distributed", "--coordinator=a:1"], "--process is missing"),
        (["--distributed", "--process=0", "--processes=2"], "--coordinator is missing"),
        (
            ["--distributed", "--coordinator=a:1", "--process=2", "--processes=2"],
            "processes are numbered from 0, to 1 here",
        ),
        (
            ["--distributed", "--coordinator=a:1", "--process=0", "--processes=0"],
            "give their number, 1 or more",
        ),
    ],
)
def test_flags_that_number_no_process_are_refused(given, said, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--config", "stbln_synthetic", *given])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: --") and said in shown and shown.count("\n") == 1


@pytest.mark.parametrize(
    "address",
    [
        "node1", "node1:", ":23456", "[]:23456", "node1:port", "node1:70000", "::1:23456",
        "node1..org:23456", f"{'n' * 64}:23456",
    ],
)  # fmt: skip
def test_address_without_a_host_or_port_is_refused(address):
    with pytest.raises(HostsError, match="give HOST:PORT of process 0, e.g. n1:23456"):
        connection.connect(address, 1, 2)


def test_address_of_ipv6_has_brackets(monkeypatch):
    assert connection._parse("[fd00::1]:23456") == ("fd00::1", 23456)
    assert connection._parse("node-1.org:1") == ("node-1.org", 1)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    port = free_port()
    with pytest.raises(HostsError, match=rf"not answer at --coordinator=\[::1\]:{port} within"):
        connection.connect(f"[::1]:{port}", 1, 2)


def test_unreachable_first_process_is_named(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    port = free_port()
    with pytest.raises(HostsError, match=f"not answer at --coordinator=localhost:{port} within"):
        connection.connect(f"localhost:{port}", 1, 2)
    with pytest.raises(HostsError, match="start it there, and let the port through"):
        connection.connect("nowhere.invalid:23456", 1, 2)


def test_port_of_another_program_is_refused():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HostsError, match=f"cannot have port {port} .*: wait until another"):
            connection.connect(f"localhost:{port}", 0, 2)


CONNECT = """
import sys
from fer_jax.hosts import connection
connection.CONNECT_SECONDS = 1
connection.roll_call.PATIENCE = 0.1
if sys.argv[2] == "False":
    connection.roll_call.gather = lambda *arguments: None
try:
    connection.connect(*eval(sys.argv[1]))
except connection.HostsError as error:
    sys.exit(f"error: {error}")
"""


def connected(*arguments, roll_call: bool = True) -> list[str]:
    """Lines of a process that does not come to connect."""
    ended = subprocess.run(
        [sys.executable, "-c", CONNECT, repr(arguments), str(roll_call)],
        cwd=ROOT, env=environment(1), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    return ended.stderr.splitlines()


def test_first_process_does_not_wait_for_ever():
    waits, ends = connected(f"localhost:{free_port()}", 0, 2)
    assert waits.startswith("waiting for process 1 at port ")
    assert ends.startswith("error: process 1 of 2 did not come to process 0 on ")


def test_waiting_in_jax_ends_without_its_stack():
    """As under SLURM, where JAX alone knows who is process 0."""
    waits, ends = connected(f"localhost:{free_port()}", 0, 2, roll_call=False)
    assert waits == "waiting for the other processes, 1 s at most"
    assert ends.startswith("error: not all processes have come within 1 s")


def test_without_a_batch_system_processes_must_be_numbered():
    *_, last = connected(None, None, None)
    assert "found no SLURM or Kubernetes" in last and "give --coordinator HOST:PORT" in last


def test_processes_that_differ_are_named(monkeypatch):
    rows = [
        {"host": "n1", "own": {"train": {"epochs": 2}, "seed": 1}},
        {"host": "n2", "own": {"train": {"epochs": 3}, "seed": 1}},
    ]
    monkeypatch.setattr(hosts, "everyone", lambda own: [own, rows[1]])
    monkeypatch.setattr(hosts, "own_host", lambda: "n1")
    with pytest.raises(HostsError) as caught:
        hosts.check_same("config", rows[0]["own"])
    assert str(caught.value).startswith(
        "process 1 on n2 has another config than process 0 on n1 (train.epochs: 2 there, 3 here): "
    )
    hosts.check_same("config", rows[1]["own"])


@pytest.mark.parametrize(("own", "place"), [(0, (0, 3)), (2, (0, 1)), (3, (2, 3))])
def test_processes_find_their_place_among_those_that_have_the_same(monkeypatch, own, place):
    monkeypatch.setattr(hosts, "everyone", lambda value: [[1, 2], [1, 2], [1, 3], [1, 2]])
    monkeypatch.setattr(jax, "process_index", lambda: own)
    assert hosts.place_among_alike("its own") == place


def test_process_alone_shares_with_itself():
    made = {"a": (1, np.nan)}
    assert hosts.is_writer()
    assert hosts.everyone(made) == [made]
    assert hosts.place_among_alike(made) == (0, 1)
    assert hosts.from_writer(lambda: made) is made
    assert hosts.arrays_from_writer(lambda: made, None) is made
    assert hosts.gathered(made) is made
    connection.end_all("nobody is told", 1)


class Service:
    """Has the last words of another process already."""

    def __init__(self, **told):
        self.told = json.dumps({"process": 1, "host": "n2", "code": 0, **told})

    def key_value_set(self, key, value):
        raise jax.errors.JaxRuntimeError("ALREADY_EXISTS")

    def blocking_key_value_get(self, key, timeout):
        return self.told


@pytest.mark.parametrize(("why", "said"), [("", "disk is full"), ("out of memory", "n2 has ended")])
def test_process_that_fails_after_others_are_done_says_its_own_reason(monkeypatch, why, said):
    monkeypatch.setattr(connection, "client", lambda: Service(why=why))
    own = {"process": 0, "host": "n1", "why": "disk is full", "code": 1}
    assert said in connection._line(own, connection._tell(own))


def test_only_lost_connections_count_as_such():
    lost = jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer")
    assert "which resumes from the last checkpoint" in connection.lost_connection(lost)
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes")
    assert connection.lost_connection(full) == ""
    assert connection.lost_connection(ValueError("connection")) == ""
