"""Forward passes and training steps, ours against the PyTorch mirror on the same device."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Iterator

import torch

from benchmarks import pairs, sides
from benchmarks.gpu import ceilings
from benchmarks.gpu.toys import TOYS

GOAL = 1.2
DTYPES = {"TF32": "float32", "bfloat16": "bfloat16"}  # ceiling -> dtype of the networks
REPEATS = 5


def against_mirror(
    system: str, small: bool, *, batch: int, steps: int, **options
) -> Iterator[dict]:
    """Yields seconds, ratio and share of the ceilings in TF32 and in bfloat16.

    Args:
      system: key of `pairs.SYSTEMS`.
      small: uses a toy of the same layers, in one precision.
      batch, steps: see `sides.Ours`.
      options: of the pair.
    """
    yield from _measure(system, small, batch, steps, options, compiler="")


def against_compiled(
    system: str, small: bool, *, batch: int, steps: int, **options
) -> Iterator[dict]:
    """Yields the same against the mirror under `torch.compile`."""
    compiler = "eager" if small else "inductor"  # the first only traces
    yield from _measure(system, small, batch, steps, options, compiler)


def _measure(system, small, batch, steps, options, compiler) -> Iterator[dict]:
    if small:
        batch, steps, options = 2, 1, TOYS[system]
    pair = pairs.SYSTEMS[system](**options)
    dtypes = dict(list(DTYPES.items())[: 1 if small else 2])
    started = time.perf_counter()
    networks = _compiled(pair, batch, steps, tuple(dtypes.values()))
    compiling = time.perf_counter() - started
    for ceiling, dtype in dtypes.items():
        ours = sides.Ours(pair, batch, steps, dtype).prepare(*networks[dtype])
        mirrors = {"torch": sides.Mirror(pair, batch, steps, dtype, compiler=compiler)}
        if pair.channels_last != torch.contiguous_format and not small:
            mirrors["torch, channels last"] = sides.Mirror(
                pair, batch, steps, dtype, pair.channels_last, compiler
            )
        for what in ("forward", "step"):
            repeats = 1 if small else REPEATS
            times = sides.in_turns({**mirrors, "ours": ours}, what, repeats)
            seconds = {name: statistics.median(values) for name, values in times.items()}
            best = min(seconds[name] for name in mirrors)
            yield {
                "precision": ceiling,
                "what": what,
                "torch, ms": 1e3 * best,
                "ours, ms": 1e3 * seconds["ours"],
                "ratio": best / seconds["ours"],
                "goal": GOAL,
                "clips/s": batch / seconds["ours"],
                **_shares(ours, what, seconds["ours"], ceiling, small),
                "compiling, s": compiling,
            }
        del ours, mirrors


@functools.cache  # rows with `--small` share toys
def _compiled(pair: pairs.Pair, batch: int, steps: int, dtypes: tuple[str, ...]) -> dict:
    """Compiles the arguments of `sides.Ours.prepare` for each dtype in parallel."""
    networks = [sides.Ours(pair, batch, steps, dtype) for dtype in dtypes]
    calls = [call for ours in networks for call in (ours.compile_forward, ours.compile_step)]
    programs = iter(sides.side_by_side(calls))
    return dict(zip(dtypes, zip(programs, programs, strict=True), strict=True))


def forget() -> None:
    """Frees the compiled programs of earlier rows."""
    _compiled.cache_clear()


def _shares(ours: sides.Ours, what: str, seconds: float, ceiling: str, small: bool) -> dict:
    """Share of the device's ceilings reached by a call."""
    rate = ceilings.product_rate(ceiling, small)
    return {
        "of the product's ceiling": f"{ours.flops[what] / seconds / rate:.0%}",
        "of the copy's": f"{ours.bytes[what] / seconds / ceilings.copy_rate(small):.0%}",
    }
