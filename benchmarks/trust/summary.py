"""A short page of all figures: what each method is worth on each dataset, which targets are met."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.trust import sets, tables
from benchmarks.trust.methods import DATASETS, METHODS
from fer_jax.tasks.report_lines import table

_PLAIN = "none"  # dropout off: what the cost of the other methods is relative to
_DOUBTS = ("unfamiliarity", "entropy", "uncertainty", "mutual information")


class Column(NamedTuple):
    """A column of a table with a row for each dataset and method.

    Attributes:
      title: of the column.
      part, what, measure: of the figure, as in `measures.Figure`.
      digits: behind the point.
      interval: whether the interval over people is shown.
    """

    title: str
    part: str
    what: str
    measure: str
    digits: int = 3
    interval: bool = False


QUALITY = (
    Column("accuracy", "d", "after", "accuracy", interval=True),
    Column("NLL before", "d", "before", "NLL"),
    Column("NLL", "d", "after", "NLL", interval=True),
    Column("ECE before", "d", "before", "ECE"),
    Column("ECE", "d", "after", "ECE"),
    Column("ECE of chance", "d", "after", "ECE of chance"),
    Column("AUGRC", "d", "after", "AUGRC", digits=4),
    Column("votes", "a", "entropy", "Spearman"),
)
HELD = (
    Column("sets hold", "c", "LAC 0.9", "coverage", interval=True),
    Column("worst person", "c", "LAC 0.9", "worst person"),
    Column("classes", "c", "LAC 0.9", "mean size", digits=2),
    Column("kept", "e", "target 0.95", "kept", digits=2),
    Column("broken", "e", "target 0.95", "broken", digits=2),
    Column("refused", "e", "target 0.95", "refused", digits=2),
    Column("answered", "e", "target 0.95", "coverage", digits=2),
)
OF_INTERVALS = (  # columns
    "dataset", "method", "interval", "seeds", "people",
    *(f"{level:g}: held, width" for level in sets.LEVELS),
)  # fmt: skip
# The clips that are told apart from usual ones: (name of the row, what, measure).
_DAMAGED = (("damaged, strength 3", "strength 3"), ("damaged, strength 5", "strength 5"))


def lines(found: pd.DataFrame) -> list[str]:
    """The text of the page, from `tables.rows` of all."""
    whole = tables.summary(found)
    text = ["# Trust, in short", "", _NOTE, ""]
    for title, note, body in (
        ("Targets", "", _targets(whole)),
        ("Probabilities", _OF_QUALITY, _by_method(whole, QUALITY)),
        ("Sets and promises", _OF_HELD, _by_method(whole, HELD)),
        ("Intervals of dimensions", _OF_INTERVALS, _intervals(whole)),
        ("Unlike the training data", _OF_DOUBTS, _doubts(whole)),
        ("Cost", _OF_COST, _cost(found)),
    ):
        if body:
            text += [f"## {title}", "", *([note, ""] if note else []), *body, ""]
    return text


_NOTE = (
    "Means over the seeds, in brackets the 95% interval over people (mean over the seeds). `none`: "
    "one network, dropout off."
)
_OF_QUALITY = (
    "After calibration on other people, unless before it. ECE of chance: what so few clips would "
    "show if the probabilities were exactly right. AUGRC: of the entropy. "
    "Votes: rank correlation of the entropy, before calibration, with that of the votes."
)
_OF_HELD = (
    "LAC sets at a level of 90%: share of the labels that they hold, each person counting alike, "
    "and their mean number of classes. Promises of 95% accuracy with 90% confidence, each made on "
    "half of the people: share of 50 divisions in which the other half kept or broke it, or in "
    "which none was made (refused); share of the clips that is answered where one was made."
)
_OF_INTERVALS = (
    "Share of the labels that intervals hold, and their mean width in units of the labels, means "
    "over the dimensions, by level. Total: a multiple of the standard deviation of the samples and "
    "the residual together, as `predict` gives it. Samples: of the samples alone. Quantile: as far "
    "beyond two quantiles of the samples."
)
_OF_DOUBTS = (
    "Area under the ROC curve that tells such clips from those of people never seen; 0.5 is "
    "chance, and below it they look surer. Of unfamiliarity: least to most of the methods. Of the "
    "methods: entropy / mutual information, or the uncertainty of dimensions. Damage: mean of all "
    "kinds."
)
_OF_COST = (
    "Training as a multiple of one network's, whose seconds are given, each seed against the same "
    "seed; size of the bundle. Seconds of a first seed may include compiling."
)


def _targets(whole: pd.DataFrame) -> list[str]:
    """A row for each target: on how many of its figures it is met."""
    places = [name for name in DATASETS if name in set(whole["dataset"])]
    body = []
    for target in tables.TARGETS:
        met = {name: [] for name in places}
        for row in whole.itertuples():
            if target.of(row):
                met[row.dataset].append(tables.judged(row))
        if any(met.values()):
            cells = [f"{sum(own)} of {len(own)}" if own else "" for own in met.values()]
            body.append([target.name(), target.text(), *cells])
    return table(" | ".join(["what", "target", *places]), body) if body else []


def _by_method(whole: pd.DataFrame, columns: tuple[Column, ...]) -> list[str]:
    """A row for each dataset and method that have some of the columns."""
    rows, body = {_key(row): row for row in whole.itertuples()}, []
    for dataset in DATASETS:
        for method in METHODS:
            own = [
                rows.get((each.part, dataset, method, each.what, each.measure)) for each in columns
            ]
            there = [row for row in own if row is not None]
            if there:
                people = f"{there[0].people:.0f}"
                cells = [_cell(*pair) for pair in zip(columns, own, strict=True)]
                body.append([dataset, method, _seeds(there), people, *cells])
    titles = ["dataset", "method", "seeds", "people", *(each.title for each in columns)]
    return table(" | ".join(titles), body) if body else []


def _intervals(whole: pd.DataFrame) -> list[str]:
    """A row for each dataset, method and kind of interval; the levels stand side by side."""
    values = {_key(row): row for row in whole.itertuples()}
    body = []
    for dataset in DATASETS:
        for method, what in itertools.product(METHODS, sets.INTERVALS):
            cells, there = [], []
            for level in sets.LEVELS:
                key = "c", dataset, method, f"{what} {level:g}"
                held = values.get((*key, "coverage"))
                if held is None:
                    cells.append("")
                else:
                    there.append(held)
                    cells.append(f"{held.value:.3f}, {values[*key, 'mean size'].value:.2f}")
            if there:
                people = f"{there[0].people:.0f}"
                body.append([dataset, method, what, _seeds(there), people, *cells])
    return table(" | ".join(OF_INTERVALS), body) if body else []


def _key(row) -> tuple[str, ...]:
    return row.part, row.dataset, row.method, row.what, row.measure


def _seeds(rows) -> str:
    return _range([row.seeds for row in rows], 0)


def _cell(column: Column, row) -> str:
    if row is None or not np.isfinite(row.value):
        return ""
    text = f"{row.value:.{column.digits}f}"
    if column.interval and np.isfinite(row.low):
        text += f" [{row.low:.{column.digits}f}, {row.high:.{column.digits}f}]"
    return text


def _doubts(whole: pd.DataFrame) -> list[str]:
    """A row for each dataset and kind of clips; the methods stand side by side."""
    own = whole[whole["part"] == "b"]
    values = {(row.dataset, row.method, row.what, row.measure): row for row in own.itertuples()}
    methods = [name for name in METHODS if name in set(own["method"])]
    body = []
    for dataset in DATASETS:
        told = own[(own["dataset"] == dataset) & (own["measure"] == "AUROC")]
        others = dict.fromkeys(what.rpartition(", ")[0] for what in told["what"])
        kinds = [(title, "all kinds", measure) for title, measure in _DAMAGED]
        for title, what, measure in [*kinds, *((name, name, "AUROC") for name in others)]:
            found = [
                [values.get((dataset, method, f"{what}, {doubt}", measure)) for doubt in _DOUBTS]
                for method in methods
            ]
            there = [row for rows in found for row in rows if row is not None]
            if there:
                far = [rows[0].value for rows in found if rows[0] is not None]
                cells = [" / ".join(f"{row.value:.2f}" for row in rows[1:] if row is not None)
                         for rows in found]  # fmt: skip
                body.append([dataset, title, _seeds(there), _range(far), *cells])
    titles = ["dataset", "clips", "seeds", "unfamiliarity", *methods]
    return table(" | ".join(titles), body) if body else []


def _cost(found: pd.DataFrame) -> list[str]:
    """A row for each method, a column for each dataset."""
    own = found[found["part"] == "f"]
    values = own.pivot_table(index=["method", "dataset", "seed"], columns="measure", values="value")
    if not {"training, minutes", "bundle, MB"} <= set(values):
        return []
    datasets = [name for name in DATASETS if name in set(own["dataset"])]
    methods = [name for name in METHODS if name in set(own["method"])]
    body = [
        [method, *(_cost_of(values, method, dataset) for dataset in datasets)] for method in methods
    ]
    return table(" | ".join(["method", *datasets]), body)


def _cost_of(values: pd.DataFrame, method: str, dataset: str) -> str:
    there = values.index.droplevel("seed")
    if (method, dataset) not in there:
        return ""
    own = values.loc[method, dataset]  # a row for each seed
    size, minutes = f"{own['bundle, MB'].mean():.1f} MB", own["training, minutes"]
    if method == _PLAIN:
        return f"{60 * minutes.mean():.1f} s, {size}"
    if (_PLAIN, dataset) not in there:
        return size
    times = (minutes / values.loc[_PLAIN, dataset]["training, minutes"]).dropna()
    return f"{_range(list(times), 1)} times, {size}" if len(times) else size


def _range(values: list[float], digits: int = 2) -> str:
    """Least to most; one number where both look alike."""
    if not values:
        return ""
    ends = (f"{end:.{digits}f}" for end in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))
