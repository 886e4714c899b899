"""Conformal intervals: by hand, and on people never seen."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax import uncertainty
from fer_jax.uncertainty import IntervalRule


def predicted_and_rated(seed, people, clips=20, alike=1.0):
    """Mean, deviation and rating `[B, 2]`; people differ, and so do deviations."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(people), clips)
    deviation = rng.uniform(0.2, 1.5, (len(index), 2))
    mean = rng.uniform(3, 7, deviation.shape)
    shift = alike * rng.standard_normal((people, 2))[index]
    return mean, deviation, mean + deviation * (shift + rng.standard_normal(mean.shape)), index


def ends(mean, deviation):
    return mean - deviation, mean + deviation


def test_intervals_by_hand():
    labels, mean = np.array([[1.0], [2.0], [3.0], [5.0]]), np.full((4, 1), 2.0)
    deviation, people = np.array([[1.0], [1.0], [0.5], [2.0]]), np.arange(4)
    rule = uncertainty.fit_intervals(labels, (mean, deviation), people, 0.6)
    assert rule == IntervalRule("residual", 0.6, (1.5,), 4, 4)  # of 0, 1, 1.5, 2 the third
    low, high = uncertainty.conformal_intervals(([[2.0]], [[2.0]]), rule)
    assert (low, high) == (-1, 5)
    pair = mean - 0.5, mean + 0.5
    rule = uncertainty.fit_intervals(labels, pair, people, 0.4, method="quantile")
    assert rule.quantile == (0.5,)  # of -0.5, 0.5, 0.5, 2.5 the second
    low, high = uncertainty.conformal_intervals(([[2.0]], [[2.5]]), rule)
    assert (low, high) == (1.5, 3)


def test_an_interval_is_not_turned_inside_out():
    rule = IntervalRule("quantile", 0.5, (-2.0,), 2, 2)
    low, high = uncertainty.conformal_intervals((np.array([[1.0]]), np.array([[4.0]])), rule)
    assert low == high == 2.5


@pytest.mark.parametrize("method", ["residual", "quantile"])
@pytest.mark.parametrize("people, unit, least, most", [(8, "effective", 0.885, 0.93),
                                                       (20, "person", 0.9, 0.965)])  # fmt: skip
def test_people_never_seen_are_covered(method, people, unit, least, most):
    held = []
    for seed in range(40):
        mean, deviation, labels, index = predicted_and_rated(seed, people + 200, alike=0.5)
        pair = (mean, deviation) if method == "residual" else ends(mean, deviation)
        own = index < people
        rule = uncertainty.fit_intervals(
            labels[own], tuple(each[own] for each in pair), index[own], method=method, unit=unit
        )
        assert rule.promised == (unit == "person") and rule.people == people
        low, high = uncertainty.conformal_intervals(tuple(each[~own] for each in pair), rule)
        held.append(((low <= labels[~own]) & (labels[~own] <= high)).mean(0))
    assert all(least <= share <= most for share in np.mean(held, 0))


@given(st.integers(0, 50), st.sampled_from(["residual", "quantile"]))
def test_intervals_are_nested_over_levels(seed, method):
    mean, deviation, labels, people = predicted_and_rated(seed, 10, 5)
    pair = (mean, deviation) if method == "residual" else ends(mean, deviation)
    widths = []
    for level in (0.5, 0.8, 0.9):
        rule = uncertainty.fit_intervals(labels, pair, people, level, method=method)
        low, high = uncertainty.conformal_intervals(pair, rule)
        assert ((low <= labels) & (labels <= high)).mean() >= level - 0.02 and (low <= high).all()
        widths.append(high - low)
    assert (np.diff(widths, axis=0) >= 0).all()


def test_labels_that_are_missing_do_not_count():
    mean, deviation, labels, people = predicted_and_rated(0, 10)
    some = labels.copy()
    some[people == 3, 1] = np.nan
    known = people != 3
    rule = uncertainty.fit_intervals(some, (mean, deviation), people, 0.8)
    other = uncertainty.fit_intervals(
        labels[known], (mean[known], deviation[known]), people[known], 0.8
    )
    assert rule.quantile[1] == other.quantile[1] != rule.quantile[0]
    assert (rule.people, rule.clips) == (9, 180)


def test_without_deviation_all_intervals_are_as_wide():
    mean, deviation, labels, people = predicted_and_rated(0, 10)
    rule = uncertainty.fit_intervals(labels, (mean, 0 * deviation), people, 0.8)
    low, high = uncertainty.conformal_intervals((mean, 0 * deviation), rule)
    np.testing.assert_allclose(high - low, np.broadcast_to((high - low)[0], low.shape))
    assert 0.7 < ((low <= labels) & (labels <= high)).mean() < 0.95


def test_cross_intervals_use_only_other_people():
    mean, deviation, labels, people = predicted_and_rated(0, 10)
    low, high, rule = uncertainty.cross_intervals(labels, (mean, deviation), people, people % 5)
    own = people % 5 == 2
    other = uncertainty.fit_intervals(labels[~own], (mean[~own], deviation[~own]), people[~own])
    expected = uncertainty.conformal_intervals((mean[own], deviation[own]), other)
    np.testing.assert_array_equal((low[own], high[own]), expected)
    whole = uncertainty.fit_intervals(labels, (mean, deviation), people)
    assert rule == dataclasses.replace(whole, crossed=True)
    assert whole.promised and not rule.promised


def test_dimensions_and_methods_that_do_not_fit_are_refused():
    rule = IntervalRule("residual", 0.9, (1.0, 1.0), 2, 4)
    with pytest.raises(ValueError, match="is for 2 dimensions, not 3"):
        uncertainty.conformal_intervals((np.zeros((1, 3)), np.ones((1, 3))), rule)
    with pytest.raises(ValueError, match="method 'cqr' is none of"):
        uncertainty.fit_intervals([[1.0]], ([[1.0]], [[1.0]]), ["a"], method="cqr")
    with pytest.raises(ValueError, match="method is none of"):
        IntervalRule.from_json({**rule.to_json(), "method": "cqr"})
