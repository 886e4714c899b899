"""Seconds of the frames of a landmark CSV, from its column `timestamp`."""

from __future__ import annotations

import bisect

import numpy as np

from fer_jax.faces.media import clock
from fer_jax.faces.sequence import ClipError

_SLOWEST, _FASTEST = 1.0, 1000.0  # frames per second that a stamp can stand for
_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_FASTEST_UNIT = 240.0  # so that no step fits two units
_GAP, _GAP_SECONDS = 5, 1.0  # a step longer than so many usual ones, and than this
_CLOCK = 86_400.0  # seconds; a recording does not start later than that in its source
_ROUNDED = 0.01  # part by which a stated rate may be rounded
_ODD = 0.1  # largest share of stamps that are replaced


def seconds(
    stamped: np.ndarray | None, numbers: np.ndarray
) -> tuple[np.ndarray | None, float, list[str]]:
    """Turns the stamps of the frames into seconds that rise from frame to frame.

    Args:
      stamped: `[T]` stamps in the order of the frames, NaN where missing; None without any.
      numbers: `[T]` ascending frame numbers.

    Returns:
      `[T]` float64 seconds, None without usable stamps; frames per second, 0 if unknown; notes.

    Raises:
      ClipError: the rate is impossible in any unit of time, or many stamps go back.
    """
    if stamped is None or not np.isfinite(stamped).any():
        return None, 0.0, []
    known = np.isfinite(stamped)
    if len(stamped) > 1 and (np.ptp(stamped[known]) == 0 or known.sum() < 2):
        return None, 0.0, ["its time stamps do not advance and are ignored"]
    if known.sum() > 2 and (np.diff(stamped[known]) == np.diff(numbers[known])).all():
        return None, 0.0, ["its time stamps count frames, not seconds, and are ignored"]
    times, notes = _rising(np.where(known, stamped, np.nan), numbers.astype(np.float64))
    if len(times) == 1:
        return times, 0.0, notes
    steps = np.diff(times) / np.diff(numbers)
    divisor, unit = _unit(float(np.median(steps)))
    if unit:
        notes.append(f"its time stamps are taken for {unit}")
    times, steps = times / divisor, steps / divisor
    if abs(times[0]) > _CLOCK or times[0] < 0:
        notes.append(f"its time stamps begin at {times[0]:.10g} seconds, which counts as 0")
        times = times - times[0]
    elif abs(times[0] - (numbers[0] - 1) * np.median(steps)) > _GAP_SECONDS:
        notes.append(f"frame {numbers[0]} is stamped {times[0]:.10g} seconds")
    usual = float(np.median(steps))
    gaps = (steps > _GAP * usual) & (np.diff(times) > _GAP_SECONDS)
    frames = numbers[-1] - numbers[0] - np.diff(numbers)[gaps].sum()
    rate = frames / (times[-1] - times[0] - np.diff(times)[gaps].sum())
    return times, round(float(rate), 2), notes + list(filter(None, [clock.gaps(times, numbers)]))


def check_rate(whole_seconds: np.ndarray, numbers: np.ndarray, fps: float) -> list[str]:
    """Notes a stated rate that cannot be that of py-feat's times in whole seconds.

    Args:
      whole_seconds: `[T]` seconds of the frames, rounded down; NaN where missing.
      numbers: `[T]` frame numbers, from 0.
      fps: frames per second that are stated or assumed.
    """
    known = np.isfinite(whole_seconds)
    begun, frames = whole_seconds[known], numbers[known].astype(np.float64)
    least = float(np.max(frames / (begun + 1), initial=0))
    most = float(np.min(frames[begun > 0] / begun[begun > 0], initial=np.inf))
    if not least < most < np.inf or least <= (1 + _ROUNDED) * fps and fps <= (1 + _ROUNDED) * most:
        return []
    return [
        f"its approx_time tells of {least:.1f} to {most:.1f} frames a second, not {fps:g}: state "
        "the rate"
    ]


def _rising(stamped: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Replaces stamps that are missing, repeat or are out of order by what their neighbours say."""
    known = np.isfinite(stamped)
    good = np.zeros(len(stamped), bool)
    good[_longest_rise(stamped)] = True
    values = stamped[good]
    place = np.searchsorted(np.flatnonzero(good), np.arange(len(stamped)))
    near = values[np.maximum(place - 1, 0)], values[np.minimum(place, len(values) - 1)]
    equal = known & ~good & ((stamped == near[0]) | (stamped == near[1]))
    odd = known & ~good & ~equal
    notes = [f"frames without a time stamp: {int((~known).sum())}"] if not known.all() else []
    if odd.any():
        first = int(numbers[odd][0])
        if odd.sum() > max(1, _ODD * len(stamped)):
            raise ClipError(
                "time goes back",
                f"{int(odd.sum())} of {len(stamped)} time stamps go back (the first: frame "
                f"{first}): the file holds several recordings; split it, or omit "
                "the column timestamp",
            )
        notes.append(
            f"time stamps out of order: {int(odd.sum())} (the first: frame {first}), replaced by "
            "what their neighbours say"
        )
    if equal.any():
        notes.append(f"time stamps that repeat the one before: {int(equal.sum())}, spread evenly")
    return _interpolated(stamped, numbers, good), notes


def _longest_rise(stamped: np.ndarray) -> list[int]:
    """Indices of the longest strictly rising series of stamps."""
    tails: list[float] = []  # smallest end of a series of each length
    ends: list[int] = []
    before: list[int] = []
    for index, value in enumerate(stamped):
        if not np.isfinite(value):
            before.append(-1)
            continue
        length = bisect.bisect_left(tails, value)
        before.append(ends[length - 1] if length else -1)
        if length == len(tails) or value < tails[length]:  # of equal stamps, the first
            tails[length : length + 1], ends[length : length + 1] = [value], [index]
    series, index = [], ends[-1]
    while index >= 0:
        series.append(index)
        index = before[index]
    return series[::-1]


def _interpolated(stamped, numbers, good) -> np.ndarray:
    """Fills what is not good from the frames around it, beyond the ends at the usual rate."""
    if good.all():
        return stamped.astype(np.float64)
    at, values = numbers[good], stamped[good]
    filled = np.interp(numbers, at, values)
    step = np.median(np.diff(values) / np.diff(at)) if len(at) > 1 else 0.0
    early, late = numbers < at[0], numbers > at[-1]
    filled[early] = values[0] - step * (at[0] - numbers[early])
    filled[late] = values[-1] + step * (numbers[late] - at[-1])
    return filled


def _unit(step: float) -> tuple[float, str]:
    """How many of a unit make a second, and its name, empty for seconds."""
    if _SLOWEST <= 1 / step <= _FASTEST:
        return 1.0, ""
    for name, divisor in _UNITS.items():
        if _SLOWEST <= divisor / step <= _FASTEST_UNIT:
            return divisor, name
    raise ClipError(
        "impossible frame rate",
        f"the column timestamp gives {1 / step:.3g} frames a second: it must hold seconds; correct "
        "it, or omit it and give the rate",
    )


def missing_frames(numbers: np.ndarray) -> list[str]:
    """Notes numbers that are missing between `[T]` ascending frame numbers."""
    apart = np.diff(numbers)
    usual = max(1, int(np.median(apart))) if len(apart) else 1
    missing = np.flatnonzero(apart > usual)
    if not len(missing):
        return []
    count = int((apart[missing] // usual - 1).sum())
    return [f"missing frames: {count} (the first after frame {numbers[missing[0]]})"]
