"""Whole runs of 3D Inception-ResNet across datasets: report, microbatches, a prediction."""

import json
import re

import pytest

import fer_jax
from configs import ir3d_cross_synthetic
from fer_jax import systems
from fer_jax.data.load import NotPreparedError
from fer_jax.predict.api import predict_clips
from fer_jax.synthetic.clips import DATABASES
from tests.drawn import write_drawn
from tests.finished_runs import FinishedRun, landmarks_config, train

FRAMES, SIZE = 24, 56  # frames of every clip: enough for two pieces of 4 about the apex


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases")
    for name in DATABASES:
        (folder / name).mkdir()
        write_drawn(folder / name, SIZE, DATABASES[name], FRAMES)
    return folder


def across(config, databases, evaluated):
    """Sets a config to train on the other two datasets."""
    others = ir3d_cross_synthetic.get_config(evaluated).data
    config.data.path = str(databases / evaluated)
    config.data.train_on = tuple(
        (name, str(databases / name.removeprefix("synthetic_")), rule)
        for name, _, rule in others.train_on
    )
    config.data.dataset, config.data.frame_rule = others.dataset, others.frame_rule
    config.protocol.name = "cross_database"
    return config


def small_config(databases, **fields):
    config = across(ir3d_cross_synthetic.get_config("studio"), databases, "studio")
    config.update_from_flattened_dict(
        {"model.divisor": 32, "model.hidden": 8, "train.epochs": 1, "train.batch_size": 4,
         "train.microbatches": 2, "data.frames": 4, "protocol.folds": 3, "evaluation.mc_samples": 4,
         "train.eval_every_epochs": 1, "data.crop_size": 0} | fields
    )  # fmt: skip
    return config


@pytest.fixture(scope="module")
def crossed(databases, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("cross")
    _, shown = train(small_config(databases), workdir)
    return FinishedRun(workdir, databases, shown)


def test_report_compares_known_and_unseen_datasets(crossed):
    metrics = crossed.metrics
    assert "left out of synthetic_studio, of classes not trained on: contempt 3" in crossed.shown
    rows = metrics["cross_database"]["rows"]
    assert [rows[f"synthetic_{name}"]["known"] for name in DATABASES] == [False, True, True]
    assert rows["synthetic_studio"]["clips"] == 18  # 3 people, 6 classes that the others show
    assert metrics["cross_database"]["classes_left_out"] == {"contempt": 3}
    assert 0 <= metrics["cross_database"]["separation"]["entropy"] <= 1
    assert metrics["selective"]["chosen_on"] == "validation"
    for text in ("contempt (3 clips)", "known and unseen", "cross_database.png"):
        assert text in crossed.report
    assert {"cross_database", "landmark_filters", "confusion"} <= crossed.figures
    table = crossed.table
    assert set(table["label"]) <= {"anger", "disgust", "fear", "happiness", "sadness", "surprise"}
    assert table["clip"].str.startswith("synthetic_studio/").all()
    config = json.loads((crossed.workdir / "config.json").read_text())
    assert config["train"]["microbatches"] == 2


def test_bundle_predicts_a_video(crossed, face_video):
    predictor = fer_jax.load_model(crossed.bundle)
    assert predictor.module.inputs == "faces" and predictor.spec.prepared_size == SIZE
    assert predictor.spec.frame_rule == "apex_pieces"  # of film and cartoon; studio's is "last"
    dataset = json.loads((crossed.bundle / "model.json").read_text())["dataset"]
    assert dataset["name"] == "synthetic_film + synthetic_cartoon"
    total = int(re.search(r": (\d+) clips, ", crossed.shown).group(1))
    assert dataset["clips"] == total - crossed.metrics["clips_evaluated"] > 36  # several of each
    assert "happiness" in predictor.classes and "joy" not in predictor.classes
    table = predict_clips(predictor, face_video, mc_samples=4)
    assert len(table) and not table["label"].eq("no face").any()
    assert table[list(predictor.classes)].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-4)


def test_without_held_out_subjects_nothing_is_compared(databases, tmp_path):
    """A landmark model, trained on all subjects of two datasets."""
    config = across(landmarks_config(databases), databases, "cartoon")
    config.update_from_flattened_dict(
        {"protocol.folds": 0, "train.epochs": 1, "model.widths": (4,)}
    )
    metrics, _ = train(config, tmp_path)
    assert metrics["cross_database"]["separation"] == {}
    assert set(metrics["cross_database"]["classes_left_out"]) == {"relief"}
    assert "there is nothing to compare" in (tmp_path / "report.md").read_text()


def test_missing_dataset_and_too_small_crops_are_named(databases, tmp_path):
    config = small_config(databases)
    config.data.train_on = (("film", str(tmp_path / "nowhere"), "last"),)
    with pytest.raises(NotPreparedError, match="film is not prepared in"):
        systems.prepare(config, tmp_path / "run")
    with pytest.raises(ValueError, match="crops of 40 pixels and needs at least 49"):
        systems.prepare(small_config(databases, **{"data.crop_size": 40}), tmp_path / "run")
