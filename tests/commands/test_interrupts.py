"""Ctrl-C at any moment: out in time, with one line and exit code 130."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from fer_jax import stopping
from tests.conftest import ROOT
from tests.integration.test_run import arguments

STUCK = """
import signal, sys, threading, time
from fer_jax.commands import interrupts, start

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which tests that run under nohup ignore

interrupts.PATIENCE = float(sys.argv[2])

def deaf():  # as a compiled call or a thread that waits for ever
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

def plain():
    print("ready", flush=True)
    time.sleep(60)

def slow_to_end():
    threading.Thread(target=time.sleep, args=(60,)).start()
    print("ready", flush=True)
    time.sleep(60)

sys.exit(start(globals()[sys.argv[1]]))
"""


def opened(process):
    """What the open files of a process are."""
    for number in os.listdir(f"/proc/{process.pid}/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{process.pid}/fd/{number}")


def interrupted(call, times=1, wait=None, number=signal.SIGINT):
    """Sends a signal when the first line is there: exit code, stderr and seconds to the end."""
    process = subprocess.Popen(
        call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        if wait is None:
            process.stdout.readline()
        else:
            while not any(link.startswith("socket:") for link in opened(process)):
                time.sleep(0.01)  # it learns of signals by a socket
            time.sleep(wait)
        started = time.monotonic()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.1)
        _, shown = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, shown, time.monotonic() - started


@pytest.mark.parametrize(
    "kind, patience, times", [("deaf", 0.5, 1), ("slow_to_end", 0.5, 1), ("deaf", 60, 2),
                              ("slow_to_end", 60, 2)]
)  # fmt: skip
def test_command_that_does_not_end_is_ended(kind, patience, times):
    call = [sys.executable, "-c", STUCK, kind, str(patience)]
    code, shown, seconds = interrupted(call, times)
    assert code == 130 and seconds < 5
    assert "interrupted: the same command resumes" in shown and "Traceback" not in shown


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_interrupt_is_one_line(number):
    call = [sys.executable, "-c", STUCK, "plain", "60"]
    code, shown, seconds = interrupted(call, number=number)
    assert (code, shown.strip()) == (130, "interrupted: the same command resumes")
    assert seconds < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ignored_signal_stays_ignored(number):
    code = f"""
import signal
from fer_jax.commands import start
signal.signal({int(number)}, signal.SIG_IGN)
start(lambda: signal.raise_signal({int(number)}))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "wait, number", [(0.0, signal.SIGINT), (1.0, signal.SIGTERM), (3.0, signal.SIGINT)]
)
def test_training_ends_in_time_at_any_moment(prepared, tmp_path, wait, number):
    call = [sys.executable, "run.py", *arguments(prepared, tmp_path / "run")]
    code, shown, seconds = interrupted(call, wait=wait, number=number)
    assert seconds < 10 and "Traceback" not in shown, shown
    finished = (tmp_path / "run" / "metrics.json").exists()
    assert (code, shown.count("interrupted")) in ([(130, 1), (0, 0)] if finished else [(130, 1)])


@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_interrupt_during_imports_of_preparation_is_one_line(tmp_path, wait):
    call = [sys.executable, "-m", "preprocess", "synthetic", "--out", str(tmp_path / "out")]
    code, shown, _ = interrupted(call, wait=wait)
    assert (code, shown.strip()) == (130, "interrupted: the same command resumes")
