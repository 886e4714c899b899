"""Damaged work directories and failing storage: one line, made again where it can be."""

import functools
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from fer_jax import systems
from fer_jax.commands.train import main
from fer_jax.experiments import write_bundle
from fer_jax.experiments.run import is_done
from fer_jax.experiments.workdir import Workdir, WorkdirError
from fer_jax.machine import FileError, StorageError
from fer_jax.training.program import Run
from tests.conftest import ROOT
from tests.finished_runs import (
    CONFIGS,
    assert_same_metrics,
    landmarks_config,
    metrics_of,
    train,
)
from tests.integration.test_run import arguments


@pytest.fixture(scope="module")
def whole(finished_run):
    return finished_run("landmarks")


@pytest.fixture
def workdir(whole, tmp_path):
    return shutil.copytree(whole.workdir, tmp_path / "run")


def flip(file, seed=0):
    data, rng = bytearray(file.read_bytes()), np.random.default_rng(seed)
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    file.write_bytes(data)


DAMAGES = {
    "flip": flip,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-40]),
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("no such file"),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", ["holdout.npz", "holdout.msgpack"])
def test_damaged_fold_is_found(whole, workdir, name, how):
    made = systems.prepare(CONFIGS["landmarks"](whole.prepared), workdir)
    console = Console(file=io.StringIO(), width=200)
    done = functools.partial(is_done, made.workdir, Run(made.folds[0], 0), console)
    assert done()
    DAMAGES[how](workdir / "folds" / name)
    assert not done()
    shown = console.file.getvalue().replace("\n", "")
    assert f"folds/{name}" in shown and "holdout is evaluated again" in shown


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("name", "how"), [("holdout.npz", "flip"), ("holdout.msgpack", "cut")])
def test_damaged_fold_is_evaluated_again(whole, workdir, name, how):
    DAMAGES[how](workdir / "folds" / name)
    metrics, shown = train(CONFIGS["landmarks"](whole.prepared), workdir)
    assert "holdout is evaluated again" in shown and metrics["train_seconds"] > 0
    assert_same_metrics(metrics_of(workdir), whole.metrics)


def test_any_flipped_bit_of_a_result_is_seen(whole, workdir):
    own = Workdir(workdir)
    file = own.result("holdout")
    before, content = own.load_result("holdout"), file.read_bytes()
    for seed in range(60):
        flip(file, seed)
        try:
            after = own.load_result("holdout")
        except FileError as error:
            assert "holdout.npz is damaged" in str(error)
        else:  # a date or another field that holds no number
            assert all(np.array_equal(before[name], after[name]) for name in before)
        file.write_bytes(content)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"name": 1}', "[" * 100_000, "\x00"],
)
def test_damaged_config_is_named(prepared, tmp_path, text):
    systems.prepare(landmarks_config(prepared), tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WorkdirError, match=r"config.json is damaged .*: name another --workdir"):
        systems.prepare(landmarks_config(prepared), tmp_path)


@pytest.mark.usefixtures("no_figures")
def test_log_without_the_epochs_of_a_fold_says_what_to_do(whole, workdir):
    (workdir / "metrics.jsonl").unlink()
    config = CONFIGS["landmarks"](whole.prepared)
    with pytest.raises(FileError, match=r"no epochs of holdout: restore it .* or delete .*npz"):
        train(config, workdir)
    (workdir / "folds" / "holdout.npz").unlink()
    train(config, workdir)
    assert_same_metrics(metrics_of(workdir), whole.metrics)


def test_workdir_that_is_a_file_is_one_line(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (tmp_path / "run").write_text("a file")
    assert main(arguments(whole.prepared, tmp_path / "run")) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/run") and "a file is where a folder belongs" in line
    assert (tmp_path / "run").read_text() == "a file"


@pytest.mark.parametrize("code, words", [(28, "free some space"), (30, "may write to"),
                                         (13, "may write to"), (5, "may be failing")])  # fmt: skip
def test_failing_storage_is_one_line(whole, workdir, monkeypatch, code, words):
    def failing(experiment, fold, metrics):
        raise OSError(code, os.strerror(code), str(workdir / "model" / "model.json"))

    monkeypatch.setattr(write_bundle, "write_bundle", failing)
    monkeypatch.setattr("fer_jax.experiments.run.write_bundle", failing)
    with pytest.raises(StorageError) as caught:
        train(CONFIGS["landmarks"](whole.prepared), workdir)
    text = str(caught.value)
    assert text.startswith(f"{workdir}/model/model.json: {os.strerror(code)}: ") and words in text


def test_limit_of_file_sizes_is_one_line(whole, tmp_path):
    """Files of a few numbers can be written, checkpoints and weights cannot."""
    call = ["run.py", *arguments(whole.prepared, tmp_path / "run"), "--compilation_cache="]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 4 && exec "$@"', "-", sys.executable, *call],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    *before, line = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/run/"), done.stderr
    assert "Traceback" not in done.stderr and len(before) < 5, done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["name"] == "stbln_synthetic"
