"""When each frame of a clip begins: constant rates, variable rates, doubtful time stamps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

ROUNDED = 0.0011  # seconds: many containers round time stamps to a millisecond
_BACK = 1.0  # seconds; more is no reordering of frames but a clock that starts again
_DECODED_BACK = 0.3  # seconds; the same for stamps of decoding
_GAP, _GAP_SECONDS = 5, 1.0  # a step longer than so many usual ones, and than this
_LONGEST_LAST = 1.0  # seconds for which the last frame of a variable rate is taken to be shown


@dataclasses.dataclass(frozen=True)
class Clock:
    """The time stamps of a clip.

    Attributes:
      times: `[N]` float64, seconds at which each frame begins, from the first frame; ascending.
      end: seconds at which the last frame ends.
      fps: frames per second, on average if the rate varies.
      steady: whether the rate is constant.
      note: what is doubtful about the time stamps; empty if nothing is.
    """

    times: np.ndarray
    end: float
    fps: float
    steady: bool
    note: str = ""

    def span(self, position: int) -> tuple[float, float]:
        """Returns the seconds at which a frame begins and ends; frames may outnumber the stamps."""
        count = len(self.times)
        if position + 1 < count:
            return float(self.times[position]), float(self.times[position + 1])
        if position + 1 == count:
            return float(self.times[position]), self.end
        step = 1 / self.fps
        start = self.end + (position - count) * step
        return start, start + step


def steady_clock(count: int, fps: float, note: str = "") -> Clock:
    """Makes the clock of frames at a constant rate."""
    return Clock(np.arange(count) / fps, count / fps, fps, True, note)


def make_clock(seconds: Sequence[float], rates: Iterable[float] = (), note: str = "") -> Clock:
    """Makes the clock of ascending time stamps, at least two of them different.

    Stamps that differ from a constant rate by no more than rounding become exact.

    Args:
      seconds: `[N]`; the first may be any number.
      rates: frames per second that the source states.
      note: see `Clock`.
    """
    times = np.asarray(seconds, np.float64)
    times = times - times[0]
    times, doubled = _spread(times)
    if doubled:
        note = "; ".join(filter(None, [note, f"{doubled} frames share a time stamp with another"]))
    count = len(times)
    mean = (count - 1) / float(times[-1])
    for rate in [*rates, mean]:
        tolerance = min(ROUNDED, 0.25 / rate) if rate > 0 else 0.0
        if rate > 0 and np.abs(times - np.arange(count) / rate).max() <= tolerance:
            return steady_clock(count, rate, note)
    end = float(times[-1]) + last_step(times)
    note = "; ".join(filter(None, [note, gaps(times, range(1, count))]))
    return Clock(times, end, count / end, False, note)


def last_step(times: np.ndarray) -> float:
    """Returns for how many seconds the last of `[N]` frames is shown: as long as the one before."""
    steps = np.diff(times)
    return float(min(steps[-1], max(_LONGEST_LAST, np.median(steps))))


def _spread(times: np.ndarray) -> tuple[np.ndarray, int]:
    """Spreads frames with the same time stamp over the time to the next one; counts them."""
    distinct, first = np.unique(times, return_index=True)
    doubled = len(times) - len(distinct)
    if not doubled:
        return times, 0
    places = np.append(first, len(times))
    knots = np.append(distinct, distinct[-1] + (distinct[-1] - distinct[-2]))
    return np.interp(np.arange(len(times)), places, knots), doubled


def gaps(times: np.ndarray, numbers: Sequence[int]) -> str:
    """Names the first long gap between the `[N]` times of frames; empty if there is none."""
    steps = np.diff(times)
    if not len(steps):
        return ""
    long = np.flatnonzero((steps > _GAP * np.median(steps)) & (steps > _GAP_SECONDS))
    if not len(long):
        return ""
    more = f", and {len(long) - 1} more" if len(long) > 1 else ""
    gap = round(float(steps[long[0]]), 2)
    return f"a gap of {gap:.10g} seconds after frame {numbers[long[0]]}{more}"


def unwrapped(
    stamps: np.ndarray, tick: float, decoding: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Lets a clock that starts again go on, for stamps `[N]` in the order of the file.

    Args:
      stamps: `[N]` int64 ticks; frames that the codec reorders go back.
      tick: seconds.
      decoding: `[N]` float64 ticks at which frames are decoded, which no reordering sets back; NaN
        where unknown.

    Returns:
      The stamps in ticks from one start, and how often the clock jumped back.
    """
    if decoding is None or np.isnan(decoding).all():
        starts = _restarts(stamps, _BACK / tick)
    else:
        known = np.where(np.isnan(decoding), -np.inf, decoding)
        known = np.where(np.isnan(decoding), np.maximum.accumulate(known), known)
        starts = _restarts(known, _DECODED_BACK / tick)
    result = stamps.copy()
    for position in starts:
        before = result[:position].max()
        step = max(1, round((before - result[0]) / max(1, position - 1)))
        result[position:] += before + step - result[position : position + 16].min()
    return result, len(starts)


def _restarts(order: np.ndarray, least: float) -> list[int]:
    """Positions at which `[N]` ticks fall by more than the least below what they have reached."""
    starts = [0]
    while True:
        rest = order[starts[-1] :]
        with np.errstate(invalid="ignore"):  # where no tick is known yet
            back = np.flatnonzero(np.maximum.accumulate(rest)[:-1] - rest[1:] > least)
        if not len(back):
            return starts[1:]
        starts.append(starts[-1] + int(back[0]) + 1)
