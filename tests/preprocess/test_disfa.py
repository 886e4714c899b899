"""DISFA on miniature trees in the official layout: runs of emotions, labels, what is missing."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.faces.video import open_frames
from preprocess.annotations import read_codes
from preprocess.clip import Clip, Codes, SourceError
from preprocess.datasets import disfa
from tests.official_trees import (
    DISFA_UNITS,
    STRAY,
    blank,
    disfa_labels,
    disfa_video,
    drawn,
    examples,
    listed,
    options_of,
    prepare,
    put,
    reason,
)

HAPPY, SAD, TALK = {6: 2, 12: 3}, {1: 1, 4: 1, 15: 1}, {25: 2}


def person(root, subject: str, rows, frames=None, camera="Left"):
    disfa_labels(root, subject, rows)
    disfa_video(root, subject, blank(len(rows) if frames is None else frames), camera)


def ranges(clips: dict[str, Clip]) -> dict[str, tuple]:
    return {name: (c.label, c.source.first, c.source.count) for name, c in clips.items()}


ROWS = [{}] * 12 + [HAPPY] * 11 + [TALK] * 15 + [SAD] * 9 + [{}] * 10


def test_runs_of_one_emotion_are_clips_and_the_rest_is_counted(tmp_path):
    person(tmp_path, "SN001", ROWS)
    person(tmp_path, "SN032", [HAPPY] * 10 + [SAD] * 10)
    for name in STRAY:
        put(tmp_path / "ActionUnit_Labels" / "SN001" / name)
        put(tmp_path / "Videos_LeftCamera" / name)
    put(tmp_path / "Landmark_Points" / "SN001" / "SN001_0000_lm.mat")
    clips = listed(disfa, tmp_path)
    assert ranges(clips) == {
        "SN001_0001-0012": ("neutral", 0, 12),
        "SN001_0013-0023": ("happiness", 12, 11),
        "SN001_0048-0057": ("neutral", 47, 10),
        "SN032_0001-0010": ("happiness", 0, 10),
        "SN032_0011-0020": ("sadness", 10, 10),
    }
    assert {clip.subject for clip in clips.values()} == {"SN001", "SN032"}
    people, shown, left_out = disfa.notes(list(clips.values()))
    assert people == "2 people instead of 27"
    assert "disgust 0, fear 0, happiness 21, neutral 22, sadness 19" in shown
    assert "in all 62 of 77 (the paper: about 89,000 of 130,800)" in shown
    assert left_out.startswith("left out: 15 frames that fit no rule; 9 in 1 runs of fewer than 10")
    assert left_out.endswith("; 0 frames without a label or labels without a frame")


def test_run_gives_its_own_frames_of_the_video(tmp_path):
    person(tmp_path, "SN001", ROWS)
    frames = open_frames(listed(disfa, tmp_path)["SN001_0013-0023"].source)
    read = dict(frames)
    assert list(read) == list(range(12, 23)) and frames.announced == 11
    means = [image.mean() for image in read.values()]
    assert np.allclose(means, [5 * index for index in range(12, 23)], atol=6)


def test_shorter_of_video_and_labels_ends_both(tmp_path):
    person(tmp_path, "SN001", [HAPPY] * 30, frames=27)
    person(tmp_path, "SN002", [HAPPY] * 20, frames=24)
    clips = listed(disfa, tmp_path)
    assert list(ranges(clips)) == ["SN001_0001-0027", "SN002_0001-0020"]
    assert "; 7 frames without a label or" in disfa.notes(list(clips.values()))[-1]


def test_files_of_unequal_length_are_noted(tmp_path):
    person(tmp_path, "SN001", [HAPPY] * 60)
    person(tmp_path, "SN002", [HAPPY] * 60)
    path = tmp_path / "ActionUnit_Labels" / "SN001" / "SN001_au26.txt"
    path.write_text("".join(f"{line},0\n" for line in range(1, 13)))
    wanted = (
        "SN001_au26.txt codes 12 frames, SN001_au1.txt 60: frames beyond the shortest are left out"
    )
    for whole in (False, True):
        short, good = listed(disfa, tmp_path, whole_videos=whole).values()
        assert (short.subject, short.source.count, short.note) == ("SN001", 12, wanted)
        assert (good.subject, good.source.count, good.note) == ("SN002", 60, "")


def test_other_files_in_the_folder_are_ignored(tmp_path):
    """Hidden files of macOS, files of another person or unit, copies."""
    person(tmp_path, "SN001", [HAPPY] * 12)
    folder = tmp_path / "ActionUnit_Labels" / "SN001"
    other = "".join(f"{line},5\n" for line in range(1, 4))
    for name in ("SN002_au6", "AA_au6", "SN001_au66", "old_SN001_au6", "SN0012_au6"):
        put(folder / f"{name}.txt", other)
    for unit in DISFA_UNITS:
        (folder / f"._SN001_au{unit}.txt").write_bytes(b"\0\5\x16\7\0\xff")
    (folder / "SN001_au12.txt").rename(folder / "sn001_AU12.TXT")
    assert ranges(listed(disfa, tmp_path)) == {"SN001_0001-0012": ("happiness", 0, 12)}
    (folder / "SN001_au6.txt").unlink()  # nothing else takes its place
    (clip,) = listed(disfa, tmp_path).values()
    assert reason(clip) == "no codes" and "no file of AU06 (SN001_au6.txt)" in str(clip.problem)


def test_long_run_is_divided_and_no_part_is_short(tmp_path, monkeypatch):
    monkeypatch.setattr(disfa, "_LONGEST", 20)
    person(tmp_path, "SN001", [HAPPY] * 49)
    person(tmp_path, "SN002", [HAPPY] * 50)
    counts = [count for _, _, count in ranges(listed(disfa, tmp_path)).values()]
    assert counts == [20, 29, 20, 20, 10]


@given(st.integers(10, 2000))
def test_parts_of_a_run_are_the_whole_of_it(count):
    parts = list(disfa._divided(range(7, 7 + count)))
    assert [frame for part in parts for frame in part] == list(range(7, 7 + count))
    assert all(10 <= len(part) < 310 for part in parts)
    assert all(len(part) == 300 for part in parts[:-1])


def test_rules_have_options(tmp_path):
    rows = [{6: 1, 12: 1}] * 10 + [{4: 2, 17: 2}] * 10
    person(tmp_path, "SN001", rows)
    labels = {"happiness": (0, 10), "anger": (10, 10)}
    for options, wanted in (
        ({}, ["happiness"]),
        ({"chin_anger": True}, ["happiness", "anger"]),
        ({"chin_anger": True, "present": 2}, ["anger"]),
    ):
        found = ranges(listed(disfa, tmp_path, **options)).values()
        assert list(found) == [(name, *labels[name]) for name in wanted]


def test_camera_can_be_chosen(tmp_path):
    person(tmp_path, "SN001", [HAPPY] * 10)
    with pytest.raises(SourceError, match="no folder of videos of the right camera"):
        listed(disfa, tmp_path, camera="right")
    disfa_video(tmp_path, "SN001", blank(10), "Right")
    for camera in ("left", "right"):
        (clip,) = listed(disfa, tmp_path, camera=camera).values()
        assert clip.source.path.name == f"{camera.title()}VideoSN001_comp.avi"


def test_people_with_missing_files_are_listed(tmp_path):
    for index in range(1, 7):
        person(tmp_path, f"SN{index:03d}", [HAPPY] * 10)
    labels, videos = tmp_path / "ActionUnit_Labels", tmp_path / "Videos_LeftCamera"
    shutil.rmtree(labels / "SN001")
    (labels / "SN002" / "SN002_au5.txt").unlink()
    (videos / "LeftVideoSN003_comp.avi").unlink()
    (videos / "LeftVideoSN004_comp.avi").write_bytes(b"\0" * 5000)
    (videos / "leftvideoSN005.avi").write_bytes(b"")
    clips = listed(disfa, tmp_path)
    assert {name: reason(clip) for name, clip in clips.items()} == {
        "SN001": "no codes", "SN002": "no codes", "SN003": "no video", "SN004": "unreadable",
        "SN005": "video twice", "SN006_0001-0010": "",
    }  # fmt: skip
    assert "has no file of AU05 (SN002_au5.txt)" in str(clips["SN002"].problem)


def test_video_without_a_run_is_listed(tmp_path):
    person(tmp_path, "SN001", ([HAPPY] * 9 + [{}] * 9) * 2 + [TALK] * 20)
    (clip,) = listed(disfa, tmp_path).values()
    assert reason(clip) == "no emotion" and "no run of 10 frames" in str(clip.problem)
    assert disfa.notes([]) == ["0 people instead of 27"]


GOOD = b"".join(b"%d,2\n" % line for line in range(1, 13))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (GOOD, ""),
        (b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"), ""),
        (GOOD.replace(b",", b" , ") + b"\n \n", ""),
        (GOOD.replace(b"7,2\n", b"7\n"), "torn codes"),
        (GOOD.replace(b"7,2\n", b"7,2,1\n"), "torn codes"),
        (GOOD.replace(b"7,2\n", b""), "impossible frame number"),
        (GOOD.replace(b"7,2\n", b"7,2\n7,2\n"), "impossible frame number"),
        (GOOD.replace(b"7,2", b"x,2"), "impossible frame number"),
        (b"0,2\n" + GOOD, "impossible frame number"),
        (GOOD.replace(b"7,2", b"7,6"), "impossible code"),
        (GOOD.replace(b"7,2", b"7,-1"), "impossible code"),
        (GOOD.replace(b"7,2", b"7,"), "impossible code"),
        (GOOD.replace(b"7,2", b"7,nan"), "impossible code"),
        (b"", "no codes"),
        (GOOD + b"13,\xff\n", "unreadable codes"),
    ],
)
def test_label_files_are_checked(tmp_path, content, wanted):
    person(tmp_path, "SN001", [{}] * 12)
    person(tmp_path, "SN002", [HAPPY] * 12)
    path = tmp_path / "ActionUnit_Labels" / "SN001" / "SN001_au9.txt"
    path.write_bytes(content)
    odd, good = listed(disfa, tmp_path).values()
    assert reason(odd) == wanted and reason(good) == ""
    if wanted:
        assert "SN001_au9.txt" in str(odd.problem)
        if wanted.startswith(("torn", "impossible")):
            assert ", line " in str(odd.problem)
    else:
        assert (odd.label, odd.source.count) == ("disgust", 12)


def test_codes_are_intensities_by_position_in_the_video(tmp_path):
    disfa_labels(tmp_path, "SN001", [{}, {1: 1, 26: 5}])
    units = tuple(f"AU{unit:02d}" for unit in DISFA_UNITS)
    rows = read_codes(Codes(tmp_path / "ActionUnit_Labels" / "SN001", units))
    assert list(rows) == [0, 1] and not rows[0].any()
    np.testing.assert_allclose(rows[1], [0.2, *[0] * 10, 1.0], rtol=1e-6)


def test_disfa_from_tree_to_datasets(tmp_path, capsys):
    pytest.importorskip("dlib")
    tfds = pytest.importorskip("tensorflow_datasets")
    root, out, units = tmp_path / "DISFA", tmp_path / "out", tmp_path / "units"
    disfa_labels(root, "SN001", [{}] * 10 + [{1: 5}] * 3 + [HAPPY] * 11)
    disfa_video(root, "SN001", drawn(1, 24))
    person(root, "SN002", [{}] * 9)
    report = prepare("disfa", root, out, "--crops", "32")
    assert report["dropped"] == {"no emotion": 1}
    assert report["classes"]["happiness"] == report["classes"]["neutral"] == 1
    stored = examples(out)["SN001_0014-0024"]
    assert stored["frame_index"].tolist() == list(range(13, 24)) and stored["detected"].all()
    assert disfa.class_names(options_of(disfa))[stored["label"]] == "happiness"

    report = prepare("disfa", root, units, "--whole-videos")
    assert report["dropped"] == {"no face": 1} and report["classes"] == {"video": 1}
    assert any("AU01 0.125" in note and "AU12 0.458" in note for note in report["notes"])
    info = tfds.builder_from_directory(units).info
    assert info.metadata["action_units"] == [f"AU{unit:02d}" for unit in DISFA_UNITS]
    coded = examples(units)["SN001"]["action_units"]
    np.testing.assert_allclose(coded[:, 0], [0] * 10 + [1] * 3 + [0] * 11)
    np.testing.assert_allclose(coded[:, 6], [0] * 13 + [0.6] * 11, rtol=1e-6)
    capsys.readouterr()
