"""Configs are checked before any work: numbers, lists and combinations that mean nothing."""

import pytest

from configs import ir3d_cross_synthetic, stbln_synthetic, stcnlstm_synthetic
from fer_jax import systems
from fer_jax.experiments import validate


def config_of(variant="full", **fields):
    config = stcnlstm_synthetic.get_config(variant)
    config.data.path = "nowhere"
    config.update_from_flattened_dict(fields)
    return config


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimizer.clip_norm": -1.0}, "optimizer.clip_norm=-1.0: it must lie in 0.0 to inf"),
        ({"optimizer.drop_factor": 1.5}, "optimizer.drop_factor=1.5: it must lie in 0.0 to 1.0"),
        ({"optimizer.drop_at": ()}, r"drop_at=\(\): give each epoch .* falls, e.g. .*'\(300,\)'"),
        ({"optimizer.drop_at": (3, -1)}, r"drop_at=\(3, -1\): give each epoch"),
        ({"optimizer.drop_at": (2.5,)}, r"drop_at=\(2.5,\): give each epoch"),
        ({"data.frames_per_second": -10.0}, "frames_per_second=-10.0: it must lie in 0"),
        ({"model.hidden": 0}, "model.hidden=0: it must be 1 or more"),
        ({"model.channels": ()}, r"model.channels=\(\): give the positive width of every layer"),
        ({"model.channels": (4, 0)}, r"model.channels=\(4, 0\): give the positive width"),
        ({"augment.angles": (5.0, 200.0)}, r"angles=\(5.0, 200.0\): degrees lie in -180 to 180"),
        (
            {"task": "action_units", "data.frame_rule": "windows", "protocol.name": "by_sequence"},
            "by_sequence would score windows that overlap",
        ),
    ],
)
def test_what_means_nothing_is_refused(fields, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        systems.prepare(config_of(**fields), tmp_path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model.growth": 0}, "model.growth=0: it must be 1 or more"),
        ({"model.initial": -3}, "model.initial=-3: it must be 1 or more"),
        ({"model.blocks": (2, 0)}, r"model.blocks=\(2, 0\): give the number of layers of every"),
        ({"task": "action_units"}, "densenet takes the mean of its frames' class probabilities"),
    ],
)
def test_densenets_that_mean_nothing_are_refused(fields, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        systems.prepare(config_of("densenet", **fields), tmp_path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model.divisor": 0}, "model.divisor=0: it must be 1 or more"),
        ({"model.factorised": 2}, "model.factorised=2: kernels span 1 or 3 frames"),
        ({"model.residual_scale": (0.1,)}, r"residual_scale=\(0.1,\): give one factor for each"),
        ({"model.outside": -3.0}, "model.outside=-3.0: it must lie in 0.0 to 1.0"),
        ({"data.words": ("anger", "angry")}, "words=.*give pairs of an emotion and its word, e.g."),
        ({"data.neutral_dominance": 34.5}, "neutral_dominance=34.5: ratings lie in 1 to 9"),
        ({"optimizer.patience": 0}, "optimizer.patience=0: it must be 1 or more"),
        ({"data.frames_per_second": 5.0}, "frames_per_second thins clips, not apex_pieces"),
        (
            {"data.train_on": (("other", "./data/synthetic_studio_crops96", "last"),)},
            "data/synthetic_studio_crops96 is there twice, learnt from or tested: its people",
        ),
        (
            {"data.train_on": (("synthetic_film", "data/synthetic_film_crops96", "windows"),)},
            "frame_rule=windows makes many clips of one",
        ),
    ],
)
def test_experiments_across_data_sets_that_mean_nothing_are_refused(fields, words):
    config = ir3d_cross_synthetic.get_config()
    validate.check(config)
    config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=words):
        validate.check(config)


def test_widths_are_still_checked(tmp_path):
    config = stbln_synthetic.get_config()
    config.model.widths = (8, -1)
    with pytest.raises(ValueError, match=r"model.widths=\(8, -1\): give the positive width"):
        systems.prepare(config, tmp_path)
    config = stbln_synthetic.get_config()
    config.optimizer.drop_at = (-1,)  # nothing reads it: the schedule is another
    validate.check(config)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"model.blocks": (1,) * 5},
            "5 blocks halve crops of 32 pixels to nothing: .*model.blocks",
        ),
        ({"data.classes": ("anger", "joy")}, "data.classes: .* has no 'joy', but anger"),
        ({"data.classes": ("anger",)}, "has one class"),
        ({"optimizer.name": "lion"}, "optimiser 'lion' is unknown"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(prepared_crops, fields, words, tmp_path):
    fields = {"data.path": str(prepared_crops), "data.crop_size": 0, **fields}
    with pytest.raises(ValueError, match=words):
        systems.prepare(config_of("densenet", **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_recipe_reaches_the_program(prepared_crops, tmp_path):
    fields = {
        "data.path": str(prepared_crops), "data.crop_size": 0, "data.classes": ("anger", "fear"),
        "model.channels": (2, 2), "model.hidden": 2, "train.batch_size": 2,
    }  # fmt: skip
    experiment = systems.prepare(config_of(**fields), tmp_path)
    assert experiment.clips.classes == ("anger", "fear")
    assert experiment.clips.frames.shape[1:3] == (8, 32)
    assert experiment.program.module.classes == 2
