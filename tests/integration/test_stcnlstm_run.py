"""Whole runs by the recipe of STC-NLSTM: folds by sequence, rotations, a DenseNet on frames."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import fer_jax
from configs import stcnlstm_synthetic
from fer_jax.data import load
from fer_jax.data.clips import hold_crops
from fer_jax.systems import run

SMALL = {
    "full": {"model.channels": (2, 2), "model.hidden": 3, "data.frames": 4},
    "densenet": {"model.blocks": (1, 2), "model.growth": 2, "model.initial": 4, "data.frames": 2},
}


def small_config(prepared, variant, **fields):
    config = stcnlstm_synthetic.get_config(variant)
    overrides = {
        "data.path": str(prepared), "data.crop_size": 0, "data.classes": ("fear", "surprise"),
        "train.epochs": 2, "train.batch_size": 2, "optimizer.drop_at": (1,),
        "evaluation.passes": 4, "protocol.name": "by_sequence", "protocol.folds": 2,
    }  # fmt: skip
    config.update_from_flattened_dict(overrides | SMALL[variant] | fields)
    return config


@pytest.mark.parametrize("variant", SMALL)
def test_a_run_by_the_papers_recipe(variant, prepared_crops, tmp_path):
    config = small_config(prepared_crops, variant, **{"protocol.repeats": 2})
    metrics = run(config, tmp_path, Console(file=io.StringIO()))
    assert metrics["clips_scored"] == 2 * 6  # two clips of each of three people, twice
    assert metrics["single_pass"]["passes"] == 4
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * (2 * 2 + 1)
    assert all(np.isfinite(row["train_loss"]) for row in rows)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert set(table["label"]) == {"fear", "surprise"}
    assert table.groupby("clip").size().eq(2).all()
    np.testing.assert_allclose(table[["p_fear", "p_surprise"]].sum(axis=1), 1, atol=1e-4)
    predictor = fer_jax.load_model(tmp_path / "model")
    clips = load.load_clips(
        prepared_crops, config.data.frames, config.data.frame_rule,
        crop_size=0, classes=("fear", "surprise"),
    )  # fmt: skip
    frames = hold_crops(clips, 2**30).frames
    assert predictor.predict(frames, passes=3).mean.shape == (6, 2)
    np.testing.assert_allclose(predictor.deterministic(frames).sum(-1), 1, atol=1e-5)
