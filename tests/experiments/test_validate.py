"""Numbers, lists and combinations that mean nothing are refused, without looking at any data."""

import pytest

from configs import (
    fergcn_synthetic,
    ir3d_cross_synthetic,
    pstbln_synthetic,
    stbln_synthetic,
    stcnlstm_synthetic,
)
from fer_jax.experiments import validate

STBLN, FERGCN = stbln_synthetic.get_config, fergcn_synthetic.get_config
SEARCH, STCNLSTM = pstbln_synthetic.get_config, stcnlstm_synthetic.get_config
CROSS = ir3d_cross_synthetic.get_config
WINDOWS = {"task": "action_units", "data.frame_rule": "windows", "data.features": "position"}


def densenet():
    return stcnlstm_synthetic.get_config("densenet")


@pytest.mark.parametrize("config", [STBLN, FERGCN, SEARCH, STCNLSTM, densenet, CROSS])
def test_configs_are_valid_before_they_are_changed(config):
    validate.check(config())


@pytest.mark.parametrize(
    ("config", "fields", "words"),
    [
        (STBLN, {"train.epochs": 0}, "config.train.epochs=0: it must be 1 or more"),
        (STBLN, {"evaluation.passes": -1}, "config.evaluation.passes=-1: it must be 1 or more"),
        (STBLN, {"model.widths": (8, -1)}, r"widths=\(8, -1\): give the positive width of every"),
        (FERGCN, {"data.frames": 0}, "must be 1 or more"),
        (FERGCN, {"data.crop_size": -5}, "crop_size=-5: it must lie in 0"),
        (FERGCN, {"model.dtype": "bfloat"}, "dtype=bfloat: use 'float32' or 'bfloat16'"),
        (FERGCN, {"model.modules": -1}, "modules=-1: it must lie in 0"),
        (FERGCN, {"model.stages": ((4, 1), (6, 0))}, r"\(6, 0\) is no \(channels, convolutions\)"),
        (FERGCN, {"augment.contrast": 1.5}, "contrast=1.5: it must lie in 0"),
        (SEARCH, {"search.block_size": 0}, "search.block_size=0: it must be 1 or more"),
        (SEARCH, {"search.width_threshold": 0.0}, "width_threshold=0.0: it must lie in 1e-12 to 1"),
        (SEARCH, {"model.name": "st_gcn"}, "grows st_bln for classification, not st_gcn"),
        (STCNLSTM, {"optimizer.clip_norm": -1.0}, "clip_norm=-1.0: it must lie in 0.0 to inf"),
        (STCNLSTM, {"optimizer.drop_factor": 1.5}, "drop_factor=1.5: it must lie in 0.0 to 1.0"),
        (
            STCNLSTM,
            {"optimizer.drop_at": ()},
            r"drop_at=\(\): give each epoch .* falls, e.g. .*'\(300,\)'",
        ),
        (STCNLSTM, {"optimizer.drop_at": (3, -1)}, r"drop_at=\(3, -1\): give each epoch"),
        (STCNLSTM, {"optimizer.drop_at": (2.5,)}, r"drop_at=\(2.5,\): give each epoch"),
        (STCNLSTM, {"data.frames_per_second": -10.0}, "frames_per_second=-10.0: it must lie in 0"),
        (STCNLSTM, {"model.hidden": 0}, "model.hidden=0: it must be 1 or more"),
        (STCNLSTM, {"model.channels": ()}, r"model.channels=\(\): give the positive width"),
        (STCNLSTM, {"model.channels": (4, 0)}, r"model.channels=\(4, 0\): give the positive width"),
        (STCNLSTM, {"augment.angles": (5.0, 200.0)}, r"angles=\(5.0, 200.0\): degrees lie in -180"),
        (densenet, {"model.growth": 0}, "model.growth=0: it must be 1 or more"),
        (densenet, {"model.initial": -3}, "model.initial=-3: it must be 1 or more"),
        (densenet, {"model.blocks": (2, 0)}, r"blocks=\(2, 0\): give the number of layers of"),
        (densenet, {"task": "action_units"}, "densenet takes the mean of its frames' class prob"),
        (STBLN, {**WINDOWS, "data.window_strides": (9,)}, "window_strides=.9,.: give the windows"),
        (STBLN, {**WINDOWS, "data.frames_per_second": 5.0}, "thins clips, not windows"),
        (STBLN, {**WINDOWS, "data.features": "motion"}, "takes out what holds throughout a window"),
        (STBLN, {**WINDOWS, "task": "classification"}, "labels belong to frames"),
        (STBLN, {**WINDOWS, "task": "dimensional"}, "labels belong to frames"),
        (STBLN, {**WINDOWS, "protocol.name": "by_sequence"}, "would score windows that overlap"),
        (CROSS, {"model.divisor": 0}, "model.divisor=0: it must be 1 or more"),
        (CROSS, {"model.factorised": 2}, "model.factorised=2: kernels span 1 or 3 frames"),
        (CROSS, {"model.residual_scale": (0.1,)}, r"scale=\(0.1,\): give one factor for each"),
        (CROSS, {"model.outside": -3.0}, "model.outside=-3.0: it must lie in 0.0 to 1.0"),
        (CROSS, {"data.words": ("anger", "angry")}, "words=.*give pairs of an emotion and its wo"),
        (CROSS, {"data.neutral_dominance": 34.5}, "dominance=34.5: ratings lie in 1 to 9"),
        (CROSS, {"optimizer.patience": 0}, "optimizer.patience=0: it must be 1 or more"),
        (CROSS, {"data.frames_per_second": 5.0}, "frames_per_second thins clips, not apex_pieces"),
        (
            CROSS,
            {"data.train_on": (("other", "./data/synthetic_studio_crops96", "last"),)},
            "data/synthetic_studio_crops96 is there twice, learnt from or tested: its people",
        ),
        (
            CROSS,
            {"data.train_on": (("synthetic_film", "data/synthetic_film_crops96", "windows"),)},
            "frame_rule=windows makes many clips of one",
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
    config.optimizer.drop_at = (-1,)  # the schedule is another
    validate.check(config)
