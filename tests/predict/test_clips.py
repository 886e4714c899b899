"""Prediction of clips: rows and messages of a model that is faked."""

import dataclasses
import os
import pathlib
import sys

import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.experiments.bundle import Record
from fer_jax.faces.media import listing
from fer_jax.predict import api, sources
from fer_jax.predict.options import Options
from fer_jax.predict.windows import ClipProblem, columns
from tests.predict.fakes import CLASSES, run, write_faces, write_video


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


def test_rate_that_a_landmark_file_does_not_state_is_noted(predictor, tmp_path):
    table, said = pd.read_csv(write_faces(tmp_path / "a.csv", frames=30)), []
    table["timestamp"] = table["frame"] - 1
    table.to_csv(tmp_path / "a.csv", index=False)
    result = api.predict_clips(predictor, [tmp_path / "a.csv"], fps=15.0, say=said.append)
    assert result["end"].iloc[-1] == pytest.approx(2)
    assert "count frames" in said[0] and "15 frames a second assumed" in said[1]


def test_notes_are_told_of_a_clip_without_a_face_too(predictor, tmp_path):
    table, said = pd.read_csv(write_faces(tmp_path / "a.csv", frames=5, lost=range(5))), []
    table["timestamp"] = 1
    table.to_csv(path := tmp_path / "a.csv", index=False)
    assert not len(api.predict_clips(predictor, path, say=said.append))
    assert "do not advance" in said[0] and said[-1] == f"skipped: {path}: no face in it"


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


@pytest.mark.parametrize(("scaled", "width"), [(True, 0), (False, 640)])
def test_scale_means_nothing_to_features_in_eye_distances(predictor, tmp_path, scaled, width):
    predictor.record = Record(dataset={"scaled": scaled})
    predictor.spec = dataclasses.replace(predictor.spec, features="normalised_motion")
    said = []
    api.predict_clips(predictor, write_faces(tmp_path / "a.csv"), width=width, say=said.append)
    assert not any("500 pixels" in line for line in said)


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


def test_sets_out_of_reach_are_noted(predictor, tmp_path):
    rule = dataclasses.replace(predictor.trust.sets, level=0.999, people=7)
    predictor.trust, said = dataclasses.replace(predictor.trust, sets=rule), []
    api.predict_clips(predictor, write_faces(tmp_path / "a.csv"), say=said.append)
    assert len(said) == 1 and said[0].startswith("note: nothing is promised of sets at a level of")


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


def test_rows_do_not_depend_on_what_else_is_predicted(predictor, tmp_path):
    one = write_faces(tmp_path / "one.csv", x=400)
    two = write_faces(tmp_path / "two.csv", x=300)
    alone = api.predict_clips(predictor, [one])
    together = api.predict_clips(predictor, [two, one])
    pd.testing.assert_frame_equal(
        together[together["clip"] == str(one)].reset_index(drop=True), alone
    )


def test_crop_model_refuses_landmarks_alone(monkeypatch, crop_predictor, tmp_path, capsys):
    path = write_faces(tmp_path / "a.csv")
    said = []
    assert api.predict_clips(crop_predictor, [path], say=said.append).empty
    (line,) = said
    assert line.startswith(f"skipped: {path}: ") and "\n" not in line
    assert "pictures" in line and "give the video or the folder of frames" in line
    assert run(monkeypatch, crop_predictor, path) == 1
    assert capsys.readouterr().err.count("give the video") == 1


def test_videos_of_a_folder_are_clips_in_natural_order(tmp_path):
    for name in ("v10.mp4", "v9.MKV", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    said = []
    assert listing.clips_of([tmp_path], said.append) == [tmp_path / "v9.MKV", tmp_path / "v10.mp4"]
    assert not said
    for name in ("cover.jpg", "a.csv"):
        (tmp_path / name).touch()
    clips = listing.clips_of([tmp_path / "v10.mp4", tmp_path, "gone"], said.append)
    assert [clip.name for clip in clips] == ["v10.mp4", "v9.MKV", "v10.mp4", "gone"]
    pictures, landmarks = said
    assert "its videos are predicted (2), its pictures are not (1)" in pictures
    assert f"the CSVs in {tmp_path} are not read (1), only its videos" in landmarks


@pytest.mark.parametrize(
    "names", [("a/x.mp4", "b/y.f4v"), ("a/f1.png", "b/f1.JPG"), ("a/x.mp4", "v.mp4")]
)
def test_folders_within_a_folder_are_named(tmp_path, names):
    said = []
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    listing.clips_of([tmp_path], said.append)
    number = len([name for name in names if "/" in name])
    assert said == [f"note: the folders in {tmp_path} are not read ({number}): give each of them"]


def test_folder_of_frames_or_landmarks(monkeypatch, predictor, tmp_path):
    frames, landmarks = tmp_path / "frames", tmp_path / "landmarks"
    frames.mkdir()
    landmarks.mkdir()
    (frames / "1.png").touch()
    (frames / "a.csv").touch()
    names = [write_faces(landmarks / name).name for name in ("c2.csv", "c10.csv")]
    assert listing.clips_of([frames, tmp_path], print) == [frames, tmp_path]
    assert run(monkeypatch, predictor, landmarks, "--out", tmp_path / "t.csv") == 0
    table = pd.read_csv(tmp_path / "t.csv")
    assert [pathlib.Path(clip).name for clip in table["clip"].unique()] == names
    assert api.predict_clips(predictor, landmarks)["clip"].tolist() == table["clip"].tolist()


@pytest.mark.parametrize("call", [api.predict_clips, api.predict_frames])
def test_path_is_no_model(call):
    with pytest.raises(TypeError, match="give what fer_jax.load_model returns"):
        call("runs/mine/model", [])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (5, "paths is 5 of type int: give the path of a clip"),
        (None, "paths is None of type NoneType: give the path"),
        (["a.csv", 5], "paths holds 5 of type int: give the path"),
        (np.zeros((2, 240, 320, 3)), "paths holds a value of type ndarray: give .* predict_frames"),
    ],
)
def test_what_are_no_paths_is_named(predictor, paths, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        api.predict_clips(predictor, paths)


@pytest.mark.parametrize("model", [5, None, {"a": 1}])
@pytest.mark.parametrize("call", [api.predict_clips, api.predict_frames, fer_jax.predict_images])
def test_what_is_no_model_is_named(call, model):
    with pytest.raises(TypeError, match="^the model is .* give what fer_jax.load_model returns$"):
        call(model, [])


@pytest.mark.parametrize("path", [5, None, b"faces", ["faces"]])
def test_what_is_no_path_of_a_model_is_named(path):
    with pytest.raises(TypeError, match="^the path of a model is .* of type .*: give .* faces, "):
        fer_jax.load_model(path)


@pytest.mark.parametrize("call", [api.predict_clips, fer_jax.predict_images])
def test_notes_go_to_a_function_and_the_landmark_model_is_a_path(predictor, call):
    with pytest.raises(TypeError, match="^say is 5 of type int: give a function"):
        call(predictor, [], say=5)
    with pytest.raises(ValueError, match="^landmark_model is 5 of type int: give the path"):
        call(predictor, [], landmark_model=5)
