"""RAVDESS: emotions, actors and channels in file names; tracks of OpenFace and of FELT."""

import numpy as np
import pytest

from fer_jax.faces.labels import RAVDESS_CLASSES
from fer_jax.faces.landmarks import MEAN_FACE
from preprocess.clip import SourceError
from preprocess.datasets import ravdess
from tests.official_trees import examples, listed, prepare
from tests.py_feat import Row, write_py_feat


def test_ravdess_names_are_read(tmp_path):
    for name in ("01-01-03-02-01-01-12", "01-01-08-01-02-02-01", "01-02-05-01-01-01-03", "other"):
        (tmp_path / "Actor_12").mkdir(exist_ok=True)
        (tmp_path / "Actor_12" / f"{name}.csv").touch()
    found = listed(ravdess, tmp_path)
    assert sorted(found) == ["01-01-03-02-01-01-12", "01-01-08-01-02-02-01"]
    clip = found["01-01-03-02-01-01-12"]
    assert (clip.subject, clip.label, clip.frame_size) == ("actor12", "happy", (1280, 720))
    assert found["01-01-08-01-02-02-01"].label == "surprised"
    with_song = listed(ravdess, tmp_path, song=True).values()
    assert {c.label for c in with_song} == {"happy", "surprised", "angry"}
    assert {c.label for c in with_song} < set(RAVDESS_CLASSES)


FACE = MEAN_FACE * 120 + [640, 330]


def felt(root, kind="raw_motion", frames=20, lost=()):
    """Writes tracks of two trials as the archives of FELT hold them."""
    for channel, name in (("speech", "01-01-03-02-01-01-12"), ("song", "01-02-05-01-01-01-03")):
        rows = [Row(n, None if n in lost else FACE + [n, 0]) for n in range(frames)]
        path = root / kind / channel / f"Actor_{name[-2:]}" / f"{name}.csv"
        write_py_feat(path, rows, video=f"{name}.mp4")


def test_tracks_of_felt_are_prepared(tmp_path):
    felt(tmp_path / "felt", lost={3})
    report = prepare("ravdess", tmp_path / "felt", tmp_path / "out", "--song")
    assert report["counts"]["kept"] == 2
    row = examples(tmp_path / "out")["01-02-05-01-01-01-03"]
    assert (row["subject"], row["label"]) == (b"actor03", RAVDESS_CLASSES.index("angry"))
    assert row["frame_index"].tolist() == list(range(20)) and not row["detected"][3]
    np.testing.assert_allclose(row["landmarks"][19], FACE + [19, 0], atol=0.01)
    assert row["fps"] == np.float32(29.97)


def test_raw_and_smoothed_tracks_together_are_refused(tmp_path):
    for kind in ("raw_motion", "smoothed_motion"):
        felt(tmp_path, kind, frames=2)
    with pytest.raises(SourceError, match="exists twice: .*raw_motion.* and .*smoothed_motion"):
        listed(ravdess, tmp_path)
    assert len(listed(ravdess, tmp_path / "smoothed_motion")) == 1
