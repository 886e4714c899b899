"""How costs grow: fits `cost = fixed + growing * (n / largest n) ** exponent`, table and figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

GRID = np.round(np.arange(0.05, 3.001, 0.05), 2)  # exponents that are tried
NOISE = 0.03  # relative deviation of a measurement, at least
CLEAR = 3.0  # deviations by which a cost must grow to have an exponent
WITHIN = 4.0  # squared deviations by which an exponent may fit worse than the best: 95%
LINEAR = 1.1  # exponents above it are worse than linear
UNITS = {"s": "seconds", "MiB": "memory, MiB"}  # of the costs of a curve -> title


@dataclasses.dataclass(frozen=True)
class Growth:
    """A fitted cost.

    Attributes:
      fixed: part of the cost that does not grow.
      growing: the part that does, at the largest value.
      exponent: of its growth; None where it does not rise clearly above the noise.
      low, high: exponents that fit about as well, 95%; None likewise.
      smallest, largest: of the values; `growing` is of the largest.
    """

    fixed: float
    growing: float
    exponent: float | None
    low: float | None
    high: float | None
    smallest: float
    largest: float

    @property
    def rise(self) -> float:
        """Part of the cost at the largest value that is more than at the smallest."""
        low, high = self.at([self.smallest, self.largest])
        return float(1 - low / high)

    @property
    def worse_than_linear(self) -> bool:
        """Whether no exponent up to `LINEAR` fits."""
        return self.low is not None and self.low > LINEAR

    def at(self, values) -> np.ndarray:
        """The fitted cost of values, `[N]`."""
        power = (np.asarray(values, float) / self.largest) ** (self.exponent or 0.0)
        return self.fixed + self.growing * power


def fit(values: Sequence[float], costs: Sequence[float], noise: float = 0.0) -> Growth:
    """Fits the growth of costs; least squares of relative errors, no part is below 0.

    Args:
      values: `[N]` sizes, at least 4 different ones.
      costs: `[N]`, above 0.
      noise: relative deviation of a cost, known from repetitions; `NOISE` at least, and what the
        best fit leaves.

    Raises:
      ValueError: fewer than 4 values.
    """
    values, costs = np.asarray(values, float), np.asarray(costs, float)
    if len(set(values)) < 4:
        raise ValueError(f"an exponent needs 4 different values, not {len(set(values))}")
    smallest, largest = values.min(), values.max()
    found = [_parts((values / largest) ** exponent, costs) for exponent in GRID]
    errors = np.array([error for _, _, error in found])
    best = int(errors.argmin())
    deviation = max(NOISE, noise, float(np.sqrt(errors[best] / max(len(values) - 3, 1))))
    within = GRID[errors <= errors[best] + WITHIN * deviation**2]
    edges = (float(each) for each in (GRID[best], within.min(), within.max()))
    growth = Growth(*found[best][:2], *edges, smallest, largest)
    if growth.rise < CLEAR * deviation:
        return Growth(float(np.median(costs)), 0.0, None, None, None, smallest, largest)
    return growth


def _parts(powers: np.ndarray, costs: np.ndarray) -> tuple[float, float, float]:
    """Fixed and growing part of an exponent, and the sum of their squared relative errors."""
    both = np.stack([np.ones_like(powers), powers], 1) / costs[:, None]
    found = []
    for kept in ((1, 1), (1, 0), (0, 1)):  # one part alone where the other would be below 0
        parts = np.linalg.lstsq(both * kept, np.ones_like(costs), rcond=None)[0]
        error = float(((both @ parts - 1) ** 2).sum())
        found += [(error, *map(float, parts))] if (parts >= 0).all() else []
    error, fixed, growing = min(found)
    return fixed, growing, error


@dataclasses.dataclass(frozen=True)
class Curve:
    """Costs of a stage along an axis.

    Attributes:
      stage, axis: names.
      values: `[N]`, ascending.
      costs: "s" or "MiB" -> the N medians.
      spreads: the same -> the relative deviation over repetitions, 0 of a single one.
    """

    stage: str
    axis: str
    values: tuple[int, ...]
    costs: Mapping[str, Sequence[float]]
    spreads: Mapping[str, float]

    def growth(self, unit: str) -> Growth:
        """The fit of its seconds or its memory."""
        return fit(self.values, self.costs[unit], self.spreads[unit])


def table(curves: Sequence[Curve]) -> list[str]:
    """Lines of a Markdown table of all curves; worse than linear is bold."""
    grown = ["exponent", "rise"]
    head = ["stage", "axis", "values", "seconds", *grown, "MiB", *grown]
    rows = [head, ["---"] * len(head)]
    for curve in curves:
        row = [curve.stage, curve.axis, ", ".join(map(str, curve.values))]
        for unit, digits in (("s", 1), ("MiB", 0)):
            row.append(", ".join(f"{cost:.{digits}f}" for cost in curve.costs[unit]))
            row += _words(curve.growth(unit))
        rows.append(row)
    return [f"| {' | '.join(row)} |" for row in rows]


def _words(growth: Growth) -> list[str]:
    """Exponent with its range, and the rise."""
    if growth.exponent is None:
        return ["flat", "-"]
    text = f"{growth.exponent:.2f} ({growth.low:.2f} to {growth.high:.2f})"
    return [f"**{text}**" if growth.worse_than_linear else text, f"{growth.rise:.0%}"]


def draw(curves: Sequence[Curve]):
    """Draws seconds (above) and memory (below) of each stage, a column each axis, log-log."""
    from fer_jax.plotting.style import class_colours, dress, legend_below, make_figure

    names = list(dict.fromkeys(curve.axis for curve in curves))
    stages = list(dict.fromkeys(curve.stage for curve in curves))
    colours = dict(zip(stages, class_colours(len(stages)), strict=True))
    figure = make_figure(1.2 + 2.0 * len(names), 5.4)
    grid = figure.subplots(2, len(names), squeeze=False, sharex="col", sharey="row")
    for curve in curves:
        for axes, unit in zip(grid[:, names.index(curve.axis)], UNITS, strict=True):
            colour, growth = colours[curve.stage], curve.growth(unit)
            fine = np.geomspace(curve.values[0], curve.values[-1], 40)
            axes.loglog(curve.values, curve.costs[unit], "o", color=colour, markersize=4)
            axes.loglog(fine, growth.at(fine), color=colour, linewidth=1.4)
    for row, (unit, title) in enumerate(UNITS.items()):
        every = np.concatenate([curve.costs[unit] for curve in curves])
        grid[row, 0].set_ylim(every.min() / 2, every.max() * 2)
        _tick(grid[row, 0].yaxis, (1, 2, 5))
        for column, name in enumerate(names):
            last = row == len(UNITS) - 1
            dress(grid[row, column], x=name if last else "", y="" if column else title, grid="both")
            _tick(grid[row, column].xaxis, (1,), base=4)
    for stage, colour in colours.items():
        grid[0, 0].plot([], [], "o-", color=colour, markersize=4, label=stage)
    legend_below(figure, grid[0, 0], len(stages))
    return figure


def _tick(axis, subs: tuple[int, ...], base: int = 10) -> None:
    """Writes plain numbers at `subs` times powers of the base."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(base, subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
