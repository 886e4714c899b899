"""Tables and drawings of a prediction: names, formats, the terminal."""

import errno
import io
import json
import os
import pathlib
import sys
import types

import pandas as pd
import pytest

from fer_jax.predict import api, tables
from fer_jax.predict.windows import columns
from tests.predict.fakes import CLASSES, run, write_faces


def test_tables_are_saved_as_csv_and_json(monkeypatch, predictor, tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv", frames=30, lost=range(10, 30))
    for name in ("out/table.csv", "out/table.json"):
        assert run(monkeypatch, predictor, clip, "--stride", 1, "--out", tmp_path / name) == 0
    table = pd.read_csv(tmp_path / "out/table.csv")
    assert list(table) == columns(CLASSES) and len(table) == 3
    content = json.loads((tmp_path / "out/table.json").read_text())
    assert content[0]["joy"] == pytest.approx(table["joy"][0], rel=1e-12)
    assert content[2]["joy"] is None and content[2]["label"] == "no face"
    assert "no face" in capsys.readouterr().out


def test_people_and_reasons_leave_room_for_the_clip(capsys):
    classes = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    row = dict.fromkeys(columns(classes), 0.5) | {"clip": "interview_12.mp4", "frames": 9}
    rows = [
        {**row, "person": person, "label": "happiness", "abstained": True, "reason": reason}
        for person, reason in ((1, "unreadable: face too small"), (2, "ambiguous"))
    ]
    tables.print_table(pd.DataFrame(rows), classes)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("interview_12.mp4", "person", "face too small", "0.50"))
    assert "…" not in shown and "unreadable" not in shown


def test_full_disk_keeps_the_table_before(monkeypatch, predictor, tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv")
    (tmp_path / "t.csv").write_text("the table before")
    monkeypatch.setattr(os, "fsync", full_disk)
    assert run(monkeypatch, predictor, clip, "--out", tmp_path / "t.csv") == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/t.csv: No space left on device: free some space")
    assert (tmp_path / "t.csv").read_text() == "the table before"
    assert not list(tmp_path.glob("*.partial.csv"))


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def options(*clips, out=None, annotate=None, figure=None):
    named = {"out": out, "annotate": annotate, "figure": figure}
    named = {name: pathlib.Path(value) if value else None for name, value in named.items()}
    return types.SimpleNamespace(clips=[pathlib.Path(clip) for clip in clips], **named)


def test_several_clips_are_drawn_into_a_folder():
    files = tables.drawn_files(options("x/a.mp4", "y/a.mov", "b.csv", annotate="o", figure="f"))
    names = [each["annotate"].name for each in files]
    assert names == ["a_annotated.mp4", "a_annotated_2.mp4", "b_annotated.mp4"]
    assert [each["figure"].name for each in files][2] == "b_timeline.png"
    assert {each["figure"].parent.name for each in files} == {"f"}


def test_one_clip_is_drawn_into_a_file_or_a_folder(tmp_path):
    (one,) = tables.drawn_files(options("a.mp4", annotate="out.mp4"))
    assert one == {"annotate": pathlib.Path("out.mp4")}
    dotted = tmp_path / "folder.v2"
    dotted.mkdir()
    (one,) = tables.drawn_files(options("a.mp4", figure=dotted))
    assert one["figure"] == dotted / "a_timeline.png"


@pytest.mark.parametrize(
    "wrong, message",
    [
        (options("a.mp4", "b.mp4", annotate="out.mp4"), "name a folder"),
        (options("a.mp4", annotate="out.avi"), "name a .mp4"),
        (options("a.mp4", figure="out.jpeg"), "name a .png"),
        (options("a.mp4", out="table.xlsx"), "name a .csv"),
        (options("a.mp4", out="folder.csv"), "is a folder: name a file"),
        (options("a.mp4", annotate="./a.mp4"), "would be overwritten"),
        (options("a.csv", out="a.csv"), "would be overwritten"),
    ],
)
def test_impossible_outputs_are_refused_before_any_work(monkeypatch, tmp_path, wrong, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=message):
        tables.drawn_files(wrong)


@pytest.mark.parametrize(
    "width, heading", [(100, "prob."), (140, "likeliest classes"), (160, "surprise")]
)
def test_seven_classes_are_shown_as_the_width_allows(monkeypatch, width, heading):
    classes = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    row = dict.fromkeys(columns(classes), 0.5)
    row |= {"clip": "a.mp4", "label": "fear", "abstained": False, "person": 1, "frames": 9}
    shown = printed(monkeypatch, pd.DataFrame([row]), width, classes)
    assert heading in shown.splitlines()[1] and "…" not in shown
    assert max(map(len, shown.splitlines())) <= width


def printed(monkeypatch, table, width, classes=CLASSES):
    stream = io.StringIO()
    monkeypatch.setattr(tables, "_PIPE_WIDTH", width)
    monkeypatch.setattr(sys, "stdout", stream)
    tables.print_table(table, classes)
    return stream.getvalue()


def test_table_fits_its_terminal(monkeypatch, predictor, tmp_path):
    path = write_faces(tmp_path / "[bold]a.csv", frames=400)
    table = api.predict_clips(predictor, [path])
    wide, least = (printed(monkeypatch, table, width) for width in (110, 80))
    for shown, width, column in ((wide, 110, "calm"), (least, 80, "prob.")):
        assert column in shown and "[bold]a.csv" in shown and "…" not in shown
        assert max(map(len, shown.splitlines())) <= width
        assert f"and {len(table) - 60} more windows" in shown
    assert f"{table['joy'][0]:.2f}" in wide


@pytest.mark.parametrize(
    ("lengths", "shown"),
    [
        ((100,), {0: 60}), ((40, 40), {0: 30, 1: 30}), ((50, 5), {0: 50, 1: 5}),
        ((100, 3, 100), {0: 28, 1: 3, 2: 28}), ((2,) * 70, dict.fromkeys(range(60), 1)),
    ],
)  # fmt: skip
def test_terminal_shows_rows_of_every_clip(lengths, shown):
    clips = [number for number, length in enumerate(lengths) for _ in range(length)]
    found = tables._first_rows(pd.DataFrame({"clip": clips}))["clip"]
    assert found.value_counts(sort=False).to_dict() == shown and found.is_monotonic_increasing
