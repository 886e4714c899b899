"""The command that measures on a GPU, at toy sizes on a CPU."""

import json
import subprocess
import sys

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
    book = results.Book(out)
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
    assert "not started" in capsys.readouterr().out


def test_a_process_that_dies_costs_its_own_row_alone(tmp_path, monkeypatch):
    with worker.Worker(small=True) as process:
        rows = process.run("ceilings of the device", 60)
        assert next(rows)[0] == "result"
        process.process.kill()
        *_, (kind, status) = rows
        assert (kind, status) == ("status", "its process died with exit code -9")
        assert [kind for kind, _ in process.run("ceilings of the device", 60)] == ["result"] * 6


def test_a_row_that_takes_too_long_is_stopped():
    with worker.Worker(small=True) as process:
        assert list(process.run("folds side by side", 0.5)) == [("status", "stopped after 0 s")]


def test_results_of_a_row_that_is_run_again_replace_the_old(tmp_path):
    book = results.Book(tmp_path)
    book.add("speed: x", {"ms": 1.0})
    book.end("speed: x", "stopped after 1 s", 1.0)
    book.add("speed: x", {"ms": 2.0})
    book.end("speed: x", "done", 1.0)
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"row": "spe')  # killed while writing
    again = results.Book(tmp_path)
    assert again.rows == {"speed: x": [{"ms": 2.0}]}
    assert again.statuses == {"speed: x": "done"}
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 5
    assert json.loads((tmp_path / "results.jsonl").read_text().splitlines()[0])["row"] == "speed: x"
