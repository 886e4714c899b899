"""Sliding windows: their frames, the largest face, memory, rows and thresholds."""

import io
import pickle
import types
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.data.frame_selection import select_frames
from fer_jax.experiments.bundle import InputSpec
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.plotting.timeline import borders
from fer_jax.predict.options import Options
from fer_jax.predict.people import Numbers, choose_people
from fer_jax.predict.windows import (
    ClipProblem,
    Face,
    Frame,
    Source,
    at_rate,
    columns,
    predict_source,
    sliding,
)
from fer_jax.uncertainty import summarise
from tests.trusting import trusting

CLASSES = ("anger", "joy", "calm")


def fake_predictor(threshold=0.9, window_seconds=1.0, takes_crops=False):
    """A fake model: joy grows with the face's x, or with the brightness of its crop."""

    def predict(clip, *, mc_samples, seed, frame_width):
        if takes_crops:
            assert clip.shape == (1, 4, 8, 8, 3) and clip.dtype == np.uint8
            joy = clip.mean() / 255
        else:
            assert clip.shape == (1, 4, 68, 2)
            joy = clip[..., 0].mean() / max(frame_width, 1)
        joy = np.clip(joy, 0.05, 0.95) + np.linspace(-0.04, 0.04, mc_samples)[:, None]
        return summarise(np.stack([0.7 * (1 - joy), joy, 0.3 * (1 - joy)], axis=-1))

    return types.SimpleNamespace(
        familiarity=None, trust=trusting(),
        task="classification", classes=CLASSES, threshold=threshold, predict=predict,
        spec=InputSpec(4, "uniform", "position", None, window_seconds),
        select=lambda detected, times: select_frames(detected, 4, "uniform"),
        takes_crops=takes_crops,
        module=types.SimpleNamespace(inputs="frames" if takes_crops else "edges"),
    )  # fmt: skip


def face(x=320.0, size=40.0, grey=None):
    crop = None if grey is None else np.full((8, 8, 3), grey, np.uint8)
    return Face((MEAN_FACE * size + [x, 240]).astype(np.float32), crop)


def source(frames, **more):
    stream = at_rate(frames, 10.0, more.pop("first", 0))
    defaults = dict(
        path="clip.mp4", frames=stream, pictures=lambda: iter(()), fps=10.0, width=640, announced=0
    )
    return Source(**(defaults | more))


def predict(frames, predictor=None, options=None, **more):
    predictor, options = predictor or fake_predictor(), options or Options(mc_samples=12)
    return predict_source(predictor, source(frames, **more), options, say=lambda text: None)


@given(
    st.integers(0, 60), st.integers(1, 20), st.integers(1, 30), st.sampled_from([10, 29.97, 240])
)
def test_windows_have_their_length_and_cover_the_tail(count, length, stride, fps):
    frames = at_rate([{0: index} for index in range(count)], fps)
    windows = list(sliding(frames, length / fps, stride / fps))
    starts = [window.frames[0].faces[0] for window in windows]
    for first, window in zip(starts, windows, strict=True):
        assert [f.faces[0] for f in window.frames] == list(range(first, first + len(window.frames)))
        assert len(window.frames) == min(length, count)
        assert (window.start, window.end) == (first / fps, (first + len(window.frames)) / fps)
    assert starts == sorted(set(starts))
    assert all(first % stride == 0 for first in starts[:-1])
    if count:
        assert starts[-1] + len(windows[-1].frames) == count
    if stride <= length:
        seen = {frame.faces[0] for window in windows for frame in window.frames}
        assert seen == set(range(count))


@given(
    st.lists(st.sampled_from([0.001, 0.033, 0.1, 0.7, 40.0]), min_size=1, max_size=60),
    st.floats(0.05, 3),
    st.floats(0.02, 3),
)
def test_windows_of_a_variable_rate_hold_the_frames_of_their_seconds(steps, length, stride):
    edges = 5 + np.cumsum([0, *steps])
    frames = [Frame(a, b, {0: i}) for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False))]
    windows = list(sliding(frames, length, stride))
    for window in windows:
        assert window.frames == [f for f in frames if f in window.frames]  # in order
        near = [f for f in frames if window.start - 0.001 <= f.start < window.end]
        inside = [f for f in frames if window.start <= f.start < window.end - 0.001]
        assert len(inside) <= len(window.frames) <= len(near)
        assert window.frames[0] in near and window.frames[-1] in near
        assert window.end - window.start <= max(length, steps[-1]) + 0.002
    assert windows[0].start == 5 and windows[-1].end == pytest.approx(edges[-1])
    assert len(windows) <= len(frames) * (length / stride + 2)
    if stride <= length:
        assert {f.faces[0] for w in windows for f in w.frames} == set(range(len(frames)))


@pytest.mark.parametrize("gap", [0.5, 10.0, 1e9])
def test_gap_has_no_window_however_long_it_is(gap):
    """Of a camera whose machine was asleep: a step for every window in between would take hours."""
    before, after = (
        [Frame(start + index / 25, start + (index + 1) / 25, {}) for index in range(8)]
        for start in (0.0, gap)
    )
    windows = list(sliding([*before, *after], 0.2, 0.1))
    seen = {frame.start for window in windows for frame in window.frames}
    assert seen == {frame.start for frame in (*before, *after)} and len(windows) < 12
    assert windows[0].start == 0.0 and windows[-1].end == pytest.approx(gap + 0.32)


def test_only_one_window_is_held():
    class Points:
        pass

    alive = weakref.WeakSet()

    def frames():
        for _ in range(500):
            points = Points()
            alive.add(points)
            yield {0: points}

    most = 0
    for window in sliding(at_rate(frames(), 10.0), 2.0, 0.5):
        del window
        most = max(most, len(alive))
    assert most <= 22


def test_largest_face_sums_sizes_over_the_window():
    near, far = face(size=60), face(x=100, size=30)
    window = [{1: near, 0: far}, {0: far}, {0: far}, {}]
    assert choose_people(window, "largest", Numbers()) == [0]  # three times 30 is more than once 60
    assert choose_people(window[:1], "largest", Numbers()) == [1]
    assert choose_people([{}, {}], "largest", Numbers()) == [None]


def test_landmarks_that_count_are_those_of_the_largest_face():
    crowd = {1: face(x=64, size=60), 0: face(x=580, size=30)}
    table = predict(
        [crowd] * 10 + [{0: face(x=580)}] * 10, options=Options(mc_samples=12, stride=1.0)
    )
    assert table["joy"].tolist() == pytest.approx([0.1, 0.9], abs=0.02)
    assert table.attrs["faces"] == [1, 0]


def test_crops_of_the_largest_face_are_predicted():
    small, large = face(size=20, grey=250), face(size=60, grey=25)
    frames = [{0: small, 1: large}] * 10 + [{0: small}] * 10
    predictor = fake_predictor(takes_crops=True)
    table = predict(frames, predictor, Options(mc_samples=12, stride=1.0))
    assert table["joy"].tolist() == pytest.approx([25 / 255, 0.95], abs=0.01)
    assert table["frames"].tolist() == [10, 10]


def test_crops_of_the_chosen_frames_are_predicted():
    bright = {0, 3, 6, 9}  # what four of ten frames at equal intervals are
    frames = [{0: face(grey=200 if index in bright else 20)} for index in range(10)]
    table = predict(frames, fake_predictor(takes_crops=True))
    assert table["joy"].tolist() == pytest.approx([200 / 255])


@pytest.mark.parametrize("stride, windows", [(0.3, 31), (1.0, 10), (4.0, 4)])
def test_no_more_crops_are_held_than_a_window_has(stride, windows):
    cut, held = [], []

    def frames():
        for _ in range(100):
            one = face(grey=90)
            cut.append(weakref.ref(one.crop))
            held.append(sum(crop() is not None for crop in cut))
            yield {0: one}
            del one

    predictor = fake_predictor(takes_crops=True)
    table = predict(frames(), predictor, Options(mc_samples=12, stride=stride))
    assert len(table) == windows
    assert len(cut) == 100 and max(held) <= 11  # ten frames a window, and the one that comes


def test_spool_holds_landmarks_only():
    spool = io.BytesIO()
    frames = [{3: face(grey=90)}, {}] * 5
    predict_source(
        fake_predictor(takes_crops=True), source(frames), Options(mc_samples=12), print, spool=spool
    )
    spool.seek(0)
    written = [pickle.load(spool) for _ in frames]
    assert not spool.read()
    assert [list(faces) for _, _, faces in written] == [[3], []] * 5
    assert written[3][:2] == (0.3, 0.4)
    np.testing.assert_array_equal(written[0][2][3], frames[0][3].landmarks)


def test_every_moment_belongs_to_the_nearest_window():
    np.testing.assert_allclose(borders([0, 1, 1.5], [2, 3, 3.5]), [0, 1.5, 2.25, 3.5])
    np.testing.assert_allclose(borders([0.0], [0.4]), [0, 0.4])


def test_table_row_for_every_window():
    table = predict([{0: face(x=64 + 10 * index)} for index in range(25)])
    assert list(table) == columns(CLASSES)
    np.testing.assert_allclose(table["start"], [0, 0.5, 1.0, 1.5])
    np.testing.assert_allclose(table["end"], [1, 1.5, 2.0, 2.5])
    np.testing.assert_allclose(table[list(CLASSES)].sum(axis=1), 1)
    assert table["joy"].is_monotonic_increasing
    assert (table["frames"] == 10).all()
    entropy = -(table[list(CLASSES)] * np.log(table[list(CLASSES)])).sum(axis=1)
    np.testing.assert_allclose(table["entropy"], entropy)
    assert ((table["mutual_information"] > 0) & (table["mutual_information"] < entropy)).all()
    spread = np.linspace(-0.04, 0.04, 12).std()  # of the fake model's samples of joy
    for name, share in zip(CLASSES, (0.7, 1.0, 0.3), strict=True):
        np.testing.assert_allclose(table[f"std_{name}"], share * spread, rtol=1e-4)


def test_short_clip_is_one_window_and_keeps_its_place_in_time():
    table = predict([{0: face()}] * 4, first=30)
    assert table[["start", "end"]].to_numpy().tolist() == [[3.0, 3.4]]


def test_windows_without_a_face_keep_their_row():
    table = predict([{0: face(x=580)}] * 10 + [{}] * 10, options=Options(mc_samples=12, stride=1.0))
    assert table["label"].tolist()[1] == "no face"
    assert table["frames"].tolist() == [10, 0]
    assert table["abstained"].tolist() == [False, True]
    blank = [*CLASSES, "entropy", "mutual_information", "agreement", "std_joy"]
    assert table.loc[1, blank].isna().all()
    assert table.attrs["faces"] == [0, None]


def test_no_face_at_all_is_a_problem():
    with pytest.raises(ClipProblem, match="no face"):
        predict([{}] * 30)


@pytest.mark.parametrize(
    "own, asked, abstains",
    [(0.9, None, False), (0.1, None, True), (None, None, False), (None, 0.1, True),
     (0.1, 2.0, False), (float("-inf"), None, True)],
)  # fmt: skip
def test_abstains_above_the_threshold(own, asked, abstains):
    options = Options(mc_samples=12, threshold=asked)
    table = predict([{0: face(x=500)}] * 10, fake_predictor(threshold=own), options)
    assert table["abstained"].tolist() == [abstains]
    assert table["label"].tolist() == ["joy"]  # the label stays, marked as unsure
