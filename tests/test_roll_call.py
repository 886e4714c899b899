"""Processes report to process 0: who is missing is named, a taken number is refused at once."""

import concurrent.futures
import contextlib
import re
import socket
import subprocess
import sys

import pytest

from fer_jax.hosts import HostsError, roll_call
from tests.processes import environment, free_port

SECONDS = 60  # none of the waits that succeed takes so long


@pytest.fixture
def meeting():
    """Process 0 of `processes`, and the others as they report, each in a thread of its own."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield Meeting(pool, free_port())


class Meeting:
    def __init__(self, pool, port: int):
        self._pool, self.port = pool, port

    def first(self, processes: int, seconds: float = SECONDS):
        waits = self._pool.submit(roll_call.gather, self.port, processes, seconds)
        while not waits.done():  # until it listens
            with contextlib.suppress(OSError), self.stranger():
                break
        return waits

    def other(self, process: int, processes: int, seconds: float = SECONDS):
        return self._pool.submit(
            roll_call.report, "localhost", self.port, process, processes, seconds
        )

    def stranger(self) -> socket.socket:
        return socket.create_connection(("localhost", self.port), timeout=5)

    def reported(self, process: int, processes: int) -> socket.socket:
        """A process that has reported and waits."""
        connection = self.stranger()
        own = {"process": process, "processes": processes, "host": "n2"}
        connection.sendall(roll_call._line(own))
        return connection


def refusal(wait) -> str:
    with pytest.raises(HostsError) as caught:
        wait.result(timeout=SECONDS)
    return str(caught.value)


def test_all_go_on_when_all_have_come(meeting):
    early = meeting.other(2, 3)  # before process 0 is there
    first = meeting.first(3)
    with meeting.stranger() as prober:
        prober.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert not first.done() and not early.done()
    late = meeting.other(1, 3)
    for each in (first, early, late):
        assert each.result(timeout=SECONDS) is None
    roll_call._listen(meeting.port).close()  # JAX can have the port


def test_process_alone_waits_for_nobody():
    roll_call.gather(free_port(), 1, 0.0)


def test_taken_number_is_refused_at_once(meeting):
    first = meeting.first(3)
    with meeting.reported(1, 3) as waiting:
        said = refusal(meeting.other(1, 3))
        assert said.startswith("--process=1 is taken") and "from 0 to 2" in said
        assert not first.done()
        meeting.other(2, 3).result(timeout=SECONDS)
        assert roll_call._receive(waiting) == {"why": ""}
    first.result(timeout=SECONDS)


def test_another_number_of_processes_is_refused_at_once(meeting):
    first = meeting.first(2)
    said = refusal(meeting.other(1, 3))
    assert said.startswith("--processes=3 of process 1 on ") and "but 2 of process 0 on " in said
    meeting.other(1, 2).result(timeout=SECONDS)
    first.result(timeout=SECONDS)


def test_process_that_ended_while_it_waited_may_come_again(meeting):
    first = meeting.first(3)
    meeting.reported(1, 3).close()
    for each in (meeting.other(1, 3), meeting.other(2, 3), first):
        assert each.result(timeout=SECONDS) is None


def test_missing_process_is_named_to_all(meeting, monkeypatch, capsys):
    monkeypatch.setattr(roll_call, "PATIENCE", 0.1)
    first, second = meeting.first(4, 1.0), meeting.other(1, 4)
    for each in (first, second):
        said = refusal(each)
        assert said.startswith("process 2, 3 of 4 did not come to process 0 on ")
        assert "within 1 s: start all with the same --coordinator and --processes" in said
    shown = capsys.readouterr().err
    assert f"waiting for process 2, 3 at port {meeting.port} of " in shown
    assert "1 s at most" in shown
    told = re.search(r"waiting for the others, as process 0 at \S+ does, (\d+) s at most", shown)
    assert int(told[1]) <= SECONDS  # what it was given, without the grace


def test_hundreds_of_missing_processes_fit_a_message(meeting):
    first, second = meeting.first(1000, 1.0), meeting.other(1, 1000)
    for each in (first, second):
        said = refusal(each)
        assert said.startswith("process 2, 3, 4, 5, 6, 7, 8, 9 and 990 more of 1000 did not come")


@pytest.mark.parametrize("said", [b'{"":' + 995 * b"[" + b"\n", b"{}\n", b'{"\xff', 1001 * b"{"])
def test_strangers_disturb_nobody(meeting, said):
    first = meeting.first(2)
    with meeting.stranger() as stranger:
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        assert stranger.recv(1) == b""  # it gets no answer
    meeting.other(1, 2).result(timeout=SECONDS)
    first.result(timeout=SECONDS)


def test_silent_strangers_keep_nobody_waiting(meeting):
    first = meeting.first(2)
    with meeting.stranger() as one, meeting.stranger() as another:
        meeting.other(1, 2).result(timeout=roll_call._TALK - 1)
        first.result(timeout=SECONDS)
        assert (one.recv(1), another.recv(1)) == (b"", b"")
    roll_call._listen(meeting.port).close()


def test_stopped_first_process_is_told(meeting, monkeypatch):
    """Ctrl-C in process 0."""

    def admit(connection, there, processes):
        real(connection, there, processes)
        if there:
            raise KeyboardInterrupt

    real = roll_call._admit
    monkeypatch.setattr(roll_call, "_admit", admit)
    first = meeting.first(3)
    with meeting.reported(1, 3) as waiting:
        with pytest.raises(KeyboardInterrupt):
            first.result(timeout=SECONDS)
        assert roll_call._receive(waiting)["why"].endswith("start all again")


TRAINING = """
import sys, jax
jax.distributed.initialize(sys.argv[1], 1, 0)
print("begun", flush=True)
sys.stdin.read()
"""


def test_training_that_has_begun_says_so_at_once(capsys):
    """JAX's service has the port by then."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING, f"localhost:{port}"],
        env=environment(1), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as training:  # fmt: skip
        assert training.stdout.readline() == "begun\n"
        with pytest.raises(HostsError, match="has a training that has begun, or another program"):
            roll_call.report("localhost", port, 1, 2, 0.5)
        training.stdin.close()
        assert training.wait(timeout=SECONDS) == 0  # it went on undisturbed
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and shown.endswith(" s at most\n")
    assert "is --process=1 taken?" in shown
