"""Whole runs that learn action units, of every kind of model: report, bundle, resuming."""

import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import fer_jax
from configs import fergcn_synthetic, stbln_synthetic, stcnlstm_synthetic_units
from fer_jax import metrics, systems
from fer_jax.data import load as data_load
from fer_jax.data.clips import hold_crops
from fer_jax.training import epoch_log

WINDOWS = {
    "task": "action_units", "data.frame_rule": "windows", "data.frames": 3,
    "data.window_strides": (12, 6), "train.batch_size": 8, "evaluation.passes": 3,
    "protocol.name": "holdout",
}  # fmt: skip
SMALL = {
    "stc_nlstm": (stcnlstm_synthetic_units, {
        "model.channels": (2, 2), "model.hidden": 3, "data.crop_size": 0, "train.epochs": 2,
        "optimizer.drop_at": (1,),
    }),
    "fer_gcn": (fergcn_synthetic, {
        "model.stages": ((2, 1), (2, 1)), "model.features": 4, "model.modules": 1,
        "data.crop_size": 28, "train.epochs": 1,
    }),
    "st_bln": (stbln_synthetic, {
        "data.features": "position", "model.widths": (4,), "train.epochs": 1,
    }),
}  # fmt: skip


def small_config(model, prepared, **fields):
    module, own = SMALL[model]
    config = module.get_config()
    config.update_from_flattened_dict(WINDOWS | {"data.path": str(prepared)} | own | fields)
    return config


@pytest.fixture(autouse=True)
def some_labels_unknown(monkeypatch):
    """As 9 in BP4D: every third window does not know AU01, nobody ever AU02."""
    load = data_load.load_clips

    def load_clips(*arguments, **options):
        clips = load(*arguments, **options)
        labels = clips.labels.copy()
        labels[::3, 0] = labels[:, 1] = np.nan
        return dataclasses.replace(clips, labels=labels)

    monkeypatch.setattr(data_load, "load_clips", load_clips)


def run(config, workdir):
    console = Console(file=io.StringIO(), width=200)
    return systems.run(config, workdir, console), console.file.getvalue()


@pytest.mark.parametrize("model", SMALL)
def test_a_run_ends_with_a_report_and_a_bundle(model, prepared_crops, tmp_path):
    config = small_config(model, prepared_crops)
    found, shown = run(config, tmp_path)
    assert "18 action units" in shown and "no training clip shows AU02" in shown
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert len(table) == found["clips_scored"]
    assert table["AU02"].isna().all() and 0 < table["AU01"].isna().sum() < len(table)
    units = [name for name in table if name.startswith("AU")]
    probabilities = table[[f"p_mc_dropout_{unit}" for unit in units]]
    counts = metrics.unit_counts(probabilities.to_numpy() > 0.5, table[units].to_numpy())
    f1 = metrics.mean_f1(metrics.f1_scores(counts))
    assert found["readings"]["mc_dropout"]["f1_mean"] == pytest.approx(f1)
    known = found["readings"]["mc_dropout"]["units"]
    assert known["AU01"]["known"] == table["AU01"].notna().sum() and known["AU02"]["known"] == 0
    text = (tmp_path / "report.md").read_text()
    assert f"{f1:.4f}" in text and "| AU02 | 0 |" in text
    figures = {"f1", "reliability", "risk_coverage", "timeline", "learning"}
    assert figures <= {path.stem for path in (tmp_path / "figures").iterdir()}

    predictor = fer_jax.load_model(tmp_path / "model")
    assert predictor.task == "action_units" and list(predictor.classes) == units
    assert len(predictor.threshold) == 18 and predictor.window_seconds == pytest.approx(3 / 25)
    crop_size = config.data.crop_size if model != "st_bln" else None
    clips = data_load.load_clips(
        prepared_crops, 3, "windows", crop_size=crop_size, target="action_units"
    )
    first = clips.clip_ids.index(table["clip"][0])
    clips = hold_crops(clips, 2**30)
    seen = clips.landmarks if clips.frames is None else clips.frames
    again = predictor.deterministic(seen[np.array([first])], frame_width=500)[0]
    expected = table.loc[0, [f"p_recalibrated_{unit}" for unit in units]].astype(float)
    np.testing.assert_allclose(again, expected, atol=1e-4)


def test_a_stopped_run_goes_on_to_the_same_numbers(prepared_crops, tmp_path, monkeypatch):
    fields = {"train.checkpoint_epochs": 1, "train.evaluation_epochs": 2}
    config = small_config("stc_nlstm", prepared_crops, **fields)
    whole, _ = run(config, tmp_path / "whole")
    write = epoch_log.EpochLog.write

    def stop(log, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        write(log, row)

    monkeypatch.setattr(epoch_log.EpochLog, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "cut")
    monkeypatch.setattr(epoch_log.EpochLog, "write", write)
    resumed, _ = run(config, tmp_path / "cut")
    assert resumed["readings"] == whole["readings"]
    lines = (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()
    scored = ["evaluation_accuracy" in json.loads(line) for line in lines]
    assert scored == [False, True]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"data.window_strides": (9,)}, "window_strides=.9,.: give the windows from one"),
        ({"data.frames_per_second": 5.0}, "thins clips, not windows"),
        ({"data.features": "motion"}, "takes out what holds throughout a window"),
        ({"task": "classification"}, "use|labels belong to frames"),
        ({"protocol.name": "by_sequence"}, "overlap those learnt"),
        ({"data.classes": ("AU99",)}, "has no 'AU99', but AU01"),
    ],
)
def test_what_windows_cannot_be_is_refused(fields, words, prepared_crops, tmp_path):
    config = small_config("st_bln", prepared_crops, **fields)
    with pytest.raises(ValueError, match=words):
        systems.run(config, tmp_path / "run", Console(file=io.StringIO()))
    assert not (tmp_path / "run").exists()
