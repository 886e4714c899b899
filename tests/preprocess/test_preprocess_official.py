"""Oulu-CASIA and AFEW on miniature trees in the official layout; what holds for others as well."""

import collections

import pytest

from fer_jax.faces.labels import AFEW_CLASSES, OULU_CLASSES
from fer_jax.synthetic.clips import write_video
from preprocess.__main__ import main
from preprocess.clip import Clip, SourceError
from preprocess.datasets import DATASETS, afew, oulu
from tests.official_trees import (
    AFEW_FOLDERS,
    STRAY,
    afew_tree,
    bp4d_task,
    ckplus_sequence,
    drawn,
    examples,
    listed,
    oulu_tree,
    prepare,
    put,
    reason,
    write_faces,
)

TREES = {
    "ckplus": lambda root: ckplus_sequence(root, "S005_001", [1, 2]),
    "oulu": lambda root: oulu_tree(root / "OriginalImg", ["P001"]),
    "afew": afew_tree,
    "bp4d": lambda root: bp4d_task(root, "F001_T1"),
}
LAYOUTS = {
    "ckplus": ("cohn-kanade-images/S005/001/S005_001_00000011.png", "_emotion.txt"),
    "oulu": ("OriginalImg/VL/Strong/P001/Anger/000.jpeg", "P080"),
    "afew": ("Train_AFEW/Angry/000046280.avi", "Val_AFEW/Angry/"),
    "bp4d": ("AU_OCC/F001_T1.csv", "Sequences/F001/T1/2440.jpg", "Binghamton University"),
}


def test_oulu_reads_strong_visible_light_only(tmp_path):
    oulu_tree(tmp_path / "OriginalImg")
    clips = listed(oulu, tmp_path)
    assert len(clips) == 12 and clips["P001_Anger"].label == "anger"
    assert list(clips.values())[0].subject == "P001" and clips["P080_Fear"].subject == "P080"
    labels = collections.Counter(clip.label for clip in clips.values())
    assert labels == dict.fromkeys(OULU_CLASSES, 2)
    strong = tmp_path / "OriginalImg" / "VL" / "Strong"
    assert all(path.is_relative_to(strong) for clip in clips.values() for path in clip.source)


def test_oulu_frames_are_in_order_and_strays_are_none(tmp_path):
    frames = ("9.jpeg", "010.JPEG", "002.jpeg", "100.jpg", "017.jpeg")
    oulu_tree(tmp_path, ["P001"], (*frames, *STRAY, "._002.jpeg", "002 copy.jpeg"))
    put(tmp_path / "VL" / "Strong" / "Thumbs.db")
    put(tmp_path / "VL" / "Strong" / "P001" / ".DS_Store")
    clip = listed(oulu, tmp_path)["P001_Surprise"]
    assert [path.name for path in clip.source] == [
        "002.jpeg",
        "9.jpeg",
        "010.JPEG",
        "017.jpeg",
        "100.jpg",
    ]


def test_oulu_empty_sequence_is_listed_with_the_reason(tmp_path):
    oulu_tree(tmp_path, ["P001"])
    folder = tmp_path / "VL" / "Strong" / "P001" / "Fear"
    for path in folder.iterdir():
        path.unlink()
    put(folder / "Thumbs.db")
    clips = listed(oulu, tmp_path)
    assert reason(clips["P001_Fear"]) == "no frames" and clips["P001_Fear"].label == "fear"
    assert sum(not clip.problem for clip in clips.values()) == 5


def test_oulu_originals_come_before_processed_sets(tmp_path):
    for name in ("B_OriginalImg", "C_OriginalImg", "OriginalImg"):
        oulu_tree(tmp_path / name, ["P001"])
    used = {path.parents[4].name for c in listed(oulu, tmp_path).values() for path in c.source}
    assert used == {"OriginalImg"}
    processed = listed(oulu, tmp_path / "B_OriginalImg")
    assert {path.parents[4].name for c in processed.values() for path in c.source} == {
        "B_OriginalImg"
    }
    (tmp_path / "OriginalImg").rename(tmp_path / ".hidden")
    with pytest.raises(SourceError, match=r"is there 2 times .*B_OriginalImg.*--source"):
        listed(oulu, tmp_path)


def test_afew_folders_are_classes_and_splits(tmp_path):
    afew_tree(tmp_path)
    clips = listed(afew, tmp_path)
    assert len(clips) == 15
    found = [clips[f"Val_AFEW/{name}/{k:09d}"] for k, name in enumerate(AFEW_FOLDERS)]
    assert [clip.label for clip in found] == list(AFEW_CLASSES)
    assert {clip.split for clip in found} == {"validation"}
    extra = clips["Train_AFEW/Happy/000046280"]
    assert (extra.label, extra.split) == ("happiness", "train")
    assert extra.source == tmp_path / "Train_AFEW" / "Happy" / "000046280.avi"
    assert all(clip.subject == clip.clip_id for clip in clips.values())


def test_afew_reads_videos_only_whatever_their_case(tmp_path):
    afew_tree(tmp_path)
    angry = tmp_path / "Train_AFEW" / "Angry"
    for name in (*STRAY, "._000000000.avi", "000000001.xml", "000000001.wav"):
        put(angry / name)
    put(angry / "000000007.AVI")
    put(tmp_path / "Train_AFEW" / "AlignedFaces_LBPTOP_Points" / "Faces" / "000000001" / "000.jpg")
    put(tmp_path / "Test_AFEW" / "000000009.avi")
    found = sorted(c.source.name for c in listed(afew, tmp_path).values() if c.label == "anger")
    assert found == ["000000000.avi", "000000000.avi", "000000007.AVI"]
    assert len(listed(afew, tmp_path)) == 16


def test_afew_needs_both_splits(tmp_path):
    put(tmp_path / "Train_AFEW" / "Angry" / "000000000.avi")
    with pytest.raises(SourceError, match="no folder of split validation") as caught:
        listed(afew, tmp_path)
    assert "split train" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "entered"),
    [
        ("ckplus", "cohn-kanade-images"), ("ckplus", "Emotion"), ("oulu", "OriginalImg"),
        ("oulu", "OriginalImg/VL"), ("oulu", "OriginalImg/VL/Strong"), ("afew", "Train_AFEW"),
        ("afew", "Val_AFEW/Happy"), ("bp4d", "AU_OCC"), ("bp4d", "Sequences"),
    ],
)  # fmt: skip
def test_a_source_above_or_inside_the_tree_will_do(tmp_path, monkeypatch, name, entered):
    root = tmp_path / "downloads" / "release"
    TREES[name](root)
    put(tmp_path / "downloads" / "readme.txt")
    wanted = {clip_id: clip.source for clip_id, clip in listed(DATASETS[name], root).items()}
    assert wanted
    for source in (root.parent, root / entered):
        found = {c.clip_id: c.source for c in listed(DATASETS[name], source).values()}
        assert found == wanted, source
    monkeypatch.chdir(root / entered)
    assert listed(DATASETS[name], ".").keys() == wanted.keys()


@pytest.mark.parametrize("name", TREES)
def test_an_unknown_layout_shows_what_was_expected_and_what_was_found(tmp_path, capsys, name):
    for path in ("images/happy/a.png", "train.csv", ".hidden", "Zip/one.zip", "Zip/two.zip"):
        put(tmp_path / "set" / path)
    arguments = [name, "--source", str(tmp_path / "set"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    shown = " ".join(capsys.readouterr().err.split())
    for words in (*LAYOUTS[name], "Zip/ (one.zip, two.zip), images/ (happy/), train.csv"):
        assert words in shown
    assert ".hidden" not in shown and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", TREES)
def test_a_missing_source_shows_the_layout(tmp_path, name):
    put(tmp_path / "archive.zip")
    cases = {None: "--source is missing", tmp_path / "no": "does not exist"}
    for source, words in (cases | {tmp_path / "archive.zip": "is a file, no folder"}).items():
        with pytest.raises(SourceError, match=words) as caught:
            listed(DATASETS[name], source)
        assert LAYOUTS[name][0] in str(caught.value)


def whole(name: str) -> list[Clip]:
    """As many clips of each class and split as the release has, by the specification's tables."""
    afew_counts = {
        "train": (133, 74, 81, 150, 144, 117, 74), "validation": (64, 40, 46, 63, 63, 61, 46),
    }  # fmt: skip
    numbers = {
        "ckplus": {"train": (45, 18, 59, 25, 69, 28, 83)},
        "oulu": {"train": (80,) * 6},
        "afew": afew_counts,
    }[name]
    return [
        Clip(f"{split} {label} {number}", "someone", label, None, split)
        for split, counts in numbers.items()
        for label, count in zip(DATASETS[name].CLASSES, counts, strict=True)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "total", "whole_words", "last"),
    [
        ("ckplus", 327, "327 labelled of 593 sequences", "train surprise 82 instead of 83"),
        ("oulu", 480, "480 sequences", "train surprise 79 instead of 80"),
        ("afew", 773 + 383, "773 in train", "validation surprise 45 instead of 46"),
    ],
)
def test_other_than_the_official_number_of_clips_is_noted(name, total, whole_words, last):
    clips = whole(name)
    assert len(clips) == total
    assert not any("official" in note for note in DATASETS[name].notes(clips))
    (note,) = (note for note in DATASETS[name].notes(clips[:-1]) if "official" in note)
    assert whole_words in note and note.endswith(f": {last}")


def test_oulu_from_tree_to_data_set(tmp_path):
    pytest.importorskip("dlib")
    strong = tmp_path / "OriginalImg" / "VL" / "Strong"
    frames = [strong / "P001" / "Anger" / f"{n:03d}.jpeg" for n in (0, 1, 3)]
    write_faces(frames, 0)
    write_faces([strong / "P002" / "Happiness" / "000.jpeg"], 1)
    put(tmp_path / "OriginalImg" / "NI" / "Strong" / "P001" / "Anger" / "000.jpeg")
    report = prepare("oulu", tmp_path, tmp_path / "out")
    assert report["counts"]["seen"] == report["counts"]["kept"] == 2
    assert any("480 sequences" in note for note in report["notes"])
    stored = examples(tmp_path / "out")
    assert stored["P001_Anger"]["frame_index"].tolist() == [0, 1, 3]
    assert OULU_CLASSES[stored["P002_Happiness"]["label"]] == "happiness"


def test_afew_from_tree_to_data_set(tmp_path, capsys):
    pytest.importorskip("dlib")
    images = drawn(0, 4)
    for name in ("Train_AFEW/Happy/000000001.avi", "Val_AFEW/Sad/000000002.avi"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_video(tmp_path / name, images, 25.0)
    write_video(tmp_path / "Val_AFEW/Sad/000000003.avi", [image * 0 + 90 for image in images])
    put(tmp_path / "Train_AFEW" / "Happy" / "000000004.avi", "broken")
    report = prepare("afew", tmp_path, tmp_path / "out")
    assert report["dropped"] == {"no face": 1, "unreadable": 1}
    assert report["splits"] == {"train": 1, "validation": 1}
    assert any("does not say who is seen" in note for note in report["notes"])
    stored = examples(tmp_path / "out")
    assert AFEW_CLASSES[stored["Train_AFEW/Happy/000000001"]["label"]] == "happiness"
    assert stored["Val_AFEW/Sad/000000002"]["detected"].all()
    assert "configs/stbln_afew.py" in capsys.readouterr().out
