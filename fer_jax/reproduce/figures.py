"""Draws the papers' figures from finished experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from fer_jax.data import load
from fer_jax.faces.labels import canonical
from fer_jax.papers.paper import PaperFigure
from fer_jax.plotting import curves
from fer_jax.reproduce.experiments import Outcome, UsageError
from fer_jax.reproduce.measures import Result
from fer_jax.systems import find, prepare
from fer_jax.systems.fer_gcn import figures as weights_of_frames
from fer_jax.tasks import TASKS, evaluation
from fer_jax.tasks.classification import figures as classes_drawn
from fer_jax.tasks.dimensions import figures as dimensions_drawn
from fer_jax.tasks.dimensions.scores import KAGGLE, THRESHOLDS
from fer_jax.training import checkpoint

if TYPE_CHECKING:
    from fer_jax.data.clips import Clips
    from fer_jax.experiments.setup import Experiment as Prepared

Shown = dict[str, Outcome]  # label of the paper -> an experiment that is finished


def draw(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Draws a figure.

    Args:
      figure: of a paper.
      shown: its finished experiments; for the distribution of ratings any prepared one.
      clip: id of the clip to show in a figure of one clip, "" for one that is chosen.

    Raises:
      UsageError: no such clip was evaluated.
    """
    return DRAWINGS[figure.drawing](figure, shown, clip)


def _evaluated(prepared: Prepared):
    """Joined predictions of the folds, see `tasks.evaluation`."""
    task = TASKS[prepared.config.task]
    results = [prepared.workdir.load_result(fold.name) for fold in prepared.folds]
    modes = ("stored", "recalibrated", "mc_dropout")
    return evaluation.join_folds(prepared.clips, prepared.folds, results, modes, task.summarise)


def _only(shown: Shown) -> Outcome:
    return next(iter(shown.values()))


def _prepared(outcome: Outcome) -> Prepared:
    own = outcome.experiment
    return prepare(own.config, own.workdir.path)


def _chosen(clips: Clips, order, clip: str, shown_class: str) -> int:
    """Position in `order` of the clip of an id; without an id of the first one of a class."""
    clip_ids = clips.clip_ids
    if not clip:
        of_class = (
            place
            for place, index in enumerate(order)
            if shown_class and canonical(clips.classes[int(clips.labels[index])]) == shown_class
        )
        return next(of_class, 0)
    found = [place for place, index in enumerate(order) if clip_ids[index] == clip]
    if not found:
        raise UsageError(
            f"--clip {clip}: no such clip was evaluated; the first are "
            f"{', '.join(clip_ids[index] for index in order[:3])} (column clip of predictions.csv)"
        )
    return found[0]


def sample_accuracies(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Accuracies of the single MC samples, and of their ensemble."""
    prepared = _prepared(_only(shown))
    evaluated, result = _evaluated(prepared), Result(_only(shown).experiment)
    single = (evaluated.samples.argmax(-1) == evaluated.labels).mean(-1)
    modes = ("mc_dropout", "stored", "recalibrated")
    accuracies = [row and row["accuracy_pooled"] for row in map(result.mode, modes)]
    return classes_drawn.sample_accuracies(single, *accuracies)


def class_distributions(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """MC samples of one clip above its landmarks."""
    prepared = _prepared(_only(shown))
    clips, evaluated = prepared.clips, _evaluated(prepared)
    least_certain = evaluated.summary.entropy.argsort(kind="stable")[::-1]
    indices = evaluated.indices[least_certain]
    index = least_certain[_chosen(clips, indices, clip, figure.shown_class)]
    own = evaluated.indices[index]
    return classes_drawn.class_distributions(
        evaluated.samples[:, index],
        clips.classes,
        clips.classes[evaluated.labels[index]],
        clips.landmarks[own],
        clips.clip_ids[own],
    )


def of_system(name: str) -> Callable:
    """Drawing of a figure that the system of the experiment draws itself, for a chosen clip."""

    def drawing(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
        prepared = _prepared(_only(shown))
        clips, evaluated = prepared.clips, _evaluated(prepared)
        best_first = TASKS[prepared.config.task].report.order(evaluated)
        order = list(dict.fromkeys(evaluated.indices[best_first].tolist()))
        order.insert(0, order.pop(_chosen(clips, order, clip, figure.shown_class)))
        program, workdir = prepared.program, prepared.workdir
        draw_all = find(prepared.config.model.name).figures
        own = draw_all(program.module, program.features, workdir, clips, prepared.folds, order)
        return next(drawn for key, drawn, _ in own if key == name)

    return drawing


def intensity_weights(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Weights of the frames of several datasets."""

    def of_folds(outcome: Outcome) -> Iterator[np.ndarray]:
        workdir = outcome.experiment.workdir
        folds = Result(outcome.experiment).mode("stored")["accuracy_folds"]
        for fold in folds:
            variables, _ = checkpoint.load_weights(workdir.weights(fold))
            yield weights_of_frames.frame_weights(variables["params"])

    return weights_of_frames.intensity_curves(
        {label: np.stack([*of_folds(outcome)]) for label, outcome in shown.items()}
    )


def words(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """The words in the plane of valence and arousal."""
    return dimensions_drawn.plane({"Words for emotions": np.empty((0, 2))})


def ratings(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Distribution of the labels of all prepared images."""
    data = _only(shown).experiment.config.data
    clips = load.load_clips(data.path, 1, "middles", data.dataset, crop_size=0, target="votes")
    return dimensions_drawn.rating_histograms(clips.classes, clips.labels)


def thresholds(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Accuracy by threshold, a panel for two and one for three dimensions."""
    titles = {"(a)": "(a) valence-arousal", "(b)": "(b) valence-arousal-dominance"}
    panels = {}
    for label, outcome in shown.items():
        name, _, panel = label.rpartition(" ")
        curve = Result(outcome.experiment).mode("stored")["accuracy_curve"]
        panels.setdefault(titles[panel], {})[name] = curve
    return dimensions_drawn.threshold_panels(THRESHOLDS, panels, KAGGLE)


def recalls(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Recall of each class by method."""

    def percent(outcome: Outcome) -> dict[str, float]:
        result = Result(outcome.experiment)
        matrix = result.confusion()
        share = 100 * np.diag(matrix) / np.maximum(matrix.sum(1), 1)
        return dict(zip(map(canonical, result.classes), share.tolist(), strict=True))

    title = _only(shown).experiment.config.data.dataset
    return classes_drawn.recall_bars({name: percent(own) for name, own in shown.items()}, title)


def layers(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Accuracy by number of layers, a line for each dataset."""
    series = {}
    for label, outcome in shown.items():
        dataset, _, count = label.rpartition(", ")
        accuracy = Result(outcome.experiment).mode("stored")["accuracy_mean_of_folds"]
        series.setdefault(dataset, {})[int(count)] = 100 * accuracy
    return curves.points(series, "convolutional layers", "accuracy, %", "STC-NLSTM by depth")


def confusions(figure: PaperFigure, shown: Shown, clip: str) -> Figure:
    """Confusion matrices of several datasets."""
    results = {label: Result(outcome.experiment) for label, outcome in shown.items()}
    return classes_drawn.confusion_panels(
        {label: (result.confusion(), result.classes) for label, result in results.items()}
    )


DRAWINGS: dict[str, Callable[[PaperFigure, Shown, str], Figure]] = {
    "sample_accuracies": sample_accuracies,
    "class_distributions": class_distributions,
    "feature_maps": of_system("feature_maps"),
    "landmark_filters": of_system("landmark_filters"),
    "layer_maps": of_system("layer_maps"),
    "intensity_weights": intensity_weights,
    "words": words,
    "ratings": ratings,
    "thresholds": thresholds,
    "recalls": recalls,
    "layers": layers,
    "confusions": confusions,
}
