"""What a message names depends on the installation: `python run.py` exists in a clone alone."""

import pathlib

import pytest

from fer_jax import installation

ROOT = pathlib.Path(__file__).parents[2]


def test_clone_names_its_scripts(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert installation.prepare_command() == "python -m preprocess"
    assert installation.train_command() == "python run.py"
    assert installation.how_to_install("train") == f"pip install -e '{ROOT}[train]'"
    monkeypatch.setattr("sys.argv", ["/venv/bin/fer-jax", "prepare"])  # what the user has typed
    assert installation.prepare_command() == "fer-jax prepare"
    assert installation.train_command() == "fer-jax train"
    monkeypatch.setattr("sys.argv", ["run.py"])
    monkeypatch.chdir(tmp_path)
    assert installation.prepare_command() == "fer-jax prepare"
    assert installation.train_command() == "fer-jax train"


def test_wheel_names_the_program(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(installation, "IS_WHEEL", True)
    assert installation.prepare_command() == "fer-jax prepare"
    assert "SOURCE[train]" in installation.how_to_install("train")


def test_missing_package_names_its_extra():
    with (
        pytest.raises(installation.NotInstalledError, match=r"^no_such_package .*\[train\]"),
        installation.needs("train"),
    ):
        import no_such_package  # noqa: F401
