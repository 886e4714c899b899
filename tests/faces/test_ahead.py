"""Reading ahead: the same items, what the stream raises, and no thread that stays."""

import itertools
import threading
import time

import pytest

from fer_jax.faces.media.ahead import ahead


def settles(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_items_come_in_order():
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([], 3)) == []


def test_error_comes_after_the_items_before_it():
    def broken():
        yield from (1, 2)
        raise OSError("no more")

    stream = ahead(broken(), 8)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(OSError, match="no more"):
        next(stream)


def test_no_more_than_asked_for_are_read_ahead():
    read = []
    stream = ahead((read.append(item) or item for item in itertools.count()), 4)
    assert next(stream) == 0
    assert settles(lambda: len(read) == 6)  # one taken, four waiting, one being handed over
    time.sleep(0.2)
    assert len(read) == 6
    stream.close()


def test_thread_ends_with_the_iterator():
    before = threading.active_count()
    stream = ahead(itertools.count(), 2)
    assert next(stream) == 0 and threading.active_count() == before + 1
    stream.close()
    assert settles(lambda: threading.active_count() == before)


def test_stream_is_read_beside_its_use():
    waiting = threading.Event()

    def stream():
        yield 0
        waiting.set()  # reached although nobody asks for the second item
        yield 1

    taken = ahead(stream(), 1)
    assert next(taken) == 0 and waiting.wait(5)
    assert next(taken) == 1
