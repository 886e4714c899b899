"""Whole runs on valence and arousal: from votes to report, bundle and annotated videos."""

import dataclasses
import json
import shutil
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax import metrics
from fer_jax.commands import predict as predict_command
from fer_jax.commands.compare import main
from fer_jax.data.clips import hold_crops
from fer_jax.data.load import load_clips
from fer_jax.experiments import report
from fer_jax.experiments.write_bundle import STILL_SECONDS
from fer_jax.faces.emotion_ratings import FERPLUS_EMOTIONS, vad
from fer_jax.faces.landmarks import FER2013
from fer_jax.predict.windows import columns
from fer_jax.training import loop
from tests.finished_runs import (
    CONFIGS,
    dimensions_config,
    landmarks_config,
    train,
    write_config,
)
from tests.official_trees import FERPLUS_PARTS


@pytest.fixture(scope="module")
def finished(finished_run):
    return finished_run("dimensions")


def test_report_tells_errors_intervals_and_published_figures(finished):
    found, table, text = finished.metrics, finished.table, finished.report
    assert "2 dimensions" in finished.shown and "no training clip" not in finished.shown
    assert len(table) == found["clips_evaluated"] == FERPLUS_PARTS["PrivateTest"]
    truth = table[["true_valence", "true_arousal"]].to_numpy()
    said = table[["valence", "arousal"]].to_numpy()
    own = found["inference_modes"]["mc_dropout"]
    for column, dimension in enumerate(("valence", "arousal")):
        row = own["dimensions"][dimension]
        expected = metrics.rmse(said, truth)[column]
        assert row["rmse"] == pytest.approx(expected, abs=1e-4)
        assert row["label_deviation"] == pytest.approx(truth[:, column].std(), abs=1e-4)
    near = (((said - truth) ** 2).mean(1) < 1).mean()
    assert own["accuracy"] == pytest.approx(near)
    votes = np.zeros((1, 8))  # row 36, the first of PrivateTest: 9 saw sadness, 1 nothing
    votes[0, FERPLUS_EMOTIONS.index("sadness")], votes[0, 0] = 9, 1
    np.testing.assert_allclose(truth[0], vad(votes)[0, :2], atol=1e-4)
    residual, factors = found["intervals"]["residual_variance"], found["sets"]["bundle"]["quantile"]
    half = factors[0] * np.sqrt(table["std_valence"] ** 2 + residual[0])
    high = np.minimum(table["valence"] + half, 9.0)  # the scale ends there
    np.testing.assert_allclose(table["high_valence"], high, atol=1e-3)
    assert (high < 9).any()
    assert found["intervals"]["measured_on"] == found["selective"]["chosen_on"] == "validation"
    assert f"{own['accuracy']:.4f}" in text and "label std" in text
    assert found["paper"]["dimensions"]["arousal"]["rmse"] == 0.65678
    assert "| valence | paper (test images) | 0.8740 | | | 0.6147 | 0.9071 |" in text
    assert "| paper (test images) | 0.8475 |" in text and "neutral_dominance" not in text
    assert finished.figures == {
        "plane", "scatter", "thresholds", "intervals", "risk_coverage", "faces", "feature_maps",
        "learning", "coverage",
    }  # fmt: skip
    lines = report.headline("dimensional", found)
    assert len(lines) == 3 and "RMSE valence" in lines[0] and "labels +-" in lines[0]


def test_training_reduces_errors(finished):
    """Bright images are happy: errors stay well below those of a constant prediction."""
    row = finished.metrics["inference_modes"]["recalibrated"]["dimensions"]["valence"]
    assert row["rmse"] < 0.7 * row["label_deviation"] and row["pearson"] > 0.8


def test_bundle_repeats_predictions_of_run(finished):
    found, table = finished.metrics, finished.table
    model = fer_jax.load_model(finished.bundle)
    assert model.task == "dimensional" and model.classes == ("valence", "arousal")
    assert model.spec.window_seconds == STILL_SECONDS
    assert model.spec.framing == FER2013  # the images are taken as they are
    with pytest.raises(ValueError, match=r"cut_crop\(image, landmarks, 48, model.spec.framing\)"):
        model.features(np.zeros((1, 1, 32, 32, 3), np.uint8))
    assert model.threshold == found["selective"]["threshold"]
    clips = load_clips(
        finished.prepared, 1, "middles", crop_size=48, classes=model.classes, target="votes"
    )
    clips = hold_crops(clips, 2**30)
    first = clips.clip_ids.index(table["clip"][0])
    said = model.deterministic(clips.crops.frames[np.array([first])])[0]
    expected = table.loc[0, ["recalibrated_valence", "recalibrated_arousal"]].astype(float)
    np.testing.assert_allclose(said, expected, atol=1e-4)
    summary = model.predict(clips.crops.frames[np.array([first])], mc_samples=5)
    np.testing.assert_allclose(summary.residual, found["intervals"]["residual_variance"])


@pytest.mark.usefixtures("no_figures")
def test_best_weights_on_validation_are_kept(prepared_ferplus, tmp_path, monkeypatch):
    """Also by a run interrupted between its best epoch and the last."""
    fields = {"train.select_checkpoint": "best", "train.epochs": 5, "optimizer.learning_rate": 0.05,
              "model.dropout": 0.0}  # fmt: skip
    found, _ = train(dimensions_config(prepared_ferplus, **fields), tmp_path / "whole")
    history = pd.read_json(tmp_path / "whole" / "metrics.jsonl", lines=True)
    best = history.loc[history["validation_loss"].idxmin()]
    assert best["epoch"] < 5 and best["validation_loss"] < 0.9 * history["validation_loss"].iloc[-1]
    assert found["selected_epoch"] == best["epoch"]
    table = pd.read_csv(tmp_path / "whole" / "predictions.csv")
    names = ["valence", "arousal"]
    error = (table[[f"stored_{n}" for n in names]].to_numpy()
             - table[[f"true_{n}" for n in names]].to_numpy())  # fmt: skip
    loss = (error**2 + 2 * np.abs(error)).mean()  # Zhou et al., equation 2
    assert loss == pytest.approx(best["evaluation_loss"], abs=1e-3)
    text = (tmp_path / "whole" / "report.md").read_text()
    assert f"weights of epoch {best['epoch']:.0f}" in text and "last epoch" not in text

    train_epoch = loop.train_epoch

    def until_the_last(*arguments):
        if arguments[-1] == 5:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    fields["train.checkpoint_every_epochs"] = 2
    config = dimensions_config(prepared_ferplus, **fields)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", until_the_last)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut")
    train(config, tmp_path / "cut")
    again = pd.read_csv(tmp_path / "cut" / "predictions.csv")
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.usefixtures("no_figures")
def test_compared_in_a_table(finished, tmp_path, monkeypatch, capsys):
    costs = {"gflops": 1.0, "ms": 1.0, "ms_mcd": 1.0}
    monkeypatch.setattr("fer_jax.compare.compare.measure", lambda predictor: costs)
    own = CONFIGS["dimensions"](finished.prepared)
    other = dimensions_config(
        finished.prepared, **{"train.epochs": 1, "name": "mine", "method": "mine",
                              "model.pooling": "global"}
    )  # fmt: skip
    for config in (own, other):
        write_config(tmp_path, config)
    shutil.copytree(finished.workdir, tmp_path / "runs" / own.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare", f"{own.name}.py", "mine.py"])
    main()
    table = pd.read_csv(tmp_path / "runs" / "compare" / "compare.csv")
    assert table["method"].tolist() == ["VGG16 bilinear, VA", "mine, VA"]
    found = json.loads((tmp_path / "runs" / "mine" / "metrics.json").read_text())
    row = found["inference_modes"]["mc_dropout"]
    assert table["mc_dropout"][1] == pytest.approx(row["accuracy"])
    assert table["errors_arousal_rmse"][1] == pytest.approx(row["dimensions"]["arousal"]["rmse"])
    assert table["errors_valence_paper_mae"].tolist()[0] == 0.61468
    text = (tmp_path / "runs" / "compare" / "compare.md").read_text()
    assert "| mine, VA (from random weights) | arousal |" in text and "- / 84.75" in text
    assert "0.874 / 0.615 / 0.907 |" in text and "last epoch" not in text
    assert "label std" in capsys.readouterr().out
    assert (tmp_path / "runs" / "compare" / "compare.png").stat().st_size > 1_000


def test_cross_validation_has_no_validation_part(prepared_ferplus, tmp_path):
    """Intervals are then measured on the other folds, and the last epoch is kept."""
    fields = {"protocol.name": "subject_kfold", "protocol.folds": 2, "train.epochs": 1,
              "train.select_checkpoint": "best"}  # fmt: skip
    found, _ = train(dimensions_config(prepared_ferplus, **fields), tmp_path)
    assert found["clips_evaluated"] == sum(FERPLUS_PARTS.values())
    assert found["intervals"]["measured_on"] == "the other folds"
    assert len(found["inference_modes"]["stored"]["accuracy_folds"]) == 2
    assert (tmp_path / "figures" / "feature_maps.png").exists()
    assert found["selected_epoch"] is None
    assert "last epoch" in (tmp_path / "report.md").read_text()


@pytest.mark.usefixtures("no_figures")
def test_training_begins_with_a_bundle(finished, tmp_path):
    """Takes arousal from a network for two; without training the predictions stay the same."""
    fields = {"pretrained": str(finished.bundle), "data.classes": ("arousal",), "train.epochs": 1,
              "optimizer.learning_rate": 0.0}  # fmt: skip
    _, shown = train(dimensions_config(finished.prepared, **fields), tmp_path)
    assert f"arrays of {finished.bundle}" in shown and "new are" not in shown
    own, other = pd.read_csv(tmp_path / "predictions.csv"), finished.table
    # BatchNorm keeps seeing, but this network has none
    np.testing.assert_allclose(own["stored_arousal"], other["stored_arousal"], atol=1e-4)


def test_landmark_model_trains_on_dimensions(prepared, tmp_path, monkeypatch):
    """A landmark model on synthetic faces with one random rating per class."""

    def rated(*arguments, target, **options):
        assert target == "votes"
        clips = load_clips(*arguments, **options)
        names = ("valence", "arousal", "dominance")
        values = np.random.default_rng(0).uniform(2, 8, (len(clips.classes), 3))
        labels = values[clips.labels].astype(np.float32)
        return dataclasses.replace(clips, labels=labels, classes=names)

    monkeypatch.setattr("fer_jax.data.load.load_clips", rated)
    fields = {"task": "dimensional", "model.widths": (4,), "model.dropout": 0.0}
    fields |= {"train.epochs": 1, "data.features": "position"}
    found, shown = train(landmarks_config(prepared, **fields), tmp_path)
    assert "3 dimensions" in shown and found["single_samples"] is None
    assert set(found["inference_modes"]) == {"stored", "recalibrated"}
    assert (
        "mc_samples" not in found["intervals"]
        and "no dropout" in (tmp_path / "report.md").read_text()
    )
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {
        "plane", "scatter", "thresholds", "intervals", "coverage", "risk_coverage", "learning",
    }  # fmt: skip


# --- prediction -----------------------------------------------------------------------------


def test_video_becomes_table_video_and_figure(finished, face_video, tmp_path, capsys):
    out, video, figure = (tmp_path / name for name in ("t.csv", "v.mp4", "f.png"))
    command = [str(finished.bundle), str(face_video), "--mc-samples", "4", "--out", str(out)]
    assert predict_command.main([*command, "--annotate", str(video), "--figure", str(figure)]) == 0
    said = capsys.readouterr()
    assert "not drawn" not in said.err and "nearest word" in said.out
    table = pd.read_csv(out)
    assert list(table) == columns(("valence", "arousal"), "dimensional")
    # 0.2 s of 25 frames a second, every 0.1 s: five frames, every other
    np.testing.assert_allclose(table["end"] - table["start"], 0.2)
    np.testing.assert_allclose(np.diff(table["start"])[:-1], 0.08)
    assert (table["low_valence"] < table["valence"]).all() and (table["std_arousal"] > 0).all()
    residual = finished.metrics["intervals"]["residual_variance"][1]
    half = finished.metrics["sets"]["bundle"]["quantile"][1]
    half = half * np.sqrt(table["std_arousal"] ** 2 + residual)
    high = np.minimum(table["arousal"] + half, 9.0)
    np.testing.assert_allclose(table["high_arousal"], high, rtol=1e-4)
    assert (table["interval_level"] == 0.9).all()
    capture = cv2.VideoCapture(str(video))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 30
    assert cv2.imread(str(figure)).shape[1] > 200


def test_still_image_is_predicted(finished, face_video, tmp_path, capsys):
    image = tmp_path / "still.png"
    cv2.imwrite(str(image), cv2.VideoCapture(str(face_video)).read()[1])
    figure = tmp_path / "f.png"
    command = [str(finished.bundle), str(image), "--mc-samples", "3", "--threshold", "0"]
    assert predict_command.main([*command, "--figure", str(figure)]) == 0
    said = capsys.readouterr()
    assert "with care" not in said.err and "ambiguous (" in said.out
    assert cv2.imread(str(figure)).shape[1] > 200
