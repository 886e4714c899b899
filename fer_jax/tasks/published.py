"""Published results, for comparison with our own: those of `fer_jax.papers`, by protocol.

A figure stands beside one of ours only if both are evaluated alike.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

from fer_jax.papers import PAPERS, protocols
from fer_jax.papers.paper import Ours, PaperTable, number

CROSS = "{} (cross-database)"  # evaluated on this dataset, trained on others


class Figure(NamedTuple):
    """A published figure.

    Attributes:
      ours: the experiment that it belongs to, and the measure.
      value: as printed, percent for accuracies.
      where: "STC-NLSTM paper, table 3" in words.
    """

    ours: Ours
    value: float
    where: str


@functools.cache
def figures() -> tuple[Figure, ...]:
    """All figures of the papers that an experiment of ours can be compared with."""
    return tuple(_figures())


def _figures() -> Iterator[Figure]:
    for paper in PAPERS.values():
        for item in paper.items:
            if not isinstance(item, PaperTable):
                continue
            where = f"{paper.name}, table {item.key.removeprefix('table')}"
            for row in item.rows:
                for column, ours in row.ours.items():
                    value = number(row.texts[column])
                    if value is not None:
                        yield Figure(ours, value, where)


def protocol_of(config) -> str:
    """How a config is evaluated, in words; equal words allow a comparison.

    Repeats of a cross-validation, which evaluate the same, are left out.
    """
    protocol = config.protocol
    if protocol.name == "holdout":
        return protocols.HOLDOUT
    if protocol.name == "cross_database":
        return protocols.CROSS_HELD_OUT if protocol.folds else protocols.CROSS
    if protocol.name == "by_sequence":
        return protocols.BY_CLIP.format(protocol.folds)
    if protocol.name == "random_subjects":
        return protocols.RANDOM_PEOPLE.format(protocol.share)
    return protocols.BY_PERSON.format(protocol.folds) if protocol.folds else protocols.LEAVE_ONE_OUT


def accuracy(method: str, dataset: str, protocol: str) -> tuple[float | None, float | None]:
    """Published accuracy with and without MC dropout, percent; None where there is none.

    Args:
      method: name as in the configs, e.g. "PST-BLN".
      dataset: name under which the dataset is prepared, e.g. "ckplus".
      protocol: of `protocol_of`; a figure under another protocol does not count.
    """
    found = {
        _mode(figure): figure.value
        for figure in _accuracies(method, dataset)
        if figure.ours.run.protocol == protocol
    }
    return found.get("mc_dropout"), found.get("stored")


def other_protocols(method: str, dataset: str, protocol: str) -> str:
    """Names the published accuracies under other protocols, for a footnote; "" without any."""
    found = {}
    for figure in _accuracies(method, dataset):
        own = figure.ours.run.protocol or "a protocol that the paper does not say"
        if own != protocol:
            mode = " with MC dropout" if _mode(figure) == "mc_dropout" else ""
            found.setdefault(f"{figure.value:.2f}{mode} with {own}", figure.where)
    listed = "; ".join(f"{text} ({where})" for text, where in found.items())
    return f"published under another protocol ({protocol} here): {listed}" if listed else ""


def _accuracies(method: str, dataset: str) -> list[Figure]:
    return [
        figure
        for figure in figures()
        if (figure.ours.run.method, figure.ours.run.dataset) == (method, dataset)
        and figure.ours.measure.startswith("accuracy ")
    ]


def _mode(figure: Figure) -> str:
    return figure.ours.measure.split()[1]


def errors(method: str, dataset: str, dimensions, protocol: str) -> dict | None:
    """Published errors of a dimensional model, None where there are none.

    Args:
      method: name as in the configs, e.g. "VGG16 bilinear".
      dataset: name under which the dataset is prepared.
      dimensions: names, in the order of the model.
      protocol: of `protocol_of`.

    Returns:
      `dimensions`: by name `rmse`, `mae` and `pearson`; `accuracy` at T = 1, 0 to 1;
      `threshold_for_kaggle`.
    """
    from fer_jax.papers.bilinear_cnn import DIMENSIONS

    word = next((key for key, names in DIMENSIONS.items() if names == tuple(dimensions)), None)
    found = {
        figure.ours.measure: figure.value
        for figure in figures()
        if (run := figure.ours.run) and (run.method, run.dataset) == (method, dataset)
        and run.protocol == protocol and run.config.endswith(f",{word}")
    }  # fmt: skip
    if not found:
        return None
    names = ("rmse", "mae", "pearson")
    return {
        "dimensions": {
            dimension: {name: found[f"{name} {dimension}"] for name in names}
            for dimension in dimensions
        },
        "accuracy": found["within stored"] / 100,
        "threshold_for_kaggle": found["threshold stored"],
    }
