"""Shows the progress of long work: a bar on a terminal, else a line at least every minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from rich import progress as bars
from rich.console import Console
from rich.text import Text

SILENCE = 60.0  # most seconds without a line


class Progress:
    """Shows the progress of several pieces of work; a context manager.

    On a console that is no terminal it prints lines with the time since the start, the steps done,
    figures and the remaining time: at the start and the end of a piece of work, and at least once
    a minute, also while a single step takes longer.

    Args:
      console: shows the progress.
      transient: removes the bars at the end.
      clock: returns seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        transient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.console, self.clock = console, clock
        self.started = self._spoke = clock()
        self._working: list[Work] = []
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._heartbeat = threading.Thread(target=self._watch, daemon=True)
        terminal = console.is_terminal and not console.is_dumb_terminal
        self.bars = _make_bars(console, transient) if terminal or console.is_jupyter else None

    def __enter__(self) -> Progress:
        if self.bars is None:
            self._heartbeat.start()
        else:
            self.bars.start()
        return self

    def __exit__(self, *error) -> None:
        if self.bars is None:
            self._ended.set()
            self._heartbeat.join(timeout=1.0)  # it may be blocked by whoever reads its lines
        else:
            self.bars.stop()

    def start(self, description: str, total: int | None = None) -> Work:
        """Starts a piece of work; `total`: number of its steps, None if unknown."""
        with self._lock:
            work = Work(self, description, total)
            self._working.append(work)
        self.line(work)
        return work

    def close(self, work: Work, outcome: str) -> None:
        """Ends a piece of work, see `Work.finish`."""
        with self._lock:
            self._working.remove(work)
        self.line(work, f", {outcome}")

    def line(self, work: Work, suffix: str = "") -> None:
        """Prints a line about a piece of work if there are no bars."""
        if self.bars is None:
            self._spoke = self.clock()
            text = f"{duration(self._spoke - self.started)}  {work}{suffix}"
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def beat(self) -> None:
        """Prints a line about all work if none has been printed for a minute."""
        with self._lock:
            if self.clock() - self._spoke >= SILENCE:
                for work in self._working:
                    self.line(work)

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            self.beat()


class Work:
    """One piece of work, made by `Progress.start`."""

    def __init__(self, progress: Progress, description: str, total: int | None):
        self._progress, self._bar = progress, None
        if progress.bars is not None:
            self._bar = progress.bars.add_task(description, total=total, figures="")
        self._begin(description, total)

    def _begin(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done, self.figures = description, total, 0, ""
        self._first = self._last = None  # time and steps done, of the first and the last update

    def __str__(self) -> str:
        count = f"{self.done}/{self.total}" if self.total else str(self.done or "")
        remaining = self._remaining()
        left = "" if remaining is None else f"{duration(remaining)} left"
        parts = ", ".join(part for part in (count, self.figures, left) if part)
        return f"{self.description}: {parts}" if parts else f"{self.description} ..."

    def _remaining(self) -> float | None:
        """Seconds, by the speed since the first update: without resumed steps and compiling.

        None before that, and after the last step: what follows it, as an evaluation, has no steps.
        """
        if not self.total or self._first is None or self.done <= self._first[1]:
            return None
        if self.done >= self.total:
            return None
        (began, before), (now, done) = self._first, self._last
        return (self.total - done) * (now - began) / (done - before)

    @property
    def speed(self) -> float | None:
        """Steps per second since the first update, None until that is a tenth of a second ago."""
        if self._first is None or self._last[0] - self._first[0] < 0.1:  # steps that came at once
            return None
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])

    @property
    def console(self) -> Console:
        """Where its progress is shown."""
        return self._progress.console

    def update(self, done: int | None = None, figures: str | None = None) -> None:
        """Sets the number of steps done, and figures to show with them."""
        self.figures = self.figures if figures is None else figures
        if done is not None:
            self.done, self._last = done, (self._progress.clock(), done)
            self._first = self._first or self._last
        if self._bar is None:
            self._progress.beat()
        else:
            self._progress.bars.update(self._bar, completed=self.done, figures=self.figures)

    def restart(self, description: str, total: int | None = None) -> None:
        """Starts the next part of the work, counting its steps from 0."""
        self._begin(description, total)
        if self._bar is not None:
            self._progress.bars.reset(self._bar, description=description, total=total, figures="")

    def finish(self, outcome: str = "done", *, keep_bar: bool = False) -> None:
        """Ends the work; `keep_bar` leaves its bar on the terminal."""
        self._progress.close(self, outcome)
        if self._bar is not None and not keep_bar:
            self._progress.bars.remove_task(self._bar)


def track(items: Iterable, description: str, total: int) -> Iterator:
    """Yields items and shows their progress on stdout."""
    with Progress(Console(), transient=True) as progress:
        work = progress.start(description, total)
        for done, item in enumerate(items, 1):
            yield item
            work.update(done)
        work.finish()


class _TimeLeft(bars.TimeRemainingColumn):
    """The remaining time; empty after the last step."""

    def render(self, task: bars.Task) -> Text:
        return Text() if task.finished else super().render(task)


def _make_bars(console: Console, transient: bool) -> bars.Progress:
    return bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[figures]}", markup=False),
        _TimeLeft(),
        console=console,
        transient=transient,
    )


def duration(seconds: float) -> str:
    """Formats seconds: `3725 -> "1:02:05"`."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
