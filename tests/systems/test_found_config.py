"""What a search writes: its stages, with checksums, and a config that gives back every value."""

import ast
import math
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import pstbln_synthetic
from fer_jax.experiments.workdir import Workdir
from fer_jax.machine import FileError
from fer_jax.systems.st_bln import search_report
from fer_jax.systems.st_bln.search_report import found_config

TEXTS = st.text(max_size=20) | st.sampled_from(
    ['"""', "'", '"', "\\", "a\nimport os", "\x1b[2J", "{0}", "é漢", "\\N{BULLET}", '\\"""', "#"]
)
FLOATS = st.floats() | st.sampled_from([math.inf, -math.inf, math.nan, -0.0, 1e-320])


def loaded(text):
    """Runs the text of a config."""
    space = {}
    exec(compile(text, "found.py", "exec"), space)
    return space["get_config"]().to_dict()


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (tuple, list)):
        equal = type(one) is type(other) and len(one) == len(other)
        return equal and all(map(same, one, other))
    return repr(one) == repr(other)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, FLOATS, FLOATS, st.lists(TEXTS, max_size=3), TEXTS)
def test_found_config_gives_back_every_value(name, path, clip, noise, classes, file):
    config = pstbln_synthetic.get_config()
    config.name, config.data.path, config.data.classes = name, path, tuple(classes)
    config.optimizer.clip_norm, config.augment.noise = clip, noise
    config.model.widths = (5, 10)
    text = found_config(config, pathlib.Path(file or "found.py"))
    expected = config.to_dict()
    expected["name"], expected["search"]["enabled"] = f"{name}_found", False
    expected["method"] = "PST-BLN from scratch"
    assert same(loaded(text), expected)
    tree = ast.parse(text)
    assert len(tree.body) == 3  # docstring, import, function: no name became a statement


@pytest.mark.parametrize("name", ["a b", "class", 'x"] = 1; import os; y["', "1st"])
def test_fields_of_any_name_are_written(name):
    config = pstbln_synthetic.get_config()
    with config.unlocked():
        config.data[name] = 3
    text = found_config(config, pathlib.Path("found.py"))
    assert f"config.data[{ascii(name)}] = 3" in text
    ast.parse(text)


def make_row():
    numbers = dict.fromkeys(("loss", "seconds", "compile_seconds"), 1.25)
    row = {"stage": 1, "topology": (3,), "parent": (), "kept": (3,), "decision": "new layer"}
    return row | {**numbers, "fold": "fold00", "params_total": 9, "params_without_U": 9}


def test_growth_that_cannot_be_drawn_costs_no_stage(tmp_path, monkeypatch, capsys):
    def fail(rows):
        raise ValueError("Axis limits cannot be NaN or Inf")

    monkeypatch.setattr(search_report, "growth_curve", fail)
    workdir = Workdir(tmp_path)
    search_report.write_rows(workdir, [make_row()], [make_row()], "growth")
    assert len(search_report.read_rows(workdir)) == 1 and not workdir.figure("growth").exists()
    assert "could not be drawn (ValueError: Axis limits" in capsys.readouterr().err


def test_stage_whose_loss_was_changed_is_named(tmp_path):
    row, workdir = make_row(), Workdir(tmp_path)
    rows = [row, row | {"stage": 2}]
    search_report.write_rows(workdir, rows, rows, "growth")
    read = search_report.read_rows(workdir)
    assert [each["stage"] for each in read] == [1, 2] and read[0]["topology"] == [3]
    assert "sha256" not in read[0]
    search_report.write_rows(workdir, read, read, "growth")
    assert search_report.read_rows(workdir) == read
    text = workdir.search_rows.read_text()
    workdir.search_rows.write_text(text.replace('"loss": 1.25', '"loss": 1.26', 1))
    with pytest.raises(FileError, match="line 1 is no stage .*not as it was written"):
        search_report.read_rows(workdir)
