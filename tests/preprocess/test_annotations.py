"""Action units of own clips: a CSV per clip, matched by frame number."""

import numpy as np
import pytest

from fer_jax.faces.landmarks import MEAN_FACE
from preprocess.annotations import base_rates, coded_units, left_over, read_codes, units_at
from preprocess.clip import Codes
from preprocess.datasets import manifest
from tests.official_trees import (
    examples,
    options_of,
    prepare,
    put,
    reason,
    write_faces,
    write_landmarks,
)
from tests.py_feat import COLUMNS, Row, write_py_feat

HEADER = "path,subject,label,action_units\n"


def listed(folder, text: str) -> list:
    (folder / "list.csv").write_text(text)
    return list(manifest.clips(folder / "list.csv", options_of(manifest)))


def put_all(folder, **codes):
    """Writes empty videos, each with a CSV of its codes, or without if None."""
    for name, text in codes.items():
        put(folder / f"{name}.mp4")
        if text is not None:
            put(folder / f"{name}.csv", text)


def test_codes_are_matched_by_frame_number_not_by_row():
    codes = Codes(None, ("AU01", "AU12"))
    rows = {7: np.float32([1, 0]), 3: np.float32([0, np.nan])}
    units = units_at(rows, np.array([2, 3, 5, 7], np.int32), codes)
    unknown = [np.nan, np.nan]
    np.testing.assert_array_equal(units, [unknown, [0, np.nan], unknown, [1, 0]])
    assert units.dtype == np.float32


def test_base_rates_are_of_known_frames():
    tables = [np.float32([[1, 0.5, np.nan], [0, np.nan, np.nan]]), np.float32([[0, 0.3, np.nan]])]
    (note,) = base_rates(("AU01", "AU02", "AU04"), tables)
    assert note.endswith("AU01 0.333, AU02 0.500, AU04 never known")
    assert base_rates(("AU01",), []) == []


def test_columns_may_stand_in_any_order(tmp_path):
    (tmp_path / "a.csv").write_text("AU12,time,frame, AU4\n1,0.04,1,0\n")
    assert coded_units(tmp_path / "a.csv") == ("AU12", "AU04")


def test_openface_presence_is_read_not_intensity(tmp_path):
    header = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, AU01_c, AU12_c\n"
    (tmp_path / "a.csv").write_text(header + "1, 0, 0.0, 0.98, 1, 0.2, 3.1, 0.00, 1.00\n")
    units = coded_units(tmp_path / "a.csv")
    assert units == ("AU01", "AU12")
    np.testing.assert_array_equal(read_codes(Codes(tmp_path / "a.csv", units))[1], [0, 1])


@pytest.mark.parametrize("version", COLUMNS)
def test_scores_of_py_feat_are_codes(tmp_path, version):
    rows = [Row(0, MEAN_FACE), Row(1, None), Row(2, MEAN_FACE)]
    path = write_py_feat(tmp_path / "a.csv", rows, version)
    units = coded_units(path)
    assert units[:3] == ("AU01", "AU02", "AU04") and len(units) == 15
    codes = read_codes(Codes(path, units))
    assert list(codes) == [0, 1, 2] and np.isnan(codes[1]).all() and (codes[2] == 0.25).all()


def test_coded_frames_that_the_clip_does_not_have_are_noted():
    rows = dict.fromkeys(range(1, 5), np.float32([1]))
    assert left_over(rows, np.arange(1, 9)) == ""
    note = "coded frames that the clip lacks: 1 (the first: 4)"
    assert left_over(rows, np.arange(4, dtype=np.int32)) == note


def test_rows_of_a_manifest_have_codes(tmp_path):
    put_all(tmp_path, a="frame,AU12,AU01\n0,1,0\n", b="frame,AU1,12\n0,1,0\n", c=None)
    text = HEADER + "c.mp4,p,joy,\na.mp4,p,joy,a.csv\nb.mp4,p,joy,b.csv\n"
    units = ("AU01", "AU12")
    paths = [None, tmp_path / "a.csv", tmp_path / "b.csv"]
    assert [clip.codes for clip in listed(tmp_path, text)] == [Codes(p, units) for p in paths]
    without = text.replace("a.csv", "").replace("b.csv", "")
    assert [clip.codes for clip in listed(tmp_path, without)] == [None] * 3


def test_clips_may_code_different_units(tmp_path):
    codes = {"a": "AU12,AU10\n0,1,0", "b": "AU2,AU12\n0,1,0", "c": "AU02,AU10,AU12\n0,1,0,1"}
    put_all(tmp_path, **{name: f"frame,{text}\n" for name, text in codes.items()})
    clips = listed(tmp_path, HEADER + "".join(f"{n}.mp4,p,joy,{n}.csv\n" for n in codes))
    assert {clip.codes.units for clip in clips} == {("AU02", "AU10", "AU12")}
    unknown = [clip.note.removeprefix("not coded, so unknown: ") for clip in clips]
    assert unknown == ["AU02", "AU10", ""]
    (row,) = read_codes(clips[0].codes).values()
    np.testing.assert_array_equal(row, [np.nan, 0, 1])


@pytest.mark.parametrize(
    ("content", "wanted", "words"),
    [
        ("frame,AU01,AU12\n0,1,0\n", "", ""),
        ("frame,AU01,AU01_c\n0,1,1\n", "action unit twice", "names AU01 twice"),
        ("frame,AU01_r,AU12_r\n0,1,0\n", "no action units", "frame,AU01,AU02"),
        ("", "no codes", "b.csv is empty"),
        (None, "missing file", "b.csv does not exist"),
    ],
)
def test_codes_that_do_not_fit_are_listed_with_the_reason(tmp_path, content, wanted, words):
    put_all(tmp_path, a="frame,AU01,AU12\n0,1,0\n", b=content)
    good, other = listed(tmp_path, HEADER + "a.mp4,p,joy,a.csv\nb.mp4,p,joy,b.csv\n")
    assert reason(good) == "" and reason(other) == wanted
    assert words in str(other.problem)


def test_codes_of_a_manifest_reach_the_dataset(tmp_path, capsys):
    pytest.importorskip("dlib")
    tfds = pytest.importorskip("tensorflow_datasets")
    for name in ("face", "torn", "other"):
        write_landmarks(tmp_path / f"{name}.csv", [1, 2, 4])
    frames = [tmp_path / "frames" / f"f{number}.png" for number in (5, 6, 7)]
    write_faces(frames, 0)
    frames[0].write_bytes(b"no image")
    write_faces([tmp_path / "still.png"], 1)
    put(tmp_path / "u" / "face.csv", "frame,AU01,AU12\n4,0.25,1\n1,,9\n3,1,1\n")
    put(tmp_path / "u" / "frames.csv", "frame,AU12,AU01\n5,0,0\n6,1,0\n7,0.5,nan\n")
    put(tmp_path / "u" / "torn.csv", "frame,AU01,AU12\n1,0,0\n2,0\n")
    put(tmp_path / "u" / "other.csv", "frame,AU01,AU12\n1001,0,0\n")
    rows = (
        "face.csv,p0,a,u/face.csv\nframes,p1,b,u/frames.csv\ntorn.csv,p2,a,u/torn.csv\n"
        "other.csv,p3,b,u/other.csv\nstill.png,p4,a,\n"
    )
    put(tmp_path / "list.csv", HEADER + rows)
    out = tmp_path / "out"
    report = prepare("manifest", tmp_path / "list.csv", out)
    assert "stbln_manifest:out" in (command := capsys.readouterr().out.split("Next:")[1])
    assert command.strip().endswith(
        "--config.task=action_units --config.data.frame_rule=windows "
        "--config.data.features=position"
    )
    assert report["dropped"] == {"torn codes": 1, "codes of other frames": 1}
    notes = {row["clip_id"]: row["note"] for row in report["clips"]}
    assert notes["face.csv"] == (
        "missing frames: 1 (the first after frame 2); "
        "coded frames that the clip lacks: 1 (the first: 3)"
    )
    assert notes["frames"] == (
        "unreadable frames skipped: 1; coded frames that the clip lacks: 1 (the first: 5)"
    )
    assert any("AU01 0.250, AU12 0.800" in note for note in report["notes"])
    assert tfds.builder_from_directory(out).info.metadata["action_units"] == ["AU01", "AU12"]
    nan, stored = np.nan, {name: row["action_units"] for name, row in examples(out).items()}
    np.testing.assert_array_equal(stored["face.csv"], [[nan, nan], [nan, nan], [0.25, 1]])
    np.testing.assert_array_equal(stored["frames"], [[0, 1], [nan, 0.5]])
    np.testing.assert_array_equal(stored["still.png"], [[nan, nan]])

    (tmp_path / "u" / "face.csv").write_text("frame,AU01,AU12\n2,1,1\n")
    again = prepare("manifest", tmp_path / "list.csv", out)
    assert [row["reused"] for row in again["clips"]] == [False, True, True, True, True]
    np.testing.assert_array_equal(
        examples(out)["face.csv"]["action_units"], [[nan, nan], [1, 1], [nan, nan]]
    )
    capsys.readouterr()


def test_drawn_person_keeps_the_codes(tmp_path, capsys):
    pytest.importorskip("dlib")
    write_landmarks(tmp_path / "face.csv", [3, 4])
    (tmp_path / "units.csv").write_text("frame,AU01\n4,1\n")
    (tmp_path / "list.csv").write_text(HEADER + "face.csv,p,joy,units.csv\n")
    out = tmp_path / "out"
    report = prepare("manifest", tmp_path / "list.csv", out, "--render", "--crops", "32")
    assert report["counts"]["kept"] == 1
    assert not any("one class only" in note for note in report["notes"])
    row = examples(out)["face.csv"]
    np.testing.assert_array_equal(row["action_units"], [[np.nan], [1]])
    assert row["detected"].all() and len(row["crop_offsets"]) == 3
    capsys.readouterr()


def test_manifest_without_codes_has_no_field_of_them(tmp_path, capsys):
    write_landmarks(tmp_path / "face.csv", [1, 2])
    put(tmp_path / "list.csv", HEADER + "face.csv,p,joy,\n")
    prepare("manifest", tmp_path / "list.csv", tmp_path / "out")
    assert "action_units" not in examples(tmp_path / "out")["face.csv"]
    capsys.readouterr()
