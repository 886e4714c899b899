"""Prediction of clips and frames: rows, messages, files and tables of a model that is faked."""

import dataclasses
import errno
import io
import itertools
import json
import os
import pathlib
import sys
import types

import cv2
import numpy as np
import pandas as pd
import pytest

from fer_jax import progress
from fer_jax.commands import predict
from fer_jax.data.frame_selection import select_frames
from fer_jax.experiments.bundle import InputSpec, Record
from fer_jax.faces.landmarks import FER2013, MEAN_FACE
from fer_jax.predict import api, sources, tables
from fer_jax.predict.options import Options
from fer_jax.predict.windows import ClipProblem, columns
from fer_jax.uncertainty import summarise
from tests.official_trees import write_openface

CLASSES = ("anger", "joy", "calm")


@pytest.fixture
def predictor():
    """A fake model: joy grows with the face's x; its MC samples differ a little."""

    def respond(landmarks, *, mc_samples, seed, frame_width):
        joy = np.clip(landmarks[..., 0].mean() / (frame_width or 640), 0.05, 0.95)
        joy = joy + np.linspace(-0.04, 0.04, mc_samples)[:, None]
        return summarise(np.stack([0.7 * (1 - joy), joy, 0.3 * (1 - joy)], axis=-1))

    return types.SimpleNamespace(
        task="classification", classes=CLASSES, threshold=0.9, predict=respond, record=Record(),
        spec=InputSpec(4, "uniform", "position", None, window_seconds=1.0), takes_crops=False,
        select=lambda detected, times: select_frames(detected, 4, "uniform"),
        module=types.SimpleNamespace(inputs="edges"), is_compiled=lambda mc_samples: True,
    )  # fmt: skip


def write_faces(path, frames=25, first=1, lost=(), x=500.0, **columns):
    numbers = np.arange(first, first + frames)
    success = [int(index not in lost) for index in range(frames)]
    points = np.tile(MEAN_FACE * 40 + [x, 240], (frames, 1, 1))
    columns |= {"frame": numbers, "timestamp": (numbers - 1) / 10, "success": success}
    return write_openface(path, points, **columns)


def test_landmark_files_need_no_detector(predictor, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    path = write_faces(tmp_path / "a.csv")
    table = api.predict_clips(predictor, [path])
    assert list(table) == columns(CLASSES)
    np.testing.assert_allclose(table["start"], [0, 0.5, 1.0, 1.5])
    assert (table["label"] == "joy").all() and not table["abstained"].any()
    assert table["clip"].unique().tolist() == [str(path)]


def test_landmark_file_keeps_its_time(predictor, tmp_path):
    path = write_faces(tmp_path / "a.csv", frames=10, first=31)
    table = api.predict_clips(predictor, path)  # one path will do
    assert table[["start", "end"]].to_numpy().tolist() == [[3.0, 4.0]]


def test_frames_that_a_landmark_file_leaves_out_count_as_time(predictor, tmp_path):
    table = pd.read_csv(write_faces(tmp_path / "a.csv", frames=30))
    table.drop(index=range(10, 20)).to_csv(tmp_path / "a.csv", index=False)
    result = api.predict_clips(predictor, [tmp_path / "a.csv"], stride=1.0)
    np.testing.assert_allclose(result["end"], [1, 2, 3])
    assert result["frames"].tolist() == [10, 0, 10]
    assert result["label"].tolist() == ["joy", "no face", "joy"]


def test_frame_width_of_a_landmark_file_can_be_given(predictor, tmp_path):
    path = write_faces(tmp_path / "a.csv", x=400)
    narrow, wide = (api.predict_clips(predictor, path, width=w) for w in (640, 1280))
    np.testing.assert_allclose(narrow["joy"], 2 * wide["joy"], rtol=0.01)
    pd.testing.assert_frame_equal(narrow, api.predict_clips(predictor, path))


@pytest.mark.parametrize(
    "scaled, width, notes",
    [(True, 0, ["--width"]), (True, 640, []), (False, 0, []), (False, 640, ["with care"]),
     (None, 0, []), (None, 640, [])],
)  # fmt: skip
def test_landmarks_of_another_scale_are_noted_once(predictor, tmp_path, scaled, width, notes):
    predictor.record = Record(dataset={} if scaled is None else {"scaled": scaled})
    paths = [write_faces(tmp_path / name) for name in ("a.csv", "b.csv")]
    said = []
    table = api.predict_clips(predictor, paths, width=width, say=said.append)
    assert table["clip"].nunique() == 2
    assert len(said) == len(notes)
    assert all(note in line for note, line in zip(notes, said, strict=True))


def test_model_without_threshold_is_noted(predictor, tmp_path):
    path, said = write_faces(tmp_path / "a.csv"), []
    predictor.threshold = None
    table = api.predict_clips(predictor, path, say=said.append)
    assert not table["abstained"].any()
    (note,) = said
    assert note.startswith("note: the model has no threshold") and "--" not in note
    said.clear()
    api.predict_clips(predictor, path, threshold=0.5, say=said.append)
    assert not said


def test_outlier_makes_no_huge_canvas(predictor, tmp_path):
    table = pd.read_csv(write_faces(tmp_path / "a.csv"))
    table.loc[3, "x_0"], table.loc[4, "y_9"], table.loc[5, "y_9"] = 90_000, np.nan, 1e6
    table.to_csv(tmp_path / "a.csv", index=False)
    source = sources.open_source(predictor, tmp_path / "a.csv", Options(), print)
    frames, pictures = list(source.frames), list(source.pictures())
    assert [bool(frame.faces) for frame in frames[2:7]] == [True, True, False, False, True]
    assert len(pictures) == len(frames) == 25
    assert pictures[0].shape[1] == 4096 and pictures[0].shape[0] < 500


def test_frame_numbers_out_of_all_bounds_skip_the_clip(predictor, tmp_path):
    table = pd.read_csv(write_faces(tmp_path / "a.csv"))
    good = write_faces(tmp_path / "good.csv")
    cases = ((2_000_000_000, "fix or remove the column `frame`"), (1e15, "impossible frame"))
    for index, message in cases:
        table["frame"] = [*range(1, 25), index]
        table.to_csv(tmp_path / "a.csv", index=False)
        said = []
        result = api.predict_clips(predictor, [tmp_path / "a.csv", good], say=said.append)
        assert result["clip"].unique().tolist() == [str(good)]
        assert len(said) == 1 and message in said[0]


def test_bad_clips_are_named_and_the_rest_is_predicted(predictor, tmp_path):
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty folder").mkdir()
    write_faces(tmp_path / "blind.csv", lost=range(25))
    good = write_faces(tmp_path / "good.csv")
    bad = ("text.csv", "broken.mp4", "notes.txt", "empty folder", "blind.csv", "missing.mp4")
    said = []
    paths = [*(tmp_path / name for name in bad), good]
    table = api.predict_clips(predictor, paths, say=said.append)
    assert table["clip"].unique().tolist() == [str(good)]
    assert len(said) == len(bad)
    for name, line in zip(bad, said, strict=True):
        assert line.startswith("skipped: ") and line.count(name) == 1 and "\n" not in line


def test_window_without_an_answer_is_named(predictor, tmp_path):
    respond = predictor.predict

    def broken(landmarks, **options):
        summary = respond(landmarks, **options)
        if landmarks[..., 0].mean() > 600:
            summary.mean[0, 1] = np.nan
        return summary

    predictor.predict = broken
    paths, said = [write_faces(tmp_path / "a.csv"), write_faces(tmp_path / "b.csv", x=700)], []
    table = api.predict_clips(predictor, paths, say=said.append)
    assert table["clip"].unique().tolist() == [str(paths[0])]
    (line,) = said
    assert line.startswith(f"skipped: {paths[1]}: the window 0.00 to 1.00 s has no answer: ")


def test_clip_may_have_any_name(monkeypatch, predictor, tmp_path, capsys):
    names = ("=1+1.csv", "\x1b[31mred.csv", "two\nlines.csv", os.fsdecode(b"latin\xe9.csv"))
    clips = [write_faces(tmp_path / "a.csv").rename(tmp_path / name) for name in names]
    monkeypatch.chdir(tmp_path)
    for out in ("t.csv", "t.json"):
        assert run(monkeypatch, predictor, *(clip.name for clip in clips), "--out", out) == 0
    captured = capsys.readouterr()
    assert "\x1b[31m" not in captured.out + captured.err
    found = pd.read_csv("t.csv")["clip"].unique().tolist()
    assert found == ["'=1+1.csv", "\\x1b[31mred.csv", "two\\nlines.csv", "latin\\xe9.csv"]


def test_nan_is_no_threshold(predictor, tmp_path):
    with pytest.raises(ValueError, match="threshold is nan"):
        api.predict_clips(predictor, write_faces(tmp_path / "a.csv"), threshold=float("nan"))


def test_messages_go_to_stderr_by_default(predictor, tmp_path, capsys):
    table = api.predict_clips(predictor, [tmp_path / "missing.mp4"])
    assert table.empty and list(table) == columns(CLASSES)
    captured = capsys.readouterr()
    assert "missing.mp4" in captured.err and not captured.out


def test_without_dlib_a_video_says_what_to_install(predictor, tmp_path, monkeypatch):
    from fer_jax.faces import detector

    getattr(detector._dlib_models, "cache_clear", lambda: None)()
    monkeypatch.setitem(sys.modules, "dlib", None)
    (tmp_path / "model.dat").write_bytes(b"")
    monkeypatch.setenv("FER_JAX_LANDMARK_MODEL", str(tmp_path / "model.dat"))
    video = write_video(tmp_path / "a.mp4", 5)
    with pytest.raises(ClipProblem, match=r"pip install .*\[preprocess\]"):
        sources.open_source(predictor, video, Options(), print)
    with pytest.raises(ClipProblem, match=r"pip install .*\[preprocess\]"):
        next(api.predict_frames(predictor, [np.zeros((48, 64, 3), np.uint8)]))


def write_video(path, frames, size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 5 * index, np.uint8))
    writer.release()
    return path


def test_rows_do_not_depend_on_what_else_is_predicted(predictor, tmp_path):
    one = write_faces(tmp_path / "one.csv", x=400)
    two = write_faces(tmp_path / "two.csv", x=300)
    alone = api.predict_clips(predictor, [one])
    together = api.predict_clips(predictor, [two, one])
    pd.testing.assert_frame_equal(
        together[together["clip"] == str(one)].reset_index(drop=True), alone
    )


# --- models that look at face crops -----------------------------------------------------------


@pytest.fixture
def crop_predictor(predictor):
    """A fake model: joy grows with the brightness of the crops."""

    def respond(crops, *, mc_samples, seed, frame_width):
        assert crops.shape == (1, 4, 32, 32, 3) and crops.dtype == np.uint8
        joy = np.full((mc_samples, 1), np.clip(crops.mean() / 255, 0.05, 0.95))
        return summarise(np.stack([0.7 * (1 - joy), joy, 0.3 * (1 - joy)], axis=-1))

    predictor.takes_crops, predictor.module.inputs = True, "frames"
    predictor.spec = dataclasses.replace(predictor.spec, prepared_size=32)
    predictor.predict = respond
    predictor.record = Record(dataset={"scaled": True})
    return predictor


def test_crop_model_refuses_landmarks_alone(monkeypatch, crop_predictor, tmp_path, capsys):
    path = write_faces(tmp_path / "a.csv")
    said = []
    assert api.predict_clips(crop_predictor, [path], say=said.append).empty
    (line,) = said
    assert line.startswith(f"skipped: {path}: ") and "\n" not in line
    assert "pictures" in line and "give the video or the folder of frames" in line
    assert run(monkeypatch, crop_predictor, path) == 1
    assert capsys.readouterr().err.count("give the video") == 1


def picture(level):
    return np.full((240, 320, 3), level, np.uint8)


POINTS = MEAN_FACE * 40 + [160, 110]


def test_frames_with_known_landmarks_need_no_detector(crop_predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    images = [picture(51)] * 10 + [picture(204)] * 10
    landmarks = [POINTS] * 15 + [None, np.full((68, 2), np.nan)] + [POINTS] * 3
    rows = list(api.predict_frames(crop_predictor, images, landmarks, fps=10, stride=1))
    assert [list(row) for row in rows] == [columns(CLASSES)[1:]] * 2
    assert [row["joy"] for row in rows] == pytest.approx([0.2, 0.8])
    assert [row["frames"] for row in rows] == [10, 8]
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1), (1, 2)]


def test_faces_are_cut_with_the_framing_of_training(crop_predictor):
    from fer_jax.faces.crop import cut_crop

    images = list(np.random.default_rng(0).integers(0, 256, (4, 240, 320, 3), np.uint8))
    respond, looked = crop_predictor.predict, []

    def look(crops, **options):
        looked.append(crops[0])
        return respond(crops, **options)

    crop_predictor.predict = look
    crop_predictor.spec = dataclasses.replace(crop_predictor.spec, framing=FER2013)
    points = POINTS.astype(np.float32)
    next(api.predict_frames(crop_predictor, images, [points] * 4, fps=4))
    wanted = [cut_crop(image, points, 32, FER2013)[0] for image in images]
    np.testing.assert_array_equal(looked[0], wanted)
    assert (looked[0][0] != cut_crop(images[0], points, 32)[0]).mean() > 0.5


def test_frames_work_for_models_of_landmarks_and_cost_no_crops(predictor, monkeypatch):
    monkeypatch.setattr("fer_jax.faces.crop.cut_crop", None)  # a call would fail
    rows = api.predict_frames(predictor, [picture(0)] * 10, [POINTS] * 10, fps=10)
    assert next(rows)["joy"] == pytest.approx(POINTS[:, 0].mean() / 320)  # the width of the images
    assert not list(rows)


def test_predict_frames_yields_rows_while_a_camera_runs(crop_predictor):
    taken = []

    def camera():
        while True:
            taken.append(1)
            yield picture(102)

    rows = api.predict_frames(crop_predictor, camera(), itertools.repeat(POINTS), fps=10)
    assert next(rows)["joy"] == pytest.approx(0.4) and len(taken) == 10
    assert next(rows)["start"] == 0.5 and len(taken) == 15


def test_face_that_cannot_be_aligned_counts_as_not_seen(crop_predictor):
    rows = api.predict_frames(crop_predictor, [picture(51)] * 2, [POINTS, 0 * POINTS], fps=2)
    assert next(rows)["frames"] == 1


@pytest.mark.parametrize(
    "images, landmarks, message",
    [
        ([picture(0), picture(0)[..., 0]], [POINTS] * 2, r"image 1 is uint8 \[240, 320\]"),
        ([picture(0) / 255], [POINTS], "image 0 is float64"),
        ([picture(0)] * 2, [POINTS, POINTS[:51]], r"landmarks of image 1 are \[51, 2\]"),
        ([picture(0)] * 3, [POINTS] * 2, "shorter"),
    ],
)
def test_frames_of_another_shape_are_refused(crop_predictor, images, landmarks, message):
    with pytest.raises(ValueError, match=message):
        list(api.predict_frames(crop_predictor, images, landmarks))


def test_no_frames_give_no_rows(crop_predictor):
    assert not list(api.predict_frames(crop_predictor, [], []))


# --- the command line -----------------------------------------------------------------------


def run(monkeypatch, predictor, *arguments):
    monkeypatch.setattr("fer_jax.predict.load.load_model", lambda path, say: predictor)
    return predict.main(["bundle", *map(str, arguments)])


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


def test_exit_code_tells_whether_anything_was_predicted(monkeypatch, predictor, tmp_path, capsys):
    good = write_faces(tmp_path / "a.csv")
    assert run(monkeypatch, predictor, good, tmp_path / "missing.mp4") == 0
    assert "missing.mp4" in capsys.readouterr().err
    assert run(monkeypatch, predictor, tmp_path / "missing.mp4") == 1
    assert "none of the clips" in capsys.readouterr().err


def test_says_when_nothing_can_abstain(monkeypatch, predictor, tmp_path, capsys):
    predictor.threshold = None
    clip = write_faces(tmp_path / "a.csv", x=200)
    run(monkeypatch, predictor, clip)
    captured = capsys.readouterr()
    assert "no threshold" in captured.err and "unsure" not in captured.out
    run(monkeypatch, predictor, clip, "--threshold", 0.1)
    captured = capsys.readouterr()
    assert "no threshold" not in captured.err and "unsure (" in captured.out


def test_note_on_scale_goes_when_the_width_is_given(monkeypatch, predictor, tmp_path, capsys):
    predictor.record = Record(dataset={"scaled": True})
    clips = [write_faces(tmp_path / f"{name}.csv") for name in "ab"]
    assert run(monkeypatch, predictor, *clips) == 0
    assert capsys.readouterr().err.count("--width") == 1
    assert run(monkeypatch, predictor, *clips, "--width", 640) == 0
    assert "--width" not in capsys.readouterr().err


def test_skipped_clips_are_counted_and_the_compilation_is_named(
    monkeypatch, predictor, tmp_path, capsys
):
    monkeypatch.setattr(progress, "SILENCE", 0.0)  # a line at every update
    predictor.is_compiled = lambda mc_samples: False
    clips = [write_faces(tmp_path / f"{name}.csv") for name in "ab"]
    assert run(monkeypatch, predictor, *clips) == 0
    said = capsys.readouterr().err
    assert "reading a.csv: 10/25, compiling the network" in said and "skipped" not in said
    assert said.splitlines()[-1].endswith(", done")
    assert run(monkeypatch, predictor, *clips, tmp_path / "missing.csv") == 0
    *_, last, count = capsys.readouterr().err.splitlines()
    assert last.endswith("reading missing.csv ..., skipped")
    assert count == "2 of 3 clips predicted, 1 skipped"


def test_missing_bundle_is_one_line(tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv")
    assert predict.main([str(tmp_path / "nothing"), str(clip)]) == 1
    assert "not a model bundle" in capsys.readouterr().err


def test_interrupt_keeps_what_was_finished(monkeypatch, predictor, tmp_path):
    clips = [write_faces(tmp_path / f"{name}.csv") for name in "ab"]
    original = sources.open_source

    def interrupted(predictor, path, *rest):
        if pathlib.Path(path).name == "b.csv":
            raise KeyboardInterrupt
        return original(predictor, path, *rest)

    monkeypatch.setattr(sources, "open_source", interrupted)
    assert run(monkeypatch, predictor, *clips, "--out", tmp_path / "t.csv") == 130
    assert pd.read_csv(tmp_path / "t.csv")["clip"].unique().tolist() == [str(clips[0])]


def test_killed_prediction_resumes(monkeypatch, predictor, tmp_path, capsys):
    clips = [write_faces(tmp_path / f"{name}.csv", frames=20) for name in "abc"]
    out, partial = tmp_path / "t.csv", tmp_path / "t.csv.partial"
    run(monkeypatch, predictor, *clips, "--out", tmp_path / "whole.csv")
    original, read = sources.open_source, []

    def open_source(predictor, path, *rest):
        read.append(pathlib.Path(path).name)
        if pathlib.Path(path).name == "c.csv" and not out.exists() and len(read) == 3:
            raise SystemExit  # as a kill: nothing is saved any more
        return original(predictor, path, *rest)

    monkeypatch.setattr(sources, "open_source", open_source)
    with pytest.raises(SystemExit):
        run(monkeypatch, predictor, *clips, "--out", out)
    assert not out.exists() and len(partial.read_text().splitlines()) == 3
    with partial.open("a") as file:
        file.write('{"sha256": "to')  # torn
    saved = partial.read_bytes()

    read.clear()
    assert run(monkeypatch, predictor, *clips, "--out", out) == 0
    assert read == ["c.csv"] and capsys.readouterr().err.count("predicted before: ") == 2
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes() and not partial.exists()

    for change in ("options", "clip", "flip"):
        partial.write_bytes(saved)
        if change == "clip":
            os.utime(clips[0])
        if change == "flip":
            partial.write_bytes(saved.replace(b"joy", b"jox", 1))
        read.clear()
        seed = ["--seed", 3] if change == "options" else []
        assert run(monkeypatch, predictor, *clips, "--out", out, *seed) == 0
        assert read == {"options": ["a.csv", "b.csv", "c.csv"]}.get(change, ["a.csv", "c.csv"])
        assert ("begins anew" in capsys.readouterr().err) == (change == "options")


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


def test_drawing_that_fails_ends_with_its_own_code(monkeypatch, predictor, tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv")
    (tmp_path / "file").write_text("no folder")
    out = ["--out", tmp_path / "t.csv", "--figure", tmp_path / "file" / "a.png"]
    assert run(monkeypatch, predictor, clip, *out) == 2
    assert "not drawn: " in capsys.readouterr().err and len(pd.read_csv(tmp_path / "t.csv")) == 4
    assert run(monkeypatch, predictor, clip, "--out", tmp_path / "t.xlsx") == 2


@pytest.mark.parametrize(
    "argument",
    ["--mc-samples=0", "--mc-samples=2.5", "--window=-1", "--window=0", "--stride=x",
     "--stride=nan", "--fps=inf", "--fps=0", "--fps=-25", "--width=-5", "--threshold=nan",
     "--seed=x"],
)  # fmt: skip
def test_wrong_options_are_refused_alike_in_python(predictor, argument, capsys):
    with pytest.raises(SystemExit, match="2"):
        predict.main(["bundle", "clip.mp4", argument])
    name, _, text = argument.partition("=")
    line = capsys.readouterr().err
    assert line.startswith(f"error: {name} is ") and line.count("\n") == 1
    kind = float if name in ("--window", "--stride", "--fps", "--threshold") else int
    try:
        value = kind(text)
    except ValueError:
        value = text
    option = {name[2:].replace("-", "_"): value}
    with pytest.raises(ValueError, match=f"^{next(iter(option))} is "):
        api.predict_clips(predictor, "clip.mp4", **option)
    if name != "--width":
        with pytest.raises(ValueError, match=f"^{next(iter(option))} is "):
            api.predict_frames(predictor, [], **option)


def test_unknown_option_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        predict.main(["bundle", "clip.mp4", "--any"])
    assert "--any" in capsys.readouterr().err


def test_videos_of_a_folder_are_clips_in_natural_order(tmp_path):
    for name in ("v10.mp4", "v9.MKV", "notes.txt", ".hidden.mp4", "a.csv"):
        (tmp_path / name).touch()
    said = []
    assert sources.clips_of([tmp_path], said.append) == [tmp_path / "v9.MKV", tmp_path / "v10.mp4"]
    assert not said
    (tmp_path / "cover.jpg").touch()
    clips = sources.clips_of([tmp_path / "v10.mp4", tmp_path, "gone"], said.append)
    assert [clip.name for clip in clips] == ["v10.mp4", "v9.MKV", "v10.mp4", "gone"]
    assert len(said) == 1 and "its videos are predicted (2), its pictures are not (1)" in said[0]


def test_folder_of_frames_or_landmarks(monkeypatch, predictor, tmp_path):
    frames, landmarks = tmp_path / "frames", tmp_path / "landmarks"
    frames.mkdir()
    landmarks.mkdir()
    (frames / "1.png").touch()
    (frames / "a.csv").touch()
    names = [write_faces(landmarks / name).name for name in ("c2.csv", "c10.csv")]
    assert sources.clips_of([frames, tmp_path], print) == [frames, tmp_path]
    assert run(monkeypatch, predictor, landmarks, "--out", tmp_path / "t.csv") == 0
    table = pd.read_csv(tmp_path / "t.csv")
    assert [pathlib.Path(clip).name for clip in table["clip"].unique()] == names
    assert api.predict_clips(predictor, landmarks)["clip"].tolist() == table["clip"].tolist()


@pytest.mark.parametrize("dropped", [(0,), (4, 5), (0, 1, 19)])
def test_dropped_frames_count_as_without_a_face(crop_predictor, dropped):
    images = [None if index in dropped else picture(51) for index in range(20)]
    rows = list(api.predict_frames(crop_predictor, images, [POINTS] * 20, fps=10, stride=1))
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1), (1, 2)]
    assert sum(row["frames"] for row in rows) == 20 - len(dropped)


# --- files that are left behind -------------------------------------------------------------


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
        (options("a.mp4", annotate="./a.mp4"), "would be overwritten"),
        (options("a.csv", out="a.csv"), "would be overwritten"),
    ],
)
def test_impossible_outputs_are_refused_before_any_work(wrong, message):
    with pytest.raises(ValueError, match=message):
        tables.drawn_files(wrong)


def printed(monkeypatch, table, width):
    stream = io.StringIO()
    monkeypatch.setattr(tables, "_PIPE_WIDTH", width)
    monkeypatch.setattr(sys, "stdout", stream)
    tables.print_table(table, CLASSES)
    return stream.getvalue()


def test_table_fits_its_terminal(monkeypatch, predictor, tmp_path):
    path = write_faces(tmp_path / "[bold]a.csv", frames=400)
    table = api.predict_clips(predictor, [path])
    wide, narrow = (printed(monkeypatch, table, width) for width in (160, 100))
    assert "calm" in wide and "[bold]a.csv" in wide
    assert "likeliest" in narrow
    least = printed(monkeypatch, table, 80)
    assert "prob." in least and "[bold]a.csv" in least and "…" not in least
    assert max(map(len, least.splitlines())) <= 80
    assert max(map(len, narrow.splitlines())) <= 100
    assert f"and {len(table) - 60} more windows" in narrow
    assert f"{table['joy'][0]:.2f}" in wide


@pytest.mark.parametrize("call", [api.predict_clips, api.predict_frames])
def test_path_is_no_model(call):
    with pytest.raises(TypeError, match="give what fer_jax.load_model returns"):
        call("runs/mine/model", [])
