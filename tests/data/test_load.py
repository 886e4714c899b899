"""Opening a prepared dataset: what comes back, what is missing, what is damaged."""

import numpy as np
import pytest

from fer_jax.data import frame_selection, load, records
from fer_jax.faces import landmarks as lm
from fer_jax.synthetic.clips import CLASSES, make_clip


def test_scale_to_reference_makes_frames_500_wide():
    points = np.full((1, 2), 320.0)
    assert records.scale_to_reference(points, 640).tolist() == [[250.0, 250.0]]
    assert records.scale_to_reference(points, 0) is points


def test_load_clips_returns_what_was_prepared(prepared):
    clips = load.load_clips(prepared, 4, "uniform", "synthetic")
    assert len(clips) == 42 and len(set(clips.subjects)) == 6
    assert clips.clip_ids == sorted(clips.clip_ids)
    assert set(clips.splits) == {"train", "validation", "test"}
    assert clips.classes == tuple(CLASSES)
    np.testing.assert_array_equal(np.bincount(clips.labels), [6] * 7)
    made = make_clip(0, 2, 3)
    index = clips.clip_ids.index(made.clip_id)
    assert clips.classes[clips.labels[index]] == made.label
    chosen = frame_selection.select_frames(np.ones(len(made.landmarks), bool), 4, "uniform")
    expected = made.landmarks[chosen] * 500 / made.frame_size[0]
    np.testing.assert_allclose(clips.landmarks[index], expected, rtol=1e-6)
    assert clips.seconds[index] == pytest.approx(len(made.landmarks) / made.fps)
    np.testing.assert_array_equal(clips.graph.edges, lm.load_graph(prepared / "graph.json").edges)


def test_load_clips_keeps_the_chosen_classes(prepared):
    every = load.load_clips(prepared, 4, "uniform", "synthetic")
    kept = load.load_clips(prepared, 4, "uniform", classes=("surprise", "anger"))
    assert kept.classes == ("anger", "surprise")
    assert set(kept.clip_ids) == {
        clip
        for clip, label in zip(every.clip_ids, every.labels, strict=True)
        if every.classes[label] in kept.classes
    }
    for index, clip in enumerate(kept.clip_ids):
        original = every.clip_ids.index(clip)
        assert kept.classes[kept.labels[index]] == every.classes[every.labels[original]]
        np.testing.assert_array_equal(kept.landmarks[index], every.landmarks[original])
        assert kept.subjects[index] == every.subjects[original]
    with pytest.raises(ValueError, match="has no 'joy', but anger, disgust"):
        load.load_clips(prepared, 4, "uniform", classes=("joy",))


def test_load_clips_thins_before_it_chooses_frames(prepared):
    """Synthetic clips have 25 frames a second: of two a second there are four in 40 to 60."""
    clips = load.load_clips(prepared, 12, "padded", frames_per_second=2.0)
    different = [len(np.unique(clip, axis=0)) for clip in clips.landmarks]
    assert different == [int(np.ceil(2 * seconds - 1e-6)) for seconds in clips.seconds]
    fast = load.load_clips(prepared, 12, "padded")
    assert {len(np.unique(clip, axis=0)) for clip in fast.landmarks} == {12}


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("synthetic", ["needs no download", "python -m preprocess synthetic --out"]),
        ("ravdess", ["Zenodo record 3255102", "python -m preprocess ravdess --source DIR --out"]),
        ("afew", ["EmotiW", "python -m preprocess afew --source DIR --out"]),
        ("ckplus", ["Cohn-Kanade", "python -m preprocess ckplus --source DIR --out"]),
        ("oulu", ["Oulu", "python -m preprocess oulu --source DIR --out"]),
        ("buhmap", ["path,subject,label", "python -m preprocess manifest --source FILE.csv --out"]),
        ("manifest", ["path,subject,label", "python -m preprocess manifest --source"]),
    ],
)
def test_missing_data_names_source_and_command(tmp_path, dataset, words):
    with pytest.raises(load.NotPreparedError) as caught:
        load.load_clips(tmp_path / "nothing", 4, "ends", dataset)
    for word in [*words, f"{dataset} is not prepared in {tmp_path / 'nothing'}"]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "size", "command"),
    [
        ("ckplus", 224, "preprocess ckplus --source DIR --out {} --crops 256"),
        ("mmi", 0, "preprocess mmi --source DIR --out {} --crops 256"),
        ("synthetic", 56, "preprocess synthetic --out {} --crops 64"),
        ("oulu", 64, "preprocess oulu --source DIR --out {} --crops 64"),
        ("buhmap", 56, "preprocess manifest --source FILE.csv --out {} --crops 64 --render"),
    ],
)
def test_missing_crops_are_in_the_command(tmp_path, dataset, size, command):
    path = tmp_path / "nothing"
    with pytest.raises(load.NotPreparedError) as caught:
        load.load_clips(path, 16, "middles", dataset, crop_size=size)
    assert command.format(path) in str(caught.value)
