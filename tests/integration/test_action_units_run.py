"""Whole runs on action units, one for each kind of model: report and bundle."""

import dataclasses

import numpy as np
import pytest

import fer_jax
from fer_jax import metrics
from fer_jax.data import load
from fer_jax.data.clips import hold_crops
from tests.finished_runs import (
    UNIT_MODELS,
    FinishedRun,
    epochs_of,
    some_units_unknown,
    train,
    units_config,
)


@pytest.mark.parametrize("model", UNIT_MODELS)
def test_report_and_bundle_of_action_units(model, finished_run, prepared_crops, tmp_path):
    if model == "stc_nlstm":
        run = finished_run("action_units")
        evaluated = ["evaluation_accuracy" in epoch for epoch in epochs_of(run.workdir)]
        assert evaluated == [False, True]  # as `train.eval_every_epochs` says
    else:
        with some_units_unknown():
            fields = {"data.classes": ("AU01", "AU02", "AU12")}
            _, shown = train(units_config(prepared_crops, model, **fields), tmp_path)
        run = FinishedRun(tmp_path, prepared_crops, shown)
    found, table = run.metrics, run.table
    count = 18 if model == "stc_nlstm" else 3
    assert f"{count} action units" in run.shown and "no training clip shows AU02" in run.shown
    assert len(table) == found["clips_evaluated"]
    assert table["AU02"].isna().all() and 0 < table["AU01"].isna().sum() < len(table)
    units = [name for name in table if name.startswith("AU")]
    probabilities = table[[f"p_mc_dropout_{unit}" for unit in units]]
    counts = metrics.unit_counts(probabilities.to_numpy() > 0.5, table[units].to_numpy())
    f1 = metrics.mean_f1(metrics.f1_scores(counts))
    assert found["inference_modes"]["mc_dropout"]["f1_mean"] == pytest.approx(f1)
    known = found["inference_modes"]["mc_dropout"]["units"]
    assert known["AU01"]["known"] == table["AU01"].notna().sum() and known["AU02"]["known"] == 0
    assert f"{f1:.4f}" in run.report and "| AU02 | 0 |" in run.report
    assert {"f1", "reliability", "risk_coverage", "timeline", "learning"} <= run.figures

    predictor = fer_jax.load_model(run.bundle)
    assert predictor.task == "action_units" and list(predictor.classes) == units
    assert len(predictor.threshold) == count and predictor.spec.window_seconds == pytest.approx(
        3 / 25
    )
    size = None if model == "st_bln" else predictor.spec.crop_size
    clips = load.load_clips(
        prepared_crops, 3, "windows", crop_size=size, classes=units, target="action_units"
    )
    first = clips.clip_ids.index(table["clip"][0])
    clips = hold_crops(clips, 2**30)
    seen = clips.landmarks if clips.crops is None else clips.crops.frames
    again = predictor.deterministic(seen[np.array([first])], frame_width=500)[0]
    expected = table.loc[0, [f"p_recalibrated_{unit}" for unit in units]].astype(float)
    np.testing.assert_allclose(again, expected, atol=1e-4)


def test_units_without_any_known_label_keep_the_figures_that_need_none(
    prepared_crops, tmp_path, monkeypatch
):
    original = load.load_clips

    def unknown(*arguments, **options):
        clips = original(*arguments, **options)
        return dataclasses.replace(clips, labels=np.full_like(clips.labels, np.nan))

    monkeypatch.setattr(load, "load_clips", unknown)
    metrics, _ = train(units_config(prepared_crops, "st_bln"), tmp_path)
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert not metrics.get("failed_figures") and {"f1", "timeline", "learning"} <= drawn
