"""The folds of a cross-validation in one program against one fold after another."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import folds

GOAL = 5.0


def measure(small: bool) -> Iterator[dict]:
    """Yields seconds of an epoch of all folds both ways, and the difference of their losses."""
    medians, difference = folds.compare(1, 16, 2, (4,)) if small else folds.compare(5)
    for name, value in medians.items():
        yield {
            "way": name,
            "s an epoch of all folds": value,
            "ratio": medians["one after another"] / value,
            "goal": GOAL,
            "largest difference of the losses": difference,
        }
