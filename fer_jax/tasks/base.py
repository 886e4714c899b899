"""The interface of a task: loss, score, summary, rows of predictions, reports and figures.

A task is a class in a folder of its own, which also has the files `scores`, `measures`, `report`,
`figures`, `panel` and `timeline`; `fer_jax.tasks.TASKS` has an instance of each.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

import jax
import numpy as np

from fer_jax.faces import labels

NO_FACE, reason_of = labels.NO_FACE, labels.reason_of
UNCERTAINTY = ("entropy", "mutual_information", "agreement")


class NonFiniteOutputError(ValueError):
    """A network's output is NaN or infinite; the message names the clips."""


def check_finite(outputs, names: Sequence[str]) -> None:
    """Refuses outputs that are no numbers, which every comparison would take for some answer.

    Args:
      outputs: `[..., B, C]`.
      names: of the B clips.

    Raises:
      NonFiniteOutputError: names the clips whose outputs are NaN or infinite.
    """
    bad = ~np.isfinite(outputs).all(-1)
    bad = np.flatnonzero(bad.reshape(-1, bad.shape[-1]).any(0))
    if len(bad):
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        listed = ", ".join(names[index] for index in bad[:5])
        raise NonFiniteOutputError(f"the network's output is NaN or infinite for {listed}{more}")


class Column(NamedTuple):
    """A column of the table in the terminal.

    Attributes:
      heading: its name.
      text: its cell for a row that shows a face.
      right: whether it is right-aligned, as numbers are.
    """

    heading: str
    text: Callable[[dict], str]
    right: bool = True


class Bar(NamedTuple):
    """An output of a model with its spread, to be drawn on a scale.

    Attributes:
      name: of a class, an action unit or a dimension.
      value, low, high: places on the scale, 0..1; the spread reaches from `low` to `high`.
      text: value and spread in numbers.
      held: whether the answer holds it.
    """

    name: str
    value: float
    low: float
    high: float
    text: str
    held: bool


def chance_bar(name: str, chance: float, deviation: float, held: bool) -> Bar:
    """The bar of a probability with its standard deviation."""
    low, high = max(0.0, chance - deviation), min(1.0, chance + deviation)
    return Bar(name, chance, low, high, f"{100 * chance:.0f} ± {100 * deviation:.0f} %", held)


class Gauge(NamedTuple):
    """How ambiguous a prediction is.

    Attributes:
      value, most: on a scale of the task; `most` is the largest that is drawn.
      limit: above which the model abstains, None: it never does.
      text: the value in words.
    """

    value: float
    most: float
    limit: float | None
    text: str


class Task:
    """What the outputs of a model mean.

    The outputs are `[B, C]`. In training, a model of still images returns them for every frame,
    `[B, T, C]`, and each frame is an example of its own. `names` are those of the C classes, action
    units or dimensions. A row of predictions is a dict.

    Attributes:
      target: field of a prepared dataset that labels come from, see `data.load.load_clips`.
      names: what the C outputs stand for, in the plural.
      least: smallest C that can be trained.
      has_probabilities: whether the outputs are probabilities once `probabilities` is applied.
    """

    target: str
    names: str
    least: int = 1
    has_probabilities: bool = True

    # training

    def configured(self, config) -> Task:
        """Returns the task with what section `loss` of a config sets, if it has one."""
        return self

    def loss(self, outputs: jax.Array, batch: dict) -> jax.Array:
        """`[B]`, nats; for dimensions on the scale of the labels."""
        raise NotImplementedError

    def score(self, outputs: jax.Array, batch: dict) -> jax.Array:
        """`[B]`, in 0..1; its mean is shown as `accuracy`."""
        raise NotImplementedError

    def probabilities(self, outputs: jax.Array) -> jax.Array:
        """`[..., C] -> [..., C]`; dimensions stay as they are."""
        raise NotImplementedError

    def labelled(self, labels, count: int) -> np.ndarray:
        """Which of the C outputs occur in the labels, `[B, ...] -> [C]` bool."""
        raise NotImplementedError

    def check_labels(self, labels, name: str) -> None:
        """Raises a ValueError if clips of fold `name` with labels `[N, ...]` cannot be scored."""

    def balancing(self, labels, count: int) -> np.ndarray | None:
        """Weights with which the C classes count alike, `[N] -> [C]`; None: there are no classes.

        Their mean over the labels is 1.
        """
        return None

    # uncertainty of samples `[S, B, C]`

    def likelihood(self, labels) -> tuple[str, np.ndarray]:
        """What a Laplace approximation is fitted to: see `uncertainty.fit_laplace`.

        Args:
          labels: `[N, ...]` of this task.
        """
        raise NotImplementedError

    def summarise(self, samples):
        """Returns an `uncertainty.Summary`, or a summary of the task's own."""
        raise NotImplementedError

    # how far to trust them

    def trust(self, config, evaluated):
        """Chooses calibrators, prediction sets and thresholds, see `tasks.trust.Trust`."""
        raise NotImplementedError

    def calibrate(self, probabilities, calibrator):
        """Calibrates probabilities `[..., C]`; dimensions stay as they are."""
        return probabilities

    def with_mean(self, summary, mean):
        """Gives a summary another mean `[B, C]` and its entropy; all else is of the samples."""
        return summary._replace(mean=mean)

    def distance(self, mean, other) -> np.ndarray:
        """How far apart two means `[B, C]` are, `[B, C]` or `[B, 1]`: what speaks of a change.

        The Bhattacharyya distance of the distributions that they stand for.
        """
        raise NotImplementedError

    # one window of a clip

    def columns(self, names: Sequence[str]) -> list[str]:
        """Columns of the table between the times and the frames of a window."""
        raise NotImplementedError

    def row(self, summary, names: Sequence[str], threshold, rule=None) -> dict:
        """Returns these columns and `abstained` for a summary of one window.

        Args:
          summary: of one window.
          names: of the outputs.
          threshold: above which it abstains.
          rule: what makes prediction sets or intervals, None: nothing does.
        """
        raise NotImplementedError

    def blank_row(self, names: Sequence[str]) -> dict:
        """Returns the same for a window without a face."""
        raise NotImplementedError

    def withheld(self, row: dict, names: Sequence[str]) -> dict:
        """Returns what changes in a row of a face that cannot be read."""
        return {"abstained": True}

    def abstain_threshold(self, own, asked, names: Sequence[str]):
        """Uncertainty above which the model abstains: the one asked for, else the bundle's."""
        return own if asked is None else asked

    def threshold_warning(self, threshold, names: Sequence[str]) -> str:
        """Warns of outputs that are never marked unsure; empty if there are none."""
        if threshold is not None:
            return ""
        return "the model has no threshold, so no prediction is marked unsure"

    def moments(self, start, end, fps: float) -> np.ndarray:
        """Seconds that each window describes, `[W], [W] -> [W]`: its centre."""
        return (np.asarray(start, float) + np.asarray(end, float)) / 2

    def terminal_columns(self, names: Sequence[str], room: int) -> list[Column]:
        """Columns in the terminal that fit into `room` characters beside the name of the clip."""
        raise NotImplementedError

    # figures and reports, imported on demand because they load matplotlib and pandas

    def _file(self, name: str) -> ModuleType:
        return importlib.import_module(f"{type(self).__module__.rpartition('.')[0]}.{name}")

    @property
    def report(self) -> ModuleType:
        """Has `LOSS`, `headline`, `content`, `table`, `parts`, `figures`, `lines` and `order`.

        `ambiguity` is what the figure of `tasks.doubts` draws, of the evaluated predictions.
        `compared` makes columns of the table of `fer_jax.compare`.
        """
        return self._file("report")

    @property
    def measures(self) -> ModuleType:
        """Has `decide`, `count` and `measures`; for comparisons `right`, `names_in` and `read`.

        The counts of examples add up, and the measures are made from their sums.
        """
        return self._file("measures")

    def draw_panel(self, row: dict, names, threshold, height: int, scale: float) -> np.ndarray:
        """Draws the panel beside a picture in an annotated video.

        Args:
          row: of `predict_clips`; `before` may hold the rows of the last seconds, oldest first.
          names: of the outputs, also keys of the row.
          threshold: uncertainty above which the model abstains, None: never.
          height: pixels.
          scale: of everything in it, 1 for pictures of `plotting.panel.LEAST_SIDE`.

        Returns:
          `[height, W, 3]` uint8 RGB.
        """
        return self._file("panel").draw_panel(row, names, threshold, height, scale)

    def bars(self, row: dict, names) -> list[Bar]:
        """Returns every output of a row that shows a face, with its spread over the MC samples."""
        return self._file("panel").bars(row, names)

    def ambiguity(self, row: dict, names, threshold) -> Gauge:
        """Returns how ambiguous a row that shows a face is; arguments as `draw_panel`."""
        return self._file("panel").ambiguity(row, names, threshold)

    def draw_timeline(self, rows, names, threshold, thumbnails, title: str):
        """Draws the predictions for one clip over time.

        Args:
          rows: the rows of `predict_clips` of one clip, in time order.
          names, threshold: see `draw_panel`.
          thumbnails: RGB pictures `[H, W, 3]` uint8, evenly spaced over the clip, drawn above.
          title: which clip.
        """
        return self._file("timeline").draw_timeline(rows, names, threshold, thumbnails, title)


def over_frames(function: Callable) -> Callable:
    """Makes a method of outputs `[B, C]` and labels one of outputs and a batch.

    For outputs `[B, T, C]` it returns the mean over the frames. Further arguments are passed on.
    """

    def over_batch(self, outputs, batch, *more):
        labels = batch["label"]
        if outputs.ndim == 2:
            return function(outputs, labels, *more)
        return jax.vmap(lambda each: function(each, labels, *more), 1)(outputs).mean(0)

    return over_batch
