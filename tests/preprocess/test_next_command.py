"""The command that preparation prints at its end: a config that takes what was prepared."""

import importlib
import pathlib
import shlex

import pytest

from fer_jax.experiments import configs
from fer_jax.experiments.setup import SEEN
from preprocess.__main__ import _parser
from preprocess.datasets import DATASETS
from preprocess.next_command import next_command

ROOT = pathlib.Path(__file__).parents[2]
UNITS = ["--config.task=action_units", "--config.data.frame_rule=windows"]


def printed(monkeypatch, dataset, *arguments, splits=("train",), subjects=9, coded=False):
    """Returns the config's name and the flags after it."""
    monkeypatch.chdir(ROOT)
    options = _parser().parse_args([dataset, *arguments])
    summary = {"splits": dict.fromkeys(splits, 1), "subjects": subjects}
    text = next_command(options, DATASETS[dataset], summary, coded, configs.names())
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
        ("manifest", 64, "stcnlstm_buhmap", False),
        ("manifest", 96, "ir3d_buhmap", False),
        ("manifest", 256, "fergcn_buhmap", True),
    ],
)
def test_crops_of_any_size_get_a_config_that_takes_them(
    monkeypatch, dataset, crops, config, as_prepared
):
    name, flags = printed(monkeypatch, dataset, "--out", "data/x y", "--crops", str(crops))
    assert name == config and "--config.data.path=data/x y" in flags
    assert ("--config.data.crop_size=0" in flags) == as_prepared
    size = importlib.import_module(f"configs.{config}").get_config().data.crop_size
    assert as_prepared or SEEN * crops <= size <= crops  # what `run.py` accepts


def test_landmarks_get_a_config_of_landmarks(monkeypatch):
    assert printed(monkeypatch, "ckplus", "--out", "x")[0] == "stbln_ckplus"
    assert printed(monkeypatch, "mmi", "--out", "x")[0] == "stbln_buhmap"


def test_action_units_of_landmarks_are_no_motion(monkeypatch):
    name, flags = printed(monkeypatch, "manifest", "--out", "x", coded=True)
    wanted = ["--config.name=x", "--config.data.path=x", *UNITS, "--config.data.features=position"]
    assert name == "stbln_buhmap" and flags == wanted
    splits = ("train", "validation")
    name, flags = printed(monkeypatch, "bp4d", "--out", "x", splits=splits, coded=True)
    assert name == "stbln_buhmap" and flags == [*wanted, "--config.protocol.name=holdout"]


def test_action_units_of_crops(monkeypatch):
    arguments = ("--out", "x", "--crops", "64")
    name, flags = printed(monkeypatch, "manifest", *arguments, coded=True)
    assert name == "stcnlstm_buhmap"
    assert flags == ["--config.name=x", "--config.data.path=x", *UNITS]
    name, flags = printed(monkeypatch, "bp4d", *arguments, coded=True)
    assert (name, flags) == ("stcnlstm_bp4d", ["--config.data.path=x"])


@pytest.mark.parametrize(("subjects", "few"), [(2, True), (3, False)])
def test_two_people_are_left_out_in_turn(monkeypatch, subjects, few):
    arguments = ("manifest", "--out", "x", "--crops", "64")
    _, flags = printed(monkeypatch, *arguments, subjects=subjects)
    assert ("--config.protocol.folds=0" in flags) == few


def test_disfas_units_are_not_learnt_with_its_config_of_emotions(monkeypatch):
    arguments = ("--source", "s", "--out", "x", "--crops", "64", "--whole-videos")
    name, flags = printed(monkeypatch, "disfa", *arguments, coded=True)
    assert name == "stcnlstm_buhmap" and set(UNITS) <= set(flags)


def test_synthetic_clips_that_end_at_rest_are_cut_about_their_apex(monkeypatch):
    arguments = ("--out", "data/y", "--crops", "96", "--database", "film")
    name, flags = printed(monkeypatch, "synthetic", *arguments)
    assert name == "ir3d_synthetic" and "--config.name=y" in flags
    assert "--config.data.frame_rule=apex_pieces" in flags
    assert "--config.data.dataset=synthetic_film" in flags
    rest = printed(monkeypatch, "synthetic", *arguments[:-1], "studio")[1]
    assert rest == ["--config.data.path=data/y"]
