"""Signals that wait for a good place to stop."""

import signal
import threading
import time

import pytest

from fer_jax import stopping


@pytest.fixture
def interrupting():
    """All signals interrupt Python, as in a command."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in stopping.SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_block_goes_on_to_its_end(interrupting, number):
    ended = []
    with pytest.raises(KeyboardInterrupt), stopping.held() as asked:
        signal.raise_signal(number)
        assert asked.is_set()
        ended.append(True)
    assert ended and signal.getsignal(number) is signal.default_int_handler


def test_block_that_takes_too_long_is_interrupted(interrupting, monkeypatch):
    monkeypatch.setattr(stopping, "GRACE", 0.05)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stopping.held():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        while time.monotonic() - started < 10:
            time.sleep(0.01)
    assert time.monotonic() - started < 5


def test_second_interrupt_does_not_wait(interrupting):
    with pytest.raises(KeyboardInterrupt), stopping.held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")


def test_signals_that_are_ignored_or_kill_are_left(interrupting):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stopping.held() as asked:
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    assert not asked.is_set()


def test_other_threads_hold_nothing():
    held = []

    def block():
        with stopping.held() as asked:
            held.append(asked.is_set())

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert held == [False]
