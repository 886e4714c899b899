"""How near to the machine's limits ST-BLN comes: training step, forward pass, MC dropout.

    python -m benchmarks.roofline
    python -m benchmarks.roofline st_bln pst_bln --rows T=4

The limits are measured in the same run and in turns with the rows: the largest rate of a float32
matrix product (2,048 square) and of adding two arrays of 256 MiB, both in JAX. A row has the
operations of its products and convolutions, the time (median; fastest to slowest), the rate, and
its share of the matrix product's. What is not a product, such as normalisation, dropout or moving
memory, counts as time alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import flops, sides
from benchmarks.pairs import SYSTEMS
from benchmarks.rows import ROWS, Row
from benchmarks.speed import make_ours
from fer_jax.machine import usable_cores

SIDE, LONG = 2048, 2**26  # of the matrices; float32 numbers of the arrays that are added


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("systems", nargs="*", default=["st_bln"], metavar="SYSTEM",
                        help=f"{', '.join(ROWS)} (default: st_bln)")  # fmt: skip
    parser.add_argument("--rows", nargs="+", default=[""], metavar="TEXT",
                        help="rows whose name contains one of these")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=5, help="timed calls (default 5)")
    options = parser.parse_args(arguments)
    rows = [row for system in options.systems for row in ROWS[system]]
    rows = [row for row in rows if row.what in ("step", "forward", "mc")]
    rows = [row for row in rows if any(text in row.name for text in options.rows)]
    peaks = [_product(), _addition()]
    measured = [_measured(row, options.repeats, peaks) for row in rows]
    rate, width = (max(peak.rates) for peak in peaks)
    print("| | GFLOP | ms | GFLOP/s | share of the peak |\n|---|---|---|---|---|")
    for row in measured:
        print(f"| {row.name} | {row.work:.2f} | {row.spread} | {row.rate:.0f} | "
              f"{row.rate / rate:.0%} |")  # fmt: skip
    print(f"\nPeak of the matrix product: {rate:.0f} GFLOP/s; of memory: {width:.1f} GB/s")
    print(f"{usable_cores()} CPU cores, float32, jax {jax.__version__}")


class _Measured(NamedTuple):
    """A row that was timed.

    Attributes:
      name: of the row.
      work: 10^9 operations.
      times: seconds of each call.
    """

    name: str
    work: float
    times: list[float]

    @property
    def rate(self) -> float:
        """10^9 operations a second, of the median."""
        return self.work / statistics.median(self.times)

    @property
    def spread(self) -> str:
        """Milliseconds: median, and fastest to slowest."""
        middle, low, high = (1e3 * f(self.times) for f in (statistics.median, min, max))
        return f"{middle:.4g} ({low:.4g} to {high:.4g})"


class _Peak:
    """The largest rate of a call.

    Args:
      call: runs it.
      work: 10^9 operations, or bytes, of one.
    """

    def __init__(self, call: Callable, work: float):
        self._call, self._work, self.rates = call, work, [0.0]
        call()

    def again(self) -> None:
        self.rates.append(self._work / _seconds(self._call))


def _product() -> _Peak:
    matrix = jnp.asarray(np.random.default_rng(0).standard_normal((SIDE, SIDE)), jnp.float32)
    multiply = jax.jit(lambda x: x @ x)
    return _Peak(lambda: multiply(matrix).block_until_ready(), 2e-9 * SIDE**3)


def _addition() -> _Peak:
    one, other = jnp.ones(LONG), jnp.ones(LONG)
    add = jax.jit(lambda x, y: x + y)
    return _Peak(lambda: add(one, other).block_until_ready(), 1e-9 * 3 * one.nbytes)


def _measured(row: Row, repeats: int, peaks: list[_Peak]) -> _Measured:
    """Times a row in turns with the peaks."""
    ours = make_ours(row, "float32")
    call = getattr(ours, row.what)
    call()
    times = []
    for _ in range(repeats):
        for peak in peaks:
            peak.again()
        times.append(call())
    work = 1e-9 * (_of_samples(row, ours) if row.what == "mc" else ours.flops[row.what])
    return _Measured(row.name, work, times)


def _of_samples(row: Row, ours: sides.Ours) -> float:
    """Operations of all MC samples of a batch."""
    from fer_jax import uncertainty

    inputs, _ = SYSTEMS[row.system](**row.options).batch(row.batch)
    forward = uncertainty.stochastic(ours.module)
    variables = jax.tree.map(lambda leaf: leaf[0], ours.variables)

    def sample(variables, inputs, key):
        return uncertainty.mc_dropout(forward, variables, inputs, key, mc_samples=sides.SAMPLES)

    return flops.count(sample, variables, inputs, jax.random.key(0))


def _seconds(call: Callable) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
