"""Opening a prepared data set, choosing frames, batching."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.data import frame_selection, load, records
from fer_jax.data.clips import epoch_numbers, padded_parts, take
from fer_jax.data.model_inputs import model_inputs
from fer_jax.faces import landmarks as lm
from fer_jax.synthetic.clips import CLASSES, make_clip


@settings(max_examples=120, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 20),
       st.sampled_from(["ends", "last", "middles", "padded", "uniform"]))  # fmt: skip
def test_chosen_frames_have_a_face_and_keep_their_order(detected, frames, rule):
    if not any(detected):
        with pytest.raises(ValueError, match="no frame of this clip has a face"):
            frame_selection.select_frames(detected, frames, rule)
        return
    chosen = frame_selection.select_frames(detected, frames, rule)
    assert chosen.shape == (frames,)
    assert np.asarray(detected)[chosen].all()
    assert (np.diff(chosen) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40))
def test_uniform_frames_are_evenly_spread(length, frames):
    chosen = frame_selection.select_frames(np.ones(length, bool), frames, "uniform")
    if length >= frames:
        assert len(set(chosen)) == frames
        assert np.ptp(np.diff(chosen)) <= 1 if frames > 1 else True
    else:  # every frame is there, and as often as any other, give or take one
        counts = np.bincount(chosen, minlength=length)
        assert counts.min() >= 1 and np.ptp(counts) <= 1


@pytest.mark.parametrize(
    ("length", "frames", "rule", "expected"),
    [
        (20, 5, "padded", [0, 5, 10, 14, 19]),  # of the STC-NLSTM specification, section 6
        (3, 5, "padded", [0, 1, 2, 2, 2]),
        (5, 5, "padded", [0, 1, 2, 3, 4]),
        (4, 1, "last", [3]),
        (7, 3, "last", [4, 5, 6]),
        (2, 4, "last", [0, 0, 0, 1]),
    ],
)
def test_frames_that_a_rule_chooses(length, frames, rule, expected):
    assert frame_selection.select_frames(np.ones(length, bool), frames, rule).tolist() == expected
    spread = np.arange(2 * length) % 2 == 1  # a face in every other frame
    chosen = frame_selection.select_frames(spread, frames, rule)
    assert chosen.tolist() == [2 * number + 1 for number in expected]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(2, 30))
def test_padded_and_last_keep_the_peak_at_the_end(length, frames):
    for rule in ("padded", "last"):
        assert frame_selection.select_frames(np.ones(length, bool), frames, rule)[-1] == length - 1


def test_thinning_leaves_one_frame_a_tenth_of_a_second():
    kept = np.flatnonzero(frame_selection.thin_frames(np.ones(25, bool), 25.0, 10.0))
    assert kept.tolist() == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23]
    detected = np.ones(25, bool)
    detected[[0, 5, 6]] = False
    kept = np.flatnonzero(frame_selection.thin_frames(detected, 25.0, 10.0))
    assert kept.tolist() == [1, 3, 7, 8, 10, 13, 15, 18, 20, 23]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.floats(1, 60), st.floats(0.1, 90))
def test_thinning_leaves_faces_and_never_none(detected, fps, frames_per_second):
    kept = frame_selection.thin_frames(detected, fps, frames_per_second)
    assert kept.any() == any(detected) and not (kept & ~np.array(detected)).any()
    if frames_per_second >= fps:
        assert kept.tolist() == detected
    assert kept.sum() <= len(detected) / fps * frames_per_second + 1
    for nothing in ((0.0, frames_per_second), (fps, 0.0), (float("nan"), 10.0)):
        assert frame_selection.thin_frames(detected, *nothing).tolist() == detected


def test_unknown_rule_is_named():
    with pytest.raises(ValueError, match="'random' is unknown: use 'apex_pieces', 'ends', "):
        frame_selection.select_frames([True], 4, "random")


def test_scaling_goes_to_a_frame_500_wide():
    points = np.full((1, 2), 320.0)
    assert records.scale_to_reference(points, 640).tolist() == [[250.0, 250.0]]
    assert records.scale_to_reference(points, 0) is points


def test_model_inputs_do_not_depend_on_where_the_face_is(make_clips):
    clips = make_clips()
    inputs = model_inputs(clips.landmarks, clips.graph.edges)
    assert inputs.shape == (*clips.landmarks.shape[:2], len(clips.graph.edges), 2)
    moved = model_inputs(clips.landmarks + [100, -30], clips.graph.edges)
    np.testing.assert_allclose(moved, inputs, atol=1e-3)


def test_motion_features_do_not_depend_on_the_shape_of_the_face(make_clips):
    clips = make_clips()
    inputs = model_inputs(clips.landmarks, clips.graph.edges, features="motion")
    assert not inputs[:, 0].any() and inputs[:, 1:].any()
    other_face = clips.landmarks + np.random.default_rng(0).normal(0, 5, (68, 2))
    again = model_inputs(other_face, clips.graph.edges, features="motion")
    np.testing.assert_allclose(again, inputs, atol=1e-3)
    with pytest.raises(ValueError, match="'flow' are unknown: use 'position' or 'motion'"):
        model_inputs(clips.landmarks, clips.graph.edges, features="flow")


def test_prepared_data_comes_back(prepared):
    clips = load.load_clips(prepared, 4, "uniform", "synthetic")
    assert len(clips) == 42 and len(set(clips.subjects)) == 6
    assert clips.clip_ids == sorted(clips.clip_ids)
    assert set(clips.splits) == {"train", "validation", "test"}
    assert clips.classes == tuple(CLASSES)
    np.testing.assert_array_equal(np.bincount(clips.labels), [6] * 7)
    made = make_clip(0, 2, 3)
    number = clips.clip_ids.index(made.clip_id)
    assert clips.classes[clips.labels[number]] == made.label
    chosen = frame_selection.select_frames(np.ones(len(made.landmarks), bool), 4, "uniform")
    expected = made.landmarks[chosen] * 500 / made.frame_size[0]
    np.testing.assert_allclose(clips.landmarks[number], expected, rtol=1e-6)
    assert clips.seconds[number] == pytest.approx(len(made.landmarks) / made.fps)
    np.testing.assert_array_equal(clips.graph.edges, lm.load_graph(prepared / "graph.json").edges)


def test_classes_that_are_not_kept_leave(prepared):
    every = load.load_clips(prepared, 4, "uniform", "synthetic")
    kept = load.load_clips(prepared, 4, "uniform", classes=("surprise", "anger"))
    assert kept.classes == ("anger", "surprise")
    assert set(kept.clip_ids) == {
        clip
        for clip, label in zip(every.clip_ids, every.labels, strict=True)
        if every.classes[label] in kept.classes
    }
    for number, clip in enumerate(kept.clip_ids):
        original = every.clip_ids.index(clip)
        assert kept.classes[kept.labels[number]] == every.classes[every.labels[original]]
        np.testing.assert_array_equal(kept.landmarks[number], every.landmarks[original])
        assert kept.subjects[number] == every.subjects[original]
    with pytest.raises(ValueError, match="has no 'joy', but anger, disgust"):
        load.load_clips(prepared, 4, "uniform", classes=("joy",))


def test_frames_are_chosen_from_the_thinned_clip(prepared):
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
def test_missing_data_says_what_how_and_where(tmp_path, dataset, words):
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


def test_take_gathers_any_shape(make_clips):
    clips = make_clips()
    batch = take(clips, np.array([[3, 1], [0, 2]]))
    assert batch["landmarks"].shape == (2, 2, 4, 68, 2)
    np.testing.assert_array_equal(batch["label"], clips.labels[[[3, 1], [0, 2]]])
    assert batch["weight"].tolist() == [[1, 1], [1, 1]]


def test_an_epoch_shuffles_and_draws_nothing_twice():
    train = np.arange(100, 123)
    first = epoch_numbers(train, 4, 5, (0, 1))
    assert first.shape == (4, 5) and len(set(first.flat)) == 20 and set(first.flat) <= set(train)
    np.testing.assert_array_equal(first, epoch_numbers(train, 4, 5, (0, 1)))
    other = epoch_numbers(train, 4, 5, (0, 2))
    assert (first != other).any() and set(first.flat) != set(other.flat)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.integers(1, 16))
def test_padding_keeps_order_and_weighs_nothing(counts, batch_size):
    parts = [np.arange(200, 200 + count) for count in counts]
    chosen, weight = padded_parts(parts, batch_size)
    shape = (len(counts), -(-max(counts) // batch_size), batch_size)
    assert chosen.shape == weight.shape == shape
    for part, numbers, weights in zip(parts, chosen, weight, strict=True):
        assert numbers[weights > 0].tolist() == part.tolist()
        assert weights.sum() == len(part)
        assert set(numbers.flat) <= (set(part) or {0})


def test_a_graph_that_is_damaged_is_named(prepared, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy, ignore=shutil.ignore_patterns(".clips"))
    (copy / "graph.json").write_text(json.dumps({"edges": []}))
    with pytest.raises(ValueError, match="is not a landmark graph"):
        load.load_clips(copy, 4, "uniform")
