"""CK+ on miniature trees in the official layout, clean and not so clean."""

import collections

import pytest

from fer_jax.faces.labels import CKPLUS_CLASSES
from preprocess.__main__ import main
from preprocess.clip import SourceError
from preprocess.datasets import ckplus
from tests.official_trees import (
    STRAY,
    ckplus_sequence,
    examples,
    listed,
    prepare,
    put,
    reason,
    write_faces,
)


def test_ckplus_codes_are_classes(tmp_path):
    for code in range(1, 8):
        ckplus_sequence(tmp_path, f"S{code:03d}_001", [1, 2, 3], f"{code}.0000000e+00")
    clips = listed(ckplus, tmp_path)
    assert [clip.label for clip in clips.values()] == [
        "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
    ] == list(ckplus.CLASSES) == list(CKPLUS_CLASSES)  # fmt: skip
    assert [clip.subject for clip in clips.values()] == [f"S{code:03d}" for code in range(1, 8)]
    assert list(clips)[0] == "S001_001" and {clip.split for clip in clips.values()} == {"train"}
    assert not any(clip.problem or clip.note for clip in clips.values())


def test_ckplus_people_have_several_sequences(tmp_path):
    for sequence in ("S010_004", "S010_001", "S999_003"):
        ckplus_sequence(tmp_path, sequence, [1, 2])
    people = collections.Counter(clip.subject for clip in listed(ckplus, tmp_path).values())
    assert people == {"S010": 2, "S999": 1}


def test_ckplus_frames_are_in_the_order_of_their_numbers_with_gaps(tmp_path):
    folder = tmp_path / "cohn-kanade-images" / "S005" / "001"
    numbers = [9, 10, 2, 101, 40409]
    ckplus_sequence(tmp_path, "S005_001", [*numbers, 1_000_000])
    (folder / "S005_001_00000010.png").rename(folder / "S005_001_00000010.PNG")
    put(folder / "S005_001_12.jpg")  # not padded: the name alone would put it last
    clip = listed(ckplus, tmp_path)["S005_001"]
    found = [int(path.stem.rpartition("_")[2]) for path in clip.source]
    assert found == [2, 9, 10, 12, 101, 40409, 1_000_000]


def test_ckplus_sequences_without_a_label_are_listed_with_the_reason(tmp_path):
    ckplus_sequence(tmp_path, "S005_001", [1, 2])
    ckplus_sequence(tmp_path, "S005_002", [1, 2], "folder")
    ckplus_sequence(tmp_path, "S006_001", [1, 2], None)
    put(tmp_path / "Emotion" / "S005" / "002" / ".DS_Store")
    put(tmp_path / "Emotion" / "S005" / "002" / "._S005_002_00000002_emotion.txt", "1.0")
    clips = listed(ckplus, tmp_path)
    assert {clip_id: reason(clip) for clip_id, clip in clips.items()} == {
        "S005_001": "", "S005_002": "no label", "S006_001": "no label",
    }  # fmt: skip
    assert str(tmp_path / "Emotion" / "S006" / "001") in clips["S006_001"].problem.detail


@pytest.mark.parametrize("text", ["0.0000000e+00", "8.0000000e+00", "3.5", "nan", "", "3 4", "joy"])
def test_ckplus_labels_that_mean_no_class(tmp_path, text):
    ckplus_sequence(tmp_path, "S005_001", [1, 2], text)
    (clip,) = listed(ckplus, tmp_path).values()
    assert reason(clip) == "unknown label" and "S005_001_00000002_emotion.txt" in str(clip.problem)


def test_ckplus_one_label_file_only(tmp_path):
    ckplus_sequence(tmp_path, "S005_001", [1, 2])
    put(tmp_path / "Emotion" / "S005" / "001" / "S005_001_00000001_emotion.txt", "1.0")
    (clip,) = listed(ckplus, tmp_path).values()
    assert reason(clip) == "several labels" and "00000001" in str(clip.problem)


def test_ckplus_a_label_without_images_and_a_lost_peak_are_seen(tmp_path):
    ckplus_sequence(tmp_path, "S005_001", [1, 2])
    ckplus_sequence(tmp_path, "S005_002", [1, 2, 3])
    images = tmp_path / "cohn-kanade-images" / "S005"
    for path in (images / "001").iterdir():
        path.unlink()
    (images / "001").rmdir()
    (images / "002" / "S005_002_00000003.png").unlink()
    gone, shortened = listed(ckplus, tmp_path).values()
    assert reason(gone) == "no frames" and gone.label == "disgust"
    assert shortened.problem is None
    assert "S005_002_00000002" in shortened.note and "S005_002_00000003" in shortened.note


def test_ckplus_stray_files_are_no_frames(tmp_path):
    ckplus_sequence(tmp_path / "CK+", "S005_001", [1, 2])
    ckplus_sequence(tmp_path / "__MACOSX", "S005_001", [1, 2, 3])
    folder = tmp_path / "CK+" / "cohn-kanade-images" / "S005" / "001"
    strays = (*STRAY, "._S005_001_00000001.png", "S005_001_00000002 (1).png", "thumb.png")
    for place in (folder, *folder.parents[:4]):
        for name in strays:
            put(place / name)
    clip = listed(ckplus, tmp_path)["S005_001"]
    assert clip.source == tuple(folder / f"S005_001_0000000{number}.png" for number in (1, 2))


@pytest.mark.parametrize("labels", ["Emotion", "Emotion_labels", "emotion_labels/Emotion"])
def test_ckplus_folder_of_labels_has_several_names(tmp_path, labels):
    ckplus_sequence(tmp_path, "S005_001", [1, 2], labels=labels)
    assert listed(ckplus, tmp_path)["S005_001"].label == "disgust"


def test_ckplus_without_one_of_its_folders(tmp_path):
    ckplus_sequence(tmp_path, "S005_001", [1], None)
    with pytest.raises(SourceError, match="no folder of emotion labels") as caught:
        listed(ckplus, tmp_path)
    assert "no folder of images" not in str(caught.value)
    assert "Found there: cohn-kanade-images/ (S005/)" in str(caught.value)


def test_ckplus_what_is_wrong_is_not_hidden_by_what_has_no_label(tmp_path, capsys):
    for number in range(1, 21):
        ckplus_sequence(tmp_path, f"S005_{number:03d}", [1], "folder")
    ckplus_sequence(tmp_path, "S999_001", [1], "9.0")
    assert main(["ckplus", "--source", str(tmp_path), "--dry-run"]) == 0
    assert "listed: S999_001: unknown label" in capsys.readouterr().out


def test_ckplus_from_tree_to_data_set(tmp_path, capsys):
    pytest.importorskip("dlib")
    images = tmp_path / "CK" / "cohn-kanade-images"
    for subject, (sequence, code) in enumerate((("S005_001", 3), ("S010_002", 7))):
        numbers = [1, 2, 5, 11]
        ckplus_sequence(tmp_path / "CK", sequence, numbers, f"{code}.0000000e+00")
        folder = images / sequence[:4] / sequence[5:]
        write_faces([folder / f"{sequence}_{n:08d}.png" for n in numbers], subject)
    put(images / "S010" / "002" / "S010_002_00000005.png", "no image")
    ckplus_sequence(tmp_path / "CK", "S010_003", [1, 2], None)
    ckplus_sequence(tmp_path / "CK", "S011_001", [1, 2], "1.0000000e+00")  # frames that are empty
    out = tmp_path / "out"

    assert main(["ckplus", "--source", str(tmp_path / "CK"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "3 of 4 clips would be read" in shown and "S010_003: no label" in shown
    assert "327 labelled of 593 sequences" in shown
    assert not out.exists()

    report = prepare("ckplus", tmp_path / "CK", out)
    shown = capsys.readouterr().out
    assert report["dropped"] == {"no label": 1, "unreadable": 1}
    assert report["classes"] == dict.fromkeys(CKPLUS_CLASSES, 0) | {"disgust": 1, "surprise": 1}
    assert any("327 labelled of 593 sequences" in note for note in report["notes"])
    assert "dropped: no label" in shown and "configs/stbln_ckplus.py" in shown
    rows = {row["clip_id"]: row for row in report["clips"]}
    assert rows["S010_002"]["note"] == "1 unreadable frames skipped"
    stored = examples(out)
    assert stored["S005_001"]["frame_index"].tolist() == [1, 2, 5, 11]
    assert stored["S010_002"]["frame_index"].tolist() == [1, 2, 11]
    assert stored["S005_001"]["detected"].all() and stored["S005_001"]["subject"] == b"S005"
    assert CKPLUS_CLASSES[stored["S010_002"]["label"]] == "surprise"

    again = prepare("ckplus", tmp_path / "CK", out)
    assert again["counts"]["reused"] == 3 and again["dropped"] == report["dropped"]


def test_ckplus_a_lost_peak_is_noted_in_the_report(tmp_path, capsys):
    pytest.importorskip("dlib")
    ckplus_sequence(tmp_path / "CK", "S005_001", [1, 2])
    folder = tmp_path / "CK" / "cohn-kanade-images" / "S005" / "001"
    write_faces([folder / "S005_001_00000001.png"], 0)
    (folder / "S005_001_00000002.png").unlink()
    assert main(["ckplus", "--source", str(folder.parents[2]), "--dry-run"]) == 0
    words = "ends with frame S005_001_00000001, its label is of S005_001_00000002"
    assert f"usable, but: S005_001: {words}" in capsys.readouterr().out
    report = prepare("ckplus", tmp_path / "CK", tmp_path / "out")
    assert report["clips"][0]["note"] == words and report["clips"][0]["kept"]
