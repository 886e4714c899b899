"""The command that measures on a GPU, at toy sizes on a CPU."""

import contextlib
import functools
import os
import pathlib
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch mirrors need torch: pip install torch")

from benchmarks import folds, pairs, sides  # noqa: E402
from benchmarks.gpu import __main__ as command  # noqa: E402
from benchmarks.gpu import results, rows, worker  # noqa: E402
from benchmarks.gpu.toys import TOYS  # noqa: E402

KINDS = (  # a row of each kind, with the smallest toys
    "ceilings of the device", "correct: ST-BLN", "speed: ST-BLN, T=4, B=128", "folds side by side",
    "MC dropout: ST-BLN, T=4, B=32", "memory: STC-NLSTM", "search of 6 stages",
    "compiled mirror: ST-BLN, T=4, B=128", "all devices",
)  # fmt: skip
FAKES = """
import os, signal, subprocess, sys

def set_up(small): pass
def clean_up(small): pass

def quick(small):
    yield {"ms": 1.0}

def dying(small):
    yield {"ms": 1.0}
    os.kill(os.getpid(), signal.SIGKILL)

def failing(small):
    yield {"ms": 1.0}
    raise ValueError("too large")

def endless(small):
    yield subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])

MEASURES = {
    "ceilings of the device": quick, "all devices": endless, "folds side by side": dying,
    "search of 6 stages": failing,
}
"""


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A row of each kind, in a process of its own as a user starts it."""
    out = tmp_path_factory.mktemp("gpu")
    call = [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(out), "--only", *KINDS]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return out, done.stdout


def test_a_row_of_each_kind_runs(small_run):
    out, printed = small_run
    book = results.Book(out, "small")
    assert book.statuses == dict.fromkeys(KINDS, "done")
    verdicts = [each.get("verdict") for each in book.rows["correct: ST-BLN"]]
    assert verdicts == ["right", "right", None]
    assert (out / "table.md").read_text() in printed
    for heading in results.SECTIONS.values():
        assert f"### {heading}" in printed


def test_finished_rows_are_not_run_again(small_run, capsys):
    out, _ = small_run
    before = (out / "results.jsonl").read_text()
    command.main(["--small", "--out", str(out), "--skip-done", "--only", *KINDS])
    assert (out / "results.jsonl").read_text() == before
    with pytest.raises(SystemExit, match="--skip-done"):
        command.main(["--small", "--out", str(out)])


def test_every_row_is_measured():
    assert set(rows.MEASURES) == set(worker.LIMITS)


@pytest.mark.parametrize("system", TOYS)
def test_toys_of_every_system_fit_their_mirrors(system):
    pair = pairs.SYSTEMS[system](**TOYS[system])
    inputs, labels = pair.batch(2)
    init = functools.partial(pair.make("float32", False).init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), inputs)
    mirror = pair.loaded_mirror(jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f"), shapes))
    loss = pair.mirror_loss(mirror(*pair.to_mirror(inputs)), torch.from_numpy(labels))
    assert np.isfinite(loss.item())


@pytest.mark.parametrize("together", [1, 2])
def test_folds_train_in_programs_that_were_compiled_before(together):
    way = folds.Folds(folds.make_clips(16), together, 2, (4,))
    train, logits = sides.side_by_side([way.compile_training, way.compile_evaluation])
    assert hasattr(way.program.train, "lower") and not hasattr(train, "lower")  # is compiled
    assert isinstance(logits, jax.stages.Compiled)
    way.use(train, logits)
    assert (way.program.train, way.program.logits) == (train, logits)
    way.epoch()
    assert way.losses().shape == (2, 1) and np.isfinite(way.losses()).all()


def test_a_row_without_time_is_not_started(tmp_path, capsys):
    command.main(["--small", "--out", str(tmp_path), "--minutes", "0.01", "--only", "ceilings"])
    assert "ceilings of the device: not started" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "-3"], "not above 0"),
        (["--minutes", "nan"], "not above 0"),
        (["--only", "nothing"], "no row has 'nothing' in its name"),
        (["--out", "FILE"], "error: "),
        (["--skip-done", "--out", "SMALL"], "results of small sizes"),
    ],
)
def test_bad_arguments_end_before_any_work(tmp_path, arguments, message, capsys):
    (tmp_path / "FILE").touch()
    results.Book(tmp_path / "SMALL", "small").begin("speed: x")
    arguments = [str(tmp_path / each) if each.isupper() else each for each in arguments]
    if "--out" not in arguments:
        arguments += ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert message in f"{caught.value} {capsys.readouterr().err}"


@pytest.fixture
def process(tmp_path, monkeypatch):
    """A worker whose rows are quick, and end as rows may end."""
    (tmp_path / "fake_rows.py").write_text(FAKES)
    monkeypatch.syspath_prepend(tmp_path)
    with worker.Worker(small=True, rows="fake_rows") as process:
        yield process


def test_a_process_that_dies_costs_its_own_row_alone(process):
    result = ("result", {"ms": 1.0})
    died = ("status", "its process died with exit code -9")
    assert list(process.run("folds side by side", 60)) == [result, died]
    assert list(process.run("ceilings of the device", 60)) == [result]
    process.process.kill()  # between two rows
    process.process.join()
    assert list(process.run("ceilings of the device", 60)) == [result]
    failed = ("status", "failed: ValueError: too large")
    assert list(process.run("search of 6 stages", 60)) == [result, failed]


def test_a_row_that_takes_too_long_is_stopped_with_all_that_it_started(process):
    list(process.run("ceilings of the device", 60))
    group = process.process.pid
    stopped = ("status", "stopped after 1 s")
    assert list(process.run("all devices", 1.0)) == [stopped]  # it started a process of its own
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.killpg(group, 0)
            time.sleep(0.1)


def test_a_command_that_is_ended_leaves_no_process(tmp_path):
    call = [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(tmp_path)]

    def children(parent):
        return pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()

    def command_line(process):
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{process}/cmdline").read_text()
        return ""  # it has ended

    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "[ceilings of the device]\n"
        while not any("spawn_main" in command_line(child) for child in children(process.pid)):
            time.sleep(0.05)
        started = children(process.pid)
        time.sleep(0.3)  # until the command knows the process that it has started
        process.terminate()
        process.stdout.read()
    deadline = time.monotonic() + 10
    while any(map(command_line, started)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_results_of_a_row_that_is_run_again_replace_the_old(tmp_path):
    book = results.Book(tmp_path)
    book.begin("speed: x")
    book.add("speed: x", {"ms": 1.0})  # and the run is killed
    book.begin("speed: x")
    book.add("speed: x", {"ms": 2.0})
    book.end("speed: x", "done", 1.0)
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(b'[1]\n{"x": 1}\n\xff\xfe\n{"row": "spe')  # killed while writing
    again = results.Book(tmp_path)
    assert again.rows == {"speed: x": [{"ms": 2.0}]}
    assert again.statuses == {"speed: x": "done"}
    again.add("speed: y", {"ms": 3.0})
    assert results.Book(tmp_path).rows["speed: y"] == [{"ms": 3.0}]
