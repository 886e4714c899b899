"""The default dataset: reproducible clips with the action units of their labels."""

import dataclasses

import numpy as np
import pytest

from fer_jax.faces.labels import EMOTIONS
from fer_jax.faces.landmarks import MIRROR_68, eye_distance
from fer_jax.synthetic import face_model
from fer_jax.synthetic.clips import (
    ACTION_UNITS,
    CLASSES,
    make_clip,
    make_dataset,
    make_identity,
    render,
    splits,
    write_video,
)
from fer_jax.synthetic.render import fit_to_frame

CORE = {
    name: [unit for unit, (probability, _, _) in units.items() if probability == 1]
    for name, units in face_model.RECIPES.items()
}


def intensity(clip, unit):
    return clip.action_units[:, ACTION_UNITS.index(unit)]


def same(first, second):
    return all(
        np.array_equal(getattr(first, field), getattr(second, field))
        for field in ("landmarks", "true_landmarks", "action_units", "mixture")
    )


def test_classes_are_the_emotions_and_neutral_in_alphabetical_order():
    assert set(CLASSES) == {*EMOTIONS, "neutral"} and list(CLASSES) == sorted(CLASSES)
    assert set(face_model.RECIPES) == set(face_model.CONFUSABLE) == {*CLASSES, "contempt", "relief"}
    assert {1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26} <= set(ACTION_UNITS)


def test_shapes_and_types():
    clip = make_clip(0, 3, 7, frames=45)
    assert clip.clip_id == "s003_0007" and clip.subject == "s003" and clip.label == CLASSES[0]
    assert clip.landmarks.shape == clip.true_landmarks.shape == (45, 68, 2)
    assert clip.action_units.shape == (45, len(ACTION_UNITS))
    assert clip.landmarks.dtype == clip.action_units.dtype == np.float32
    assert clip.mixture.shape == (7,) and clip.mixture.sum() == pytest.approx(1)
    assert clip.true_landmarks.min() > 0 and clip.true_landmarks.max() < 256


def test_clips_do_not_depend_on_order_or_on_each_other():
    whole = {clip.clip_id: clip for clip in make_dataset(subjects=3, clips_per_subject=7, seed=5)}
    for subject, index in ((2, 6), (0, 3), (1, 0)):
        alone = make_clip(5, subject, index)
        assert same(alone, whole[alone.clip_id])
    assert not same(make_clip(6, 0, 3), whole["s000_0003"])


def test_embedded_dataset_is_reproducible():
    """Values of the first version, on which published results and prepared datasets depend."""
    clip = make_clip(3, 2, 5, difficulty=0.4)
    assert (clip.clip_id, clip.label, len(clip.landmarks)) == ("s002_0005", "sadness", 50)
    np.testing.assert_allclose(
        clip.landmarks[[0, 20], [8, 48]], [[131.77, 224.77], [103.22, 197.86]], atol=0.01
    )
    np.testing.assert_allclose(clip.true_landmarks.mean(), 140.6242, atol=1e-3)
    np.testing.assert_allclose(
        clip.action_units.sum(0)[[0, 4, 10]], [28.871, 7.704, 14.908], atol=2e-3
    )
    frame = next(render(clip.true_landmarks[20:21], clip.identity, seed=7))
    np.testing.assert_allclose(frame.mean((0, 1)), [175.18, 167.19, 154.81], atol=0.1)
    sample = [[185, 169, 147, 199], [182, 181, 174, 186], [159, 189, 202, 160], [155, 120, 61, 129]]
    np.testing.assert_allclose(frame[::64, ::64, 1].astype(int), sample, atol=1)


def test_classes_are_balanced():
    labels = [clip.label for clip in make_dataset(subjects=2, clips_per_subject=14)]
    assert {labels.count(name) for name in CLASSES} == {4}


@pytest.mark.parametrize("subjects", [3, 10, 30])
def test_splits_share_no_subject_and_lose_none(subjects):
    parts = splits(subjects)
    assert list(parts) == ["train", "validation", "test"]
    assert all(parts.values())
    together = sum(parts.values(), [])
    assert len(together) == len(set(together)) == subjects


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        splits(2)
    with pytest.raises(ValueError, match="difficulty is 1.5"):
        make_clip(0, 0, 0, difficulty=1.5)
    with pytest.raises(ValueError, match="at least 2 frames"):
        make_clip(0, 0, 0, frames=1)


@pytest.mark.parametrize("index", range(7))
def test_expression_rises_from_rest_to_its_core_units_and_falls(index):
    for subject in range(4):
        clip = make_clip(1, subject, index, difficulty=0.0)
        middle = len(clip.action_units) // 2
        for unit in CORE[clip.label]:
            course = intensity(clip, unit)
            assert course[0] < 0.02 and course[-1] < 0.25 * course[middle]
            assert course[middle] > 0.25
            assert course[middle] > 0.95 * course.max() or unit in (25, 26)


def test_emotions_overlap_but_differ_in_their_core():
    assert {1, 5} <= set(CORE["fear"]) & set(face_model.RECIPES["surprise"])
    assert 2 in CORE["surprise"] and 20 in face_model.RECIPES["fear"]
    cores = [tuple(CORE[name]) for name in CLASSES]
    assert len(set(cores)) == len(CLASSES) and CORE["neutral"] == []


def test_difficulty_raises_noise_and_lowers_intensity():
    noise, smiles, ambiguous = [], [], []
    for difficulty in (0.0, 0.4, 0.8, 1.0):
        clips = list(make_dataset(subjects=8, clips_per_subject=14, difficulty=difficulty))
        units = np.concatenate([clip.action_units for clip in clips])
        assert units.min() >= 0 and units.max() <= 1
        noise.append(np.mean([np.std(clip.landmarks - clip.true_landmarks) for clip in clips]))
        happy = [clip for clip in clips if clip.label == "happiness"]
        smiles.append(np.mean([intensity(clip, 12).max() for clip in happy]))
        ambiguous.append(np.mean([clip.mixture.max() < 1 for clip in clips]))
    assert noise == sorted(noise) and noise[2] > 2 * noise[0]
    assert smiles == sorted(smiles, reverse=True)
    assert ambiguous[0] == 0 and ambiguous == sorted(ambiguous) and ambiguous[2] > 0.1


def test_neutral_face_without_asymmetry_is_its_own_mirror_image():
    rng = np.random.default_rng(0)
    for _ in range(5):
        deviations = rng.standard_normal(len(face_model.PROPORTIONS)) * 0.05
        proportions = dict(zip(face_model.PROPORTIONS, deviations, strict=True))
        shape = face_model.neutral_shape(proportions)
        mirrored = shape[MIRROR_68] * [-1, 1, 1]
        np.testing.assert_allclose(shape, mirrored, atol=1e-6)


def test_action_units_move_both_sides_alike():
    fields = face_model.DISPLACEMENTS
    assert (np.abs(fields).max(axis=(1, 2)) > 0.02).all()
    np.testing.assert_allclose(fields, fields[:, MIRROR_68] * [-1, 1], atol=1e-7)


def test_lids_and_lips_do_not_cross():
    units = np.eye(len(ACTION_UNITS), dtype=np.float32)
    shape = face_model.express(make_identity(0, 0).shape, units, np.zeros(len(ACTION_UNITS)))
    for upper, lower in ((37, 41), (44, 46), (62, 66)):
        assert (shape[:, lower, 1] - shape[:, upper, 1]).min() > -1e-6


def test_frontal_projection_keeps_the_shape_and_yaw_moves_the_nose():
    shape = face_model.MEAN_SHAPE[None]
    frontal = face_model.project(shape, np.zeros((1, 3)), 50.0, np.full((1, 2), 128.0))
    assert eye_distance(frontal)[0] == pytest.approx(50 * eye_distance(shape[..., :2])[0], rel=1e-5)
    turned = face_model.project(shape, np.array([[0.3, 0, 0]]), 50.0, np.full((1, 2), 128.0))
    nose, eyes = turned[0, 30, 0], turned[0, 36:48, 0].mean()
    assert nose > eyes + 5


def test_identities_differ_and_are_reproducible():
    first, second = make_identity(0, 1), make_identity(0, 2)
    assert np.abs(first.shape - second.shape).max() > 0.03
    assert np.array_equal(first.shape, make_identity(0, 1).shape)
    assert first.appearance == make_identity(0, 1).appearance != second.appearance


def test_render_is_reproducible_in_rgb():
    clip = make_clip(0, 0, 3, frames=6)
    frames = list(render(clip.true_landmarks[:3], clip.identity, seed=4))
    assert len(frames) == 3
    assert all(frame.shape == (256, 256, 3) and frame.dtype == np.uint8 for frame in frames)
    again = list(render(clip.true_landmarks[:3], clip.identity, seed=4))
    assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))
    other = next(render(clip.true_landmarks[:1], clip.identity, seed=5))
    assert not np.array_equal(frames[0], other)
    small = next(render(clip.true_landmarks[:1], clip.identity, size=128))
    assert small.shape == (128, 128, 3)


def test_drawn_face_has_the_colour_of_its_skin():
    clip = make_clip(0, 0, 4, difficulty=0.0)
    frame = next(render(clip.true_landmarks[:1], clip.identity))
    x, y = clip.true_landmarks[0, [2, 3, 31]].mean(0).round().astype(int)
    cheek = frame[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(0)
    assert np.abs(cheek - clip.identity.appearance.skin).max() < 45


def test_faces_partly_outside_the_frame_are_drawn():
    clip = make_clip(0, 0, 3, frames=4)
    for offset in ([-150.0, -100.0], [400.0, 0.0]):
        frames = list(render(clip.true_landmarks[:1] + offset, clip.identity))
        assert frames[0].shape == (256, 256, 3)


@pytest.mark.parametrize(
    "landmarks", [np.zeros((2, 51, 2)), np.zeros((68, 2)), np.full((1, 68, 2), np.nan)]
)
def test_landmarks_that_cannot_be_drawn_are_refused(landmarks):
    with pytest.raises(ValueError, match="landmarks"):
        next(render(landmarks, make_identity(0, 0)))


def test_real_sequences_are_fitted_into_the_frame_with_their_motion():
    clip = make_clip(0, 0, 0)
    fitted = fit_to_frame(clip.true_landmarks * 3.7 + [100, 40], eye_pixels=50)
    assert np.median(eye_distance(fitted)) == pytest.approx(50, rel=1e-4)
    motion = np.diff(clip.true_landmarks, axis=0)
    factor = 50 / np.median(eye_distance(clip.true_landmarks))
    np.testing.assert_allclose(np.diff(fitted, axis=0), motion * factor, atol=1e-3)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi"])
def test_video_can_be_read_back(tmp_path, name):
    cv2 = pytest.importorskip("cv2")
    clip = make_clip(0, 1, 3, frames=8)
    frames = list(render(clip.true_landmarks, clip.identity))
    assert write_video(tmp_path / name, iter(frames), clip.fps) == 8
    video = cv2.VideoCapture(str(tmp_path / name))
    count = 0
    while (read := video.read())[0]:
        difference = np.abs(read[1][..., ::-1].astype(int) - frames[count]).mean()
        assert difference < 12
        count += 1
    assert count == 8 and video.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
    video.release()


def test_video_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "clip.mp4", iter([]), 25)


def test_symmetric_person_shows_a_symmetric_smile():
    identity = dataclasses.replace(
        make_identity(0, 0), shape=face_model.MEAN_SHAPE, balance=np.zeros(len(ACTION_UNITS))
    )
    smile = np.zeros((1, len(ACTION_UNITS)), np.float32)
    smile[0, ACTION_UNITS.index(12)] = 1
    shape = face_model.express(identity.shape, smile, identity.balance)[0]
    np.testing.assert_allclose(shape, shape[MIRROR_68] * [-1, 1, 1], atol=1e-6)
    crooked = face_model.express(identity.shape, smile, identity.balance + 0.5)[0]
    moved = np.linalg.norm(crooked - identity.shape, axis=-1)
    assert moved[54] > 2 * moved[48]


def test_dlib_finds_the_drawn_face():
    pytest.importorskip("dlib")
    detection = pytest.importorskip("benchmarks.synthetic_detection")
    try:
        find = detection.make_finder()
    except ImportError as error:
        pytest.skip(str(error))
    errors = []
    for subject in range(3):
        for index in range(7):
            clip = make_clip(0, subject, index)
            truth = clip.true_landmarks[len(clip.true_landmarks) // 2]
            found = find(next(render(truth[None], clip.identity, seed=subject)))
            assert found is not None
            errors.append(detection.squared_error(found, truth).mean())
    assert np.sqrt(np.mean(errors)) < 0.045
