"""Action units: windows that end at a labelled frame, unknown labels, F1, uncertainty of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fer_jax import metrics
from fer_jax.data import crops, folds, frame_selection, load, records
from fer_jax.data.clips import hold_crops
from fer_jax.faces.labels import PRESENT_INTENSITY
from fer_jax.tasks import TASKS, evaluation
from fer_jax.tasks.action_units import scores
from fer_jax.tasks.action_units.scores import abstaining, summarise_units
from tests.tasks.trusted import trusted

TASK = TASKS["action_units"]
UNKNOWN = float("nan")


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 9))
def test_windows_end_at_their_frame_and_never_look_ahead(detected, frames):
    windows = frame_selection.window_frames(detected, frames)
    assert windows.shape == (len(detected), frames)
    for end, window in enumerate(windows):
        shown = [f for f in range(max(end - frames + 1, 0), end + 1) if detected[f]]
        if not shown:
            assert (window == -1).all()
            continue
        for place, frame in enumerate(window):
            before = [f for f in shown if f <= end - frames + 1 + place]
            assert frame == (before[-1] if before else shown[0])
    if (windows[-1] >= 0).all():
        chosen = frame_selection.select_frames(detected, frames, "windows")
        np.testing.assert_array_equal(chosen, windows[-1])
    else:
        with pytest.raises(ValueError, match="has a face|no frame"):
            frame_selection.select_frames(detected, frames, "windows")


def test_jump_in_the_numbers_of_the_frames_is_an_edge():
    windows = frame_selection.window_frames([True] * 6, 3, np.array([7, 8, 9, 40, 41, 42]))
    assert windows.tolist()[2:] == [[0, 1, 2], [3, 3, 3], [3, 3, 4], [3, 4, 5]]


def test_windows_repeat_the_first_frame_at_the_edge():
    expected = [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    np.testing.assert_array_equal(frame_selection.window_frames([True] * 4, 3), expected)


@pytest.fixture(scope="module")
def windows(prepared_crops):
    return load.load_clips(
        prepared_crops, 3, "windows", "synthetic", crop_size=0, target="action_units"
    )


def test_window_is_labelled_at_its_last_frame(prepared_crops, windows):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(prepared_crops))
    every = [record for split in builder.info.splits for record in builder.as_data_source(split)]
    assert len(windows) == sum(len(record["detected"]) for record in every)
    assert windows.classes == tuple(builder.info.metadata["action_units"])
    record = every[-1]
    name = record["clip_id"].decode()
    own = [n for n, clip_id in enumerate(windows.clip_ids) if clip_id.startswith(f"{name}@")]
    assert [windows.clip_ids[n] for n in own] == [f"{name}@{n}" for n in record["frame_index"]]
    np.testing.assert_array_equal(windows.ranks[own], np.arange(len(own)))
    np.testing.assert_allclose(windows.ends[own] * record["fps"], np.arange(len(own)) + 1)
    np.testing.assert_array_equal(windows.labels[own], record["action_units"] >= PRESENT_INTENSITY)
    chosen = frame_selection.window_frames(record["detected"], 3)
    np.testing.assert_array_equal(
        windows.crops.landmarks[np.array(own)], record["crop_landmarks"][chosen]
    )
    assert windows.seconds[own[0]] == pytest.approx(3 / record["fps"])


def test_overlapping_windows_hold_a_frame_once(windows):
    held = hold_crops(windows, 2**30)
    assert isinstance(held.crops.frames, crops.Shared)
    assert (
        held.crops.frames.values.nbytes
        == windows.crops.frames.held_bytes
        < 1.1 * held.clip_bytes * len(windows) / 3
    )
    for index in (0, 7, len(windows) - 1):
        np.testing.assert_array_equal(held.crops.frames[index], windows.crops.frames.clip(index))
    assert hold_crops(windows, windows.crops.frames.held_bytes - 1) is windows


def test_some_units_can_be_chosen(prepared):
    options = {"target": "action_units"}
    every = load.load_clips(prepared, 2, "windows", **options)
    kept = load.load_clips(prepared, 2, "windows", classes=("AU12", "AU01"), **options)
    assert kept.classes == ("AU01", "AU12") and len(kept) == len(every)
    columns = [every.classes.index(unit) for unit in kept.classes]
    np.testing.assert_array_equal(kept.labels, every.labels[:, columns])
    with pytest.raises(ValueError, match="has no 'AU99', but AU01, AU02"):
        load.load_clips(prepared, 2, "windows", classes=("AU99",), **options)


def test_set_without_action_units_says_so(tmp_path, prepared):
    import json
    import shutil

    shutil.copytree(prepared, tmp_path / "set", ignore=shutil.ignore_patterns("checksums.json"))
    file = tmp_path / "set" / "metadata.json"
    metadata = json.loads(file.read_text())
    assert metadata.pop("action_units")
    file.write_text(json.dumps(metadata))
    with pytest.raises(load.NotPreparedError, match="names no action units.*bp4d"):
        load.load_clips(tmp_path / "set", 3, "windows", target="action_units")


def test_thinned_folds_keep_every_so_many_windows_of_a_recording():
    ranks = np.array([0, 1, 2, 3, 4, 0, 1, 2])
    fold = folds.Fold("holdout", np.arange(5), np.arange(5, 8), np.arange(8))
    thin = folds.thinned(fold, ranks, (3, 2))
    np.testing.assert_array_equal(thin.train, [0, 3])
    np.testing.assert_array_equal(thin.evaluation, [5, 7])
    np.testing.assert_array_equal(thin.validation, [0, 2, 4, 5, 7])


def test_loss_is_the_cross_entropy_of_the_known_units():
    logits = jnp.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0]])
    label = jnp.array([[1.0, 0.0, UNKNOWN], [UNKNOWN, 1.0, UNKNOWN], [UNKNOWN] * 3])
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    expected = [-(np.log(p[0, 0]) + np.log(1 - p[0, 1])) / 2, -np.log(p[1, 1]), 0.0]
    np.testing.assert_allclose(TASK.loss(logits, {"label": label}), expected, rtol=1e-6)
    np.testing.assert_allclose(TASK.score(logits, {"label": label}), [1.0, 1.0, 0.0])
    gradient = jax.grad(lambda x: TASK.loss(x, {"label": label}).sum())(logits)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.asarray(gradient)[np.isnan(label)], 0.0)


def test_f1_of_a_worked_example():
    """TP = 3, FP = 1, FN = 2; and a unit that neither is present nor predicted."""
    truth = np.array([1, 1, 1, 0, 1, 1, 0, np.nan])
    predicted = np.array([1, 1, 1, 1, 0, 0, 0, 1], bool)
    labels = np.stack([truth, np.zeros(8)], 1)
    counts = metrics.unit_counts(np.stack([predicted, np.zeros(8, bool)], 1), labels)
    np.testing.assert_array_equal(counts[:, 0], [3, 1, 2])
    f1 = metrics.f1_scores(counts)
    assert f1[0] == pytest.approx(0.6667, abs=1e-4) and np.isnan(f1[1])
    assert metrics.mean_f1(f1) == pytest.approx(0.6667 / 2, abs=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_f1_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 2, (2, 30, 3)).astype(bool)
    expected = f1_score(truth, predicted, average=None, zero_division=0)
    f1 = metrics.f1_scores(metrics.unit_counts(predicted, truth.astype(float)))
    np.testing.assert_allclose(np.nan_to_num(f1), expected)


def test_what_never_occurs_has_no_recall_and_what_is_never_predicted_no_precision():
    row, _ = scores._score_unit(np.array([0.1, 0.9]), np.zeros(2))
    assert np.isnan(row["recall"]) and row["precision"] == 0
    row, _ = scores._score_unit(np.array([0.1, 0.2]), np.array([0.0, 1.0]))
    assert row["recall"] == 0 and np.isnan(row["precision"])


def test_interval_holds_the_mean_and_narrows_with_more_people():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (600, 3)).astype(float)
    predicted = np.where(rng.random((600, 3)) < 0.8, truth, 1 - truth) == 1
    f1 = metrics.mean_f1(metrics.f1_scores(metrics.unit_counts(predicted, truth)))
    widths = []
    for people in (4, 40):
        low, high = metrics.f1_interval(predicted, truth, np.arange(600) % people)
        assert low < f1 < high
        widths.append(high - low)
    many = metrics.f1_interval(predicted[:150], truth[:150], np.arange(150) % 10)
    assert many[1] - many[0] > max(widths)
    assert np.isnan(metrics.f1_interval(predicted, truth, np.zeros(600))).all()


def test_interval_does_not_depend_on_the_order_of_windows():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, (300, 3)).astype(float), rng.random((300, 3)) < 0.5
    people, order = np.repeat(np.arange(15), 20), rng.permutation(300)
    found = metrics.f1_interval(predicted, truth, people)
    assert found == metrics.f1_interval(predicted[order], truth[order], people[order])
    assert found != metrics.f1_interval(predicted, truth, people[order])


def test_unit_is_an_event_of_its_own():
    samples = np.array([[[0.9, 0.5]], [[0.1, 0.5]]])
    summary = summarise_units(samples)
    np.testing.assert_allclose(summary.mean, [[0.5, 0.5]])
    np.testing.assert_allclose(summary.entropy, np.log(2))
    within = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(summary.mutual_information, [[np.log(2) - within, 0]], atol=1e-12)
    np.testing.assert_allclose(summary.variance, [[0.16, 0]])


def _evaluated(rng, people=6, windows=40):
    """Certain predictions are right, uncertain ones random; the last unit is never labelled."""
    count = people * windows
    labels = rng.integers(0, 2, (count, 3)).astype(np.float32)
    sure = rng.random((count, 3)) < 0.7
    right = np.where(labels == 1, 0.97, 0.03)
    mean = np.where(sure, right, rng.uniform(0.4, 0.6, (count, 3)))
    labels[:, 2] = np.nan
    samples = np.clip(mean[None] + rng.normal(0, 0.01, (5, count, 3)), 0, 1)
    return evaluation.Evaluated(
        indices=np.arange(count),
        folds=np.arange(count) // (count // 2),
        labels=labels,
        probabilities={"recalibrated": mean, "mc_dropout": samples.mean(0)},
        samples=samples,
        summary=summarise_units(samples),
        validation=None,
    )


def test_each_unit_abstains_where_it_is_unsure():
    evaluated = _evaluated(np.random.default_rng(0))
    chosen = abstaining(("AU01", "AU02", "AU04"), trusted("action_units", evaluated, 0.99))
    for unit in ("AU01", "AU02"):
        row = chosen["units"][unit]
        assert row["chosen_on"] == "the other folds"
        assert 0.5 < row["coverage"] < 0.8 and row["accuracy"] > 0.98
        assert 0.1 < row["threshold"] < 0.68
    assert chosen["threshold"][2] is None and chosen["units"]["AU04"]["coverage"] == 0.0


def test_windows_are_counted_again_where_units_are_chosen(prepared_crops, monkeypatch):
    """Strides go over the windows that are left: labels of every fifth frame are all used."""
    label = records._label

    def sparse(example, target, frame):
        known = label(example, target, frame)
        return known if frame % 5 == 0 else np.full_like(known, np.nan)

    monkeypatch.setattr(records, "_label", sparse)
    clips = load.load_clips(prepared_crops, 2, "windows", classes=("AU01",), target="action_units")
    recording = np.array([clip_id.split("@")[0] for clip_id in clips.clip_ids])
    frames = np.array([int(clip_id.split("@")[1]) for clip_id in clips.clip_ids])
    assert (frames % 5 == 0).all()
    for name in np.unique(recording):
        np.testing.assert_array_equal(
            clips.ranks[recording == name], frames[recording == name] // 5
        )
