"""The work directory: one run at a time, and none that cannot be set up."""

import os
import subprocess
import sys

import pytest

from fer_jax import systems
from fer_jax.experiments import setup
from fer_jax.experiments.workdir import Workdir, WorkdirError, locked
from tests.conftest import ROOT
from tests.finished_runs import landmarks_config, train


def test_second_run_in_a_work_directory_is_refused(prepared, tmp_path):
    config = landmarks_config(prepared, **{"train.epochs": 1})
    tmp_path.joinpath("run").mkdir()
    with locked(Workdir(tmp_path / "run")):
        with pytest.raises(WorkdirError) as caught:
            train(config, tmp_path / "run")
        kept = sorted(os.listdir(tmp_path / "run"))
    text = str(caught.value)
    assert f"is in use by process {os.getpid()} on {os.uname().nodename}: wait" in text
    assert kept == [".lock", ".lock.holder", "config.json"]
    with locked(Workdir(tmp_path / "run")):
        pass


HOLD = """
import pathlib, sys, time
from fer_jax.experiments.workdir import Workdir, locked
with locked(Workdir(pathlib.Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_of_a_killed_process_is_no_trouble(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(WorkdirError, match=f"in use by process {holder.pid} on "),
            locked(Workdir(tmp_path)),
        ):
            pytest.fail("it is locked")
        holder.kill()
    with locked(Workdir(tmp_path)):
        assert (tmp_path / ".lock.holder").read_text().startswith(f"process {os.getpid()} on ")


def test_failed_setup_claims_no_work_directory(prepared, tmp_path, monkeypatch):
    def failing(*arguments):
        raise ValueError("no crops")

    with monkeypatch.context() as patch:
        patch.setattr(setup, "hold_crops", failing)
        with pytest.raises(setup.SetupError, match="no crops"):
            systems.prepare(landmarks_config(prepared), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    corrected = landmarks_config(prepared, **{"optimizer.momentum": 0.5})
    systems.prepare(corrected, tmp_path / "run")
