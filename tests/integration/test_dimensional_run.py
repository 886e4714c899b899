"""Whole runs that learn valence and arousal: from votes to report, bundle and drawn videos."""

import dataclasses
import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict
from rich.console import Console

import fer_jax
from configs import base
from fer_jax import metrics, systems
from fer_jax.compare.compare import main
from fer_jax.data import load as data_load
from fer_jax.data.clips import hold_crops
from fer_jax.experiments import report
from fer_jax.experiments import run as experiment
from fer_jax.faces.emotion_ratings import FERPLUS_EMOTIONS, vad
from fer_jax.faces.landmarks import FER2013
from fer_jax.predict import api
from fer_jax.predict.windows import columns
from fer_jax.synthetic.clips import make_clip, render, write_video
from fer_jax.training import loop

PARTS = {"Training": 24, "PublicTest": 12, "PrivateTest": 13}
TINY = {
    "name": "bilinear_cnn", "stages": ((4, 1), (6, 1)), "features": 5, "dropout": 0.3,
    "pixels": "symmetric",
}  # fmt: skip


def write_ferplus(folder):
    """A miniature FER+: happy faces are bright, sad ones dark, the votes nearly agree."""
    rng = np.random.default_rng(0)
    images, votes = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(FERPLUS_EMOTIONS)}"]
    votes[0] += ",unknown,NF"
    for number, usage in enumerate(name for name, count in PARTS.items() for _ in range(count)):
        happy = number % 2
        pixels = np.clip(rng.normal(70 + 110 * happy, 25, 48 * 48), 0, 255).astype(int)
        images.append(f"0,{' '.join(map(str, pixels))},{usage}")
        own = [0] * 10
        own[FERPLUS_EMOTIONS.index("happiness" if happy else "sadness")] = 9 - number % 3
        own[0] += 1 + number % 3
        votes.append(f"{usage},fer{number:07d}.png,{','.join(map(str, own))}")
    folder.mkdir(parents=True)
    (folder / "fer2013.csv").write_text("\n".join(images) + "\n")
    (folder / "fer2013new.csv").write_text("\n".join(votes) + "\n")


@pytest.fixture(scope="module")
def ferplus(tmp_path_factory):
    place = tmp_path_factory.mktemp("ferplus")
    write_ferplus(place / "source")
    command = [sys.executable, "-m", "preprocess", "ferplus", "--source", str(place / "source")]
    command += ["--out", str(place / "prepared"), "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return place / "prepared"


def small_config(prepared, **fields):
    config = base.get_config()
    with config.unlocked():
        config.model = ConfigDict(TINY)
        config.augment = ConfigDict(
            {"enabled": True, "flip": True, "degrees": 0.0, "brightness": 0.0, "contrast": 0.0}
        )
    config.update_from_flattened_dict(
        {"task": "dimensional", "data.dataset": "ferplus", "data.path": str(prepared),
         "data.frames": 1, "data.frame_rule": "middles", "data.classes": ("valence", "arousal"),
         "train.batch_size": 8, "train.epochs": 6, "optimizer.learning_rate": 0.02,
         "protocol.name": "holdout", "evaluation.passes": 4} | fields
    )  # fmt: skip
    return config


def run(config, workdir):
    console = Console(file=io.StringIO(), width=200)
    return systems.run(config, workdir, console), console.file.getvalue()


@pytest.fixture(scope="module")
def finished(ferplus, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, *run(small_config(ferplus), workdir)


def test_a_run_ends_with_a_report(finished, ferplus):
    workdir, found, shown = finished
    assert "2 dimensions" in shown and "no training clip" not in shown
    table = pd.read_csv(workdir / "predictions.csv")
    assert len(table) == found["clips_scored"] == PARTS["PrivateTest"]
    truth = table[["true_valence", "true_arousal"]].to_numpy()
    said = table[["valence", "arousal"]].to_numpy()
    own = found["readings"]["mc_dropout"]
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
    half = 1.6449 * np.sqrt(table["std_valence"] ** 2 + found["intervals"]["residual_variance"][0])
    high = np.minimum(table["valence"] + half, 9.0)  # the scale ends there
    np.testing.assert_allclose(table["high_valence"], high, atol=1e-3)
    assert (high < 9).any()
    assert found["intervals"]["measured_on"] == found["selective"]["chosen_on"] == "validation"
    text = (workdir / "report.md").read_text()
    assert f"{own['accuracy']:.4f}" in text and "labels' deviation" in text
    drawn = {path.stem for path in (workdir / "figures").iterdir()}
    assert drawn == {
        "plane", "scatter", "thresholds", "intervals", "risk_coverage", "faces", "feature_maps",
        "learning",
    }  # fmt: skip
    lines = report.headline("dimensional", json.loads((workdir / "metrics.json").read_text()))
    assert len(lines) == 3 and "RMSE valence" in lines[0] and "labels +-" in lines[0]


def test_something_is_learnt(finished):
    """Bright is happy: errors stay well below those of always saying the mean."""
    row = finished[1]["readings"]["recalibrated"]["dimensions"]["valence"]
    assert row["rmse"] < 0.7 * row["label_deviation"] and row["pearson"] > 0.8


def test_the_bundle_says_what_the_run_said(finished, ferplus):
    workdir, found, _ = finished
    model = fer_jax.load_model(workdir / "model")
    assert model.task == "dimensional" and model.classes == ("valence", "arousal")
    assert model.window_seconds == experiment.STILL_SECONDS
    assert model.framing == FER2013  # the images are taken as they are
    with pytest.raises(ValueError, match=r"cut_crop\(image, landmarks, 48, model.framing\)"):
        model.features(np.zeros((1, 1, 32, 32, 3), np.uint8))
    assert model.threshold == found["selective"]["threshold"]
    clips = data_load.load_clips(
        ferplus, 1, "middles", crop_size=48, classes=model.classes, target="votes"
    )
    clips = hold_crops(clips, 2**30)
    table = pd.read_csv(workdir / "predictions.csv")
    first = clips.clip_ids.index(table["clip"][0])
    said = model.deterministic(clips.frames[np.array([first])])[0]
    expected = table.loc[0, ["recalibrated_valence", "recalibrated_arousal"]].astype(float)
    np.testing.assert_allclose(said, expected, atol=1e-4)
    summary = model.predict(clips.frames[np.array([first])], passes=5)
    np.testing.assert_allclose(summary.residual, found["intervals"]["residual_variance"])


def test_the_weights_best_on_validation_are_kept(ferplus, tmp_path, monkeypatch):
    """Also by a run that was interrupted after its best epoch, and before the last."""
    fields = {"train.keep": "best", "train.epochs": 5, "optimizer.learning_rate": 0.05,
              "model.dropout": 0.0}  # fmt: skip
    found, _ = run(small_config(ferplus, **fields), tmp_path / "whole")
    history = pd.read_json(tmp_path / "whole" / "metrics.jsonl", lines=True)
    best = history.loc[history["validation_loss"].idxmin()]
    assert best["epoch"] < 5 and best["validation_loss"] < 0.9 * history["validation_loss"].iloc[-1]
    assert found["kept_epoch"] == best["epoch"]
    table = pd.read_csv(tmp_path / "whole" / "predictions.csv")
    names = ["valence", "arousal"]
    error = (table[[f"stored_{n}" for n in names]].to_numpy()
             - table[[f"true_{n}" for n in names]].to_numpy())  # fmt: skip
    loss = (error**2 + 2 * np.abs(error)).mean()  # specification, section 4
    assert loss == pytest.approx(best["evaluation_loss"], abs=1e-3)
    text = (tmp_path / "whole" / "report.md").read_text()
    assert f"Weights of epoch {best['epoch']:.0f}" in text and "Last epoch" not in text

    train_epoch = loop.train_epoch

    def until_the_last(*arguments):
        if arguments[-1] == 5:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    config = small_config(ferplus, **fields, **{"train.checkpoint_epochs": 2})
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", until_the_last)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "cut")
    run(config, tmp_path / "cut")
    again = pd.read_csv(tmp_path / "cut" / "predictions.csv")
    pd.testing.assert_frame_equal(again, table)


def test_without_a_validation_part_the_last_epoch_stays(ferplus, tmp_path):
    fields = {"train.keep": "best", "protocol.name": "subject_kfold", "protocol.folds": 2,
              "train.epochs": 1}  # fmt: skip
    found, _ = run(small_config(ferplus, **fields), tmp_path)
    assert found["kept_epoch"] is None
    assert "Last epoch" in (tmp_path / "report.md").read_text()


def test_published_errors_stand_beside(ferplus, tmp_path):
    config = small_config(ferplus, **{"train.epochs": 1})
    config.method = "VGG16 bilinear"
    found, _ = run(config, tmp_path)
    assert found["paper"]["dimensions"]["arousal"]["rmse"] == 0.65678
    text = (tmp_path / "report.md").read_text()
    assert "| valence | paper (test images) | 0.8740 | | | 0.6147 | 0.9071 |" in text
    assert "| paper (test images) | 0.8475 |" in text and "neutral_dominance" not in text


def test_compared_in_a_table(ferplus, tmp_path, monkeypatch, capsys):
    names = []
    for name, pooling in (("VGG16 global", "global"), ("mine", "bilinear")):
        config = small_config(ferplus, **{"train.epochs": 1})
        config.name = config.method = name
        with config.unlocked():
            config.model.pooling = pooling
        names.append(f"{pooling}.py")
        lines = ["from ml_collections import ConfigDict", "def get_config():"]
        lines.append(f"    return ConfigDict({config.to_dict()})")
        (tmp_path / names[-1]).write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare", *names])
    main()
    table = pd.read_csv(tmp_path / "runs" / "compare" / "compare.csv")
    assert table["method"].tolist() == ["VGG16 global, VA", "mine, VA"]
    found = json.loads((tmp_path / "runs" / "mine" / "metrics.json").read_text())
    own = found["readings"]["mc_dropout"]
    assert table["mc_dropout"][1] == pytest.approx(own["accuracy"])
    assert table["errors_arousal_rmse"][1] == pytest.approx(own["dimensions"]["arousal"]["rmse"])
    assert table["errors_valence_paper_mae"].tolist()[0] == 0.66761
    text = (tmp_path / "runs" / "compare" / "compare.md").read_text()
    assert "| mine, VA (from random weights) | arousal |" in text and "- / 81.90" in text
    assert "0.924 / 0.668 / 0.895 |" in text and "last epoch" not in text
    assert "labels' deviation" in capsys.readouterr().out
    assert (tmp_path / "runs" / "compare" / "compare.png").stat().st_size > 10_000


def test_a_cross_validation_measures_on_the_other_folds(ferplus, tmp_path):
    fields = {"protocol.name": "subject_kfold", "protocol.folds": 2, "train.epochs": 1}
    found, _ = run(small_config(ferplus, **fields), tmp_path)
    assert found["clips_scored"] == sum(PARTS.values())
    assert found["intervals"]["measured_on"] == "the other folds"
    assert len(found["readings"]["stored"]["accuracy_folds"]) == 2
    assert (tmp_path / "figures" / "feature_maps.png").exists()


def test_a_network_begins_with_a_bundle(ferplus, finished, tmp_path):
    """Arousal alone out of the network for two; nothing is learnt, so it says the same."""
    bundle = finished[0] / "model"
    fields = {"pretrained": str(bundle), "data.classes": ("arousal",), "train.epochs": 1,
              "optimizer.learning_rate": 0.0}  # fmt: skip
    _, shown = run(small_config(ferplus, **fields), tmp_path)
    assert f"arrays of {bundle}" in shown and "new are" not in shown
    own, other = (pd.read_csv(place / "predictions.csv") for place in (tmp_path, finished[0]))
    # BatchNorm keeps seeing, but this network has none
    np.testing.assert_allclose(own["stored_arousal"], other["stored_arousal"], atol=1e-4)


def test_landmark_models_learn_dimensions_too(prepared, tmp_path, monkeypatch):
    """Any model with an output a dimension; here of synthetic faces, rated by their class."""
    load = data_load.load_clips

    def rated(*arguments, target, **options):
        assert target == "votes"
        clips = load(*arguments, **options)
        names = ("valence", "arousal", "dominance")
        values = np.random.default_rng(0).uniform(2, 8, (len(clips.classes), 3))
        labels = values[clips.labels].astype(np.float32)
        return dataclasses.replace(clips, labels=labels, classes=names)

    monkeypatch.setattr(data_load, "load_clips", rated)
    config = base.get_config()
    config.update_from_flattened_dict(
        {"task": "dimensional", "data.path": str(prepared), "model.widths": (4,),
         "train.epochs": 1, "train.batch_size": 8, "protocol.name": "holdout",
         "model.dropout": 0.0}
    )  # fmt: skip
    found, shown = run(config, tmp_path)
    assert "3 dimensions" in shown and found["single_pass"] is None
    assert set(found["readings"]) == {"stored", "recalibrated"}
    assert "passes" not in found["intervals"] and "one pass" in (tmp_path / "report.md").read_text()
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"plane", "scatter", "thresholds", "intervals", "risk_coverage", "learning"}


# --- prediction -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    own = make_clip(0, 1, 3, frames=20)
    path = tmp_path_factory.mktemp("clips") / "face.mp4"
    write_video(path, render(own.true_landmarks, own.identity), own.fps)
    return path


def test_a_video_becomes_a_way_through_the_plane(finished, clip, tmp_path, capsys):
    out, video, figure = (tmp_path / name for name in ("t.csv", "v.mp4", "f.png"))
    command = [str(finished[0] / "model"), str(clip), "--passes", "4", "--out", str(out)]
    assert api.main([*command, "--annotate", str(video), "--figure", str(figure)]) == 0
    said = capsys.readouterr()
    assert "not drawn" not in said.err and "nearest word" in said.out
    table = pd.read_csv(out)
    assert list(table) == columns(("valence", "arousal"), "dimensional")
    # 0.2 s of 25 frames a second, every 0.1 s: five frames, every other
    np.testing.assert_allclose(table["end"] - table["start"], 0.2)
    np.testing.assert_allclose(np.diff(table["start"])[:-1], 0.08)
    assert (table["low_valence"] < table["valence"]).all() and (table["std_arousal"] > 0).all()
    residual = finished[1]["intervals"]["residual_variance"][1]
    half = 1.6449 * np.sqrt(table["std_arousal"] ** 2 + residual)
    np.testing.assert_allclose(table["high_arousal"] - table["arousal"], half, rtol=1e-4)
    capture = cv2.VideoCapture(str(video))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 20
    assert cv2.imread(str(figure)).shape[1] > 1000


def test_a_still_is_what_the_model_was_trained_on(finished, clip, tmp_path, capsys):
    image = tmp_path / "still.png"
    cv2.imwrite(str(image), cv2.VideoCapture(str(clip)).read()[1])
    figure = tmp_path / "f.png"
    command = [str(finished[0] / "model"), str(image), "--passes", "3", "--threshold", "0"]
    assert api.main([*command, "--figure", str(figure)]) == 0
    said = capsys.readouterr()
    assert "with care" not in said.err and "unsure (" in said.out
    assert cv2.imread(str(figure)).shape[1] > 1000
