"""Damage of the trust benchmark: strength 0 changes nothing, each strength more than the last."""

import numpy as np
import pytest

from benchmarks.trust import corruptions
from benchmarks.trust.corruptions import CROPS, LANDMARKS, STRENGTHS, alter
from fer_jax.faces.landmarks import eye_distance
from fer_jax.synthetic.clips import make_clip, render


@pytest.fixture(scope="module")
def landmarks():
    clips = [make_clip(0, person, 3, frames=16).true_landmarks for person in range(3)]
    return np.stack(clips).astype(np.float32)


@pytest.fixture(scope="module")
def crops():
    clip = make_clip(0, 1, 3, frames=2)
    frames = np.stack(list(render(clip.true_landmarks, clip.identity)))
    return frames[None, :, 60:220:4, 50:210:4]


KINDS = [(CROPS, name, "crops") for name in CROPS]
KINDS += [(LANDMARKS, name, "landmarks") for name in LANDMARKS]


@pytest.mark.parametrize(("kinds", "name", "of"), KINDS, ids=[name for _, name, _ in KINDS])
def test_damage_grows_with_its_strength(kinds, name, of, request):
    clips = request.getfixturevalue(of)
    before = clips.copy()
    assert np.array_equal(alter(kinds, name, clips, 0), clips)
    found = [alter(kinds, name, clips, strength, seed=1) for strength in STRENGTHS]
    assert all(each.shape == clips.shape and each.dtype == clips.dtype for each in found)
    if name in ("shuffled", "still"):  # frames that are not where they were
        moved = [(each != clips).any((2, 3)).mean() for each in found]
    else:
        moved = [np.abs(each.astype(float) - clips).mean() for each in found]
    assert moved[0] > 0 and (np.diff(moved) > 0).all(), moved
    assert np.array_equal(clips, before)


@pytest.mark.parametrize(("kinds", "name", "of"), KINDS, ids=[name for _, name, _ in KINDS])
def test_damage_depends_on_seed_and_place_alone(kinds, name, of, request):
    clips = request.getfixturevalue(of)
    first = alter(kinds, name, clips, 3, seed=1)
    assert np.array_equal(first, alter(kinds, name, clips, 3, seed=1))
    assert np.array_equal(first[:1], alter(kinds, name, clips[:1], 3, seed=1))
    if name in ("occlusion", "noise", "jitter", "shuffled"):
        assert not np.array_equal(first, alter(kinds, name, clips, 3, seed=2))


def test_a_larger_occlusion_covers_the_smaller(crops):
    covered = [alter(CROPS, "occlusion", crops, strength) != crops for strength in STRENGTHS]
    for smaller, larger in zip(covered, covered[1:], strict=False):
        assert not (smaller & ~larger).any()


def test_the_strongest_shuffle_keeps_every_frame_and_leaves_none(landmarks):
    (clip,) = alter(LANDMARKS, "shuffled", landmarks[:1], 5)
    assert sorted(clip[:, 30, 0]) == sorted(landmarks[0, :, 30, 0])
    assert (clip != landmarks[0]).any((1, 2)).all()


def test_the_strongest_still_is_the_first_frame(landmarks):
    still = alter(LANDMARKS, "still", landmarks, 5)
    assert np.array_equal(still, np.repeat(landmarks[:, :1], 16, 1))


def test_jitter_is_measured_in_eye_distances(landmarks):
    error = alter(LANDMARKS, "jitter", landmarks, 4) - landmarks
    unit = eye_distance(landmarks).mean(1)[:, None, None, None]
    assert (error / unit).std() == pytest.approx(0.1, rel=0.05)


def test_backgrounds_are_still_and_gray_where_the_crops_are(crops):
    colour = corruptions.backgrounds(np.repeat(crops, 3, 0))
    assert (colour[:, :1] == colour).all() and not np.array_equal(colour[0], colour[1])
    assert (colour[..., 0] != colour[..., 1]).any() == (crops[..., 0] != crops[..., 1]).any()
    gray = corruptions.backgrounds(crops[..., :1].repeat(3, -1))
    assert (gray[..., 0] == gray[..., 2]).all() and gray.std() > 5


def test_a_held_expression_is_that_of_one_frame(landmarks):
    found = corruptions.held(landmarks)
    unit = eye_distance(landmarks).mean()
    assert 0 < found.std(1).mean() < 0.01 * unit
    distance = np.abs(found[0].mean(0) - landmarks[0]).mean((1, 2))
    assert distance.min() < 0.01 * unit < distance[0]
