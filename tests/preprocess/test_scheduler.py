"""Preparation by a dask scheduler of an environment without fer_jax."""

import json
import os
import subprocess
import sys
import time

import pytest

from preprocess.workers import cluster

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # dask's own

MODULE = """
from typing import NamedTuple


class Pair(NamedTuple):
    both: tuple


class Odd(Exception):
    pass


def pair(task):
    if task == "odd":
        raise Odd(task)
    return Pair((task, task))


def fit():
    return ""
"""


@pytest.fixture
def bare_scheduler(tmp_path):
    """Address of a scheduler that lacks a module which its only worker has."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "only_workers_have.py").write_text(MODULE)
    (tmp_path / "started").mkdir()  # no module lies in the folder of the processes
    place = {"cwd": tmp_path / "started", "stderr": subprocess.DEVNULL}
    dask, at = [sys.executable, "-m", "dask"], ["--scheduler-file", str(tmp_path / "address")]
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    worker = ["worker", *at, *local, "--nworkers", "1", "--nthreads", "1", "--no-nanny"]
    path = os.pathsep.join(filter(None, [str(tmp_path / "modules"), os.getenv("PYTHONPATH")]))
    started = [
        subprocess.Popen([*dask, "scheduler", *at, *local, "--port", "0"], **place),
        subprocess.Popen([*dask, *worker], env={**os.environ, "PYTHONPATH": path}, **place),
    ]
    while not (tmp_path / "address").exists() and started[0].poll() is None:
        time.sleep(0.05)
    yield json.loads((tmp_path / "address").read_text())["address"]
    for process in started:
        process.kill()
        process.wait()


def test_scheduler_needs_no_fer_jax(tmp_path, monkeypatch, bare_scheduler):
    monkeypatch.syspath_prepend(tmp_path / "modules")
    import only_workers_have as theirs

    with distributed.Client(bare_scheduler, set_as_default=False) as client:
        workers = cluster.Cluster(client, theirs.fit, print)
        assert dict(workers.each(theirs.pair, ["a", "bb"])) == {
            "a": theirs.Pair(("a", "a")),
            "bb": theirs.Pair(("bb", "bb")),
        }
        with pytest.raises(theirs.Odd, match="odd"):
            list(workers.each(theirs.pair, ["odd"]))
