"""BP4D on miniature trees in the official layout: codes, partition, frames, what is missing."""

import os
import shutil

import numpy as np
import pytest

from preprocess.annotations import read_codes
from preprocess.clip import Clip, Codes, SourceError
from preprocess.datasets import bp4d
from tests.official_trees import (
    BP4D_UNITS,
    STRAY,
    bp4d_codes,
    bp4d_task,
    examples,
    listed,
    prepare,
    put,
    reason,
    write_faces,
)

UNITS = [f"AU{unit:02d}" for unit in BP4D_UNITS]


def frames_of(clip: Clip) -> list[int]:
    return [int(path.stem) for path in clip.source]


def test_odd_people_train_and_even_ones_validate(tmp_path):
    ids = ["F001_T1", "F001_T8", "F002_T1", "F023_T2", "M001_T3", "M018_T3"]
    for clip_id in ids:
        bp4d_task(tmp_path, clip_id)
    clips = listed(bp4d, tmp_path)
    assert list(clips) == ids and not any(clip.problem or clip.note for clip in clips.values())
    splits = [clip.split for clip in clips.values()]
    assert splits == ["train", "train", "validation", "train", "train", "validation"]
    assert (clips["F001_T8"].subject, clips["F001_T8"].label) == ("F001", "T8")
    assert clips["M018_T3"].fps == 25
    assert list(bp4d.ACTION_UNITS) == UNITS
    assert bp4d.CLASSES == ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8")


def test_codes_are_read_by_column(tmp_path):
    for column, unit in enumerate(BP4D_UNITS):
        bp4d_task(tmp_path, "M002_T4")
        bp4d_codes(tmp_path, "M002_T4", {1: {unit: 1}, 2: {unit: 9}})
        first, second = read_codes(listed(bp4d, tmp_path)["M002_T4"].codes).values()
        assert first.tolist() == np.eye(11)[column].tolist()
        assert np.flatnonzero(np.isnan(second)).tolist() == [column] and np.nansum(second) == 0


def test_only_frames_with_code_and_image_are_read(tmp_path):
    bp4d_task(tmp_path, "F001_T1", range(98, 104), digits=1)
    for name in (*STRAY, "._99.jpg", "99.obj", "99.mtl", "99 (1).jpg", "copy99.jpg"):
        put(tmp_path / "Sequences" / "F001" / "T1" / name)
    bp4d_codes(tmp_path, "F001_T1", {101: {}, 99: {}, 100: {}, 777: {}, 1000: {}})
    clip = listed(bp4d, tmp_path)["F001_T1"]
    assert frames_of(clip) == [99, 100, 101]
    assert clip.note == "2 coded frames have no image (the first: 777)"
    (note,) = (note for note in bp4d.notes([clip]) if note.startswith("coded frames"))
    assert "3 in train (FERA 2015: 75,586), 0 in validation (FERA 2015: 71,261)" in note
    assert note.endswith("3 images without codes are left out")


@pytest.mark.parametrize(
    ("folder", "digits"), [("Sequences", 8), ("2D+3D", 1), ("images/2D", 3), (".", 1)]
)
def test_zeros_in_front_and_the_folder_of_images_vary(tmp_path, digits, folder):
    bp4d_task(tmp_path, "F001_T1", [9, 10, 101], folder=folder, digits=digits)
    assert frames_of(listed(bp4d, tmp_path)["F001_T1"]) == [9, 10, 101]


@pytest.mark.parametrize("folder", ["AU_OCC", "AUCoding", "AUCoding/AU_OCC", "codes/aucoding"])
def test_folder_of_codes_has_several_names(tmp_path, folder):
    bp4d_task(tmp_path, "F001_T1", [1, 2])
    (tmp_path / "AU_OCC" / "F001_T1.csv").unlink()
    bp4d_codes(tmp_path, "F001_T1", {1: {}, 2: {}}, folder)
    put(tmp_path / "AUCoding" / "AU_INT" / "AU06" / "F001_T1_AU06.csv", "1,2\n")
    put(tmp_path / "Landmarks" / "F001" / "T1" / "0001.txt", "1 2")
    assert reason(listed(bp4d, tmp_path)["F001_T1"]) == ""


def test_codes_and_images_without_each_other_are_listed_with_the_reason(tmp_path):
    for clip_id in ("F001_T1", "F001_T2", "F001_T3", "F001_T4"):
        bp4d_task(tmp_path, clip_id)
    (tmp_path / "AU_OCC" / "F001_T1.csv").unlink()
    for task in ("T2", "T3"):
        shutil.rmtree(tmp_path / "Sequences" / "F001" / task)
    (tmp_path / "Sequences" / "F001" / "T3").mkdir()
    bp4d_codes(tmp_path, "F001_T4", {2440: {}, 2441: {}})
    clips = listed(bp4d, tmp_path)
    assert [reason(clip) for clip in clips.values()] == [
        "no codes", "no frames", "no frames", "codes of other frames",
    ]  # fmt: skip
    assert "frames 2440 to 2441, the clip has 1 to 2" in str(clips["F001_T4"].problem)


def test_two_images_of_a_frame_are_refused(tmp_path):
    bp4d_task(tmp_path, "F001_T1", [1, 2])
    put(tmp_path / "Sequences" / "F001" / "T1" / "02.jpg")
    (clip,) = listed(bp4d, tmp_path).values()
    assert reason(clip) == "frame twice" and "0002.jpg and 02.jpg" in str(clip.problem)


def test_action_unit_without_a_column_is_unknown(tmp_path):
    bp4d_task(tmp_path, "F001_T1", units=16)
    (clip,) = listed(bp4d, tmp_path).values()
    assert clip.note == "not coded, so unknown: AU17, AU23"
    for codes in read_codes(clip.codes).values():
        assert np.isnan(codes[9:]).all() and (codes[:9] == 0).all()
    (note,) = (note for note in bp4d.notes([clip]) if note.startswith("share"))
    assert "AU15 0.000, AU17 never known, AU23 never known" in note


GOOD = b"0,1,2,4\n1,0,0,1\n2,0,9,1\n"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (GOOD, ""),
        (b"\xef\xbb\xbf" + GOOD, ""),
        (GOOD.replace(b"\n", b"\r\n"), ""),
        (GOOD.replace(b"\n1", b"\n\n 1.0 ") + b" \n", ""),
        (b"Frame , AU01,AU2,au004,note\n1,0,0,1,x\n2,0,,1,y\n", ""),
        (GOOD.replace(b"9", b"2"), "impossible code"),
        (GOOD.replace(b"9", b"-1"), "impossible code"),
        (GOOD.replace(b"9", b"inf"), "impossible code"),
        (GOOD.replace(b"9", b"yes"), "impossible code"),
        (GOOD[:-3], "torn codes"),
        (GOOD + b"3,0,0,1,1\n", "torn codes"),
        (GOOD + b"2,0,0,1\n", "frame coded twice"),
        (GOOD + b"-3,0,0,1\n", "impossible frame number"),
        (GOOD + b"3.5,0,0,1\n", "impossible frame number"),
        (GOOD + b"inf,0,0,1\n", "impossible frame number"),
        (GOOD + b"99999999999,0,0,1\n", "impossible frame number"),
        (GOOD + b",0,0,1\n", "impossible frame number"),
        (GOOD.partition(b"\n")[0], "no codes"),
        (b"", "no codes"),
        (b"\n \n,,\n", "no codes"),
        (b"0,5,9\n1,0,0\n", "no action units"),
        (b"frame,timestamp,AU01_r\n1,0,0\n", "no action units"),
        (b"1,0,9,9,1,0\n2,0,9,9,1,0\n", "action unit twice"),
        (b"AU01,AU02\n1,0\n", "no frame numbers"),
        (b"0;1;2;4\n1;0;0;1\n", "no action units"),
        (GOOD + b"3,0,\xff,1\n", "unreadable codes"),
        (bytes(range(256)) * 20, "unreadable codes"),
        (b"0,1\n1,0\n2,\"" + b"x" * 200_000, "unreadable codes"),
        (None, "unreadable codes"),  # a folder of this name
    ],
)  # fmt: skip
def test_codes_of_a_table_are_checked(tmp_path, content, wanted):
    bp4d_task(tmp_path, "F001_T1")
    bp4d_task(tmp_path, "F001_T2")
    table = tmp_path / "AU_OCC" / "F001_T1.csv"
    if content is None:
        table.unlink()
        table.mkdir()
    else:
        table.write_bytes(content)
    odd, good = listed(bp4d, tmp_path).values()
    assert reason(odd) == wanted and reason(good) == ""
    if wanted:
        assert "F001_T1.csv" in str(odd.problem)
        return
    rows = read_codes(odd.codes)
    assert list(rows) == [1, 2]
    np.testing.assert_array_equal(rows[1][:3], [0, 0, 1])
    np.testing.assert_array_equal(rows[2][:3], [0, np.nan, 1])


def test_folders_without_images_are_no_images(tmp_path):
    bp4d_task(tmp_path, "F001_T1")
    (tmp_path / "Sequences" / "F001" / "T1" / "0001.jpg").rename(tmp_path / "0001.jpg")
    (tmp_path / "Sequences" / "F001" / "T1" / "0002.jpg").unlink()
    with pytest.raises(SourceError, match="no folder of images"):
        listed(bp4d, tmp_path)
    for folder in ("one", "two"):
        bp4d_task(tmp_path, "F001_T1", folder=folder)
    with pytest.raises(SourceError, match="BP4D folder of images exists 2 times .*/one, .*/two"):
        listed(bp4d, tmp_path)


def test_other_than_the_official_clips_are_noted(tmp_path):
    gone = tmp_path / "gone"  # frames cannot be counted, which is no reason to fail
    own = {"source": (gone / "1.jpg",), "codes": Codes(gone / "F001_T1.csv", bp4d.ACTION_UNITS)}
    whole = [
        Clip(f"{split} {person} {task}", f"{split} {person}", task, split=split, **own)
        for split, people in (("train", 21), ("validation", 20))
        for person in range(people)
        for task in bp4d.CLASSES
    ]
    assert not any("official" in note for note in bp4d.notes(whole))
    (note,) = (note for note in bp4d.notes(whole[:-1]) if "official" in note)
    assert note.endswith("of 20 in validation): validation T8 19 instead of 20")


def faces_tree(root):
    """Writes two tasks of an odd and an even person, 3 drawn frames each, differently padded."""
    for subject, digits in (("F001", 4), ("M002", 1)):
        for task, indices in (("T1", [9, 10, 11]), ("T6", [100, 101, 105])):
            folder = root / "Sequences" / subject / task
            write_faces([folder / f"{n:0{digits}d}.jpg" for n in indices], int(subject[-1]))
            codes = {n: {1: int(n % 2 == 1), 12: 1, 23: 9} for n in indices}
            bp4d_codes(root, f"{subject}_{task}", codes)


def test_bp4d_from_tree_to_dataset(tmp_path, capsys):
    pytest.importorskip("dlib")
    tfds = pytest.importorskip("tensorflow_datasets")
    root, out = tmp_path / "BP4D", tmp_path / "out"
    faces_tree(root)
    images = root / "Sequences" / "M002"
    (images / "T1" / "10.jpg").write_bytes(b"no image")
    (images / "T6" / "101.jpg").unlink()
    put(root / "AU_OCC" / "F001_T6.csv", "0,1,2\n100,0,7\n")
    report = prepare("bp4d", root, out, "--crops", "32")
    assert "AU02 is '7', not 0 to 1 or 9" in capsys.readouterr().out
    assert report["dropped"] == {"impossible code": 1}
    assert report["splits"] == {"train": 1, "validation": 2}
    rows = {row["clip_id"]: row for row in report["clips"]}
    assert rows["M002_T1"]["note"] == "unreadable frames skipped: 1"
    assert rows["M002_T6"]["note"] == "1 coded frames have no image (the first: 101)"
    (rates,) = (note for note in report["notes"] if note.startswith("share"))
    assert "AU01 0.625, AU02 0.000" in rates  # of 3 + 3 + 2 frames
    assert "AU12 1.000" in rates and "AU23 never known" in rates

    info = tfds.builder_from_directory(out).info
    assert info.metadata["action_units"] == UNITS and info.metadata["crop_size"] == 32
    stored = examples(out)
    first = {"F001_T1": [1, 0, 1], "M002_T1": [1, 1], "M002_T6": [0, 1]}
    assert stored["M002_T1"]["frame_index"].tolist() == [9, 11]
    assert stored["M002_T6"]["frame_index"].tolist() == [100, 105]
    for clip_id, present in first.items():
        units = stored[clip_id]["action_units"]
        assert units.dtype == np.float32 and units.shape == (len(present), 11)
        assert units[:, 0].tolist() == present
        assert (units[:, 6] == 1).all() and np.isnan(units[:, 10]).all()
        assert np.isfinite(units[:, :10]).all() and stored[clip_id]["detected"].all()


def test_changed_codes_or_images_are_read_again(tmp_path, capsys):
    pytest.importorskip("dlib")
    root, out = tmp_path / "BP4D", tmp_path / "out"
    faces_tree(root)
    prepare("bp4d", root, out)
    bp4d_codes(root, "F001_T1", {index: {2: 1, 4: 9} for index in (9, 10, 11)})
    image = root / "Sequences" / "M002" / "T1" / "10.jpg"
    os.utime(image, ns=(0, image.stat().st_mtime_ns + 10**9))
    report = prepare("bp4d", root, out)
    assert {row["clip_id"]: row["reused"] for row in report["clips"]} == {
        "F001_T1": False, "F001_T6": True, "M002_T1": False, "M002_T6": True,
    }  # fmt: skip
    units = examples(out)["F001_T1"]["action_units"]
    assert (units[:, 1] == 1).all() and np.isnan(units[:, 2]).all() and (units[:, 10] == 0).all()
    capsys.readouterr()
