"""100 samples of Monte Carlo dropout, by the number computed side by side."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Iterator

import jax

from benchmarks import pairs, sides
from benchmarks.gpu.toys import TOYS
from fer_jax import uncertainty

SAMPLES = 100
CHUNKS = (1, 4, 10, 25, 50, 100)


def by_chunk(system: str, small: bool, *, batch: int, frames: int) -> Iterator[dict]:
    """Yields the time for each number of samples side by side.

    The default comes first, the most samples last: they may not fit in the memory.
    """
    options = {**TOYS[system], "frames": 4} if small else {"frames": frames, "edges": 181}
    pair = pairs.SYSTEMS[system](**options)
    module, variables = pair.make("float32", False), pair.variables()
    x, _ = pair.batch(2 if small else batch)
    x, variables = jax.device_put((x, variables))
    forward = uncertainty.stochastic(module)
    mc_samples = 10 if small else SAMPLES
    chunks = (0, 1) if small else (0, *CHUNKS)

    def compile_chunk(chunk):
        def sample(variables, x, key):
            return uncertainty.mc_dropout(
                forward, variables, x, key, mc_samples=mc_samples, chunk=chunk
            )

        return jax.jit(sample).lower(variables, x, jax.random.key(0)).compile()

    programs = sides.side_by_side(functools.partial(compile_chunk, chunk) for chunk in chunks)
    for chunk, sample in zip(chunks, programs, strict=True):
        seconds = []
        for index in range(2 if small else 4):
            started = time.perf_counter()
            jax.block_until_ready(sample(variables, x, jax.random.key(index)))
            seconds.append(time.perf_counter() - started)
        median = statistics.median(seconds[1:])
        yield {
            "samples side by side": chunk or "default",
            "their inputs, MiB": chunk * x.nbytes / 2**20 if chunk else float("nan"),
            "ms": 1e3 * median,
            "clips/s": len(x) / median,
        }
