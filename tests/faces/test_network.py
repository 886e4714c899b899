"""The network that finds faces where no landmarks are needed; the extra `detect` has it."""

import concurrent.futures
import sys

import cv2
import numpy as np
import pytest

import fer_jax
from fer_jax.faces import detector
from fer_jax.faces.boxes import network
from fer_jax.faces.boxes.followed import overlaps
from fer_jax.faces.orientation import upright_rotation
from fer_jax.faces.tracker import Tracker
from fer_jax.predict.windows import ClipProblem
from fer_jax.synthetic.clips import make_clip
from fer_jax.synthetic.render import render

needs_network = pytest.mark.skipif(network.network() is None, reason="needs the extra detect")


@pytest.fixture(scope="module")
def clip():
    """A drawn person, `[T, H, W, 3]`, and the landmarks `[T, 68, 2]`."""
    made = make_clip(0, 1, 3)
    points = made.true_landmarks[:12]
    return np.stack(list(render(points, made.identity, seed=0))), points


def boxes_of(faces):
    return np.array([face.boxed.box for face in faces]).reshape(-1, 4)


def truth_of(points):
    return np.r_[points.min(0), points.max(0)][None]


@needs_network
@pytest.mark.parametrize("larger", [1, 3])
def test_drawn_faces_are_found_and_followed(clip, larger):
    tracker = Tracker(detector=network.BoxDetector())
    for image, points in zip(*clip, strict=True):
        image = cv2.resize(image, None, fx=larger, fy=larger, interpolation=cv2.INTER_CUBIC)
        (face,) = tracker.step(image)
        points = larger * points
        assert face.track == 0 and face.fit > 0.6
        assert overlaps(boxes_of([face]), truth_of(points))[0, 0] > 0.5
        eyes = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
        size = np.ptp(points[:, 0])
        np.testing.assert_allclose(face.boxed.five[:2], eyes, atol=0.1 * size)
        placed = np.stack([face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)])
        np.testing.assert_allclose(placed, eyes, atol=0.15 * size)


@needs_network
def test_two_people_keep_their_tracks_and_gray_frames_are_searched_too(clip):
    tracker = Tracker(detector=network.BoxDetector())
    for image in clip[0]:
        both = np.concatenate([image, image[:, ::-1]], axis=1)
        assert {face.track for face in tracker.step(both)} == {0, 1}
    alone = Tracker(detector=network.BoxDetector())
    assert len(alone.step(cv2.cvtColor(clip[0][0], cv2.COLOR_RGB2GRAY))) == 1


@needs_network
@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_turned_pictures_become_upright(clip, turned, tmp_path):
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), np.ascontiguousarray(np.rot90(clip[0][0], turned)[..., ::-1]))
    assert upright_rotation(path, detector=network.BoxDetector()) == 90 * turned


@needs_network
def test_no_face_is_found_in_noise_and_plain_pictures():
    rng = np.random.default_rng(0)
    pictures = [np.full((90, 120, 3), 128, np.uint8), rng.integers(0, 256, (360, 640, 3), np.uint8)]
    for picture in pictures:
        assert Tracker(detector=network.BoxDetector()).step(picture) == []


@needs_network
def test_threads_find_what_one_thread_finds(clip):
    def search(image):
        return [face for face, _ in network.BoxDetector().search(image)]

    images = [*clip[0], *clip[0]]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(search, images))
    for one, other in zip(found, map(search, images), strict=True):
        np.testing.assert_array_equal(one, other)


@needs_network
def test_models_of_crops_predict_without_dlib(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    model = fer_jax.load_model("faces")
    row = next(fer_jax.predict_frames(model, [clip[0][0]], mc_samples=2))
    assert row["frames"] == 1 and abs(row["yaw"]) < 20 and np.isnan(row["pitch"])
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), clip[0][0][..., ::-1])
    for predict in (fer_jax.predict_images, fer_jax.predict_clips):
        table = predict(model, path, mc_samples=2, say=lambda note: None)
        assert table["label"][0] == row["label"]
        assert overlaps(table.filter(like="box_").to_numpy(), truth_of(clip[1][0]))[0, 0] > 0.5


@needs_network
def test_who_asks_for_a_landmark_model_gets_dlib(clip, tmp_path, monkeypatch):
    model = fer_jax.load_model("faces")
    with pytest.raises(ClipProblem, match="mine.dat does not exist"):
        next(fer_jax.predict_frames(model, [clip[0][0]], landmark_model=tmp_path / "mine.dat"))
    monkeypatch.setenv(detector.MODEL_VARIABLE, "other.dat")
    with pytest.raises(ClipProblem, match="other.dat does not exist"):
        next(fer_jax.predict_frames(model, [clip[0][0]]))


def test_without_any_detector_the_error_names_both_extras(monkeypatch):
    monkeypatch.setattr(detector, "packaged", lambda *names: None)
    monkeypatch.delenv(detector.MODEL_VARIABLE, raising=False)
    model = fer_jax.load_model("faces")
    with pytest.raises(ClipProblem, match=r"\[preprocess\].*enough for this model.*\[detect\]"):
        next(fer_jax.predict_frames(model, [np.zeros((90, 90, 3), np.uint8)]))
    with pytest.raises(detector.LandmarkModelError, match=r"\[detect\]"):
        network.BoxDetector()
