"""What `fer-jax export` refuses, without jax2onnx."""

import sys

import pytest

from fer_jax import commands, shipped
from fer_jax.commands.export import terms
from fer_jax.export import onnx_file
from fer_jax.machine import write_whole
from fer_jax.predict.load import load_model
from fer_jax.zoo import ZOO
from tests.export.predictors import WITHOUT_DROPOUT, make


def test_missing_library_names_the_lines_to_install_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    file = tmp_path / "faces.onnx"
    assert commands.main(["export", "faces", "--onnx", str(file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: jax2onnx is not installed") and "Traceback" not in said
    assert "\n    python -m venv .venv-onnx\n    .venv-onnx/bin/pip install " in said
    assert not file.exists()


def test_model_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_file, "check_libraries", lambda: None)
    missing = str(tmp_path / "nowhere")
    assert commands.main(["export", missing, "--onnx", str(tmp_path / "m.onnx")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {missing} is not a model bundle")
    assert "readable" not in line  # advice for files that are there


def test_file_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(onnx_file, "check_libraries", lambda: None)

    def export(model, file, terms, masks):
        write_whole(file, b"")

    monkeypatch.setattr(onnx_file, "export", export)
    file = str(tmp_path / "file" / "m.onnx")  # below what is no folder
    assert commands.main(["export", "faces", "--onnx", file]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file'}") and "start the same command" in line


def test_terms_are_those_of_the_zoo_or_not_stated():
    model = load_model("faces")
    assert terms("faces", model) == ZOO["faces"].terms
    assert terms(str(shipped.FOLDER / "faces"), model).startswith("not stated: ")


def test_option_is_needed(capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["export", "faces"])
    assert ended.value.code == 2 and "--onnx" in capsys.readouterr().err


def test_model_without_dropout_has_no_mc_dropout(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "check_libraries", lambda: None)
    with pytest.raises(onnx_file.ExportError, match="has no dropout: .*without --mc-dropout"):
        onnx_file.export(make(**WITHOUT_DROPOUT), tmp_path / "m.onnx", "any use", masks=True)
    assert not list(tmp_path.iterdir())
