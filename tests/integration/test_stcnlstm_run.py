"""Whole runs by the recipe of STC-NLSTM: folds by sequence, rotations, a DenseNet on frames."""

import numpy as np
import pytest

import fer_jax
from configs import stcnlstm_synthetic
from fer_jax.data import load
from fer_jax.data.clips import hold_crops
from tests.finished_runs import FinishedRun, epochs_of, train, with_fields

SMALL = {
    "full": {"model.channels": (2, 2), "model.hidden": 3, "data.frames": 4},
    "densenet": {"model.blocks": (1, 2), "model.growth": 2, "model.initial": 4, "data.frames": 2},
}


@pytest.mark.parametrize(("variant", "repeats"), [("full", 2), ("densenet", 1)])
def test_run_by_recipe_of_paper(variant, repeats, prepared_crops, tmp_path):
    fields = {
        "data.crop_size": 0, "data.classes": ("fear", "surprise"), "train.epochs": 2,
        "train.batch_size": 2, "optimizer.lr_milestones": (1,), "evaluation.mc_samples": 4,
        "protocol.name": "by_sequence", "protocol.folds": 2, "protocol.repeats": repeats,
    } | SMALL[variant]  # fmt: skip
    config = with_fields(stcnlstm_synthetic.get_config(variant), prepared_crops, fields)
    run = FinishedRun(tmp_path, prepared_crops, train(config, tmp_path)[1])
    assert run.metrics["clips_evaluated"] == repeats * 6  # two clips of each of three people
    assert run.metrics["single_samples"]["mc_samples"] == 4
    rows, table = epochs_of(tmp_path), run.table
    assert len(rows) == 2 * (2 * repeats + 1)
    assert all(np.isfinite(row["train_loss"]) for row in rows)
    assert set(table["label"]) == {"fear", "surprise"}
    assert table.groupby("clip").size().eq(repeats).all()
    np.testing.assert_allclose(table[["p_fear", "p_surprise"]].sum(axis=1), 1, atol=1e-4)
    predictor = fer_jax.load_model(run.bundle)
    clips = load.load_clips(
        prepared_crops, config.data.frames, config.data.frame_rule,
        crop_size=0, classes=("fear", "surprise"),
    )  # fmt: skip
    frames = hold_crops(clips, 2**30).crops.frames
    assert predictor.predict(frames, mc_samples=3).mean.shape == (6, 2)
    np.testing.assert_allclose(predictor.deterministic(frames).sum(-1), 1, atol=1e-5)
