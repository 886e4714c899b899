"""What `fer-jax export` refuses, without jax2onnx."""

import sys

import pytest

from fer_jax import commands
from fer_jax.export import onnx_file
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
    assert line.startswith("error: ") and missing in line


def test_option_is_needed(capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["export", "faces"])
    assert ended.value.code == 2 and "--onnx" in capsys.readouterr().err


def test_model_without_dropout_has_no_mc_dropout(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "check_libraries", lambda: None)
    with pytest.raises(onnx_file.ExportError, match="has no dropout: .*without --mc-dropout"):
        onnx_file.export(make(**WITHOUT_DROPOUT), tmp_path / "m.onnx", "any use", masks=True)
    assert not list(tmp_path.iterdir())
