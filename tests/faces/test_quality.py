"""Size, pose, sharpness and motion of faces, checked on drawn heads with known turns."""

import cv2
import numpy as np
import pytest

from fer_jax.faces import quality
from fer_jax.faces.landmark_csv import read_landmark_csv
from fer_jax.faces.landmarks import MEAN_FACE, MIRROR_68, eye_distance
from fer_jax.faces.tracker import Tracker
from fer_jax.faces.video import open_frames
from fer_jax.predict.people import LEAST_MOTION, LEAST_SHARPNESS, OVER_NOISE
from fer_jax.synthetic.clips import make_clip, project, render
from fer_jax.synthetic.face_model import PROPORTIONS, neutral_shape


def turned(yaw=0.0, pitch=0.0, roll=0.0, people=10):
    """Landmarks of drawn people whose heads are turned by degrees, with noise of a tracker."""
    rng = np.random.default_rng(0)
    shapes = [
        neutral_shape({name: sd * rng.standard_normal() for name, sd in PROPORTIONS.items()})
        for _ in range(people)
    ]
    angles = np.radians([[yaw, -pitch, roll]] * people)  # drawn heads nod for a positive pitch
    points = project(np.stack(shapes), angles, 60.0, np.full((people, 2), 128.0))
    return points + rng.normal(0, 0.6, points.shape)


FIVE = (range(36, 42), range(42, 48), [30], [48], [54])


@pytest.mark.parametrize(("yaw", "roll"), [(0, 0), (20, 0), (-40, 0), (10, -30)])
def test_yaw_and_roll_of_five_points(yaw, roll):
    points = turned(yaw, 0, roll)
    five = np.stack([points[:, list(some)].mean(1) for some in FIVE], axis=1)
    pose = quality.turn_of_five(five)
    assert np.median(pose.yaw) == pytest.approx(yaw, abs=5)
    assert np.median(pose.roll) == pytest.approx(roll, abs=4)
    assert np.isnan(pose.pitch).all()


def test_unknown_points_have_no_pose():
    pose = quality.turn_of_five(np.full((3, 5, 2), np.nan))
    assert all(np.isnan(angle).all() and angle.shape == (3,) for angle in pose)


@pytest.mark.parametrize(
    "yaw, pitch, roll",
    [(0, 0, 0), (20, 0, 0), (-40, 0, 0), (0, 15, 0), (0, -20, 0), (0, 0, 35), (0, 0, -60),
     (20, 10, 5)],
)  # fmt: skip
def test_pose_of_drawn_heads(yaw, pitch, roll):
    pose = quality.head_pose(turned(yaw, pitch, roll))
    assert np.median(pose.yaw) == pytest.approx(yaw, abs=4)
    assert np.median(pose.pitch) == pytest.approx(pitch, abs=4)
    assert np.median(pose.roll) == pytest.approx(roll, abs=4)


def test_mean_turn_is_the_mean_over_the_frames_of_each_clip():
    front, side = turned(0, 0, 0), turned(20, 10, 5)
    clips = np.stack([front, side, np.concatenate([front[::2], side[::2]])[: len(front)]])
    alone = [quality.head_pose(clip) for clip in clips]
    expected = [[pose.yaw.mean(), pose.pitch.mean()] for pose in alone]
    np.testing.assert_allclose(quality.mean_turn(clips), expected, atol=1e-9)
    assert quality.mean_turn(clips)[2] == pytest.approx([10, 5], abs=4)


def test_mirrored_head_turns_the_other_way():
    points = turned(25, 10, 15)
    mirrored = points[:, MIRROR_68] * [-1, 1]
    pose, other = quality.head_pose(points), quality.head_pose(mirrored)
    np.testing.assert_allclose(other.yaw, -pose.yaw, atol=1e-6)
    np.testing.assert_allclose(other.pitch, pose.pitch, atol=1e-6)
    np.testing.assert_allclose(other.roll, -pose.roll, atol=1e-6)


def test_pose_depends_on_neither_place_nor_size():
    points = turned(12, -5, 3)
    for one, other in zip(
        quality.head_pose(points), quality.head_pose(7 * points - 300), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.fixture(scope="module")
def drawn():
    clip = make_clip(0, 3, 1, frames=8)
    return next(render(clip.true_landmarks, clip.identity, size=512)), clip.true_landmarks[0] * 2


def test_blur_lowers_sharpness_and_size_or_light_do_not(drawn):
    image, points = drawn
    clear = quality.sharpness(image, points)
    blurred = [
        quality.sharpness(cv2.GaussianBlur(image, (0, 0), s * eye_distance(points)), points)
        for s in (0.03, 0.06, 0.12)
    ]
    assert clear > blurred[0] > blurred[1] > blurred[2]
    dim = (image * 0.5).astype(np.uint8)
    assert quality.sharpness(dim, points) == pytest.approx(clear, rel=0.25)
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert quality.sharpness(half, (points + 0.5) / 2 - 0.5) == pytest.approx(clear, rel=0.4)


@pytest.mark.parametrize("worse", ["blur", "noise", "blocks"])
def test_blurred_face_is_below_the_limit_whatever_lies_over_it(drawn, worse):
    image, points = drawn
    image = cv2.GaussianBlur(image, (0, 0), 0.1 * eye_distance(points))
    if worse == "noise":
        noise = np.random.default_rng(0).normal(0, 8, image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    elif worse == "blocks":
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1)
    assert quality.sharpness(image, points) < LEAST_SHARPNESS


def test_real_faces_are_sharp_until_they_are_blurred(real_data):
    image = cv2.imread(str(real_data / "videos" / "pyfeat_multi_face.jpg"))
    faces = Tracker().step(image)
    assert len(faces) == 4
    for face in faces:
        blurred = cv2.GaussianBlur(image, (0, 0), 0.12 * eye_distance(face.landmarks))
        assert quality.sharpness(image, face.landmarks) > 1.5 * LEAST_SHARPNESS
        assert (
            quality.sharpness(blurred, face.landmarks)
            < quality.sharpness(image, face.landmarks) / 3
        )


@pytest.mark.parametrize("axis", [0, 1])
def test_motion_blur_lowers_sharpness_in_either_direction(drawn, axis):
    image, points = drawn
    for moved, most in ((0.15, 1.0), (0.4, LEAST_SHARPNESS / quality.sharpness(image, points))):
        size = [1, 1]
        size[axis] = round(moved * eye_distance(points))
        blurred = cv2.blur(image, size)
        assert quality.sharpness(blurred, points) < most * quality.sharpness(image, points)


@pytest.mark.parametrize("size", [(25, 1), (1, 25)])
def test_motion_blur_of_a_real_face_is_below_the_limit(real_data, size):
    frames = open_frames(real_data / "videos" / "intel_head-pose-face-detection-male.mp4", 0)
    image = next(iter(frames))[1]
    (face,) = Tracker().step(image)
    assert quality.sharpness(image, face.landmarks) > 1.5 * LEAST_SHARPNESS
    assert quality.sharpness(cv2.blur(image, size), face.landmarks) < LEAST_SHARPNESS


def test_sharpness_of_what_is_no_face_is_unknown(drawn):
    assert np.isnan(quality.sharpness(drawn[0], np.zeros((68, 2))))
    assert np.isnan(quality.sharpness(np.full((200, 200, 3), 90, np.uint8), MEAN_FACE * 40 + 100))


def test_motion_is_of_the_face_not_of_the_head():
    rng = np.random.default_rng(0)
    steps = np.linspace(0, 1, 50)
    noise = rng.normal(0, 0.5, (50, 68, 2))
    still = MEAN_FACE * 60 + noise
    turn = np.exp(1j * 0.4 * steps)[:, None]
    rolled = (MEAN_FACE[:, 0] + 1j * MEAN_FACE[:, 1]) * 60 * turn
    rolled = np.stack([rolled.real, rolled.imag], -1) + noise + 80 * steps[:, None, None]
    smile = still.copy()
    right, left = [48, 49, 59, 60], [54, 53, 55, 64]
    smile[:, right + left] += np.repeat([[-7, -6], [7, -6]], 4, axis=0) * steps[:, None, None]
    assert quality.motion(still).moved < 0.01 and quality.motion(rolled).moved < 0.01
    assert quality.motion(smile).moved > 0.025
    assert quality.motion(still[:1]) == (0, np.inf)


def test_brief_event_is_no_motion():
    rng = np.random.default_rng(0)
    held = MEAN_FACE * 60 + rng.normal(0, 0.3, (50, 68, 2))
    for frames, motion in ((5, False), (20, True)):
        ended = held.copy()
        ended[-frames:, 48:60] += [0, 8]  # the mouth opens at the end
        assert (quality.motion(ended).moved > 0.02) == motion
    begun = held.copy()
    begun[5:, 48:60] += [0, 8]  # from then on it stays open
    assert quality.motion(begun).moved > 0.02
    few = quality.motion(ended[16:36], length=150).moved, quality.motion(ended[16:36]).moved
    assert few[0] < 0.02 < few[1]  # a face that is seen briefly


def test_noise_of_motion_is_that_of_the_landmarks():
    rng = np.random.default_rng(0)
    smile = np.zeros((60, 68, 2))
    smile[:, 48:60] = np.sin(np.linspace(0, 3, 60))[:, None, None] * [0, 9]
    for pixels in (0.2, 1.0):
        noise = rng.normal(0, pixels, (60, 68, 2))
        still, moved = (quality.motion(MEAN_FACE * 60 + noise + part) for part in (0, smile))
        assert moved.noise == pytest.approx(still.noise, rel=0.05)
        assert still.moved == pytest.approx(still.noise, rel=0.4)
        assert moved.moved > 0.02


@pytest.mark.parametrize(("label", "most"), [("happiness", 0), ("sadness", 0), ("neutral", 45)])
def test_recorded_expressions_move_more_than_their_noise(real_data, label, most):
    files = sorted((real_data / "buhmap" / "openface").glob(f"s??_{label}_r?.csv"))
    found = [quality.motion(read_landmark_csv(file, 25.0)[0].landmarks) for file in files]
    held = [each for each in found if each.moved < np.clip(OVER_NOISE * each.noise, *LEAST_MOTION)]
    assert len(files) == 45 and most * 0.5 <= len(held) <= most


@pytest.mark.parametrize(
    ("name", "first", "length"),
    [("videos/intel_head-pose-face-detection-male.mp4", 0, 25), ("field/cut.mp4", 48, 48)],
)
def test_held_smile_is_no_motion_wherever_the_window_begins(real_data, name, first, length):
    tracker, points = Tracker(), []
    for index, image in open_frames(real_data / name):
        if index >= first:
            points += [face.landmarks for face in tracker.step(image)]
    for start in range(len(points) - length + 1):
        found = quality.motion(np.stack(points[start : start + length]))
        assert found.moved < np.clip(OVER_NOISE * found.noise, *LEAST_MOTION)
