"""The command that preparation prints at its end: a config that takes what was prepared."""

import importlib
import pathlib
import shlex

import pytest

from fer_jax.experiments.validate import SEEN
from preprocess.__main__ import _parser
from preprocess.datasets import DATASETS
from preprocess.next_command import _CROPS, _FOLDS, _SMALL_CROPS, next_command

ROOT = pathlib.Path(__file__).parents[2]
UNITS = ["--config.task=action_units", "--config.data.frame_rule=windows"]


def printed(monkeypatch, dataset, *arguments, splits=("train",), subjects=9, coded=False):
    """Returns the config's name and the flags after it."""
    monkeypatch.chdir(ROOT)
    options = _parser().parse_args([dataset, *arguments])
    summary = {"splits": dict.fromkeys(splits, 1), "subjects": subjects}
    text = next_command(options, DATASETS[dataset], summary, coded)
    command = shlex.split(text)
    assert command[:3] == ["python", "run.py", "--config"]
    return command[3], command[4:]


@pytest.mark.parametrize(
    ("dataset", "crops", "config", "as_prepared"),
    [
        ("ckplus", 32, "stcnlstm_ckplus", True),
        ("ckplus", 64, "stcnlstm_ckplus", False),
        ("ckplus", 100, "stcnlstm_ckplus", True),
        ("ckplus", 127, "stcnlstm_ckplus", True),
        ("ckplus", 128, "fergcn_ckplus", True),
        ("ckplus", 256, "fergcn_ckplus", False),
        ("ckplus", 299, "ir3d_ckplus", False),
        ("ckplus", 512, "ir3d_ckplus", True),
        ("disfa", 299, "ir3d_disfa", False),
        ("fera", 64, "ir3d_fera", True),
        ("synthetic", 96, "ir3d_synthetic", False),
        ("afew", 64, "fergcn_afew", True),
        ("bp4d", 32, "stcnlstm_bp4d", True),
        ("bp4d", 64, "stcnlstm_bp4d", False),
        ("bp4d", 256, "stcnlstm_bp4d", True),
        ("synthetic", 64, "stcnlstm_synthetic", False),
        ("synthetic", 256, "fergcn_synthetic", True),
        ("manifest", 64, "stcnlstm_manifest:x y", False),
        ("manifest", 96, "ir3d_manifest:x y", False),
        ("manifest", 256, "fergcn_manifest:x y", True),
    ],
)
def test_crops_of_any_size_get_a_config_that_takes_them(
    monkeypatch, dataset, crops, config, as_prepared
):
    name, flags = printed(monkeypatch, dataset, "--out", "data/x y", "--crops", str(crops))
    module, *variant = config.split(":")
    path = [] if variant else ["--config.data.path=data/x y"]
    assert name == config and flags == path + ["--config.data.crop_size=0"] * as_prepared
    config = importlib.import_module(f"configs.{module}").get_config(*variant)
    assert config.data.path == "data/x y" or not variant
    assert as_prepared or SEEN * crops <= config.data.crop_size <= crops  # what `run.py` accepts


def test_landmarks_get_a_config_of_landmarks(monkeypatch):
    assert printed(monkeypatch, "ckplus", "--out", "x")[0] == "stbln_ckplus"
    assert printed(monkeypatch, "mmi", "--out", "x")[0] == "stbln_manifest:x"


@pytest.mark.parametrize(
    ("out", "config", "flags"),
    [
        ("data/my_study", "stbln_manifest:my_study", []),
        ("./data/my study", "stbln_manifest:my study", []),
        (str(ROOT / "data" / "my_study"), "stbln_manifest:my_study", []),
        ("/d/my_study", "stbln_manifest:my_study", ["--config.data.path=/d/my_study"]),
        ("data/one,two", "stbln_manifest:one_two", ["--config.data.path=data/one,two"]),
        ("data/ckplus", "stbln_ckplus", ["--config.data.path=data/ckplus"]),
    ],
)
def test_own_study_is_named_by_its_folder(monkeypatch, out, config, flags):
    assert printed(monkeypatch, "manifest", "--out", out) == (config, flags)


def test_action_units_of_landmarks_are_no_motion(monkeypatch):
    name, flags = printed(monkeypatch, "manifest", "--out", "data/x", coded=True)
    wanted = [*UNITS, "--config.data.features=position"]
    assert name == "stbln_manifest:x" and flags == wanted
    splits = ("train", "validation")
    name, flags = printed(monkeypatch, "bp4d", "--out", "data/x", splits=splits, coded=True)
    assert name == "stbln_manifest:x" and flags == [*wanted, "--config.protocol.name=holdout"]


def test_action_units_of_crops(monkeypatch):
    arguments = ("--out", "x", "--crops", "64")
    name, flags = printed(monkeypatch, "manifest", *arguments, coded=True)
    assert name == "stcnlstm_manifest:x" and flags == ["--config.data.path=x", *UNITS]
    name, flags = printed(monkeypatch, "bp4d", *arguments, coded=True)
    assert (name, flags) == ("stcnlstm_bp4d", ["--config.data.path=x"])
    whole = ("--source", "s", "--whole-videos")  # its own configs are trained on emotions
    name, flags = printed(monkeypatch, "disfa", *arguments, *whole, coded=True)
    assert name == "stcnlstm_manifest:x" and set(UNITS) <= set(flags)


@pytest.mark.parametrize(
    ("crops", "subjects", "few"), [(64, 2, True), (64, 3, False), (96, 4, True), (96, 5, False)]
)
def test_fewer_people_than_folds_are_left_out_in_turn(monkeypatch, crops, subjects, few):
    arguments = ("manifest", "--out", "x", "--crops", str(crops))
    _, flags = printed(monkeypatch, *arguments, subjects=subjects)
    assert ("--config.protocol.folds=0" in flags) == few


def test_synthetic_clips_that_end_at_rest_are_cut_about_their_apex(monkeypatch):
    arguments = ("--out", "data/y", "--crops", "96", "--database", "film")
    name, flags = printed(monkeypatch, "synthetic", *arguments)
    assert name == "ir3d_synthetic" and "--config.name=y" in flags
    assert "--config.data.frame_rule=apex_pieces" in flags
    assert "--config.data.dataset=synthetic_film" in flags
    rest = printed(monkeypatch, "synthetic", *arguments[:-1], "studio")[1]
    assert rest == ["--config.data.path=data/y"]


def test_tables_of_systems_are_those_of_the_configs():
    own = {n: importlib.import_module(f"configs.{n}_manifest").get_config("x") for n in _FOLDS}
    assert {name: config.protocol.folds for name, config in own.items()} == _FOLDS
    for name, size in _SMALL_CROPS.items():
        assert SEEN * size <= own[name].data.crop_size <= size
    for name, size in _CROPS.items():
        config = importlib.import_module(f"configs.{name}_ckplus").get_config()
        assert SEEN * size <= config.data.crop_size <= size
