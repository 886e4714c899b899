"""Rows of all figures, and the tables of each part with what is aimed at."""

from __future__ import annotations

import pathlib
import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.trust.measures import Figure
from fer_jax.machine import write_whole
from fer_jax.tasks.report_lines import table

PARTS = {
    "a": "Entropy of the predictions and of the votes, rank correlation",
    "b": "Area under the ROC curve that tells clips from those of people never seen as they are",
    "c": "Prediction sets and intervals of people never seen, each person counting alike",
    "d": "Calibration and selective prediction, before and after calibration on other people",
    "e": "Abstention: a threshold chosen on half of the people, 50 divisions",
    "f": "Cost: training, one clip, the bundle",
}
_KEYS = ["part", "dataset", "method", "what", "measure"]


class Target(NamedTuple):
    """What is aimed at; dataset, what and measure are regular expressions."""

    part: str
    dataset: str
    what: str
    measure: str
    least: float = -np.inf
    most: float = np.inf

    def of(self, row) -> bool:
        """Whether it is a target of a row of `summary`."""
        pairs = (self.dataset, row.dataset), (self.what, row.what), (self.measure, row.measure)
        return row.part == self.part and all(re.fullmatch(*pair) for pair in pairs)

    def name(self) -> str:
        """What it is a target of; `*` stands for anything."""
        return f"{self.measure} of {self.what.replace('.*', '*').replace('|', ' or ')}"

    def text(self) -> str:
        bounds = [f"at least {self.least:g}"] * bool(np.isfinite(self.least))
        bounds += [f"at most {self.most:g}"] * bool(np.isfinite(self.most))
        return " and ".join(bounds)


# Reference of the first: arXiv 2606.22725, which also has 0.699 as the mean area over kinds of
# corruptions at the highest strength.
TARGETS = (
    Target("a", "ferplus", "entropy", "Spearman", least=0.66),
    Target("b", ".*", "(lse|buhmap|synthetic_.*), unfamiliarity", "AUROC", least=0.85),
    Target("b", ".*", ".*, unfamiliarity", "strength 3", least=0.75),
    Target("c", "buhmap", ".* 0.9", "coverage", least=0.88, most=0.94),
    Target("c", "buhmap", ".* 0.9", "mean size", most=1.5),
    Target("d", ".*", "after", "ECE", most=0.03),
    Target("d", ".*", "after", "ECE by votes", most=0.03),
    # With 90% confidence a threshold that is given reaches its target; to refuse breaks nothing.
    Target("e", ".*", "target .*", "broken", most=0.1),
)


def rows(dataset: str, method: str, seed: int, figures: list[Figure]) -> pd.DataFrame:
    """The figures of a part as rows."""
    own = {"dataset": dataset, "method": method, "seed": seed}
    return pd.DataFrame([own | figure._asdict() for figure in figures])


def save(file: pathlib.Path, found: pd.DataFrame) -> None:
    write_whole(file, found.to_csv(index=False))


def load(file: pathlib.Path) -> pd.DataFrame:
    """Reads rows; a part that does not apply has none."""
    try:
        return pd.read_csv(file, keep_default_na=False, na_values=[""])
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Mean over the seeds of values and intervals, and the least and the largest value."""
    grouped = found.groupby(_KEYS, sort=False)
    table = grouped[["value", "low", "high", "people"]].mean()
    table["least"], table["most"] = grouped["value"].min(), grouped["value"].max()
    table["seeds"] = grouped["seed"].nunique()
    return table.reset_index()


def judged(row) -> bool | None:
    """Whether a row of `summary` meets its target; None: it has none."""
    for target in TARGETS:
        if target.of(row):
            return bool(target.least <= row.value <= target.most)
    return None


def lines(found: pd.DataFrame) -> list[str]:
    """The text of all parts, from `rows` of all."""
    whole, text = summary(found), ["# Trust", "", _NOTE, ""]
    for part, title in PARTS.items():
        own = whole[whole["part"] == part]
        if len(own):
            text += [f"## {title}", "", *_targets(part), *_table(own), ""]
    return text


_NOTE = (
    "Cells: mean over the seeds [95% interval over people, mean over the seeds] (least to most of "
    "the seeds). Methods of the same run share their weights."
)


def _targets(part: str) -> list[str]:
    listed = [
        f"- {each.name()}{'' if each.dataset == '.*' else f' ({each.dataset})'}: {each.text()}"
        for each in TARGETS
        if each.part == part
    ]
    return ["Targets:", "", *listed, ""] if listed else []


def _table(own: pd.DataFrame) -> list[str]:
    columns = list(dict.fromkeys(own["measure"]))
    cells = {}
    for row in own.itertuples():
        key = row.dataset, row.method, row.what, f"{row.people:.0f}"
        cells.setdefault(key, {})[row.measure] = cell(row)
    body = [[*key, *(found.get(name, "") for name in columns)] for key, found in cells.items()]
    return table(" | ".join(["dataset", "method", "what", "people", *columns]), body)


def cell(row) -> str:
    """A number of `summary`, with interval, spread, and whether it meets its target."""
    text = f"{row.value:.3f}"
    if np.isfinite(row.low) and row.low != row.high:
        text += f" [{row.low:.3f}, {row.high:.3f}]"
    if row.seeds > 1:
        text += f" ({row.least:.3f} to {row.most:.3f})"
    met = judged(row)
    return text if met is None else f"{text} {'met' if met else '**not met**'}"
