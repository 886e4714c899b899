"""The engine of the live view: the rows of a stream, picture by picture."""

import pathlib
import threading

import cv2
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax import shipped
from fer_jax.faces import detector
from fer_jax.faces.boxes import network
from fer_jax.live.engine import MOST_ROWS, Engine
from fer_jax.live.warm_up import made_up_window, warm_up
from fer_jax.predict.windows import ClipProblem

SAMPLES = 5
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model():
    return fer_jax.load_model("faces")


def portrait(width: int = 160) -> np.ndarray:
    picture = cv2.cvtColor(cv2.imread(str(shipped.PORTRAIT)), cv2.COLOR_BGR2RGB)
    height = round(width * picture.shape[0] / picture.shape[1])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def room(*places: int, width: int = 480) -> np.ndarray:
    """A gray picture with the portrait at each place, pixels from the left."""
    face = portrait()
    image = np.full((face.shape[0], width, 3), 90, np.uint8)
    for place in places:
        image[:, place : place + face.shape[1]] = face
    return image


def watched(engine: Engine, pictures, fps: float = 25.0) -> list:
    return [engine.look(picture, index / fps) for index, picture in enumerate(pictures)]


def test_rows_are_those_of_predict_frames(model):
    """At a rate that divides the window, both cut the same windows."""
    pictures = [room(100 + index) for index in range(24)]
    engine = Engine(model, mc_samples=SAMPLES)
    watched(engine, pictures, fps=20.0)
    expected = pd.DataFrame(
        fer_jax.predict_frames(model, pictures, fps=20.0, mc_samples=SAMPLES, people="all")
    )
    own = pd.DataFrame(engine.rows())[list(expected)]
    pd.testing.assert_frame_equal(own, expected.iloc[: len(own)], atol=1e-9)
    assert len(expected) - len(own) <= 1  # the window at the end of the stream


def test_people_have_their_newest_rows(model):
    engine = Engine(model, mc_samples=SAMPLES)
    seen = watched(engine, [room(10, 300)] * 12)
    first, last = seen[0], seen[-1]
    assert [person.row for person in first.people] == [None, None]
    assert {person.number for person in first.people} == {0}
    assert sorted(person.number for person in last.people) == [1, 2]
    for person in last.people:
        assert person.row["label"] == "happiness" and person.points.shape == (2, 2)
        assert person.row["person"] == person.number
    centres = sorted(person.points.mean(0)[0] for person in last.people)
    assert centres[0] < 240 < centres[1]


def test_largest_alone_is_predicted_on_request(model):
    engine = Engine(model, mc_samples=SAMPLES, people="largest")
    picture, small = room(10), portrait(110)
    picture[: small.shape[0], 300 : 300 + small.shape[1]] = small
    last = watched(engine, [picture] * 12)[-1]
    left, right = sorted(last.people, key=lambda person: person.points[0, 0])  # both are boxed
    assert left.row is not None and right.row is None


def test_picture_without_a_face_has_rows_that_say_so(model):
    engine = Engine(model, mc_samples=SAMPLES)
    seen = watched(engine, [room()] * 12)
    assert not any(each.people for each in seen)
    assert {row["reason"] for row in engine.rows()} == {"unreadable: no face"}
    assert all(row["abstained"] and row["frames"] == 0 for row in engine.rows())


def test_face_that_left_has_no_row_any_more(model):
    engine = Engine(model, mc_samples=SAMPLES)
    there = [room(100)] * 10
    seen = watched(engine, [*there, *[room()] * 30, *there[:2]])
    assert seen[9].people[0].row is not None
    assert seen[39].people == []
    assert [person.row for person in seen[-1].people] == [None]  # the old one is out of date


def test_picture_of_another_size_begins_a_new_stream(model):
    """Nobody is recognised in it, so its people have numbers that no row has yet."""
    engine = Engine(model, mc_samples=SAMPLES)
    watched(engine, [room(10, 300)] * 8)
    before = len(engine.rows())
    seen = [engine.look(room(100, width=400), 1 + index / 25) for index in range(8)]
    assert seen[-1].people[0].number == 3 == seen[-1].people[0].row["person"]
    assert [row["person"] for row in engine.rows()[:before]] == [1, 2] * (before // 2)
    assert {row["person"] for row in engine.rows()[before:]} == {3}
    empty = [engine.look(room(), 2 + index / 25) for index in range(8)][-1]
    assert {row["person"] for row in empty.rows} <= {0}


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_impossible_moment_is_refused(model, seconds):
    """A page may send any number: the window after infinity never comes."""
    engine = Engine(model, mc_samples=SAMPLES)
    with pytest.raises(ValueError, match="give seconds from any fixed moment"):
        engine.look(room(100), seconds)
    watched(engine, [room(100)] * 8)
    with pytest.raises(ValueError, match="give seconds from any fixed moment"):
        engine.look(room(100), seconds)
    assert engine.look(room(100), 1e6).people  # after eleven days asleep
    with pytest.raises(ValueError, match="not later"):
        engine.look(room(100), 2.0)


def test_page_and_guide_say_how_many_rows_are_kept():
    for file in ("fer_jax/live/web/camera.html", "docs/live.md"):
        assert f"the newest {MOST_ROWS:,}" in (ROOT / file).read_text(), file


def test_oldest_rows_are_forgotten(model, monkeypatch):
    monkeypatch.setattr("fer_jax.live.engine.MOST_ROWS", 3)
    engine = Engine(model, mc_samples=SAMPLES)
    watched(engine, [room(100)] * 24)
    assert [round(row["start"], 1) for row in engine.rows()] == [0.5, 0.6, 0.7]


def test_faulty_picture_is_refused_and_the_next_one_seen(model):
    engine = Engine(model, mc_samples=SAMPLES)
    engine.look(room(100), 0.0)
    with pytest.raises(ValueError, match=r"give RGB \[H, W, 3\] of uint8"):
        engine.look(room(100).astype(float), 0.1)
    with pytest.raises(ValueError, match="not later"):
        engine.look(room(100), 0.0)
    with pytest.raises(ValueError, match="is empty"):
        engine.look(np.zeros((0, 0, 3), np.uint8), 0.2)
    assert engine.look(room(100), 0.3).people


def test_error_of_the_stream_is_raised_and_ends_it(model, monkeypatch):
    engine = Engine(model, mc_samples=SAMPLES)
    engine.look(room(100), 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(type(model), "predict", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            for index in range(1, 20):
                engine.look(room(100), index / 25)
    assert watched(engine, [room(100)] * 8)[-1].people[0].row is not None


def test_missing_detector_is_said(model, tmp_path):
    engine = Engine(model, mc_samples=SAMPLES, landmark_model=tmp_path / "none.dat")
    with pytest.raises(ClipProblem, match=r"none\.dat does not exist"):
        engine.look(room(100), 0.0)


def test_closing_ends_the_thread_and_keeps_the_rows(model):
    before = threading.active_count()
    engine = Engine(model, mc_samples=SAMPLES)
    engine.close()
    watched(engine, [room(100)] * 8)
    assert threading.active_count() == before + 1
    engine.close()  # the process may end next, which a thread inside JAX does not survive
    assert threading.active_count() == before and engine.rows()
    engine.close()


@pytest.mark.parametrize("name", shipped.names())
def test_warm_up_loads_what_finds_faces(name):
    detector._dlib_models.cache_clear()
    network._idle.clear()
    warm_up(fer_jax.load_model(name), SAMPLES)
    assert network._idle or detector._dlib_models.cache_info().currsize


def test_warm_up_says_what_is_missing(model, tmp_path):
    with pytest.raises(ClipProblem, match=r"none\.dat does not exist"):
        warm_up(model, SAMPLES, tmp_path / "none.dat")


@pytest.mark.parametrize("name", shipped.names())
def test_warm_up_compiles_what_predicts_a_window(name):
    predictor = fer_jax.load_model(name)
    assert not predictor.is_compiled(3)
    warm_up(predictor, 3)
    assert predictor.is_compiled(3)
    assert np.isfinite(predictor.predict(made_up_window(predictor), mc_samples=3).mean).all()
