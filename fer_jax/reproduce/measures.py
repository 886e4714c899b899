"""Reads the results of a finished experiment that the papers' tables ask for."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_jax.data import load
from fer_jax.experiments import schema
from fer_jax.faces.labels import canonical
from fer_jax.reproduce.experiments import Experiment

if TYPE_CHECKING:
    import pandas as pd


class Value(NamedTuple):
    """A result in the unit of the papers: percent, parameters, clips, the scale of ratings.

    Attributes:
      number: the value.
      deviation: its standard deviation over repeats or folds, if the paper prints one.
    """

    number: float
    deviation: float | None = None


class Result:
    """The files of a finished experiment, each read once."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment

    @functools.cached_property
    def metrics(self) -> dict:
        return schema.read_json(self.experiment.workdir.metrics)

    @functools.cached_property
    def predictions(self) -> pd.DataFrame:
        import pandas as pd

        return pd.read_csv(self.experiment.workdir.predictions)

    @functools.cached_property
    def classes(self) -> list[str]:
        """Names of the classes in the order of the outputs."""
        return json.loads((self.experiment.workdir.model / "model.json").read_text())["classes"]

    def mode(self, name: str) -> dict | None:
        """Results of an inference mode, None without dropout for "mc_dropout"."""
        return self.metrics["inference_modes"].get(name)

    def confusion(self, mode: str = "stored") -> np.ndarray:
        """Counts of true class by predicted class, `[C, C]`."""
        index = {name: number for number, name in enumerate(self.classes)}
        matrix = np.zeros((len(index), len(index)), int)
        true, predicted = (
            self.predictions[column].map(index) for column in ("label", f"predicted_{mode}")
        )
        np.add.at(matrix, (true.to_numpy(), predicted.to_numpy()), 1)
        return matrix


def needs_training(measure: str) -> bool:
    """Whether a measure is of a trained network, not of the data alone."""
    return not measure.startswith("clips ")


def measure(result: Result, name: str) -> Value | None:
    """A result by its name in `papers`; None where the run has no such result.

    Args:
      result: of a finished run; of any experiment whose data is prepared for "clips CLASS".
      name: "accuracy MODE", with " ±" for its deviation, "parameters", "confusion A>B", "rmse
        DIMENSION", "within MODE", "threshold MODE", "f1 MODE", "clips CLASS".
    """
    kind, _, rest = name.partition(" ")
    if kind == "clips":
        return _clips(result.experiment, rest)
    if kind == "parameters":
        return Value(float(result.metrics["params_without_U"]))
    if kind == "confusion":
        return _share(result, *rest.split(">"))
    if kind in ("rmse", "mae", "pearson"):
        found = result.mode("stored")["dimensions"].get(rest)
        return found and Value(found[kind])
    mode, _, deviation = rest.partition(" ")
    row = result.mode(mode)
    if row is None:
        return None
    if kind == "accuracy":
        value = 100 * row["accuracy_mean_of_folds"]
        return Value(value, _deviation(row) if deviation else None)
    return Value(
        {
            "within": lambda: 100 * row["accuracy"],
            "threshold": lambda: row["threshold_for_kaggle"],
            "f1": lambda: row["f1_mean"],
        }[kind]()
    )


def by_fold(result: Result, name: str) -> str:
    """What each fold of a search found, for a footnote; "" for other runs and measures.

    Args:
      result: of a finished run.
      name: see `measure`.
    """
    search = result.metrics.get("search")
    if not search:
        return ""
    kind, _, mode = name.partition(" ")
    if kind == "accuracy":
        folds = result.mode(mode.split()[0])["accuracy_folds"].items()
        return "by fold: " + ", ".join(f"{fold} {100 * value:.2f}" for fold, value in folds)
    if kind != "parameters":
        return ""
    found = ", ".join(
        f"{fold} {{{', '.join(map(str, own['topology']))}}} {own['params_without_U'] / 1000:.2f}k"
        for fold, own in search["folds"].items()
    )
    deviation = search["params_without_U"]["std"] / 1000
    return f"mean of {len(search['folds'])} folds, standard deviation {deviation:.2f}k: {found}"


def _deviation(row: dict) -> float:
    """Standard deviation of the accuracy over repeats, over folds if there is one repeat."""
    values = row["accuracy_repeats"]
    values = values if len(values) > 1 else list(row["accuracy_folds"].values())
    return 100 * float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _share(result: Result, true: str, predicted: str) -> Value | None:
    """Percent of the clips of a class that are taken for another; None without such a class."""
    names = [canonical(name) for name in result.classes]
    if true not in names or predicted not in names:
        return None
    row = result.confusion()[names.index(true)]
    return Value(100 * row[names.index(predicted)] / row.sum()) if row.sum() else None


@functools.lru_cache(maxsize=8)
def _labels(path: str, dataset: str, classes: tuple[str, ...]) -> list[str]:
    """Class of each prepared clip."""
    clips = load.load_clips(path, 1, "middles", dataset, classes=classes)
    return [canonical(clips.classes[label]) for label in clips.labels]


def _clips(experiment: Experiment, name: str) -> Value:
    data = experiment.config.data
    labels = _labels(data.path, data.dataset, tuple(data.classes))
    return Value(float(len(labels) if name == "all" else labels.count(name)))
