"""The command that measures on a GPU, at toy sizes on a CPU."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch", reason="the PyTorch mirrors need torch: pip install torch")

from benchmarks.gpu import __main__ as command  # noqa: E402
from benchmarks.gpu import correctness, results, worker  # noqa: E402


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Every row, in a process of its own as a user starts it."""
    out = tmp_path_factory.mktemp("gpu")
    call = [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(out)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return out, done.stdout


def test_every_row_runs_and_every_system_is_right(small_run):
    out, printed = small_run
    book = results.Book(out, "small")
    assert list(book.statuses) == worker.row_names()
    assert set(book.statuses.values()) == {"done"}
    for system in correctness.SIZES:
        verdicts = [each.get("verdict") for each in book.rows[f"correct: {system}"]]
        assert verdicts[:2] == ["right", "right"]
    assert (out / "table.md").read_text() in printed
    for heading in results.SECTIONS.values():
        assert f"### {heading}" in printed


def test_finished_rows_are_not_run_again(small_run, capsys):
    out, _ = small_run
    before = (out / "results.jsonl").read_text()
    command.main(["--small", "--out", str(out), "--skip-done"])
    assert (out / "results.jsonl").read_text() == before
    with pytest.raises(SystemExit, match="--skip-done"):
        command.main(["--small", "--out", str(out)])


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


def test_a_process_that_dies_costs_its_own_row_alone():
    with worker.Worker(small=True) as process:
        rows = process.run("ceilings of the device", 60)
        assert next(rows)[0] == "result"
        process.process.kill()
        *_, (kind, status) = rows
        assert (kind, status) == ("status", "its process died with exit code -9")
        assert [kind for kind, _ in process.run("ceilings of the device", 60)] == ["result"] * 6
        process.process.kill()  # between two rows
        process.process.join()
        assert [kind for kind, _ in process.run("ceilings of the device", 60)] == ["result"] * 6


def test_a_row_that_takes_too_long_is_stopped_with_all_that_it_started():
    with worker.Worker(small=True) as process:
        list(process.run("ceilings of the device", 60))
        group = process.process.pid
        rows = list(process.run("all devices", 2.0))  # it starts processes of its own
        assert rows[-1] == ("status", "stopped after 2 s")
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.killpg(group, 0)
            time.sleep(0.1)


def test_a_command_that_is_ended_leaves_no_process(tmp_path):
    call = [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(tmp_path)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "[ceilings of the device]\n"
        assert process.stdout.readline().startswith("    what device")
        children = [int(each) for each in _children(process.pid)]
        assert children
        process.terminate()
        process.stdout.read()
    deadline = time.monotonic() + 10
    while any(pathlib.Path(f"/proc/{child}/cmdline").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _children(parent: int) -> list[str]:
    task = pathlib.Path(f"/proc/{parent}/task/{parent}/children")
    return task.read_text().split()


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
