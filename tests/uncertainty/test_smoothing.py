"""Means over the past: weights, change, pauses, several series, and how often there is a value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.uncertainty import Smoother, bhattacharyya
from fer_jax.uncertainty.smoothing import PAUSE

DISTANCES = pytest.mark.parametrize("distance", [None, bhattacharyya], ids=["age", "change"])
STEPS = st.lists(st.floats(0.0, 2.0), min_size=1, max_size=12)
SECONDS = st.floats(0.5, 3.0)


def shares(seed, count, classes=4):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), count)


def smoothed(times, values, seconds, distance=None, series="one"):
    smoother = Smoother(seconds, distance)
    return np.stack([smoother.update(series, *each) for each in zip(times, values, strict=True)])


@DISTANCES
@given(STEPS, SECONDS, st.integers(0, 99))
def test_what_stays_stays(distance, steps, seconds, seed):
    values = np.repeat(shares(seed, 1), len(steps), axis=0)
    found = smoothed(np.cumsum(steps), values, seconds, distance)
    np.testing.assert_allclose(found, values, rtol=1e-12)


@DISTANCES
@given(STEPS, SECONDS, st.integers(0, 99))
def test_means_of_distributions_are_distributions_among_those_of_the_past(
    distance, steps, seconds, seed
):
    values = shares(seed, len(steps))
    found = smoothed(np.cumsum(steps), values, seconds, distance)
    np.testing.assert_allclose(found.sum(-1), 1)
    assert (found <= np.maximum.accumulate(values) + 1e-12).all()
    assert (found >= np.minimum.accumulate(values) - 1e-12).all()


@given(STEPS, SECONDS, st.integers(0, 99))
def test_weights_fall_with_age(steps, seconds, seed):
    times, values = np.cumsum(steps), shares(seed, len(steps))
    found = smoothed(times, values, seconds)[-1]
    weights = np.exp((times - times[-1]) / seconds)
    np.testing.assert_allclose(found, weights @ values / weights.sum(), rtol=1e-9)


@DISTANCES
def test_result_depends_little_on_how_often_there_is_a_value(distance):
    def at(step):
        times = np.arange(0, 2, step)
        one = 0.5 + 0.3 * np.sin(2 * times)
        found = smoothed(times, np.stack([one, 1 - one], -1), 0.5, distance)
        return found[:: round(0.08 / step), 0]

    coarse, fine, finest = at(0.08), at(0.04), at(0.02)
    assert np.abs(fine - coarse).max() < 0.03
    assert np.abs(finest - fine).max() < 0.6 * np.abs(fine - coarse).max()  # converges


@pytest.mark.parametrize(("distance", "rows"), [(None, 2), (bhattacharyya, 1)])
def test_clear_change_is_followed_at_once_and_noise_is_not(distance, rows):
    times = 0.1 * np.arange(40)
    one = np.where(np.arange(40) % 2, 0.45, 0.95)  # the label changes with every value
    one[20:] = 0.03
    found = smoothed(times, np.stack([one, 1 - one], -1), 0.5, distance).argmax(-1)
    assert np.flatnonzero(found)[0] == 20 + rows - 1


def test_series_begins_anew_after_a_pause_to_the_bit():
    smoother, (first, second) = Smoother(0.4), shares(1, 2).astype(np.float32)
    assert smoother.update("a", 0.0, first) is first
    assert (smoother.update("a", 0.39 * PAUSE, second) != second).any()
    assert smoother.update("a", 0.8 * PAUSE, first) is first
    smoother.update("b", 9.0, first)
    assert list(smoother._series) == ["b"]  # a long video holds few people


@DISTANCES
@given(st.permutations("aabbbcc"), SECONDS)
def test_series_know_nothing_of_each_other(distance, turns, seconds):
    smoother, values = Smoother(seconds, distance), shares(2, len(turns))
    times = 0.1 * np.arange(len(turns))
    found = [
        smoother.update(name, *each)
        for name, *each in zip(turns, times, values, strict=True)
    ]  # fmt: skip
    for name in "abc":
        own = [index for index, turn in enumerate(turns) if turn == name]
        alone = smoothed(times[own], values[own], seconds, distance)
        np.testing.assert_array_equal(np.stack(found)[own], alone)


def test_what_makes_no_sense_is_refused():
    for seconds in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="time constant"):
            Smoother(seconds)
    smoother = Smoother(1.0)
    smoother.update(3, 1.0, np.zeros(2))
    with pytest.raises(ValueError, match=r"series 3 at 1.1 s are \[3\], those before \[2\]"):
        smoother.update(3, 1.1, np.zeros(3))


@DISTANCES
def test_time_that_goes_back_stands_still(distance):
    """Windows of a millisecond may end a rounding error before the one before."""
    values = shares(4, 3)
    back = smoothed([1.0, 0.9999, 1.5], values, 1.0, distance)
    np.testing.assert_array_equal(back, smoothed([1.0, 1.0, 1.5], values, 1.0, distance))


def test_distance_of_distributions():
    one, other = shares(3, 2)
    assert bhattacharyya(one, one) == pytest.approx(0)
    assert bhattacharyya(one, other) == bhattacharyya(other, one) > 0
    assert np.isposinf(bhattacharyya([1.0, 0.0], [0.0, 1.0]))
