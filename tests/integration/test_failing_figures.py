"""Nothing that is drawn costs a trained network: bundle and metrics are written first."""

import json
import shutil

import pytest

import fer_jax
from fer_jax.commands.train import main
from fer_jax.plotting import curves
from fer_jax.tasks.classification import figures as drawings
from tests.conftest import ROOT
from tests.finished_runs import dimensions_config, train
from tests.integration.test_run import arguments


@pytest.fixture(scope="module")
def whole(finished_run):
    return finished_run("landmarks")


class Unsaved:
    """A figure that can be made and not saved."""

    def savefig(self, file):
        raise ValueError("Axis limits cannot be NaN\nor Inf")


def fail(*arguments, **options):
    raise ValueError("Axis limits cannot be NaN\nor Inf")


@pytest.mark.parametrize(
    "where, name, draw, which, lost",
    [
        (drawings, "confusion_matrix", fail, "a figure", {"confusion", "reliability"}),
        (drawings, "sample_accuracies", fail, "a figure after confusion", {"mc_samples"}),
        (curves, "learning_curves", lambda *a, **b: Unsaved(), "the figure learning", {"learning"}),
    ],
)
def test_figure_that_fails_is_one_line(
    whole, tmp_path, monkeypatch, capsys, where, name, draw, which, lost
):
    monkeypatch.chdir(ROOT)
    workdir = shutil.copytree(whole.workdir, tmp_path / "run")
    for result in ("model", "figures"):
        shutil.rmtree(workdir / result)
    (workdir / "metrics.json").unlink()
    monkeypatch.setattr(where, name, draw)
    assert main(arguments(whole.prepared, workdir)) == 1
    line = f"{which} could not be drawn (ValueError: Axis limits cannot be NaN\\nor Inf)"
    line += "; all else is complete"
    shown = capsys.readouterr()
    assert line in shown.out.splitlines() and not shown.err
    assert f"{line}." in (workdir / "report.md").read_text().splitlines()
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert metrics.pop("failed_figures") == [line]
    assert metrics["inference_modes"] == whole.metrics["inference_modes"]
    assert fer_jax.load_model(workdir / "model").classes
    drawn = {path.stem for path in (workdir / "figures").glob("*")}
    assert not drawn & lost and drawn & {"learning", "confusion"}
    if draw is fail:  # once is enough
        return
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    assert main(arguments(whole.prepared, workdir)) == 0
    assert "failed_figures" not in json.loads((workdir / "metrics.json").read_text())


def test_classes_of_images_without_landmarks(prepared_ferplus, tmp_path):
    """Dropout draws single clips: their crops, as FER+ has no landmarks."""
    fields = {"task": "classification", "data.classes": (), "train.epochs": 1,
              "evaluation.mc_samples": 3}  # fmt: skip
    config = dimensions_config(prepared_ferplus, **fields)
    config.model = {"name": "fer_gcn", "stages": ((4, 1), (6, 1)), "features": 4, "modules": 1,
                    "dropout": 0.2}  # fmt: skip
    metrics, shown = train(config, tmp_path)
    assert "failed_figures" not in metrics and "could not be drawn" not in shown
    figures = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {"clip_least_certain", "feature_maps", "confusion"} <= figures
    assert fer_jax.load_model(tmp_path / "model").task == "classification"
