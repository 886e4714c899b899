"""Progress where there is no terminal: lines by a clock that the tests move; bars on a terminal."""

import io
import threading

import pytest
from rich.console import Console

from fer_jax import progress as progress_room
from fer_jax.progress import Progress, duration


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def shown():
    """A progress on no terminal, its clock, and a function that gives the lines so far."""
    file, clock = io.StringIO(), Clock()
    with Progress(Console(file=file, width=40), clock=clock) as progress:
        yield progress, clock, lambda: file.getvalue().splitlines()


def test_line_at_the_start_and_at_the_end(shown):
    progress, clock, lines = shown
    work = progress.start("fold00", 40)
    clock.seconds += 5
    work.update(40, "loss 0.512")
    work.finish()
    assert lines() == ["0:00:00  fold00: 0/40", "0:00:05  fold00: 40/40, loss 0.512, done"]


def test_one_line_a_minute_however_many_updates(shown):
    progress, clock, lines = shown
    work = progress.start("fold00", 100)
    for done in range(1, 100):
        clock.seconds += 2
        work.update(done, f"loss {1 / done:.2f}")
    assert lines()[1:] == [
        "0:01:00  fold00: 30/100, loss 0.03, 0:02:20 left",
        "0:02:00  fold00: 60/100, loss 0.02, 0:01:20 left",
        "0:03:00  fold00: 90/100, loss 0.01, 0:00:20 left",
    ]


def test_long_step_is_not_silent(shown):
    progress, clock, lines = shown
    progress.start("compiling")
    for _ in range(3):
        clock.seconds += 61
        progress.beat()
        progress.beat()
    assert lines()[1:] == ["0:01:01  compiling ...", "0:02:02  compiling ...",
                           "0:03:03  compiling ..."]  # fmt: skip


def test_heartbeat_speaks_by_itself_and_ends(monkeypatch):
    monkeypatch.setattr(progress_room, "SILENCE", 0.0)
    spoken, before = threading.Event(), threading.active_count()

    class Listener(io.StringIO):
        def write(self, text):
            if "compiling" in text and threading.current_thread() is not threading.main_thread():
                spoken.set()
            return super().write(text)

    with Progress(Console(file=Listener())) as progress:
        progress.start("compiling")
        assert spoken.wait(10)
    assert threading.active_count() == before


def test_resumed_steps_do_not_count_as_pace(shown):
    progress, clock, lines = shown
    work = progress.start("fold00", 100)
    clock.seconds += 10
    work.update(91)
    assert "left" not in str(work) and work.speed is None
    clock.seconds += 10
    work.update(92)
    assert str(work) == "fold00: 92/100, 0:01:20 left" and work.speed == 0.1


def test_steps_that_come_at_once_have_no_speed(shown):
    progress, clock, lines = shown
    work = progress.start("reading", 1000)
    work.update(1)
    clock.seconds += 0.01
    work.update(901)
    assert work.speed is None
    clock.seconds += 0.99
    work.update(1000)
    assert work.speed == pytest.approx(999)


def test_no_time_is_left_after_the_last_step(shown):
    progress, clock, lines = shown
    work = progress.start("holdout", 2)
    for done in (1, 2):
        clock.seconds += 5
        work.update(done)
    work.update(figures="evaluating")
    assert str(work) == "holdout: 2/2, evaluating"


def test_work_ends_with_its_outcome(shown):
    progress, clock, lines = shown
    progress.start("reading a.mp4").finish("skipped")
    assert lines()[-1] == "0:00:00  reading a.mp4 ..., skipped"


def test_next_part_is_counted_anew(shown):
    progress, clock, lines = shown
    work = progress.start("reading a.mp4")
    work.update(7)
    assert str(work) == "reading a.mp4: 7"
    work.restart("drawing a.mp4", 7)
    work.finish()
    assert lines()[-1] == "0:00:00  drawing a.mp4: 0/7, done"


def test_terminal_gets_a_bar_and_no_lines():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    with Progress(console) as progress:
        work = progress.start("fold00 [x]", 40)
        work.update(40, "loss 0.5")
        work.finish(keep_bar=True)
        progress.start("compiling").finish()
    text = file.getvalue()
    assert "fold00 [x]" in text and "40/40" in text and "loss 0.5" in text
    assert "0:00:00  fold00" not in text and ", done" not in text


def test_durations():
    assert [duration(value) for value in (0, 59.6, 3725)] == ["0:00:00", "0:01:00", "1:02:05"]
