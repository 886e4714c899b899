"""Preparation on a dask cluster: the same dataset, whoever of the workers dies."""

import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

from preprocess import pipeline
from preprocess.__main__ import main
from preprocess.workers import cluster, launch
from tests.conftest import ROOT
from tests.official_trees import stored
from tests.preprocess.test_pipeline import clips_of, times_read

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # dask's own

FULL = pathlib.Path("/dev/full")
SMALL = ["--subjects", "6", "--clips-per-subject", "10"]


@pytest.fixture(scope="module")
def two():
    """A local cluster of two workers, each a process."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as started:
        yield started


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    monkeypatch.setattr(launch, "CONNECTING", 1.0)


def workers_of(two, tmp_path, say=print, source=None):
    """Lends the workers of a local cluster, as a command does."""
    (tmp_path / "cache").mkdir(exist_ok=True)
    return launch.workers(two.scheduler_address, None, tmp_path / "cache", source, None, say)


def read(two, tmp_path, clips):
    with workers_of(two, tmp_path) as workers:
        results = list(pipeline.read_all(clips, tmp_path / "cache", workers=workers))
    assert sorted(position for position, _, _ in results) == list(range(len(clips)))
    return {clips[position].clip_id: outcome for position, outcome, _ in results}


def kill_one_when(client, condition) -> threading.Thread:
    """Kills a worker once something is true."""
    victim = next(iter(client.run(os.getpid).values()))

    def kill():
        while not condition():
            time.sleep(0.005)
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def test_killed_worker_changes_nothing_in_the_dataset(tmp_path, capsys, two):
    assert main(["synthetic", "--out", str(tmp_path / "one"), *SMALL]) == 0
    cache = tmp_path / "many" / ".clips"
    at_death = []

    def some_are_there():
        found = len(list(cache.glob("*.npz")))
        at_death.append(found)
        return found > 5

    with distributed.Client(two.scheduler_address, set_as_default=False) as client:
        thread = kill_one_when(client, some_are_there)
        arguments = ["synthetic", "--out", str(tmp_path / "many"), *SMALL]
        assert main([*arguments, "--cluster", two.scheduler_address]) == 0
        thread.join(5)
    assert 5 < at_death[-1] < 60
    assert "60/60, " in capsys.readouterr().out
    assert stored(tmp_path / "many") == stored(tmp_path / "one")
    one, many = (json.loads((tmp_path / n / "report.json").read_text()) for n in ("one", "many"))
    assert one == many
    assert [path.name for path in cache.iterdir() if path.suffix != ".npz"] == []


def test_failures_are_listed_and_other_clips_read(tmp_path, monkeypatch, two):
    monkeypatch.setattr(cluster, "LIVES", 2)
    clips = clips_of(tmp_path, a="", bb="clip", c="error", d="kill", e="", f="kill once")
    found = read(two, tmp_path, clips)
    reasons = {name: outcome.reason for name, outcome in found.items()}
    expected = {"a": "", "bb": "unreadable", "c": "failed", "d": "crashed", "e": "", "f": ""}
    assert reasons == expected
    assert "reading it killed 2 workers" in found["d"].detail
    times = {name: times_read(tmp_path, name) for name in expected}
    assert times == {"a": 1, "bb": 1, "c": cluster.TRIES, "d": 2, "e": 1, "f": 2}
    again = read(two, tmp_path, clips[:3])
    assert [again[name].reused for name in ("a", "bb", "c")] == [True, True, False]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_full_disk_of_workers_ends_the_run(tmp_path, two):
    write = functools.partial(pathlib.Path.write_text, data="a")
    with workers_of(two, tmp_path) as workers, pytest.raises(OSError, match="No space left"):
        list(workers.each(write, [FULL]))


class Patience:
    """Hears why workers are not used; patience ends when both have said so."""

    def __init__(self, monkeypatch):
        self.said, self.monkeypatch = [], monkeypatch

    def __call__(self, line: str) -> None:
        self.said.append(line)
        if len(self.said) % 2 == 0:
            self.monkeypatch.setattr(cluster, "PATIENCE", -1.0)


def test_worker_that_lacks_a_folder_is_not_used(tmp_path, monkeypatch, two):
    patience, missing = Patience(monkeypatch), tmp_path / "not mounted"
    refused = pytest.raises(cluster.ClusterError, match=rf"none of 2 workers .*see {missing}")
    with workers_of(two, tmp_path, patience, missing) as workers, refused:
        list(workers.each(len, ["a"]))
    assert len(patience.said) == 2 and all("is not used" in line for line in patience.said)


def test_worker_without_fer_jax_is_not_used(monkeypatch, two):
    elsewhere = types.ModuleType("installed_here_alone")
    exec("def fit(): return ''", vars(elsewhere))
    monkeypatch.setitem(sys.modules, elsewhere.__name__, elsewhere)
    refused = pytest.raises(cluster.ClusterError, match="'installed_here_alone': install there")
    with distributed.Client(two.scheduler_address, set_as_default=False) as client, refused:
        list(cluster.Cluster(client, elsewhere.fit, Patience(monkeypatch)).each(len, ["a"]))


def test_scheduler_without_workers_is_left(tmp_path, impatient):
    left = pytest.raises(cluster.ClusterError, match="has had no usable worker .*start some")
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty,
        workers_of(empty, tmp_path) as workers,
        left,
    ):
        list(workers.each(len, ["a"]))


def test_bad_worker_that_leaves_a_queue_first_does_not_end_the_wait():
    workers = cluster.Cluster(None, str, print, patient=True)
    later, bad = time.monotonic() + 7200, "tcp://bad:1"
    workers._bound_the_wait(later, set())
    workers._unfit[bad] = "it does not see /data"
    workers._bound_the_wait(later + 1, {bad})
    with pytest.raises(cluster.ClusterError, match="none of 1 workers .*see /data"):
        workers._bound_the_wait(later + cluster.PATIENCE + 1, {bad})


def test_workers_that_load_slowly_are_waited_for():
    client = types.SimpleNamespace(scheduler=types.SimpleNamespace(address="tcp://here:1"))
    workers = cluster.Cluster(client, str, print)
    start, slow = time.monotonic(), "tcp://slow:1"
    workers._asked[object()] = slow
    workers._bound_the_wait(start + cluster.LOADING - 1, {slow})
    with pytest.raises(cluster.ClusterError, match="no usable worker for 300 seconds"):
        workers._bound_the_wait(start + cluster.LOADING + 1, {slow})


def test_scheduler_that_dies_is_named(tmp_path, monkeypatch):
    begun = distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=":0", silence_logs=50
    )
    with workers_of(begun, tmp_path) as workers:
        found = workers.each(len, ["a", "bb"])
        assert next(found) == ("a", 1)
        begun.close()
        monkeypatch.setattr(cluster, "PATIENCE", 1.0)
        with pytest.raises(cluster.ClusterError, match="does not answer any more"):
            list(found)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "http://127.0.0.1:1"])
def test_unreachable_scheduler_ends_in_one_line(tmp_path, capsys, impatient, address):
    arguments = ["synthetic", "--out", str(tmp_path / "out"), *SMALL, "--cluster", address]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert f"no dask scheduler answers at {address}: start one" in error and error.count("\n") == 1


@pytest.mark.parametrize("queue", launch.QUEUES)
def test_queue_without_its_package_names_the_extra(tmp_path, capsys, monkeypatch, queue):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", None)
    arguments = ["synthetic", "--out", str(tmp_path / "out"), *SMALL, "--cluster", queue]
    assert main([*arguments, "--workers", "2"]) == 1
    assert "it comes with the extra 'cluster': pip install" in capsys.readouterr().err
    assert main(arguments) == 2
    assert "give --workers" in capsys.readouterr().err


class NoConfig(Exception):
    """Of a client of Kubernetes."""


def fake_kubernetes(monkeypatch, kind) -> None:
    """A package with another class of clusters."""
    module = types.ModuleType("dask_kubernetes.operator")
    module.KubeCluster = kind
    monkeypatch.setitem(sys.modules, "dask_kubernetes", types.ModuleType("dask_kubernetes"))
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", module)


def test_kubernetes_starts_workers_and_ends_them(tmp_path, capsys, monkeypatch):
    """By a cluster of this machine, which has the methods of the other."""
    asked = []

    class Local(distributed.LocalCluster):
        def __init__(self, n_workers):
            super().__init__(
                n_workers=0, threads_per_worker=1, dashboard_address=":0", silence_logs=50
            )
            asked.append(("start", n_workers))

        def scale(self, count):
            asked.append(("scale", count))
            return super().scale(count)

        def __exit__(self, *error):
            asked.append("end")
            return super().__exit__(*error)

    fake_kubernetes(monkeypatch, Local)
    arguments = ["synthetic", "--out", str(tmp_path / "out"), *SMALL, "--cluster", "kubernetes"]
    assert main([*arguments, "--workers", "1"]) == 0
    assert asked[:3] == [("start", 1), ("scale", 1), "end"]
    assert "60 kept, 0 dropped, 1 worker, done" in capsys.readouterr().out


def test_kubernetes_that_is_not_there_ends_in_one_line(tmp_path, capsys, monkeypatch):
    def fail(n_workers):
        raise NoConfig("no configuration found\nHTTP response body: ...")

    fake_kubernetes(monkeypatch, fail)
    arguments = ["synthetic", "--out", str(tmp_path / "out"), *SMALL, "--cluster", "kubernetes"]
    assert main([*arguments, "--workers", "2"]) == 1
    error = capsys.readouterr().err
    assert "kubernetes cannot be started: no configuration found. Their settings" in error
    assert error.count("\n") == 1


def test_workers_get_whole_paths(tmp_path, capsys, monkeypatch):
    """They have another working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "model.dat"):
        pathlib.Path(name).touch()
    pathlib.Path("clips.csv").write_text("path,subject,label\na.mp4,p,joy\n")

    def told(address, count, *paths_and_say):
        raise cluster.ClusterError(" ".join(map(str, paths_and_say[:3])))

    monkeypatch.setattr(launch, "workers", told)
    arguments = ["--source", "clips.csv", "--out", "out", "--landmark-model", "model.dat"]
    assert main(["manifest", *arguments, "--cluster", "tcp://a:1"]) == 1
    wanted = " ".join(str(tmp_path / name) for name in ("out/.clips", "clips.csv", "model.dat"))
    assert wanted in capsys.readouterr().err


def fake_queue(folder: pathlib.Path) -> None:
    """Programs of SLURM that start jobs here, and list those that are cancelled."""
    folder.mkdir()
    programs = {
        # read first, as by SLURM: the file is removed when this has answered
        "sbatch": 'job=$(cat "$1"); sh -c "$job" > /dev/null 2>&1 & echo "Submitted batch job $!"',
        "scancel": f'echo "$@" >> {folder}/cancelled; kill "$@"',
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)


def test_slurm_starts_workers_and_ends_them(tmp_path, capsys, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    import dask

    arguments = ["synthetic", "--out", str(tmp_path / "out"), *SMALL, "--cluster", "slurm"]
    two = {"jobqueue.slurm.cores": 2, "jobqueue.slurm.memory": "1GB"}
    with dask.config.set(two), monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        assert main([*arguments, "--workers", "2"]) == 1
    assert "there is no sbatch on this machine" in capsys.readouterr().err
    fake_queue(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with dask.config.set({"jobqueue.slurm.cores": None, "jobqueue.slurm.memory": None}):
        assert main([*arguments, "--workers", "2"]) == 1
    assert "jobqueue.slurm.cores is not set" in capsys.readouterr().err
    with dask.config.set(two):
        assert main([*arguments, "--workers", "2"]) == 0
    # the second may start too late to get a clip
    assert re.search(r"60 kept, 0 dropped, (1 worker|2 workers), done", capsys.readouterr().out)
    assert len((tmp_path / "bin" / "cancelled").read_text().split()) == 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_stopped_command_resumes(tmp_path, capsys, two, sent):
    arguments = ["synthetic", "--out", str(tmp_path / "out"), "--subjects", "20"]
    arguments += ["--clips-per-subject", "10", "--cluster", two.scheduler_address]
    process = subprocess.Popen(
        [sys.executable, "-m", "preprocess", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    cache = tmp_path / "out" / ".clips"
    while len(list(cache.glob("*.npz"))) < 20 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(sent)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == (130 if sent == signal.SIGINT else -sent), text
    assert sent == signal.SIGKILL or "give the same command again to resume" in text
    assert "Traceback" not in text
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "200 kept, 0 dropped" in shown and "finished earlier, not read again" in shown
    assert len(stored(tmp_path / "out")) == 200
