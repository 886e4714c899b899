"""Uploads of several visitors: one at a time, none sees or loses another's file, none stays."""

import concurrent.futures
import errno
import os
import pathlib
import tempfile
import threading
import time

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install .[live]")

from fer_jax.commands import live  # noqa: E402
from fer_jax.live.upload_tab import _predict  # noqa: E402
from fer_jax.live.visitors import Refused, Visitors  # noqa: E402
from fer_jax.machine import StorageError  # noqa: E402
from fer_jax.predict.windows import ClipProblem  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "live" / "hash").mkdir(parents=True)
    return tmp_path / "live"


@pytest.fixture
def visitors(folder):
    visitors = Visitors(None, idle=100.0, folder=folder)
    for key in "ab":
        visitors.arrive(key)
    yield visitors
    visitors.close()


def uploaded(folder) -> pathlib.Path:
    """A file where Gradio puts it: equal files of all visitors at one path."""
    path = folder / "hash" / "annotated.mp4"
    path.write_bytes(b"frames")
    return path


def files(folder) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file()]


def ignore(share, desc):
    pass


def test_two_visitors_may_upload_the_same_file(visitors, folder):
    begun, go_on, turn, running = threading.Event(), threading.Event(), threading.Lock(), []

    def predict_file(path, results, advance):
        running.append(path)
        begun.set()
        assert go_on.wait(10)
        assert len(running) == 1  # the other one waits
        running.remove(path)
        (results / "annotated.mp4").write_bytes(b"result")
        return path.read_bytes()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        how = predict_file, visitors, turn
        first = pool.submit(_predict, *how, uploaded(folder), "a", ignore)
        assert begun.wait(10)
        second = pool.submit(_predict, *how, uploaded(folder), "b", ignore)
        go_on.set()
        assert first.result(10) == second.result(10) == b"frames"
    assert files(folder) == ["annotated.mp4"] * 2  # the results
    visitors.leave("a")
    visitors.leave("b")
    assert files(folder) == []


def test_a_file_that_takes_long_is_not_removed(visitors, folder):
    path = uploaded(folder)
    os.utime(path, (time.time() - 1000,) * 2)

    def predict_file(path, results, advance):
        visitors.remove_leftovers()
        return path.read_bytes()

    assert _predict(predict_file, visitors, threading.Lock(), path, "a", ignore) == b"frames"


def test_leaving_meanwhile_leaves_nothing_and_the_next_has_its_turn(visitors, folder):
    turn = threading.Lock()

    def predict_file(path, results, advance):
        visitors.leave("a")
        results.mkdir()  # as if it was about to write when the folder was removed
        (results / "predictions.csv").write_text("rows")
        advance(0.5, "drawing")

    with pytest.raises(Refused, match="reload the page"):
        _predict(predict_file, visitors, turn, uploaded(folder), "a", ignore)
    assert files(folder) == [] and not turn.locked()


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *map(str, arguments[:1]))


def test_full_disk_is_named_on_the_terminal_not_to_visitors(visitors, folder, monkeypatch, capsys):
    turn = threading.Lock()

    def spool_full(path, results, advance):
        raise StorageError("/tmp: No space left on device: free some space")

    for predict_file, where in ((full, folder), (spool_full, "/tmp")):
        with pytest.raises(Refused, match="^There is no room for files on this machine: try again"):
            _predict(predict_file, visitors, turn, uploaded(folder), "a", ignore)
        said = capsys.readouterr().err
        assert said.startswith(f"error: {where}") and said.count("\n") == 1
        assert "No space left on device: free some space" in said
        assert files(folder) == [] and not turn.locked()
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(Refused, match="no room"):
        _predict(full, visitors, turn, uploaded(folder), "b", ignore)
    assert capsys.readouterr().err.endswith("or set TMPDIR to a folder on another disk\n")
    assert files(folder) == []


def test_page_that_has_no_room_does_not_start(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    monkeypatch.setattr(live, "_predictor", lambda options: None)
    assert live.main(["faces"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and line.endswith("or set TMPDIR to a folder on another disk")


def test_problems_name_no_path_of_this_machine(visitors, folder):
    def predict_file(path, results, advance):
        raise OSError(f"{path} or {results / 'timeline.png'}")

    with pytest.raises(ClipProblem) as problem:
        _predict(predict_file, visitors, threading.Lock(), uploaded(folder), "a", ignore)
    assert str(problem.value) == "OSError: annotated.mp4 or timeline.png"
    assert files(folder) == []
