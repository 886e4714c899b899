"""A PST-BLN search of six stages on the device: compiling and training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from benchmarks import search
from configs import pstbln_ckplus
from fer_jax.systems.st_bln.growth import show

STAGES = ((5,), (10,), (10, 5), (10, 10), (10, 10, 5), (10, 10, 10))


def measure(small: bool) -> Iterator[dict]:
    """Yields the seconds of each stage, then of all with the paper's epochs."""
    config = pstbln_ckplus.get_config()
    ours = search.Ours(config)
    compiling, rates, started = 0.0, [], time.perf_counter()
    for widths in STAGES[: 1 if small else len(STAGES)]:
        compiled, seconds = ours.stage(widths, 2 if small else 8)
        compiling += compiled
        rates.append(statistics.median(seconds))
        yield {"stage": show(widths), "compiling, s": compiled, "an epoch, ms": 1e3 * rates[-1]}
    whole = compiling + search.PAPER_EPOCHS * sum(rates)
    yield {
        "stage": f"all, {search.PAPER_EPOCHS} epochs each (extrapolated)",
        "compiling, s": compiling,
        "an epoch, ms": 1e3 * sum(rates) / len(rates),
        "whole, s": whole,
        "of it compiling": f"{compiling / whole:.0%}",
        "as run, s": time.perf_counter() - started,
    }
