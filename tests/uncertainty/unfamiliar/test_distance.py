"""Distances of features to those of training examples."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from fer_jax import uncertainty


def clusters(count=200, features=6, seed=0, scale=1.0):
    """Three classes of one covariance, far from round."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    shape = (
        np.diag(np.linspace(0.1, 2.0, features))
        @ np.linalg.qr(np.random.default_rng(9).normal(size=(features, features)))[0]
    )
    means = 4 * np.random.default_rng(8).normal(size=(3, features))
    return scale * (means[labels] + rng.normal(size=(count, features)) @ shape), labels


def test_score_is_the_mahalanobis_distance_to_the_nearest_class():
    features, labels = clusters()
    new = clusters(20, seed=1)[0] + 3.0
    means = np.stack([features[labels == index].mean(0) for index in range(3)])
    precision = np.linalg.inv(ledoit_wolf(features - means[labels], assume_centered=True)[0])
    apart = new[:, None] - means
    expected = np.sqrt(np.einsum("ncd,de,nce->nc", apart, precision, apart).min(1))
    found = uncertainty.fit_familiarity(features, labels).score(new)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("points", ["classes", "examples"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_scores_do_not_depend_on_the_unit_of_the_features(points, scale):
    def scores(unit):
        familiar = uncertainty.fit_familiarity(*clusters(scale=unit), points=points)
        return familiar.score(clusters(scale=unit, seed=1)[0])

    np.testing.assert_allclose(scores(scale), scores(1.0), rtol=1e-3)


@pytest.mark.parametrize("points", ["classes", "examples"])
@pytest.mark.parametrize("features", [100, 600, 2000])
def test_unlike_examples_are_further_away_and_arrays_are_small(points, features):
    rng = np.random.default_rng(0)
    low = rng.normal(size=(5, features))  # examples vary along five directions, and hardly else
    labels = np.arange(150) % 2

    def drawn(count, noise=0.05):
        return rng.normal(size=(count, 5)) @ low + noise * rng.normal(size=(count, features))

    familiar = uncertainty.fit_familiarity(drawn(150), labels, points=points)
    usual, noisy = familiar.score(drawn(50)), familiar.score(drawn(50, noise=0.2))
    far = familiar.score(3 * drawn(50))
    assert np.median(noisy) > usual.max() and np.median(far) > usual.max()
    assert sum(array.nbytes for array in familiar.to_arrays().values()) < 110_000


@pytest.mark.parametrize("count", [3, 10, 40])
def test_few_examples_do_not_make_others_of_their_kind_far(count):
    rng = np.random.default_rng(0)
    familiar = uncertainty.fit_familiarity(rng.normal(size=(count, 100)))
    usual, wide = (familiar.score(scale * rng.normal(size=(50, 100))) for scale in (1, 10))
    assert np.median(usual) < 4 * 100**0.5 and np.median(wide) > 5 * np.median(usual)


def test_examples_of_all_classes_are_kept():
    features, labels = clusters(900)
    familiar = uncertainty.fit_familiarity(features, labels, points="examples")
    assert 120 <= len(familiar.points) <= 128
    means = uncertainty.fit_familiarity(features, labels).points
    nearest = np.square(familiar.points[:, None] - means).sum(-1).argmin(1)
    assert np.bincount(nearest).min() > 30


def test_threshold_lets_the_share_of_each_person_pass():
    features, labels = clusters()
    familiar = uncertainty.fit_familiarity(features, labels)
    assert not familiar.is_unfamiliar(features + 1e6).any()  # no threshold was chosen
    # one person has nearly all of the clips, all of them near
    scores, people = [*np.linspace(0, 1, 98), 5.0, 7.0], ["a"] * 98 + ["b"] * 2
    chosen = familiar.with_threshold(scores, people, 0.75)
    assert chosen.threshold == 5.0
    assert familiar.with_threshold(scores, people, 1.0).threshold == 7.0
    at = dataclasses.replace(familiar, threshold=1.001 * familiar.score(features[:1])[0])
    assert at.is_unfamiliar(
        np.stack([features[0], features[0] + 50, features[0] * np.nan])
    ).tolist() == [False, True, True]


@pytest.mark.parametrize("features", [6, 600])
def test_arrays_hold_all_that_scores_need(features):
    rows, labels = clusters(300, features)
    familiar = uncertainty.fit_familiarity(rows, labels).with_threshold([1.0, 2.0], ["a", "b"])
    again = uncertainty.Familiarity.from_arrays(familiar.to_arrays())
    np.testing.assert_array_equal(again.score(rows), familiar.score(rows))
    assert again.threshold == familiar.threshold == 2.0


CHANGED = {
    "a field less": ({"rest": None}, "the field 'rest' is missing or unknown"),
    "a field more": ({"mean": np.zeros(3)}, "the field 'mean' is missing or unknown"),
    "other width": ({"centre": np.zeros(5, np.float32)}, r"centre must be float32 \[6\]"),
    "other kind": ({"whitening": np.eye(6)}, "whitening must be float32"),
    "objects": ({"points": np.array([[None] * 6])}, "points must be float32"),
    "no points": ({"points": np.zeros((0, 6), np.float32)}, "no such shapes"),
    "flat": ({"directions": np.zeros(6, np.float32)}, "no such shapes"),
    "scalar points": ({"points": np.float32(1)}, "points must be float32"),
    "infinite": ({"centre": np.full(6, np.inf, np.float32)}, "centre holds NaN or infinity"),
    "no threshold": ({"threshold": np.float64("nan")}, "threshold holds NaN"),
    "negative": ({"rest": np.float64(-1)}, "must be at least 0"),
    "threshold of 0": ({"threshold": np.float64(0)}, "threshold above 0"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_arrays_of_no_familiarity_are_refused(name):
    fields, problem = CHANGED[name]
    arrays = uncertainty.fit_familiarity(*clusters()).to_arrays() | fields
    arrays = {name: value for name, value in arrays.items() if value is not None}
    with pytest.raises(ValueError, match=problem):
        uncertainty.Familiarity.from_arrays(arrays)


REFUSED = {
    "two examples": ((np.eye(3)[:2],), "N at least 3"),
    "NaN": ((np.full((3, 3), np.nan),), "must be finite"),
    "no variation": ((np.ones((5, 3)),), "do not vary within a class"),
    "labels": ((np.eye(3), [0, 1]), r"labels must be \[3\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_features_that_cannot_be_fitted_are_refused(name):
    arguments, problem = REFUSED[name]
    with pytest.raises(ValueError, match=problem):
        uncertainty.fit_familiarity(*arguments)


def test_what_does_not_fit_is_refused():
    familiar = uncertainty.fit_familiarity(*clusters())
    with pytest.raises(ValueError, match=r"features must be \[B, 6\], not \[2, 5\]"):
        familiar.score(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="2 scores do not go with 1 people"):
        familiar.with_threshold([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="above 0, at most 1"):
        familiar.with_threshold([1.0], ["a"], 0.0)
    with pytest.raises(ValueError, match="2 scores do not go with 1 people"):
        uncertainty.joint_thresholds([familiar], [[1.0, 2.0]], ["a"])
    with pytest.raises(ValueError, match="use one of classes, examples"):
        uncertainty.fit_familiarity(*clusters(), points="all")


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.9, 0.95, 1.0]), st.integers(1, 3))
def test_joint_thresholds_hold_the_share_within_all_kinds(seed, share, kinds):
    rng = np.random.default_rng(seed)
    people = np.sort(rng.integers(8, size=200))
    familiar = uncertainty.fit_familiarity(rng.standard_normal((20, 2)))
    scores = [each * rng.gamma(5, size=200) for each in (1, 1e-3, 1e3)[:kinds]]  # any scale
    limits = uncertainty.joint_thresholds([familiar] * kinds, scores, people, share)
    over = [own / each.threshold for own, each in zip(scores, limits, strict=True)]
    inside = np.max(over, 0) <= 1  # the one at the limit is within it
    weight = 1 / np.bincount(people)[people] / len(np.unique(people))  # each person counts alike
    assert share - 1e-6 <= weight[inside].sum() <= share + weight.max() + 1e-6
    alone = [familiar.with_threshold(own, people, share).threshold for own in scores]
    ratio = [each.threshold / own for each, own in zip(limits, alone, strict=True)]
    np.testing.assert_allclose(ratio, ratio[0])  # all are widened alike, or not at all
    assert ratio[0] >= 1 - 1e-9 and (kinds > 1 or ratio[0] == pytest.approx(1))
