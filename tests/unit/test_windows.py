import types
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.data import select_frames
from fer_jax.landmarks import MEAN_FACE
from fer_jax.uncertainty import summarise
from fer_jax.windows import (
    ClipProblem,
    Options,
    Source,
    borders,
    columns,
    largest_face,
    predict_source,
    sliding,
)

CLASSES = ("anger", "joy", "calm")


def fake_predictor(threshold=0.9, window_seconds=1.0):
    """Says joy the further right the face is; 12 passes that differ a little."""

    def predict(landmarks, *, passes, seed, frame_width):
        assert landmarks.shape == (1, 4, 68, 2)
        joy = np.clip(landmarks[..., 0].mean() / max(frame_width, 1), 0.05, 0.95)
        noise = np.linspace(-0.04, 0.04, passes)[:, None]
        joy = joy + noise
        return summarise(np.stack([0.7 * (1 - joy), joy, 0.3 * (1 - joy)], axis=-1))

    return types.SimpleNamespace(
        classes=CLASSES, threshold=threshold, window_seconds=window_seconds, predict=predict,
        select=lambda detected: select_frames(detected, 4, "uniform"),
    )  # fmt: skip


def face(x=320.0, size=40.0):
    return (MEAN_FACE * size + [x, 240]).astype(np.float32)


def source(frames, **more):
    defaults = dict(path="clip.mp4", faces=frames, pictures=lambda: iter(()), fps=10.0, width=640)
    return Source(**(defaults | {"announced": len(list(frames))} | more))


def predict(frames, predictor=None, options=None, **more):
    predictor, options = predictor or fake_predictor(), options or Options(passes=12)
    return predict_source(predictor, source(frames, **more), options, say=lambda text: None)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 30))
def test_windows_have_their_length_and_cover_the_tail(count, length, stride):
    frames = [{0: index} for index in range(count)]
    windows = list(sliding(frames, length, stride))
    for first, window in windows:
        assert [faces[0] for faces in window] == list(range(first, first + len(window)))
        assert len(window) == min(length, count)
    starts = [first for first, _ in windows]
    assert starts == sorted(set(starts))
    assert all(first % stride == 0 for first in starts[:-1])
    if count:
        assert starts[-1] + len(windows[-1][1]) == count
    if stride <= length:
        seen = {faces[0] for _, window in windows for faces in window}
        assert seen == set(range(count))


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
    for _, window in sliding(frames(), 20, 5):
        del window
        most = max(most, len(alive))
    assert most <= 22


def test_the_face_that_is_largest_over_the_window_counts():
    near, far = face(size=60), face(x=100, size=30)
    window = [{1: near, 0: far}, {0: far}, {0: far}, {}]
    track, landmarks, detected = largest_face(window)
    assert track == 0  # three times 30 is more than once 60
    assert detected.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(landmarks[0], far)
    assert not landmarks[3].any()
    assert largest_face(window[:1])[0] == 1


def test_nobody_in_the_window():
    track, landmarks, detected = largest_face([{}, {}])
    assert track is None and not detected.any() and landmarks.shape == (2, 68, 2)


def test_every_moment_belongs_to_the_nearest_window():
    np.testing.assert_allclose(borders([0, 1, 1.5], [2, 3, 3.5]), [0, 1.5, 2.25, 3.5])
    np.testing.assert_allclose(borders([0.0], [0.4]), [0, 0.4])


def test_a_table_row_for_every_window():
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


def test_a_short_clip_is_one_window_and_keeps_its_place_in_time():
    table = predict([{0: face()}] * 4, first=30)
    assert table[["start", "end"]].to_numpy().tolist() == [[3.0, 3.4]]


def test_windows_without_a_face_keep_their_row():
    table = predict([{0: face(x=580)}] * 10 + [{}] * 10, options=Options(passes=12, stride=1.0))
    assert table["label"].tolist()[1] == "no face"
    assert table["frames"].tolist() == [10, 0]
    assert table["abstained"].tolist() == [False, True]
    assert table.loc[1, [*CLASSES, "entropy", "mutual_information", "agreement"]].isna().all()
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
    options = Options(passes=12, threshold=asked)
    table = predict([{0: face(x=500)}] * 10, fake_predictor(threshold=own), options)
    assert table["abstained"].tolist() == [abstains]
    assert table["label"].tolist() == ["joy"]  # the label stays, marked as unsure


def test_a_class_may_not_be_named_like_a_column():
    with pytest.raises(ValueError, match="named like a column"):
        columns(("joy", "entropy"))
