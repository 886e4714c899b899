"""RAVDESS: emotions, actors and channels in file names."""

from fer_jax.faces.labels import RAVDESS_CLASSES
from preprocess.datasets import ravdess
from tests.official_trees import listed


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
