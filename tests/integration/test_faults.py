"""A short part of the campaign of faults on finished runs, their bundles, and processes."""

import dataclasses
import pathlib
import shutil

import pytest

from benchmarks.faults import bundles, judge, material, processes, runs
from benchmarks.faults.__main__ import WELL
from tests.finished_runs import CONFIGS, write_config


@dataclasses.dataclass(frozen=True)
class Finished(material.Material):
    """The finished run of the tests as what is damaged."""

    config: pathlib.Path

    def train_arguments(self, workdir, epochs=2):
        return ["train", "--config", str(self.config), "--workdir", str(workdir)]


@pytest.fixture
def finished(finished_run, tmp_path):
    run = finished_run("landmarks")
    shutil.copytree(run.workdir, tmp_path / "run")
    config = write_config(tmp_path, CONFIGS["landmarks"](run.prepared))
    made = Finished(tmp_path, config)
    material.write_csv(made.csv)
    return made


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("part", "count", "seed"),
    [(bundles.flips, 5, 1), (bundles.hostile, 5, 2), (runs.damaged, 2, 7)],
)
def test_damage_is_refused_or_changes_nothing(finished, part, count, seed):
    cases = list(part(finished, count, seed))
    assert len(cases) == count
    assert [case for case in cases if case.end not in WELL] == []


@pytest.mark.parametrize(
    "part", [processes.kills, processes.interrupts, processes.full_disk, processes.two_writers]
)
def test_command_that_makes_nothing_ends_well(tmp_path, monkeypatch, part):
    quick = processes.Job("configs", lambda out: ["configs"], lambda out: "")
    monkeypatch.setattr(processes, "jobs", lambda material: [quick])
    (case,) = part(material.Material(tmp_path), 1, seed=0)
    assert case.end in WELL, case


def ended(code, output):
    return processes.Ended(code, output).judged("a case", 130).end


def test_bad_ends_are_told_apart():
    assert ended(None, "") == "hang"
    assert ended(130, "interrupted") == "refused" and ended(130, "") == "lost"
    assert ended(1, "error: no") == "lost"
    assert ended(130, "a.py:1: UserWarning: 5 leaked semaphores\ninterrupted") == "traceback"
    assert ended(1, "Traceback (most recent call last):\nKeyboardInterrupt") == "traceback"


def test_other_results_tracebacks_and_endless_work_are_faults():
    def fail():
        raise KeyError("x")

    def never():
        while True:
            pass

    assert judge.judge("", lambda: "b", lambda result: result == "a").end == "changed"
    assert judge.judge("", fail, bool).end == "traceback"
    assert judge.judge("", never, bool, limit=0.05).end == "hang"
    assert judge.judge("", lambda: 1, bool).end == "lost"
