"""AFEW on miniature trees in the official layout."""

from fer_jax.faces.labels import AFEW_CLASSES
from preprocess.clip import Clip
from preprocess.datasets import afew
from tests.official_trees import AFEW_FOLDERS, STRAY, afew_tree, listed, put


def test_folders_are_classes_and_splits(tmp_path):
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


def test_videos_alone_are_read_in_any_case(tmp_path):
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


def test_note_says_that_subjects_are_unknown():
    (note,) = (n for n in afew.notes([Clip("a", "a", "fear", None)]) if "official" not in n)
    assert "does not identify people" in note
