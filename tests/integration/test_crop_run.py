"""Whole runs of a model that looks at face crops: in memory, streamed, stopped, pretrained."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from safetensors.torch import save_file

import fer_jax
from benchmarks.torch_mirrors import fer_gcn
from configs import fergcn_synthetic
from fer_jax import systems
from fer_jax.compare import tables
from fer_jax.compare.compare import run_method
from fer_jax.data import crops, load
from fer_jax.data.clips import hold_crops
from fer_jax.experiments import setup
from fer_jax.training import checkpoint, epoch_log

STAGES = ((4, 1), (6, 1))


def small_config(prepared, variant="full", **fields):
    config = fergcn_synthetic.get_config(variant)
    overrides = {
        "data.path": str(prepared), "data.frames": 4, "data.crop_size": 28,
        "model.stages": STAGES, "model.features": 8, "train.epochs": 3, "train.batch_size": 4,
        "evaluation.passes": 8,
    }  # fmt: skip
    config.update_from_flattened_dict(overrides | fields)
    return config


def run(config, workdir):
    text = io.StringIO()
    metrics = systems.run(config, workdir, Console(file=text, width=200))
    return metrics, text.getvalue()


def rows_of(workdir):
    timed = ("clips_per_second", "seconds", "waited_for_clips")
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


@pytest.fixture(scope="module")
def whole(prepared_crops, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("crop_runs") / "whole"
    metrics, shown = run(small_config(prepared_crops), workdir)
    return workdir, metrics, shown


def test_a_crop_run_leaves_the_papers_figures(whole):
    workdir, metrics, _ = whole
    figures = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert {"intensity_weights", "feature_maps", "confusion", "passes"} <= figures
    text = (workdir / "report.md").read_text()
    assert "Backbone trained from random weights." in text
    assert "figures/intensity_weights.png" in text and "figures/feature_maps.png" in text
    assert metrics["single_pass"]["passes"] == 8
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    waited = [json.loads(line)["waited_for_clips"] for line in lines]
    assert all(0 <= share < 1 for share in waited)


def test_the_bundle_predicts_what_the_run_scored(whole, prepared_crops):
    workdir, _, _ = whole
    predictor = fer_jax.load_model(workdir / "model")
    assert predictor.takes_crops and (predictor.prepared_size, predictor.crop_size) == (32, 28)
    clips = load.load_clips(prepared_crops, 4, "middles", crop_size=0)
    clips = hold_crops(clips, 2**30)
    scored = np.flatnonzero(np.array(clips.splits) == "test")
    table = pd.read_csv(workdir / "predictions.csv").set_index("clip")
    probabilities = predictor.deterministic(clips.frames[scored])
    names = [clips.classes[number] for number in probabilities.argmax(-1)]
    listed = table.loc[[clips.clip_ids[number] for number in scored], "predicted_recalibrated"]
    assert names == list(listed)
    summary = predictor.predict(clips.frames[scored], passes=8)
    np.testing.assert_allclose(summary.mean.sum(-1), 1, atol=1e-5)
    with pytest.raises(ValueError, match=r"takes face crops \[B, 4, 32, 32, 3\]"):
        predictor.predict(clips.landmarks[scored])


def test_streamed_crops_make_the_same_run(whole, prepared_crops, tmp_path):
    workdir, metrics, _ = whole
    streamed, _ = run(small_config(prepared_crops, **{"data.crops_in_memory_gb": 0.0}), tmp_path)
    assert rows_of(tmp_path) == rows_of(workdir)
    assert streamed["readings"] == metrics["readings"]


def test_a_stopped_streamed_run_goes_on_to_the_same_numbers(
    whole, prepared_crops, tmp_path, monkeypatch
):
    workdir, metrics, _ = whole
    config = small_config(prepared_crops, **{"data.crops_in_memory_gb": 0.0})
    write = epoch_log.EpochLog.write

    def stop(log, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        write(log, row)

    monkeypatch.setattr(epoch_log.EpochLog, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path)
    monkeypatch.undo()
    resumed, _ = run(config, tmp_path)
    assert rows_of(tmp_path) == rows_of(workdir)
    assert resumed["readings"] == metrics["readings"]


def test_killed_in_the_middle_of_a_streamed_epoch_it_ends_with_the_same_numbers(
    prepared_crops, tmp_path, monkeypatch
):
    fields = {"data.crops_in_memory_gb": 0.0, "train.batch_size": 2, "train.epochs": 2}
    config = small_config(prepared_crops, **fields)
    monkeypatch.setattr(crops, "CALL_BYTES", 1)  # one step a call, three an epoch
    metrics, _ = run(config, tmp_path / "whole")
    stream, calls = crops.stream, []

    def cut_short(*arguments):
        calls.append(arguments)
        for number, frames in enumerate(stream(*arguments)):
            if len(calls) == 3 and number == 1:  # epoch 1, its evaluation, epoch 2
                raise KeyboardInterrupt
            yield frames

    monkeypatch.setattr(crops, "stream", cut_short)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "cut")
    assert [row["epoch"] for row in rows_of(tmp_path / "cut")] == [1]
    monkeypatch.setattr(crops, "stream", stream)
    resumed, _ = run(config, tmp_path / "cut")
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")
    assert resumed["readings"] == metrics["readings"]


def test_pretrained_weights_are_where_training_begins(prepared_crops, tmp_path):
    mirror = fer_gcn.VGG16(STAGES)
    file = tmp_path / "backbone.safetensors"
    save_file(mirror.state_dict(), file)
    fields = {"pretrained": str(file), "optimizer.learning_rate": 0.0, "train.epochs": 1}
    fields["optimizer.weight_decay"] = 0.0
    run(small_config(prepared_crops, **fields), tmp_path / "run")
    variables, _ = checkpoint.load_weights(tmp_path / "run" / "folds" / "holdout.msgpack")
    kernel = mirror.state_dict()["features.0.weight"].numpy().transpose(2, 3, 1, 0)
    begun = variables["params"]["backbone"]["stage1"]["conv1"]["kernel"]
    np.testing.assert_array_equal(begun, kernel)
    text = (tmp_path / "run" / "report.md").read_text()
    assert f"Backbone trained from {file}." in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pretrained": "nowhere/model.safetensors"}, "nowhere/model.safetensors do not exist"),
        ({"data.crop_size": 48}, "crop_size=48 does not fit.* in 22 to 32, or .*--crops 48"),
        ({"data.crop_size": 8}, "crop_size=8 does not fit the crops of 32 pixels"),
        ({"data.crop_size": -5}, "crop_size=-5: it must lie in 0"),
        ({"model.dtype": "bfloat"}, "dtype=bfloat: use 'float32' or 'bfloat16'"),
        ({"model.features": 7}, "features is even"),
        ({"model.modules": -1}, "modules=-1: it must lie in 0"),
        ({"model.stages": ((4, 1), (6, 0))}, r"\(6, 0\) is no \(channels, convolutions\)"),
        ({"model.stages": ((4, 1),) * 6}, "6 stages halve crops of 28 pixels to nothing"),
        ({"augment.contrast": 1.5}, "contrast=1.5: it must lie in 0"),
        ({"data.frames": 0}, "must be 1 or more"),
    ],
)
def test_what_does_not_fit_fails_before_any_work(prepared_crops, tmp_path, fields, words):
    with pytest.raises(setup.SetupError, match=words):
        run(small_config(prepared_crops, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_landmark_data_is_refused_with_the_way_out(prepared, tmp_path):
    with pytest.raises(load.NotPreparedError, match="--crops 32,"):
        run(small_config(prepared), tmp_path / "run")


def test_folds_and_the_cnn_alone(prepared_crops, tmp_path):
    """Leave one subject out, the backbone alone: no graph, so no figures of it; then compared."""
    fields = {"protocol.name": "subject_kfold", "protocol.folds": 0, "train.epochs": 1}
    config = small_config(prepared_crops, "vgg16", **fields)
    row = run_method(config, tmp_path, Console(file=io.StringIO()))
    figures = {path.stem for path in (tmp_path / config.name / "figures").glob("*.png")}
    assert "confusion" in figures and "feature_maps" not in figures
    assert row["method"] == "VGG16" and row["gflops"] > 0 and row["ms_mcd"] > 0
    assert "VGG16 (from random weights)" in tables.markdown([row])
