"""CK+ on miniature trees in the official layout, clean and damaged."""

import pytest

from fer_jax.faces.labels import CKPLUS_CLASSES
from preprocess.__main__ import main
from preprocess.datasets import ckplus
from tests.official_trees import STRAY, ckplus_sequence, listed, put, reason


def test_codes_are_classes(tmp_path):
    for code in range(1, 8):
        ckplus_sequence(tmp_path, f"S{code:03d}_001", [1, 2, 3], f"{code}.0000000e+00")
    ckplus_sequence(tmp_path, "S007_002", [1, 2], "7.0")
    clips = listed(ckplus, tmp_path)
    assert clips.popitem()[1].subject == "S007"  # who has two sequences
    assert [clip.label for clip in clips.values()] == [
        "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
    ] == list(ckplus.CLASSES) == list(CKPLUS_CLASSES)  # fmt: skip
    assert [clip.subject for clip in clips.values()] == [f"S{code:03d}" for code in range(1, 8)]
    assert list(clips)[0] == "S001_001" and {clip.split for clip in clips.values()} == {"train"}
    assert not any(clip.problem or clip.note for clip in clips.values())


def test_frames_are_in_order_of_their_numbers(tmp_path):
    folder = tmp_path / "cohn-kanade-images" / "S005" / "001"
    indices = [9, 10, 2, 101, 40409]
    ckplus_sequence(tmp_path, "S005_001", [*indices, 1_000_000])
    (folder / "S005_001_00000010.png").rename(folder / "S005_001_00000010.PNG")
    put(folder / "S005_001_12.jpg")  # not padded: the name alone would put it last
    clip = listed(ckplus, tmp_path)["S005_001"]
    found = [int(path.stem.rpartition("_")[2]) for path in clip.source]
    assert found == [2, 9, 10, 12, 101, 40409, 1_000_000]


def test_sequence_without_label_is_listed(tmp_path):
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
def test_unknown_label_is_listed(tmp_path, text):
    ckplus_sequence(tmp_path, "S005_001", [1, 2], text)
    (clip,) = listed(ckplus, tmp_path).values()
    assert reason(clip) == "unknown label" and "S005_001_00000002_emotion.txt" in str(clip.problem)


def test_second_label_file_is_refused(tmp_path):
    ckplus_sequence(tmp_path, "S005_001", [1, 2])
    put(tmp_path / "Emotion" / "S005" / "001" / "S005_001_00000001_emotion.txt", "1.0")
    (clip,) = listed(ckplus, tmp_path).values()
    assert reason(clip) == "several labels" and "00000001" in str(clip.problem)


def test_label_without_images_and_lost_peak_are_listed(tmp_path, capsys):
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
    words = "ends with frame S005_002_00000002, its label is of S005_002_00000003"
    assert shortened.note == words
    assert main(["ckplus", "--source", str(tmp_path), "--dry-run"]) == 0
    assert f"usable, but: S005_002: {words}" in capsys.readouterr().out


def test_stray_files_are_no_frames(tmp_path):
    ckplus_sequence(tmp_path / "CK+", "S005_001", [1, 2])
    ckplus_sequence(tmp_path / "__MACOSX", "S005_001", [1, 2, 3])
    folder = tmp_path / "CK+" / "cohn-kanade-images" / "S005" / "001"
    strays = (*STRAY, "._S005_001_00000001.png", "S005_001_00000002 (1).png", "thumb.png")
    for place in (folder, *folder.parents[:4]):
        for name in strays:
            put(place / name)
    clip = listed(ckplus, tmp_path)["S005_001"]
    assert clip.source == tuple(folder / f"S005_001_0000000{index}.png" for index in (1, 2))


@pytest.mark.parametrize("labels", ["Emotion_labels", "emotion_labels/Emotion"])
def test_folder_of_labels_has_several_names(tmp_path, labels):
    ckplus_sequence(tmp_path, "S005_001", [1, 2], labels=labels)
    assert listed(ckplus, tmp_path)["S005_001"].label == "disgust"


def test_listing_shows_rare_problems_first(tmp_path, capsys):
    for index in range(1, 21):
        ckplus_sequence(tmp_path, f"S005_{index:03d}", [1], "folder")
    ckplus_sequence(tmp_path, "S999_001", [1], "9.0")
    assert main(["ckplus", "--source", str(tmp_path), "--dry-run"]) == 0
    assert "dropped: S999_001: unknown label" in capsys.readouterr().out
