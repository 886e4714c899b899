"""Numbers, lists and combinations that mean nothing are refused, without looking at any data."""

import pytest

from configs import (
    fergcn_synthetic,
    ir3d_cross_synthetic,
    stbln_synthetic,
    stcnlstm_synthetic,
)
from fer_jax.experiments import validate

STBLN, FERGCN = stbln_synthetic.get_config, fergcn_synthetic.get_config
STCNLSTM, CROSS = stcnlstm_synthetic.get_config, ir3d_cross_synthetic.get_config
WINDOWS = {"task": "action_units", "data.frame_rule": "windows", "data.features": "position"}


@pytest.mark.parametrize("config", [STBLN, FERGCN, STCNLSTM, CROSS])
def test_configs_are_valid_before_they_are_changed(config):
    validate.check(config())


@pytest.mark.parametrize(
    ("config", "fields", "words"),
    [
        (STBLN, {"train.epochs": 0}, "config.train.epochs=0: it must be 1 or more"),
        (
            STBLN,
            {"evaluation.mc_samples": -1},
            "config.evaluation.mc_samples=-1: it must be 1 or more",
        ),
        (FERGCN, {"data.frames": 0}, "must be 1 or more"),
        (FERGCN, {"data.crop_size": -5}, "crop_size=-5: it must lie in 0"),
        (FERGCN, {"augment.contrast": 1.5}, "contrast=1.5: it must lie in 0"),
        (STCNLSTM, {"optimizer.clip_norm": -1.0}, "clip_norm=-1.0: it must lie in 0.0 to inf"),
        (STCNLSTM, {"optimizer.lr_factor": 1.5}, "lr_factor=1.5: it must lie in 0.0 to 1.0"),
        (
            STCNLSTM,
            {"optimizer.lr_milestones": ()},
            r"lr_milestones=\(\): give each epoch .* falls, e.g. .*'\(300,\)'",
        ),
        (
            STCNLSTM,
            {"optimizer.lr_milestones": (3, -1)},
            r"lr_milestones=\(3, -1\): give each epoch",
        ),
        (STCNLSTM, {"optimizer.lr_milestones": (2.5,)}, r"lr_milestones=\(2.5,\): give each epoch"),
        (STCNLSTM, {"data.frames_per_second": -10.0}, "frames_per_second=-10.0: it must lie in 0"),
        (STCNLSTM, {"augment.angles": (5.0, 200.0)}, r"angles=\(5.0, 200.0\): degrees lie in -180"),
        (STBLN, {**WINDOWS, "data.window_strides": (9,)}, "window_strides=.9,.: give the strides"),
        (STBLN, {**WINDOWS, "data.frames_per_second": 5.0}, "thins clips, not windows"),
        (
            STBLN,
            {**WINDOWS, "data.features": "motion"},
            "removes what stays the same throughout a window",
        ),
        (STBLN, {**WINDOWS, "task": "classification"}, "labels belong to frames"),
        (STBLN, {**WINDOWS, "task": "dimensional"}, "labels belong to frames"),
        (
            STBLN,
            {**WINDOWS, "protocol.name": "by_sequence"},
            "would evaluate on windows that overlap",
        ),
        (CROSS, {"data.words": ("anger", "angry")}, "words=.*give pairs of an emotion and its wo"),
        (CROSS, {"data.neutral_dominance": 34.5}, "dominance=34.5: ratings lie in 1 to 9"),
        (CROSS, {"optimizer.patience": 0}, "optimizer.patience=0: it must be 1 or more"),
        (CROSS, {"data.frames_per_second": 5.0}, "frames_per_second thins clips, not apex_pieces"),
        (
            CROSS,
            {"data.train_on": (("other", "./data/synthetic_studio_crops96", "last"),)},
            "data/synthetic_studio_crops96 is there twice: training and evaluation would",
        ),
        (
            CROSS,
            {"data.train_on": (("synthetic_film", "data/synthetic_film_crops96", "windows"),)},
            "frame_rule=windows cuts a recording into many clips",
        ),
    ],
)
def test_value_without_meaning_is_refused(config, fields, words):
    config = config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=words):
        validate.check(config)


def test_value_that_nothing_reads_may_be_anything():
    config = STBLN()
    config.optimizer.lr_milestones = (-1,)  # the schedule is another
    validate.check(config)
