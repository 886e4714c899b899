"""Oulu-CASIA on miniature trees in the official layout."""

import collections

import pytest

from fer_jax.faces.labels import OULU_CLASSES
from preprocess.clip import SourceError
from preprocess.datasets import oulu
from tests.official_trees import STRAY, listed, oulu_tree, put, reason


def test_strong_visible_light_alone_is_read(tmp_path):
    oulu_tree(tmp_path / "OriginalImg")
    clips = listed(oulu, tmp_path)
    assert len(clips) == 12 and clips["P001_Anger"].label == "anger"
    assert list(clips.values())[0].subject == "P001" and clips["P080_Fear"].subject == "P080"
    labels = collections.Counter(clip.label for clip in clips.values())
    assert labels == dict.fromkeys(OULU_CLASSES, 2)
    strong = tmp_path / "OriginalImg" / "VL" / "Strong"
    assert all(path.is_relative_to(strong) for clip in clips.values() for path in clip.source)


def test_frames_are_in_order_without_strays(tmp_path):
    frames = ("9.jpeg", "010.JPEG", "002.jpeg", "100.jpg", "017.jpeg")
    oulu_tree(tmp_path, ["P001"], (*frames, *STRAY, "._002.jpeg", "002 copy.jpeg"))
    put(tmp_path / "VL" / "Strong" / "Thumbs.db")
    put(tmp_path / "VL" / "Strong" / "P001" / ".DS_Store")
    clip = listed(oulu, tmp_path)["P001_Surprise"]
    names = [path.name for path in clip.source]
    assert names == ["002.jpeg", "9.jpeg", "010.JPEG", "017.jpeg", "100.jpg"]


def test_empty_sequence_is_listed(tmp_path):
    oulu_tree(tmp_path, ["P001"])
    folder = tmp_path / "VL" / "Strong" / "P001" / "Fear"
    for path in folder.iterdir():
        path.unlink()
    put(folder / "Thumbs.db")
    clips = listed(oulu, tmp_path)
    assert reason(clips["P001_Fear"]) == "no frames" and clips["P001_Fear"].label == "fear"
    assert sum(not clip.problem for clip in clips.values()) == 5


def test_originals_come_before_processed_sets(tmp_path):
    for name in ("B_OriginalImg", "C_OriginalImg", "OriginalImg"):
        oulu_tree(tmp_path / name, ["P001"])
    used = {path.parents[4].name for c in listed(oulu, tmp_path).values() for path in c.source}
    assert used == {"OriginalImg"}
    processed = listed(oulu, tmp_path / "B_OriginalImg")
    used = {path.parents[4].name for c in processed.values() for path in c.source}
    assert used == {"B_OriginalImg"}
    (tmp_path / "OriginalImg").rename(tmp_path / ".hidden")
    with pytest.raises(SourceError, match=r"exists 2 times .*B_OriginalImg.*--source"):
        listed(oulu, tmp_path)
