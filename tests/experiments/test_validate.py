"""Values and combinations that make no sense are refused, without any data."""

import pytest

from configs import fergcn_synthetic, ir3d_cross_synthetic, stbln_synthetic, stcnlstm_synthetic
from fer_jax.data.frame_selection import PIECES
from fer_jax.experiments import validate

STBLN, FERGCN = stbln_synthetic.get_config, fergcn_synthetic.get_config
STCNLSTM, CROSS = stcnlstm_synthetic.get_config, ir3d_cross_synthetic.get_config
WINDOWS = {"task": "action_units", "data.frame_rule": "windows", "data.features": "position"}


@pytest.mark.parametrize("config", [STBLN, FERGCN, STCNLSTM, CROSS])
def test_configs_are_valid_before_they_are_changed(config):
    validate.check(config())


SERIES = "optimizer.lr_milestones"
TRAIN_ON = "data.train_on"
REFUSED = [
    (STBLN, {"train.epochs": 0}, "config.train.epochs=0: it must be 1 or more"),
    (STBLN, {"evaluation.mc_samples": -1}, "evaluation.mc_samples=-1: it must be 1 or more"),
    (STBLN, {"uncertainty.members": 0}, "uncertainty.members=0: it must be 1 or more"),
    (STBLN, {"uncertainty.members": 101}, "uncertainty.members=101: it must lie in 1 to 100"),
    (STBLN, {"uncertainty.posterior": "sgld"}, "posterior=sgld: use one of .'mc_dropout', 'swa'"),
    (STBLN, {"uncertainty.posterior": "swa", "train.select_checkpoint": "best"},
     "posterior=swa averages the last epochs, and --config.train.select_checkpoint=best takes one"),
    (STBLN, {"uncertainty.posterior": "swag", "train.epochs": 5}, "epochs=5 is too short"),
    (STBLN, {"uncertainty.calibration": "platt"}, "calibration=platt: use one of .'auto', 'none'"),
    (STBLN, {"task": "dimensional", "uncertainty.calibration": "vector"},
     "calibration=vector is for probabilities, which --config.task=dimensional has none of"),
    (STBLN, {"uncertainty.sets": 1.0}, "sets=1.0: it must lie in 0.0 to 0.999"),
    (STBLN, {"evaluation.confidence": 0.2}, "confidence=0.2: it must lie in 0.5 to 0.999"),
    (FERGCN, {"data.frames": 0}, "must be 1 or more"),
    (FERGCN, {"data.crop_size": -5}, "crop_size=-5: it must lie in 0"),
    (FERGCN, {"augment.contrast": 1.5}, "contrast=1.5: it must lie in 0"),
    (STCNLSTM, {"optimizer.clip_norm": -1.0}, "clip_norm=-1.0: it must lie in 0.0 to inf"),
    (STCNLSTM, {"optimizer.lr_factor": 1.5}, "lr_factor=1.5: it must lie in 0.0 to 1.0"),
    (STCNLSTM, {SERIES: ()}, r"lr_milestones=\(\): give each epoch .* falls, e.g. .*'\(300,\)'"),
    (STCNLSTM, {SERIES: (3, -1)}, r"lr_milestones=\(3, -1\): give each epoch"),
    (STCNLSTM, {SERIES: (2.5,)}, r"lr_milestones=\(2.5,\): give each epoch"),
    (STCNLSTM, {"data.frames_per_second": -10.0}, "frames_per_second=-10.0: it must lie in 0"),
    (STCNLSTM, {"augment.angles": (5.0, 200.0)}, r"angles=\(5.0, 200.0\): degrees lie in -180"),
    (STBLN, {**WINDOWS, "data.window_strides": (9,)}, "window_strides=.9,.: give the strides"),
    (STBLN, {**WINDOWS, "data.frames_per_second": 5.0}, "thins clips, not windows"),
    (STBLN, {"train.class_weights": "equal"}, "class_weights=equal: use 'none' or 'balanced'"),
    (STBLN, {**WINDOWS, "data.features": "normalised_motion"}, "normalised_motion removes what st"),
    (STBLN, {**WINDOWS, "data.features": "motion"}, "removes what stays the same throughout a win"),
    (STBLN, {**WINDOWS, "task": "classification"}, "labels belong to frames"),
    (STBLN, {**WINDOWS, "task": "dimensional"}, "labels belong to frames"),
    (STBLN, {**WINDOWS, "protocol.name": "by_sequence"}, "would evaluate on windows that overlap"),
    *((STBLN, {"data.frame_rule": rule, "protocol.name": "by_sequence"}, "evaluate on pieces of")
      for rule in PIECES),
    *((STBLN, {"data.frame_rule": rule, "data.frames_per_second": 5.0}, f"thins clips, not {rule}")
      for rule in PIECES),
    (CROSS, {"data.words": ("anger", "angry")}, "words=.*give pairs of an emotion and its wo"),
    (CROSS, {"data.neutral_dominance": 34.5}, "dominance=34.5: ratings lie in 1 to 9"),
    (CROSS, {"optimizer.patience": 0}, "optimizer.patience=0: it must be 1 or more"),
    (CROSS, {"data.frames_per_second": 5.0}, "frames_per_second thins clips, not apex_pieces"),
    (CROSS, {TRAIN_ON: ()}, "need each other"),
    (CROSS, {"protocol.name": "holdout"}, "need each other"),
    (CROSS, {"protocol.repeats": 2}, "one division"),
    (CROSS, {TRAIN_ON: (("mmi", "data/mmi"),)}, "dataset, path, frame_rule"),
    (CROSS, {TRAIN_ON: (("synthetic_studio", "x", "last"),)}, "synthetic_studio is there twice"),
    (CROSS, {TRAIN_ON: (("other", "./data/synthetic_studio_crops96", "last"),)},
     "data/synthetic_studio_crops96 is there twice: training and evaluation would share"),
    (CROSS, {TRAIN_ON: (("synthetic_film", "data/synthetic_film_crops96", "windows"),)},
     "frame_rule=windows cuts a recording into many clips"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "fields", "words"), REFUSED)
def test_value_without_meaning_is_refused(config, fields, words):
    config = config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=words):
        validate.check(config)


def test_value_that_nothing_reads_may_be_anything():
    config = STBLN()
    config.optimizer.lr_milestones = (-1,)  # the schedule is another
    validate.check(config)
