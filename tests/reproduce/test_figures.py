"""The figures of the papers, drawn from finished runs."""

import contextlib

import numpy as np
import pandas as pd
import pytest

from fer_jax.papers import PAPERS
from fer_jax.papers.paper import PaperFigure
from fer_jax.reproduce import figures
from fer_jax.reproduce.experiments import Outcome, UsageError
from fer_jax.systems.fer_gcn.figures import intensity_curves
from fer_jax.tasks.classification.figures import confusion_panels, recall_bars
from fer_jax.tasks.dimensions.figures import rating_histograms, threshold_panels
from tests.finished_runs import some_units_unknown


@pytest.fixture
def outcome(experiment):
    return lambda kind: Outcome(experiment(kind))


def texts(figure) -> str:
    parts = [figure, *figure.subfigs]
    titles = [part._suptitle.get_text() for part in parts if part._suptitle is not None]
    return "\n".join(titles + [axes.get_title(loc="left") for axes in figure.axes])


@pytest.mark.parametrize(
    ("drawing", "kind"),
    [("sample_accuracies", "landmarks"), ("feature_maps", "dimensions"),
     ("intensity_weights", "crops"), ("confusions", "landmarks"), ("recalls", "landmarks")],
)  # fmt: skip
def test_a_figure_of_a_finished_run(drawing, kind, outcome, tmp_path):
    figure = figures.draw(PaperFigure("figure1", "", drawing), {"ours": outcome(kind)}, "")
    for suffix in ("png", "pdf"):
        figure.savefig(tmp_path / f"figure.{suffix}")
        assert (tmp_path / f"figure.{suffix}").stat().st_size > 2_000


@pytest.mark.parametrize(
    ("drawing", "kind"),
    [("class_distributions", "landmarks"), ("feature_maps", "crops"),
     ("layer_maps", "action_units")],
)  # fmt: skip
def test_a_figure_of_a_chosen_clip(drawing, kind, outcome, finished_run):
    clips = pd.read_csv(finished_run(kind).workdir / "predictions.csv")["clip"]
    figure, shown = PaperFigure("figure3", "", drawing), {"ours": outcome(kind)}
    unknown = some_units_unknown() if kind == "action_units" else contextlib.nullcontext()
    with unknown:  # as the run was trained
        assert clips.iloc[-1] in texts(figures.draw(figure, shown, clips.iloc[-1]))
        with pytest.raises(UsageError, match="no such clip was evaluated; the first are "):
            figures.draw(figure, shown, "none")


def test_without_a_name_a_clip_of_the_printed_class_is_shown(outcome, finished_run):
    answers = pd.read_csv(finished_run("landmarks").workdir / "predictions.csv")
    for label in answers["label"].unique():
        own = PaperFigure("figure3", "", "class_distributions", shown_class=label)
        title = texts(figures.draw(own, {"ours": outcome("landmarks")}, ""))
        assert any(clip in title for clip in answers["clip"][answers["label"] == label])


def test_every_drawing_of_the_papers_exists():
    items = [item for paper in PAPERS.values() for item in paper.items]
    named = {item.drawing for item in items if isinstance(item, PaperFigure)} - {""}
    assert named == set(figures.DRAWINGS)


def test_weights_of_three_datasets_in_one_figure():
    weights = {"CK+": np.full((2, 16), 1 / 16), "MMI": np.eye(16)[3]}
    (axes,) = intensity_curves(weights).axes
    first, second = (line.get_ydata() for line in axes.lines)
    np.testing.assert_allclose(first, 1 / (1 + np.exp(-1 / 16)))
    assert second.argmax() == 3 and second[0] == 0.5


def test_confusion_matrices_in_percent():
    panels = {"a": (np.array([[3, 1], [0, 0]]), ["x", "y"]), "b": (np.eye(3) * 7, list("uvw"))}
    figure = confusion_panels(panels)
    assert [text.get_text() for text in figure.axes[0].texts] == ["75", "25", "0", "0"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a, %", "b, %"]
    assert len(confusion_panels(dict(zip("abc", [*panels.values()] * 2, strict=False))).axes) == 4


def test_recall_of_each_class_and_method():
    (axes,) = recall_bars({"STC": {"x": 50.0, "y": 100.0}, "STC-NLSTM": {"x": 75.0}}, "CK+").axes
    heights = [patch.get_height() for patch in axes.patches]
    assert heights[:3] == [50.0, 100.0, 75.0] and np.isnan(heights[3])


def test_thresholds_of_models_in_panels():
    curves = {"VGG16": [0.0, 0.5, 0.9], "ResNet50": [0.0, 0.6, 1.0]}
    figure = threshold_panels([0, 1, 2], {"(a)": curves, "(b)": {"VGG16": [0, 1, 1]}}, 0.7116)
    assert [len(axes.lines) for axes in figure.axes] == [3, 2]
    assert "71.16%" in figure.legends[0].get_texts()[-1].get_text()


def test_distributions_of_ratings():
    labels = np.array([[1.0, 9.0], [5.0, 9.0], [5.0, 9.0]])
    first, second = rating_histograms(("valence", "arousal"), labels).axes
    assert sorted(p.get_height() for p in first.patches)[-2:] == [1, 2]
    assert second.patches[-1].get_height() == 3
