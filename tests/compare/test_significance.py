"""Tests between methods against worked examples, SciPy and what must hold for all data."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fer_jax.compare import significance

# Darwin's Zea mays, differences of 15 pairs of plants in eighths of an inch (Fisher, The Design of
# Experiments, 1935, section 21): 863 of the 2^15 signs give a sum of at least 314.
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
counts = st.integers(0, 20)
pairs = st.lists(st.tuples(counts, counts), min_size=2, max_size=8)


def mean(sums):
    """A score of sums `[..., 1]`."""
    return sums[..., 0]


def columns(values):
    return np.asarray(values, float)[:, None]


@pytest.fixture
def all_signs(monkeypatch):
    monkeypatch.setattr(significance, "PERMUTATIONS", 2**15)


def test_darwins_plants(all_signs):
    p = significance.permutation_test(mean, columns(DARWIN), columns(np.zeros(15)))
    assert p == pytest.approx(2 * 863 / 2**15, abs=1e-9)


def test_random_permutations_come_close():
    p = significance.permutation_test(mean, columns(DARWIN), columns(np.zeros(15)))
    assert p == pytest.approx(2 * 863 / 2**15, abs=0.006)
    again = significance.permutation_test(mean, columns(DARWIN), columns(np.zeros(15)))
    assert p == again


@settings(max_examples=25, deadline=None)
@given(pairs)
def test_permutation_test_counts_all_exchanges(values):
    first, second = np.array(values, float).T
    signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    sums = signs @ (first - second)
    observed = (first - second).sum()
    expected = 2 * min((sums >= observed).mean(), (sums <= observed).mean())
    p = significance.permutation_test(mean, columns(first), columns(second))
    assert p == pytest.approx(min(expected, 1))
    assert p >= significance.least_p(len(values)) - 1e-12
    swapped = significance.permutation_test(mean, columns(second), columns(first))
    assert swapped == pytest.approx(p)


def test_score_that_is_no_mean():
    """F1 of exchanged results, counted one by one."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, (2, 5, 3)).astype(float)

    def f1(sums):
        return 2 * sums[..., 0] / (2 * sums[..., 0] + sums[..., 1] + sums[..., 2])

    differences = []
    for chosen in itertools.product((False, True), repeat=5):
        own = np.where(np.array(chosen)[:, None], second, first).sum(0)
        other = np.where(np.array(chosen)[:, None], first, second).sum(0)
        differences.append(f1(own) - f1(other))
    differences, observed = np.array(differences), differences[0]
    low, high = (differences <= observed + 1e-12).mean(), (differences >= observed - 1e-12).mean()
    p = significance.permutation_test(f1, first, second)
    assert p == pytest.approx(min(2 * min(low, high), 1))


def test_one_person_shows_no_difference():
    assert significance.permutation_test(mean, columns([5]), columns([1])) == 1.0


def test_wilcoxon_of_darwins_plants():
    """The ranks of the two negative differences, 10 and 14, add to 24."""
    p = significance.wilcoxon(DARWIN, np.zeros(15))
    assert stats.wilcoxon(DARWIN).statistic == 24
    assert p == stats.wilcoxon(DARWIN).pvalue == pytest.approx(0.0413, abs=1e-3)


@pytest.mark.parametrize(
    ("first", "second"), [([0.5, 0.25], [0.5, 0.25]), ([np.nan, 1], [0.5, 1]), ([], [])]
)
def test_wilcoxon_of_equal_people_is_1(first, second):
    assert significance.wilcoxon(first, second) == 1.0


@pytest.mark.parametrize(
    ("only_first", "only_second", "expected"),
    [
        (1, 9, 22 / 1024),  # 2 (1 + 10) / 2^10
        (5, 5, 1.0),
        (0, 6, 2 / 64),
        (0, 0, 1.0),
    ],
)
def test_mcnemar(only_first, only_second, expected):
    first = [True] * only_first + [False] * only_second + [True, False]
    second = [False] * only_first + [True] * only_second + [True, False]
    assert significance.mcnemar(first, second) == pytest.approx(expected)
    assert significance.mcnemar(second, first) == pytest.approx(expected)


def test_holm():
    """Four p-values: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04 raised to the one before."""
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = significance.holm([0.01, np.nan, 0.9])
    assert found[[0, 2]] == pytest.approx([0.02, 0.9]) and np.isnan(found[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_lies_between_the_p_value_and_bonferroni(values):
    found = significance.holm(values)
    assert (found >= np.array(values) - 1e-15).all()
    assert (found <= np.minimum(len(values) * np.array(values), 1) + 1e-12).all()
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= 0).all()
