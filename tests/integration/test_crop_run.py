"""Whole runs of a model of face crops: streamed, in memory, interrupted, pretrained."""

import io
import json

import numpy as np
import pytest
from rich.console import Console
from safetensors.torch import save_file

import fer_jax
from benchmarks.torch_mirrors import fer_gcn
from fer_jax.compare import tables
from fer_jax.compare.chosen import find
from fer_jax.compare.compare import result, run_method
from fer_jax.data import crops, load
from fer_jax.data.clips import hold_crops
from fer_jax.training import checkpoint
from tests.finished_runs import (
    CONFIGS,
    assert_same_run,
    crops_config,
    epochs_of,
    train,
    write_config,
)


@pytest.fixture(scope="module")
def streamed(finished_run):
    return finished_run("crops")


def test_run_draws_figures_of_fer_gcn(streamed):
    assert {"intensity_weights", "feature_maps", "confusion", "mc_samples"} <= streamed.figures
    assert "Backbone trained from random weights." in streamed.report
    assert streamed.metrics["single_samples"]["mc_samples"] == 8
    lines = (streamed.workdir / "metrics.jsonl").read_text().splitlines()
    assert all(0 <= json.loads(line)["waited_for_clips"] < 1 for line in lines)


def test_bundle_repeats_predictions_of_run(streamed):
    predictor = fer_jax.load_model(streamed.bundle)
    assert predictor.takes_crops
    assert (predictor.spec.prepared_size, predictor.spec.crop_size) == (32, 28)
    clips = hold_crops(load.load_clips(streamed.prepared, 4, "middles", crop_size=0), 2**30)
    evaluated = np.flatnonzero(np.array(clips.splits) == "test")
    probabilities = predictor.deterministic(clips.crops.frames[evaluated])
    names = [clips.classes[index] for index in probabilities.argmax(-1)]
    table = streamed.table.set_index("clip")
    listed = table.loc[[clips.clip_ids[index] for index in evaluated], "predicted_recalibrated"]
    assert names == list(listed)
    summary = predictor.predict(clips.crops.frames[evaluated], mc_samples=8)
    np.testing.assert_allclose(summary.mean.sum(-1), 1, atol=1e-5)
    with pytest.raises(ValueError, match=r"takes face crops \[B, 4, 32, 32, 3\]"):
        predictor.predict(clips.landmarks[evaluated])


@pytest.mark.usefixtures("no_figures")
def test_crops_in_memory_make_the_same_run(streamed, tmp_path):
    metrics, _ = train(crops_config(streamed.prepared, **{"train.batch_size": 2}), tmp_path)
    assert_same_run(tmp_path, metrics, streamed)


@pytest.mark.usefixtures("no_figures")
def test_run_cut_in_a_streamed_epoch_resumes_to_same_numbers(streamed, tmp_path, monkeypatch):
    config = CONFIGS["crops"](streamed.prepared)
    stream, calls = crops.stream, []

    def cut_short(*arguments):
        calls.append(arguments)
        for index, frames in enumerate(stream(*arguments)):
            if len(calls) == 3 and index == 1:  # epoch 1, its evaluation, epoch 2
                raise KeyboardInterrupt
            yield frames

    monkeypatch.setattr(crops, "STREAMED_CALL_BYTES", 1)  # one step a call
    with monkeypatch.context() as patch:
        patch.setattr(crops, "stream", cut_short)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path)
    assert [row["epoch"] for row in epochs_of(tmp_path)] == [1]
    resumed, _ = train(config, tmp_path)
    assert_same_run(tmp_path, resumed, streamed)


def test_training_begins_with_pretrained_weights(prepared_crops, tmp_path):
    """Compared with other methods, too: the backbone alone, and one person left out in turn."""
    mirror, file = fer_gcn.VGG16(((4, 1), (6, 1))), tmp_path / "backbone.safetensors"
    save_file(mirror.state_dict(), file)
    fields = {
        "pretrained": str(file), "optimizer.learning_rate": 0.0, "optimizer.weight_decay": 0.0,
        "train.epochs": 1, "protocol.name": "subject_kfold", "protocol.folds": 0,
    }  # fmt: skip
    config = crops_config(prepared_crops, "vgg16", **fields)
    method = find(write_config(tmp_path, config), (), tmp_path)
    (finished,) = run_method(method, tmp_path, Console(file=io.StringIO()))
    row, workdir = result(finished).row, finished.workdir.path
    variables, _ = checkpoint.load_weights(workdir / "folds" / "all.msgpack")
    kernel = mirror.state_dict()["features.0.weight"].numpy().transpose(2, 3, 1, 0)
    begun = variables["params"]["backbone"]["stage1"]["conv1"]["kernel"]
    np.testing.assert_array_equal(begun, kernel)
    assert f"Backbone trained from {file}." in (workdir / "report.md").read_text()
    figures = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert "confusion" in figures and "feature_maps" not in figures  # no graph, no figure of it
    assert row["method"] == "VGG16" and row["gflops"] > 0 and row["ms_mcd"] > 0
    assert f"VGG16 (from {file})" in tables.markdown([row])


def test_dataset_without_crops_is_refused(prepared, tmp_path):
    with pytest.raises(load.NotPreparedError, match="--crops 32,"):
        train(crops_config(prepared), tmp_path / "run")
