"""When each frame of a clip begins: constant rates, variable rates, doubtful time stamps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

ROUNDED = 0.0011  # seconds: many containers round time stamps to a millisecond
_BACK = 1.0  # seconds; more is no reordering of frames but a clock that starts again
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


def unwrapped(stamps: np.ndarray, tick: float) -> tuple[np.ndarray, int]:
    """Lets a clock that starts again go on, for stamps `[N]` in the order of the file.

    Args:
      stamps: `[N]` int64 ticks; frames that the codec reorders go back a little.
      tick: seconds.

    Returns:
      The stamps in ticks from one start, and how often the clock jumped back.
    """
    highest = np.maximum.accumulate(stamps)
    back = np.flatnonzero((highest[:-1] - stamps[1:]) * tick > _BACK) + 1
    result, jumps, position = stamps.copy(), 0, 0
    while len(back):
        position = int(back[0])
        before = result[:position].max()
        step = max(1, round((before - result[0]) / max(1, position - 1)))
        result[position:] += before + step - result[position : position + 16].min()
        jumps += 1
        rest = np.maximum.accumulate(result[position:])
        later = np.flatnonzero((rest[:-1] - result[position + 1 :]) * tick > _BACK)
        back = later + position + 1
    return result, jumps
