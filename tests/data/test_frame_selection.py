"""Choosing frames: rules, thinning, pieces of recordings and what a predictor is given of them."""

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.data import folds, load
from fer_jax.data.clips import hold_crops
from fer_jax.data.frame_selection import piece_frames, select_frames, thin_frames
from fer_jax.experiments.bundle import InputSpec
from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.predict.options import Options
from fer_jax.predict.windows import Face, at_rate, predict_windows
from fer_jax.tasks import TASKS


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.integers(1, 20),
    st.sampled_from(["ends", "last", "middles", "padded", "tile_reference", "uniform"]),
)
def test_select_frames_takes_detected_frames_in_order(detected, frames, rule):
    if not any(detected):
        with pytest.raises(ValueError, match="no frame of this clip has a face"):
            select_frames(detected, frames, rule)
        return
    chosen = select_frames(detected, frames, rule)
    assert chosen.shape == (frames,)
    assert np.asarray(detected)[chosen].all()
    assert (np.diff(chosen) >= 0).all()


FAST_THEN_SLOW = np.concatenate([np.arange(60) / 30, 2 + np.arange(20) / 10])  # 4 seconds


@pytest.mark.parametrize("rule", ["uniform", "padded"])
def test_intervals_are_those_of_time_where_the_rate_varies(rule):
    seen = np.arange(80) % 7 > 0
    for detected, slack in ((np.ones(80, bool), 0.06), (seen, 0.11)):
        chosen = select_frames(detected, 9, rule, FAST_THEN_SLOW)
        wanted = np.linspace(*FAST_THEN_SLOW[np.flatnonzero(detected)[[0, -1]]], 9)
        assert np.abs(FAST_THEN_SLOW[chosen] - wanted).max() < slack and detected[chosen].all()
    few = select_frames(np.ones(80, bool), 200, "uniform", FAST_THEN_SLOW)
    assert np.abs(FAST_THEN_SLOW[few] - np.linspace(0, FAST_THEN_SLOW[-1], 200)).max() < 0.06


@pytest.mark.parametrize("rule", ["uniform", "padded", "middles", "last", "ends"])
@pytest.mark.parametrize("missing", [[], [20], [3, 11, 30]])
def test_missing_frames_are_no_varying_rate(rule, missing):
    times = np.delete(np.arange(60) / 30, missing) + 0.0004 * np.sin(np.arange(60 - len(missing)))
    detected = np.arange(len(times)) % 5 > 0
    plain = select_frames(detected, 9, rule)
    np.testing.assert_array_equal(select_frames(detected, 9, rule, times), plain)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40))
def test_uniform_frames_are_evenly_spread(length, frames):
    chosen = select_frames(np.ones(length, bool), frames, "uniform")
    if length >= frames:
        assert len(set(chosen)) == frames
        assert np.ptp(np.diff(chosen)) <= 1 if frames > 1 else True
    else:  # every frame is there, and as often as any other, give or take one
        counts = np.bincount(chosen, minlength=length)
        assert counts.min() >= 1 and np.ptp(counts) <= 1


@pytest.mark.parametrize(
    ("length", "frames", "rule", "expected"),
    [
        (20, 5, "padded", [0, 5, 10, 14, 19]),
        (3, 5, "padded", [0, 1, 2, 2, 2]),
        (5, 5, "padded", [0, 1, 2, 3, 4]),
        (3, 8, "tile_reference", [0, 0, 1, 1, 2, 2, 2, 2]),
        (3, 5, "tile_reference", [0, 1, 2, 2, 2]),
        (9, 5, "tile_reference", [0, 2, 4, 6, 8]),
        (4, 1, "last", [3]),
        (7, 3, "last", [4, 5, 6]),
        (2, 4, "last", [0, 0, 0, 1]),
    ],
)
def test_frames_that_a_rule_chooses(length, frames, rule, expected):
    assert select_frames(np.ones(length, bool), frames, rule).tolist() == expected
    spread = np.arange(2 * length) % 2 == 1  # a face in every other frame
    chosen = select_frames(spread, frames, rule)
    assert chosen.tolist() == [2 * index + 1 for index in expected]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(2, 30))
def test_padded_and_last_keep_the_peak_at_the_end(length, frames):
    for rule in ("padded", "last"):
        assert select_frames(np.ones(length, bool), frames, rule)[-1] == length - 1


def test_thinning_leaves_one_frame_a_tenth_of_a_second():
    kept = np.flatnonzero(thin_frames(np.ones(25, bool), np.arange(25) / 25, 10.0))
    assert kept.tolist() == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23]
    detected = np.ones(25, bool)
    detected[[0, 5, 6]] = False
    kept = np.flatnonzero(thin_frames(detected, np.arange(25) / 25, 10.0))
    assert kept.tolist() == [1, 3, 7, 8, 10, 13, 15, 18, 20, 23]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.floats(1, 60), st.floats(0.1, 90))
def test_thinning_leaves_faces_and_never_none(detected, fps, frames_per_second):
    times = np.arange(len(detected)) / fps
    kept = thin_frames(detected, times, frames_per_second)
    assert kept.any() == any(detected) and not (kept & ~np.array(detected)).any()
    if frames_per_second >= fps:
        assert kept.tolist() == detected
    assert kept.sum() <= len(detected) / fps * frames_per_second + 1
    for nothing in ((None, frames_per_second), (times, 0.0)):
        assert thin_frames(detected, *nothing).tolist() == detected


def test_unknown_rule_is_named():
    with pytest.raises(ValueError, match="'random' is unknown: use 'apex_pieces', 'ends', "):
        select_frames([True], 4, "random")


# Recordings cut into pieces

LONG = (st.lists(st.booleans(), min_size=1, max_size=80), st.integers(1, 9))


@given(*LONG)
def test_pieces_use_every_detected_frame_once_in_order(detected, frames):
    valid = np.flatnonzero(detected)
    pieces = piece_frames(detected, frames)
    assert list(pieces) == list(range(len(valid) // frames))
    assert all(len(piece) == frames for piece in pieces.values())
    used = np.concatenate([*pieces.values(), np.zeros(0, int)])
    np.testing.assert_array_equal(used, valid[: len(used)])
    assert len(valid) - len(used) < frames


@given(*LONG)
def test_apex_pieces_lie_in_the_middle_third_or_nearest_to_it(detected, frames):
    every, apex = piece_frames(detected, frames), piece_frames(detected, frames, "apex_pieces")
    assert bool(apex) == bool(every)
    assert all(np.array_equal(piece, every[index]) for index, piece in apex.items())
    third = len(detected) / 3
    inside = {n for n, p in every.items() if p[0] >= third and p[-1] < 2 * third}
    if inside:
        assert set(apex) == inside
        return
    off = {n: abs((p[0] + p[-1]) / 2 - (len(detected) - 1) / 2) for n, p in every.items()}
    assert len(apex) <= 1 and all(off[index] == min(off.values()) for index in apex)


def test_pieces_of_worked_examples():
    pieces = piece_frames([True] * 60, 10)
    assert [piece[[0, -1]].tolist() for piece in pieces.values()] == [
        [0, 9], [10, 19], [20, 29], [30, 39], [40, 49], [50, 59],
    ]  # fmt: skip
    assert list(piece_frames([True] * 60, 10, "apex_pieces")) == [2, 3]
    assert list(piece_frames([True] * 30, 10, "apex_pieces")) == [1]
    assert list(piece_frames([True] * 45, 10, "apex_pieces")) == [2]  # frames 20 to 29 of 15 to 29
    assert list(piece_frames([True] * 19, 10, "apex_pieces")) == [0]
    assert piece_frames([True] * 9, 10) == {}
    gap = [True, False, True, True, False, True, True]
    assert [piece.tolist() for piece in piece_frames(gap, 2).values()] == [[0, 2], [3, 5]]


@pytest.mark.parametrize("rule", ["last", "pieces", "apex_pieces"])
def test_piece_rules_take_the_last_frames_of_a_window(rule):
    assert select_frames([True] * 12, 10, rule).tolist() == list(range(2, 12))
    assert select_frames([True] * 4, 6, rule).tolist() == [0, 0, 0, 1, 2, 3]
    assert select_frames([False, True, True, False], 4, rule).tolist() == [1, 1, 1, 2]


@pytest.fixture(scope="module", params=["pieces", "apex_pieces"])
def loaded(request, prepared_crops):
    whole = load.load_clips(prepared_crops, 1, "uniform")
    return whole, load.load_clips(prepared_crops, 10, request.param, crop_size=0)


def test_load_clips_makes_each_piece_an_example_of_its_own(loaded):
    whole, pieces = loaded
    recordings = [clip_id.rpartition("#")[0] for clip_id in pieces.clip_ids]
    assert set(recordings) == set(whole.clip_ids) and len(pieces) > len(whole)
    assert len(set(pieces.clip_ids)) == len(pieces) and not pieces.left_out.short
    own = {name: index for index, name in enumerate(whole.clip_ids)}
    for field in ("labels", "subjects", "splits"):
        ours, theirs = getattr(pieces, field), getattr(whole, field)
        assert list(ours) == [theirs[own[name]] for name in recordings]
    assert pieces.landmarks.shape == (len(pieces), 10, 68, 2)
    recorded = pieces.crops.frames
    frames = [(record, t) for record, chosen in zip(recorded.records, recorded.chosen, strict=True)
              for t in chosen]  # fmt: skip
    assert len(set(frames)) == len(frames)
    held = hold_crops(pieces, 2**30)
    assert held.crops.frames.values.nbytes == len(pieces) * pieces.clip_bytes
    for index in (0, len(pieces) - 1):
        np.testing.assert_array_equal(held.crops.frames[index], pieces.crops.frames.clip(index))


def test_pieces_know_their_length_and_end(loaded):
    whole, pieces = loaded
    fps = 10 / pieces.seconds[0]
    np.testing.assert_allclose(pieces.seconds, 10 / fps)
    last = np.array([chosen[-1] for chosen in pieces.crops.frames.chosen])
    np.testing.assert_allclose(pieces.ends, (last + 1) / fps, rtol=1e-5)
    assert pieces.ends.max() <= whole.seconds.max() + 1e-4


def test_thinned_keeps_every_piece(loaded):
    _, pieces = loaded
    everything = np.arange(len(pieces))
    fold = folds.Fold("holdout", everything, everything)
    thin = folds.thinned(fold, pieces.ranks, (9, 2))
    assert len(thin.train) == len(thin.evaluation) == len(pieces)


def test_recordings_too_short_for_a_piece_are_counted(prepared):
    frames = load.load_clips(prepared, 1, "pieces")
    counts = np.unique([name.rpartition("#")[0] for name in frames.clip_ids], return_counts=True)[1]
    size = int(np.median(counts)) + 1
    assert counts.min() < size <= counts.max(), "all recordings are equally long"
    left = load.load_clips(prepared, size, "pieces")
    assert sum(left.left_out.short.values()) == (counts < size).sum()
    assert len(left) == (counts // size).sum()
    with pytest.raises(load.NotPreparedError, match="none of the 42 recordings .*frames=?"):
        load.load_clips(prepared, int(counts.max()) + 1, "pieces")


@pytest.mark.parametrize(("fps", "steps"), [(20.0, 1), (60.0, 3)])
def test_predict_windows_samples_pieces_at_the_training_rate(fps, steps, monkeypatch):
    """T frames that follow each other; of a video three times as fast, every third."""
    seen = []
    predictor = types.SimpleNamespace(
        task="classification", classes=("a", "b"), threshold=None,
        spec=InputSpec(5, "pieces", "position", None, window_seconds=0.25),
        takes_crops=False, module=types.SimpleNamespace(inputs="edges"),
        trust=StoredTrust(), familiarity=None,
        select=lambda detected, fps: select_frames(detected, 5, "pieces"),
        predict=lambda clips, **options: seen.append(clips[0, :, 0, 0].tolist()),
    )  # fmt: skip
    monkeypatch.setattr(TASKS["classification"], "row", lambda *args: {})
    points = np.random.default_rng(0).normal(size=(68, 2))

    def faces():
        for index in range(30):
            points[0, 0] = index
            yield {0: Face(points.copy())}

    options = Options(stride=0.25)
    rows = [
        row
        for row, _ in predict_windows(predictor, at_rate(faces(), fps), options, fps=fps, width=0)
    ]
    length = 5 * steps
    assert seen == [
        list(range(start + steps - 1, start + length, steps)) for start in range(0, 30, length)
    ]
    assert [row["frames"] for row in rows] == [5] * len(seen)
