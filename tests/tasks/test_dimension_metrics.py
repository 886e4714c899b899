"""Errors and correlations of dimensions against worked examples, scikit-learn and SciPy."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as reference

from fer_jax import metrics

VALUES = arrays(np.float64, (12, 2), elements=st.floats(1, 9, width=32))


def example(seed=0, count=300):
    rng = np.random.default_rng(seed)
    labels = rng.uniform(1, 9, (count, 2))
    return 0.8 * labels + rng.normal(0.5, 1, (count, 2)), labels


def test_residuals_within_the_threshold():
    """Equation 5 of Zhou et al.: (.6, .8) is right at T = 1, (1.2, .9) is not."""
    labels = np.array([[5.0, 4.0], [6.0, 3.0]])
    distance = metrics.distances(labels + [[0.6, -0.8], [-1.2, 0.9]], labels)
    np.testing.assert_allclose(distance, [0.7071, 1.0607], atol=1e-4)
    assert metrics.accuracy_at(distance, 1.0) == 0.5
    assert metrics.accuracy_at(np.array([1.0]), 1.0) == 0  # strictly below


def test_errors_and_correlation_agree_with_others():
    predicted, labels = example()
    rmse = reference.root_mean_squared_error(labels, predicted, multioutput="raw_values")
    np.testing.assert_allclose(metrics.rmse(predicted, labels), rmse)
    mae = reference.mean_absolute_error(labels, predicted, multioutput="raw_values")
    np.testing.assert_allclose(metrics.mae(predicted, labels), mae)
    r = [stats.pearsonr(*columns)[0] for columns in zip(predicted.T, labels.T, strict=True)]
    np.testing.assert_allclose(metrics.pearson(predicted, labels), r)


def test_concordance_worked_by_hand():
    # means 2 and 3, variances 2/3 and 8/3, covariance 4/3: 2 * 4/3 / (10/3 + 1)
    found = metrics.ccc(np.array([[1.0], [2], [3]]), np.array([[1.0], [3], [5]]))
    np.testing.assert_allclose(found, (8 / 3) / (13 / 3))


@settings(deadline=None, max_examples=40)
@given(VALUES, VALUES)
def test_concordance_never_exceeds_correlation(predicted, labels):
    r, concordance = metrics.pearson(predicted, labels), metrics.ccc(predicted, labels)
    known = np.isfinite(r)
    assert (np.abs(concordance[known]) <= np.abs(r[known]) + 1e-9).all()
    assert (np.abs(r[known]) <= 1 + 1e-9).all()
    np.testing.assert_allclose(metrics.ccc(labels, predicted), concordance, atol=1e-9)
    assert (metrics.mae(predicted, labels) <= metrics.rmse(predicted, labels) + 1e-12).all()


@settings(deadline=None, max_examples=40)
@given(VALUES, VALUES, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlation_does_not_see_scale_and_shift(predicted, labels, scale, shift):
    assume((predicted.std(0) > 1e-3).all() and (labels.std(0) > 1e-3).all())
    r = metrics.pearson(predicted, labels)
    np.testing.assert_allclose(metrics.pearson(scale * predicted + shift, labels), r, atol=1e-7)
    np.testing.assert_allclose(metrics.pearson(-predicted, labels), -r, atol=1e-7)
    both = metrics.ccc(predicted + shift, labels + shift)
    np.testing.assert_allclose(both, metrics.ccc(predicted, labels), atol=1e-7)


def test_what_does_not_vary_has_no_correlation():
    labels = np.array([[1.0], [4.0], [5.5]])
    constant = np.full((3, 1), 0.1)
    assert np.isnan(metrics.pearson(constant, labels)).all()
    assert metrics.ccc(constant, labels) == 0
    assert np.isnan(metrics.ccc(constant, constant)).all()
    assert metrics.ccc(labels, labels) == pytest.approx(1)


def test_weight_stands_for_repetition():
    predicted, labels = example(count=5)
    order = np.array([0, 0, 0, 3, 4, 4])
    weight = np.bincount(order, minlength=5)[None] / len(order)
    for function in (metrics.rmse, metrics.mae, metrics.pearson, metrics.ccc):
        weighted = function(predicted, labels, weight)
        assert weighted.shape == (1, 2)
        np.testing.assert_allclose(weighted[0], function(predicted[order], labels[order]))
    distance = metrics.distances(predicted, labels)
    share = metrics.accuracy_at(distance[order], 1.0)
    np.testing.assert_allclose(metrics.accuracy_at(distance, 1.0, weight), [share])


@settings(deadline=None, max_examples=40)
@given(arrays(np.float64, 23, elements=st.floats(0, 4)), st.sampled_from([0.5, 0.7116, 0.95]))
def test_no_smaller_threshold_reaches_the_share(distance, share):
    threshold = metrics.threshold_for_share(distance, share)
    assert metrics.accuracy_at(distance, np.nextafter(threshold, 9)) >= share
    assert metrics.accuracy_at(distance, threshold) < share


def test_interval_of_the_bootstrap():
    """A mean has the interval of the normal distribution; repeated images do not shrink it."""
    rng = np.random.default_rng(1)
    distance = rng.normal(0, 1, 400)
    mean = lambda values, weight: weight @ values  # noqa: E731
    low, high = metrics.bootstrap_interval(mean, distance, groups=np.arange(400))
    assert (high - low) / 2 == pytest.approx(1.96 * distance.std() / 20, rel=0.1)
    twice, groups = np.repeat(distance, 2), np.repeat(np.arange(400), 2)
    copied = metrics.bootstrap_interval(mean, twice, groups=groups)
    np.testing.assert_allclose(copied, (low, high))
    assert np.isnan(metrics.bootstrap_interval(mean, distance, groups=np.zeros(400))).all()


def test_strata_are_drawn_apart():
    """The difference of two means of few people: every resample has some of both."""
    rng = np.random.default_rng(0)
    values, second = rng.normal(0, 1, 300), np.arange(300) >= 40
    people = np.where(second, 100 + np.arange(300) % 30, np.arange(300) % 4)

    def difference(values, second, weight):
        sums = [(weight * side) @ values for side in (second, ~second)]
        totals = [weight @ side.astype(float) for side in (second, ~second)]
        with np.errstate(invalid="ignore"):
            return sums[0] / totals[0] - sums[1] / totals[1]

    given = difference, values, second
    assert np.isnan(metrics.bootstrap_interval(*given, groups=people)).all()  # some have none
    low, high = metrics.bootstrap_interval(*given, groups=people, strata=second)
    of_people = [
        np.bincount(people[side], values[side])[np.unique(people[side])]
        / np.bincount(people[side])[np.unique(people[side])]
        for side in (second, ~second)
    ]
    deviation = np.sqrt(sum(each.var() / len(each) for each in of_people))
    assert (high - low) / 2 == pytest.approx(1.96 * deviation, rel=0.25)
    few = np.where(second, people, 0)  # a stratum of one person says nothing of how people differ
    assert np.isnan(metrics.bootstrap_interval(*given, groups=few, strata=second)).all()
    alone = metrics.bootstrap_interval(*given, groups=np.arange(300))
    one = metrics.bootstrap_interval(*given, groups=np.arange(300), strata=np.zeros(300))
    np.testing.assert_array_equal(alone, one)


def test_bootstrap_holds_few_resamples_at_a_time():
    """The same resamples as all at once, whose weights would take 480 MB here."""
    values = np.random.default_rng(1).normal(size=100_000)
    groups = np.arange(100_000) % 500
    mean = lambda values, weight: weight @ values  # noqa: E731
    tracemalloc.start()
    try:
        found = metrics.bootstrap_interval(mean, values, groups=groups, draws=200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    drawn = np.random.default_rng(0).multinomial(500, np.full(500, 1 / 500), size=200)
    means = drawn @ np.bincount(groups, values) / drawn.sum(1) / 200  # 200 values of each group
    np.testing.assert_allclose(found, np.quantile(means, (0.025, 0.975)), rtol=1e-9)


def test_interval_has_a_place_for_each_dimension():
    predicted, labels = example(count=60)
    people = np.arange(60) % 15
    low, high = metrics.bootstrap_interval(metrics.ccc, predicted, labels, groups=people)
    found = metrics.ccc(predicted, labels)
    assert low.shape == (2,) and (low < found).all() and (found < high).all()
