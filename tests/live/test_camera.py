"""Cameras: the newest picture counts, rows are written as they come, a camera may be gone."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.commands import main
from fer_jax.live.camera import Camera, CameraError, Pace, Shot, run
from fer_jax.predict.windows import columns
from fer_jax.synthetic.demo import write_portrait


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    """A second of the portrait, 25 frames a second."""
    return write_portrait(tmp_path_factory.mktemp("clip"), frames=25)


@pytest.fixture(scope="module")
def model():
    return fer_jax.load_model("faces")


def test_file_is_played_at_its_speed_and_ends(clip):
    camera, shots = Camera(clip), []
    started = time.monotonic()
    while (shot := camera.newest()) is not None:
        shots.append(shot)
    taken = time.monotonic() - started
    camera.close()
    assert 0.9 < taken < 3 and 5 < len(shots) <= 25
    assert shots[-1].number == 25 and shots[0].picture.dtype == np.uint8
    assert (np.diff([shot.seconds for shot in shots]) > 0).all()


def test_slow_reader_gets_the_newest_picture(clip):
    camera = Camera(clip)
    first = camera.newest()
    time.sleep(0.5)
    second = camera.newest()
    camera.close()
    assert second.number - first.number >= 5
    assert camera.clock() - second.seconds < 0.3  # not one that had waited


def test_camera_records_from_when_it_is_asked(clip):
    camera = Camera(clip)
    time.sleep(0.5)  # a model is being prepared
    first = camera.newest()
    camera.close()
    assert first.number == 1 and first.seconds < 0.3


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (91, "camera 91 cannot be opened: plug it in"),
        (10**20, "camera 100000000000000000000 cannot be opened"),
        ("none.mp4", "none.mp4 is no camera, video"),
        (__file__, "is no camera, video"),
    ],
)
def test_missing_camera_is_said(source, said, capfd):
    with pytest.raises(CameraError, match=said):
        Camera(source)
    assert capfd.readouterr().err == ""  # OpenCV adds nothing


def test_pipe_is_refused_which_would_never_open(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CameraError, match="is a pipe: give a file"):
        Camera(str(tmp_path / "pipe"))


def test_picture_gives_no_row_and_says_what_to_do(tmp_path, capsys):
    picture = str(tmp_path / "face.png")
    assert cv2.imwrite(picture, np.full((120, 160, 3), 200, np.uint8))
    assert main(["live", "faces", "--camera", picture, "--mc-samples", "2"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert "0 rows\n" in said.err and "fer-jax predict takes short files" in said.err


def test_camera_that_ends_is_gone(clip, monkeypatch):
    camera = Camera(clip)
    monkeypatch.setattr("fer_jax.live.camera._is_file", lambda source: False)
    with pytest.raises(CameraError, match="gives no more pictures"):
        while camera.newest() is not None:
            pass
    camera.close()


def test_rows_are_a_table_like_that_of_predict(model, clip):
    out, said = io.StringIO(), []
    count = run(model, Camera(clip), out, said.append, mc_samples=5)
    table = pd.read_csv(io.StringIO(out.getvalue()), keep_default_na=True)
    assert list(table) == columns(model.classes, model.task)[1:] and len(table) == count >= 4
    assert set(table["label"]) <= {*model.classes, "no face"}
    assert table["pitch"].isna().all() and table["happiness"].between(0, 1).all()


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pace_tells_rate_and_delay_every_five_seconds():
    clock, lines = _Clock(), []
    pace = Pace(clock)
    for index in range(1, 61):
        clock.now = index / 10
        lines.append(pace.add(Shot(None, clock.now - 0.02, 3 * index)))
    assert [line for line in lines if line] == ["5 s: 10 pictures/s of 30, delay 20 ms"]


def test_command_writes_a_new_file(clip, tmp_path, capsys):
    out = tmp_path / "new" / "rows.csv"
    command = ["live", "faces", "--camera", clip, "--out", str(out), "--mc-samples", "3"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.out == "" and re.search(rf"\d+ rows in {re.escape(str(out))}", said.err)
    kept = out.read_bytes()
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err and out.read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "x.csv"], "--out needs --camera"),
        (["--people", "largest"], "--people needs --camera"),
        (["--camera", "0", "--host", "0.0.0.0"], "--host is of the page"),
        (["--camera", "0", "--port", "80"], "--port is of the page"),
        (["--port", "99999"], "--port 99999: give a number from 1 to 65535"),
        (["--mc-samples", "0"], "--mc-samples is 0: give 1 or more"),
    ],
)
def test_wrong_options_are_refused(options, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["live", *options])
    assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_page_that_cannot_be_served_costs_one_line(capsys):
    """Before the model is loaded. The address is of no machine, RFC 5737."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["live", "--port", port]) == 1
    assert main(["live", "--host", "203.0.113.5"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: port {port} of 127.0.0.1 cannot be used")
    assert second.startswith("error: 203.0.113.5 cannot be used: ") and "--host" in second


def test_missing_camera_and_model_cost_one_line(tmp_path, capsys):
    assert main(["live", "--camera", "none.mp4"]) == 1
    assert main(["live", str(tmp_path), "--camera", str(tmp_path / "none.mp4")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.startswith("error: ") for line in said)


@pytest.mark.parametrize("where", ["taken", "taken/rows.csv"])
def test_table_that_cannot_be_made_is_one_line(where, clip, tmp_path, capsys):
    (tmp_path / "taken").write_text("kept")
    out = tmp_path / where
    assert main(["live", "--camera", clip, "--out", str(out), "--mc-samples", "3"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'taken'}") and "exists" in last
    assert "rows.csv" not in last and (tmp_path / "taken").read_text() == "kept"


def test_closed_output_ends_the_loop_quietly(tmp_path):
    clip = write_portrait(tmp_path, frames=250)
    command = [sys.executable, "-m", "fer_jax", "live", "--camera", clip, "--mc-samples", "3"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith("start,end,person")
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 141 and "error" not in said and "Traceback" not in said


def test_interrupt_leaves_a_whole_table(tmp_path):
    long = write_portrait(tmp_path, frames=1500)
    out = tmp_path / "rows.csv"
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_jax", "live", "faces", "--camera", long, "--out", str(out)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 90
    while time.monotonic() < end and not (out.exists() and len(out.read_text().splitlines()) > 5):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and said.splitlines()[-1] == "stopped"
    table = pd.read_csv(out)
    assert len(table) > 4 and out.read_text().endswith("\n")
