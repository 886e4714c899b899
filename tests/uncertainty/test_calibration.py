"""Calibration over bins of equal mass, coverage of sets."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax import uncertainty


def two_classes(confidence, right):
    confidence = np.asarray(confidence)
    return np.stack([confidence, 1 - confidence], -1), np.where(right, 0, 1)


def test_adaptive_error_by_hand():
    given = two_classes([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1])
    confidence, accuracy, count = uncertainty.equal_mass_bins(*given, bins=2)
    np.testing.assert_allclose([confidence, accuracy], [[0.65, 0.85], [1, 0.5]])
    assert count.tolist() == [2, 2]
    assert uncertainty.adaptive_calibration_error(*given, bins=2) == pytest.approx(0.35)


def test_adaptive_error_of_one_confidence_is_the_plain_one():
    given = two_classes([0.8] * 5, [1, 1, 1, 0, 0])
    assert uncertainty.equal_mass_bins(*given)[2].max() == 5  # equal ones are not divided
    assert uncertainty.adaptive_calibration_error(*given) == pytest.approx(0.2)
    assert np.isnan(uncertainty.adaptive_calibration_error(np.zeros((0, 2)), []))


CLIPS = st.lists(st.tuples(st.sampled_from([0.5, 0.6, 0.75, 0.9, 1.0]), st.booleans()), min_size=1,
                 max_size=50)  # fmt: skip


@given(CLIPS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_adaptive_error_does_not_depend_on_the_order(clips, bins, random):
    shuffled = random.sample(clips, len(clips))
    first, second = (
        uncertainty.adaptive_calibration_error(*two_classes(*zip(*each, strict=True)), bins)
        for each in (clips, shuffled)
    )
    assert first == pytest.approx(second) and 0 <= first <= 1


def test_equal_mass_bins_hold_as_many():
    confidence = np.random.default_rng(0).uniform(0.5, 1, 150) ** 0.05
    given = two_classes(confidence, np.ones(150, bool))
    assert uncertainty.equal_mass_bins(*given)[2].tolist() == [10] * 15


SETS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]], bool)
LABELS, PEOPLE = np.array([0, 1, 0, 2]), np.array(["a", "b", "b", "b"])


def test_coverage_by_hand():
    found = uncertainty.coverage(SETS, LABELS, PEOPLE)
    assert found == {
        "coverage": pytest.approx((1 + 2 / 3) / 2), "mean_size": pytest.approx((1 + 6 / 3) / 2),
        "worst_person": "b", "worst_coverage": pytest.approx(2 / 3), "people": 2, "clips": 4,
    }  # fmt: skip


def test_coverage_of_classes():
    found = uncertainty.coverage_by(LABELS, SETS, LABELS)
    assert found == {
        0: {"coverage": 0.5, "mean_size": 1.0, "clips": 2},
        1: {"coverage": 1.0, "mean_size": 2.0, "clips": 1},
        2: {"coverage": 1.0, "mean_size": 3.0, "clips": 1},
    }


def test_coverage_takes_no_longer_for_many_people():
    """The work grows with the clips: looking through all of them for each person takes a minute."""
    people = np.array([f"person{index:05d}" for index in range(40_000)])
    rng = np.random.default_rng(0)
    sets, labels = rng.random((40_000, 3)) < 0.5, rng.integers(0, 3, 40_000)
    began = time.process_time()
    found = uncertainty.coverage_by(people, sets, labels)
    assert time.process_time() - began < 5
    assert [row["coverage"] for row in found.values()] == sets[np.arange(40_000), labels].tolist()
