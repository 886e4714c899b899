"""Prediction of frames as they come, with known landmarks."""

import dataclasses
import itertools
import pathlib
import sys

import numpy as np
import pytest

from fer_jax.faces.landmarks import BOX, EYES, FER2013
from fer_jax.predict import api
from fer_jax.predict.windows import columns
from tests.predict.fakes import CLASSES, POINTS, picture


def test_frames_with_known_landmarks_need_no_detector(crop_predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    images = [picture(51)] * 10 + [picture(204)] * 10
    landmarks = [POINTS] * 15 + [None, np.full((68, 2), np.nan)] + [POINTS] * 3
    rows = list(api.predict_frames(crop_predictor, images, landmarks, fps=10, stride=1))
    assert [list(row) for row in rows] == [columns(CLASSES)[1:]] * 2
    assert [row["joy"] for row in rows] == pytest.approx([0.2, 0.8])
    assert [row["frames"] for row in rows] == [10, 8]
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1), (1, 2)]


@pytest.mark.parametrize("framing", [FER2013, EYES, BOX], ids=["fer2013", "eyes", "box"])
def test_faces_are_cut_with_the_framing_of_training(crop_predictor, framing):
    from fer_jax.faces.crop import cut_crop

    images = list(np.random.default_rng(0).integers(0, 256, (4, 240, 320, 3), np.uint8))
    respond, looked = crop_predictor.predict, []

    def look(crops, **options):
        looked.append(crops[0])
        return respond(crops, **options)

    crop_predictor.predict = look
    crop_predictor.spec = dataclasses.replace(crop_predictor.spec, framing=framing)
    points = POINTS.astype(np.float32)
    next(api.predict_frames(crop_predictor, images, [points] * 4, fps=4))
    wanted = [cut_crop(image, points, 32, framing)[0] for image in images]
    np.testing.assert_array_equal(looked[0], wanted)
    assert (looked[0][0] != cut_crop(images[0], points, 32)[0]).mean() > 0.5


def test_frames_work_for_models_of_landmarks_and_cost_no_crops(predictor, monkeypatch):
    monkeypatch.setattr("fer_jax.faces.crop.cut_crop", None)  # a call would fail
    rows = api.predict_frames(predictor, [picture(0)] * 10, [POINTS] * 10, fps=10)
    assert next(rows)["joy"] == pytest.approx(POINTS[:, 0].mean() / 320)  # the width of the images
    assert not list(rows)


def test_predict_frames_yields_rows_while_a_camera_runs(crop_predictor):
    taken = []

    def camera():
        while True:
            taken.append(1)
            yield picture(102)

    rows = api.predict_frames(crop_predictor, camera(), itertools.repeat(POINTS), fps=10)
    assert next(rows)["joy"] == pytest.approx(0.4) and len(taken) == 10
    assert next(rows)["start"] == 0.5 and len(taken) == 15


def test_face_that_cannot_be_aligned_counts_as_not_seen(crop_predictor):
    rows = api.predict_frames(crop_predictor, [picture(51)] * 2, [POINTS, 0 * POINTS], fps=2)
    assert next(rows)["frames"] == 1


@pytest.mark.parametrize(
    "images, landmarks, message",
    [
        ([picture(0), picture(0)[..., 0]], [POINTS] * 2, r"image 1 is uint8 \[240, 320\]"),
        ([picture(0) / 255], [POINTS], "image 0 is float64"),
        ([picture(0)] * 2, [POINTS, POINTS[:51]], r"landmarks of image 1 are \[51, 2\]"),
        ([picture(0)] * 3, [POINTS] * 2, "differ in number, one has 2"),
        ([picture(0)], [POINTS] * 2, "differ in number, one has 1"),
        ([(True, picture(0))], [POINTS], "image 0 is a tuple"),
        ([picture(0)], ["face.csv"], "landmarks of image 0 is a str"),
        ([picture(0), picture(0)[:100]], [POINTS] * 2, "image 1 is .* images of one size"),
        ([picture(0)] * 2, [POINTS, 100 * POINTS], "landmarks of image 1 lie around 16"),
    ],
)
def test_frames_of_another_shape_are_refused(crop_predictor, images, landmarks, message):
    with pytest.raises(ValueError, match=message):
        list(api.predict_frames(crop_predictor, images, landmarks))


@pytest.mark.parametrize("images", ["clip.mp4", pathlib.Path("clip.mp4")])
def test_path_in_place_of_images_is_named(crop_predictor, images):
    with pytest.raises(TypeError, match="clip.mp4.* give it to predict_clips"):
        api.predict_frames(crop_predictor, images)


@pytest.mark.parametrize("given", [5, object(), np.float32(3)])
@pytest.mark.parametrize("name", ["images", "landmarks", "boxes"])
def test_what_holds_nothing_for_each_image_is_named(crop_predictor, given, name):
    arguments = {"images": [picture(51)], name: given}
    with pytest.raises(TypeError, match=f"^{name} is .*of type .*: give "):
        api.predict_frames(crop_predictor, **arguments)  # before a row is asked for


@pytest.mark.parametrize("image", [5, {"a": 1}, b"a.jpg"])
def test_image_that_is_no_array_is_named(crop_predictor, image):
    with pytest.raises(ValueError, match="^image 1 is .* of type .*: give RGB"):
        list(api.predict_frames(crop_predictor, [picture(51), image], [POINTS] * 2))


@pytest.mark.parametrize("dropped", [None, np.zeros((0, 0, 3), np.uint8)])
@pytest.mark.parametrize("points", [np.full((68, 2), 7.0), np.zeros((68, 2))])
def test_empty_images_and_points_show_no_face(crop_predictor, dropped, points):
    images, landmarks = [picture(51), dropped, picture(51)], [POINTS, POINTS, points]
    (row,) = api.predict_frames(crop_predictor, images, landmarks, fps=3, window=1)
    assert row["frames"] == 1


def test_no_frames_give_no_rows(crop_predictor):
    assert not list(api.predict_frames(crop_predictor, [], []))


@pytest.mark.parametrize("dropped", [(0,), (4, 5), (0, 1, 19)])
def test_dropped_frames_count_as_without_a_face(crop_predictor, dropped):
    images = [None if index in dropped else picture(51) for index in range(20)]
    rows = list(api.predict_frames(crop_predictor, images, [POINTS] * 20, fps=10, stride=1))
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1), (1, 2)]
    assert sum(row["frames"] for row in rows) == 20 - len(dropped)


@pytest.mark.parametrize(("fps", "moved", "people"), [(25, 8, [1, 2]), (25, 3, [1]), (2, 8, [1])])
def test_given_landmarks_that_jump_are_of_another_person(predictor, fps, moved, people):
    images = [picture(51)] * 20
    size = np.ptp(POINTS, axis=0).max()
    landmarks = [POINTS + [moved / 10 * size * (index >= 10), 0] for index in range(20)]
    options = {"fps": fps, "window": 10 / fps, "stride": 10 / fps, "people": "all"}
    rows = list(api.predict_frames(predictor, images, landmarks, **options))
    assert sorted({row["person"] for row in rows}) == people
