"""Configs are checked against the data before any work, then reach the program."""

import io
import re
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict
from rich.console import Console

from configs import stbln_manifest, stcnlstm_synthetic
from fer_jax import systems
from fer_jax.data import augment
from fer_jax.experiments import run, setup
from tests.finished_runs import crops_config, landmarks_config, units_config, with_fields
from tests.quick import quick


def stcnlstm_config(prepared, variant="full", **fields):
    config = stcnlstm_synthetic.get_config(variant)
    return with_fields(config, prepared, {"data.crop_size": 0} | fields)


def densenet_config(prepared, **fields):
    return stcnlstm_config(prepared, "densenet", **fields)


def unit_landmarks_config(prepared, **fields):
    return units_config(prepared, "st_bln", **fields)


@pytest.mark.parametrize(
    ("make", "fields", "words"),
    [
        (landmarks_config, {"model.name": "st_gcn_x"}, r"'st_gcn_x' is unknown: use one of \[.*st"),
        (landmarks_config, {"task": "ranking"}, "task 'ranking' is unknown"),
        (landmarks_config, {"train.epochs": 0}, "train.epochs=0: it must be 1 or more"),
        (landmarks_config, {"data.graph": "dense"}, "graph mode 'dense' is unknown"),
        (landmarks_config, {"data.features": "flow"}, "features 'flow' are unknown"),
        (landmarks_config, {"data.frame_rule": "random"}, "frame rule 'random' is unknown"),
        (landmarks_config, {"protocol.name": "bootstrap"}, "protocol 'bootstrap' is unknown"),
        (landmarks_config, {"optimizer.schedule": "step"}, "schedule 'step' is unknown"),
        (landmarks_config, {"model.u_init": "ones"}, "config.model.u_init=ones: use one of"),
        (unit_landmarks_config, {"data.classes": ("AU99",)}, "has no 'AU99', but AU01"),
        (crops_config, {"pretrained": "nowhere/a.safetensors"}, "nowhere/a.safetensors do not ex"),
        (crops_config, {"data.crop_size": 48}, "size=48 does not fit.* in 22 to 32, or .*--crops"),
        (crops_config, {"data.crop_size": 8}, "crop_size=8 does not fit the crops of 32 pixels"),
        (crops_config, {"model.features": 7}, "config.model.features=7: it must be even"),
        (crops_config, {"model.stages": ((4, 1),) * 6}, "crops of 28 pixels and needs at least 64"),
        (densenet_config, {"model.blocks": (1,) * 5}, "crops of 32 pixels and needs at least 64"),
        (
            densenet_config,
            {"data.classes": ("anger", "joy")},
            "has no 'joy', but anger",
        ),
        (densenet_config, {"task": "action_units"}, "task=action_units is not for densenet"),
        (densenet_config, {"data.classes": ("anger",)}, "has one class only"),
        (densenet_config, {"optimizer.name": "lion"}, "optimiser 'lion' is unknown"),
    ],
)
def test_config_that_does_not_fit_leaves_nothing_behind(
    make, fields, words, prepared_crops, tmp_path
):
    with pytest.raises(setup.SetupError, match=words):
        systems.prepare(make(prepared_crops, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Shaped(nn.Module):
    """A network whose outputs are not one number a clip and class."""

    classes: int
    axis_name: str | None = None
    kind: str = "frames"
    inputs = "edges"

    @nn.compact
    def __call__(self, inputs, *, train, dropout=None):
        y = nn.Dense(self.classes)(inputs.mean(2))  # [B, T, classes]
        outputs = {
            "frames": y, "clips": y.mean((0, 1), keepdims=True)[0], "wide": jnp.tile(y[:, 0], 2),
            "pair": (y[:, 0], y), "none": None,
        }  # fmt: skip
        return outputs[self.kind]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("frames", "(2, 4, 7)"), ("clips", "(1, 7)"), ("wide", "(2, 14)"),
     ("pair", "((2, 7), (2, 4, 7))"), ("none", "None")],
)  # fmt: skip
def test_outputs_of_another_shape_are_found_before_training(
    kind, shape, prepared, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "fer_jax.systems.shaped", sys.modules[__name__])
    monkeypatch.setitem(systems.SYSTEMS, "shaped", systems.System("shaped.Shaped"))
    config = landmarks_config(prepared)
    config.model = ConfigDict({"name": "shaped", "kind": kind})
    words = rf"network shaped makes outputs of shape {re.escape(shape)} .* not \(2, 7\): .* Shaped"
    with pytest.raises(setup.SetupError, match=words):
        systems.prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mine.network.Mine", "but there is no module fer_jax.systems.mine$"),
        ("st_bln.networks.STBLN", "but there is no module fer_jax.systems.st_bln.networks"),
        ("STBLN", "but there is no module"),
        ("st_bln.network.StBln", "but fer_jax.systems.st_bln.network has no StBln"),
        ("st_bln.network.jnp", "which is no Flax module"),
    ],
)
def test_row_that_names_no_network_is_named(path, words, prepared, tmp_path, monkeypatch):
    monkeypatch.setitem(systems.SYSTEMS, "mine", systems.System(path))
    config = landmarks_config(prepared, **{"model.name": "mine"})
    with pytest.raises(setup.SetupError, match=f"row 'mine' of SYSTEMS .* names {path}, {words}"):
        systems.prepare(config, tmp_path / "run")


def test_what_a_network_cannot_import_is_no_fault_of_its_row(tmp_path, monkeypatch):
    (tmp_path / "lacking.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        systems.System("lacking.Lacking").network  # noqa: B018


def test_recipe_reaches_the_program(prepared_crops, tmp_path):
    fields = {
        "data.classes": ("anger", "fear"), "model.channels": (2, 2), "model.hidden": 2,
        "train.batch_size": 2,
    }  # fmt: skip
    experiment = systems.prepare(stcnlstm_config(prepared_crops, **fields), tmp_path)
    assert experiment.clips.classes == ("anger", "fear")
    assert experiment.clips.crops.frames.shape[1:3] == (8, 32)
    assert experiment.program.module.classes == 2


def test_units_of_the_last_frame_alone_are_told(prepared, tmp_path):
    experiment = systems.prepare(unit_landmarks_config(prepared), tmp_path / "windows")
    experiment.config.data.frame_rule = "ends"
    shown = io.StringIO()
    run._describe(experiment, Console(file=shown))
    assert "labelled by its last frame alone: --config.data.frame_rule=windows" in shown.getvalue()


@pytest.mark.parametrize(("rule", "retimed"), [("uniform", True), ("windows", False)])
def test_clips_are_retimed_where_the_label_is_of_the_whole_clip(make_clips, rule, retimed):
    config = stbln_manifest.get_config("study")
    config.data.frame_rule = rule
    clip = {"landmarks": jnp.asarray(make_clips(frames=16).landmarks[0])}
    seen = quick(setup.make_augmentation(config, of_crops=False))(jax.random.key(0), clip)
    copies = [augment.fixed_copy(jax.random.key(0), copy, clip["landmarks"], 0.0, 0.0, head=True)
              for copy in (0, 7)]  # fmt: skip
    far = min(float(jnp.abs(seen["landmarks"] - each.landmarks).max()) for each in copies)
    assert (far > 0.1) == retimed
    config.augment.enabled = False
    assert setup.make_augmentation(config, of_crops=False) is None
