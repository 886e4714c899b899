"""Whole runs of 3D Inception-ResNet: across data sets, in parts of a batch, a prediction."""

import io
import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from rich.console import Console

import fer_jax
from configs import ir3d_cross_synthetic
from fer_jax import systems
from fer_jax.data.load import NotPreparedError
from fer_jax.predict.api import predict_clips
from fer_jax.synthetic.clips import make_clip, render, write_video
from fer_jax.systems import run
from tests.conftest import ROOT

NAMES = ("studio", "film", "cartoon")


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    """Three tiny data sets with crops of 56 pixels: 3 people each, every class once a person."""
    folder = tmp_path_factory.mktemp("databases")
    for name in NAMES:
        command = [
            sys.executable, "-m", "preprocess", "synthetic", "--database", name, "--crops", "56",
            "--subjects", "3", "--clips-per-subject", "5" if name == "cartoon" else "7",
            "--workers", "2", "--out", str(folder / name),
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return folder


def small_config(databases, scored="studio", **fields):
    config = ir3d_cross_synthetic.get_config(scored)
    config.data.path = str(databases / scored)
    config.data.train_on = tuple(
        (name, str(databases / name.removeprefix("synthetic_")), rule)
        for name, _, rule in config.data.train_on
    )
    config.update_from_flattened_dict(
        {"model.divisor": 32, "model.hidden": 8, "train.epochs": 2, "train.batch_size": 4,
         "data.frames": 4, "protocol.folds": 3, "evaluation.passes": 4,
         "train.evaluation_epochs": 1, "data.crop_size": 0} | fields
    )  # fmt: skip
    return config


@pytest.fixture(scope="module")
def crossed(databases, tmp_path_factory):
    workdir, text = tmp_path_factory.mktemp("cross") / "run", io.StringIO()
    metrics = run(small_config(databases), workdir, Console(file=text, width=200))
    return workdir, metrics, text.getvalue()


def test_the_report_compares_known_and_unseen_data_sets(crossed):
    workdir, metrics, shown = crossed
    assert "left out of synthetic_studio, of classes not learnt: contempt 3" in shown
    rows = metrics["databases"]["rows"]
    assert [rows[f"synthetic_{name}"]["known"] for name in NAMES] == [False, True, True]
    assert rows["synthetic_studio"]["clips"] == 18  # 3 people, 6 classes that the others show
    assert metrics["databases"]["classes_left_out"] == {"contempt": 3}
    assert 0 <= metrics["databases"]["separation"]["entropy"] <= 1
    assert metrics["selective"]["chosen_on"] == "validation"
    report = (workdir / "report.md").read_text()
    for text in (
        "of classes not learnt: contempt (3 clips)",
        "Doubt on known and unseen",
        "databases.png",
    ):
        assert text in report
    figures = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert {"databases", "landmark_filters", "confusion"} <= figures
    table = pd.read_csv(workdir / "predictions.csv")
    assert set(table["label"]) <= {"anger", "disgust", "fear", "happiness", "sadness", "surprise"}
    assert table["clip"].str.startswith("synthetic_studio/").all()


def test_the_bundle_predicts_a_video(crossed, tmp_path):
    workdir, metrics, shown = crossed
    predictor = fer_jax.load_model(workdir / "model")
    assert predictor.inputs == "faces" and predictor.prepared_size == 56
    assert predictor.frame_rule == "apex_pieces"  # of film and cartoon; studio's is "last"
    content = json.loads((workdir / "model" / "model.json").read_text())
    assert content["dataset"]["name"] == "synthetic_film + synthetic_cartoon"
    total = int(re.search(r": (\d+) clips, ", shown).group(1))
    assert content["dataset"]["clips"] == total - metrics["clips_scored"] > 36  # several of each
    assert "happiness" in predictor.classes and "joy" not in predictor.classes
    clip, video = make_clip(0, 3, 3, frames=24), tmp_path / "clip.mp4"
    write_video(video, render(clip.true_landmarks, clip.identity), clip.fps)
    table = predict_clips(predictor, video, passes=4)
    assert len(table) and not table["label"].eq("no face").any()
    assert table[list(predictor.classes)].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-4)


def test_everyone_can_be_learnt_from_and_a_batch_divided(databases, tmp_path):
    config = small_config(
        databases, "cartoon", **{"protocol.folds": 0, "train.batch_parts": 2, "train.epochs": 1}
    )
    metrics = run(config, tmp_path / "run", Console(file=io.StringIO()))
    assert metrics["databases"]["separation"] == {}
    assert set(metrics["databases"]["classes_left_out"]) == {"relief"}
    assert "there is nothing to compare" in (tmp_path / "run" / "report.md").read_text()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["train"]["batch_parts"] == 2


def test_data_sets_that_are_missing_or_too_small_are_named(databases, tmp_path):
    config = small_config(databases)
    config.data.train_on = (("film", str(tmp_path / "nowhere"), "last"),)
    with pytest.raises(NotPreparedError, match="film is not prepared in"):
        systems.prepare(config, tmp_path / "run")
    with pytest.raises(ValueError, match="crops of 40 pixels and needs at least 49"):
        systems.prepare(small_config(databases, **{"data.crop_size": 40}), tmp_path / "run")
