"""The folds of a cross-validation in one program against one fold after another."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np

from benchmarks import folds
from fer_jax.systems.st_bln.network import STBLN

GOAL = 5.0


def measure(small: bool) -> Iterator[dict]:
    """Yields seconds of an epoch of all folds both ways, and how far their losses are apart."""
    clips = folds.make_clips(16 if small else folds.CLIPS)
    count, widths = (2, (4,)) if small else (folds.FOLDS, STBLN.widths)
    ways = {
        "one after another": folds.Folds(clips, 1, count, widths),
        "side by side": folds.Folds(clips, count, count, widths),
    }
    seconds = {name: [] for name in ways}
    for _ in range(2 if small else 6):
        for name, way in ways.items():
            seconds[name].append(way.epoch())
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    first, second = (way.losses() for way in ways.values())
    for name, value in medians.items():
        yield {
            "way": name,
            "s an epoch of all folds": value,
            "ratio": medians["one after another"] / value,
            "goal": GOAL,
            "largest difference of the losses": float(np.abs(first - second).max()),
        }
