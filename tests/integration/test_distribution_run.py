"""Whole runs on the votes for still faces without landmarks: distributions, and one class each."""

import numpy as np
import pytest

import fer_jax
from fer_jax.faces.emotion_ratings import DIMENSIONS, FERPLUS_EMOTIONS, vad
from tests.finished_runs import distribution_config, metrics_of, train
from tests.official_trees import FERPLUS_PARTS


@pytest.fixture(scope="module")
def finished(finished_run):
    return finished_run("distribution")


def test_run_learns_the_votes(finished):
    found, table = finished.metrics, finished.table
    assert len(table) == FERPLUS_PARTS["PrivateTest"] == found["votes"]["clips_of_one_class"]
    assert found["inference_modes"]["stored"]["accuracy_pooled"] == 1
    assert found["votes"]["inference_modes"]["stored"]["kl_divergence"] < 1
    assert {"clip_least_certain", "entropies", "feature_maps"} <= finished.figures
    assert "Spearman's rho" in finished.report
    shares = table[[f"votes_{name}" for name in FERPLUS_EMOTIONS]].to_numpy()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-4)


def test_bundle_answers_as_a_classifier(finished, face_video):
    model = fer_jax.load_model(finished.bundle)
    assert model.task == "distribution" and model.classes == FERPLUS_EMOTIONS
    table = fer_jax.predict_clips(model, [face_video], mc_samples=3)
    assert {*FERPLUS_EMOTIONS, "label", "entropy", "agreement"} <= set(table)
    shares = table[[*FERPLUS_EMOTIONS]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(table[[*DIMENSIONS]], vad(shares), atol=1e-3)
    assert (table.std_valence > 0).all() and (table.std_valence < 4).all()


def test_classes_of_still_faces_with_dropout_are_reported(prepared_ferplus, tmp_path):
    fields = {"task": "classification", "data.vote_rule": "argmax", "train.epochs": 1}
    train(distribution_config(prepared_ferplus, **fields), tmp_path)
    assert metrics_of(tmp_path)["inference_modes"]["mc_dropout"]
    figures = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {"clip_least_certain", "feature_maps", "confusion"} <= figures
    assert fer_jax.load_model(tmp_path / "model").task == "classification"
