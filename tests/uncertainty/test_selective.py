"""Generalised risk, and thresholds with a promise, on people never seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from fer_jax import uncertainty
from fer_jax.uncertainty import selective
from tests.uncertainty.drawn_people import drawn

UNCERTAINTY = np.array([0.1, 0.2, 0.2, 0.5, 0.9])
CORRECT = np.array([True, True, False, True, False])


def test_generalised_risk_by_hand():
    # covered and wrong, of five: 0 at 0.2, 0.2 at 0.6, 0.2 at 0.8, 0.4 at 1; lines between
    area = 0.2 * 0 + 0.4 * 0.1 + 0.2 * 0.2 + 0.2 * 0.3
    assert uncertainty.area_under_generalised_risk(UNCERTAINTY, CORRECT) == pytest.approx(area)


EVALUATED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40).map(
    lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
)


@given(EVALUATED)
def test_generalised_risk_is_that_of_the_ranking_and_the_errors(evaluated):
    values, correct = evaluated
    found = uncertainty.area_under_generalised_risk(values, correct)
    error = 1 - correct.mean()
    # Traub et al., equation of AUGRC by the area under the ROC curve
    ranking = roc_auc_score(~correct, values) if 0 < error < 1 else 0.5
    expected = (1 - ranking) * error * (1 - error) + error**2 / 2
    assert found == pytest.approx(expected)


def test_no_threshold_is_mere_rounding():
    values, correct = np.array([6e-30, 2e-12, 0.4]), np.array([True, True, False])
    threshold = uncertainty.abstain_threshold(values, correct, 0.9)
    assert threshold == selective.ROUNDING
    assert uncertainty.selective_accuracy(values, correct, threshold) == pytest.approx((2 / 3, 1))
    found = uncertainty.promised_threshold(np.zeros(200), np.ones(200), np.arange(200), 0.9)
    assert found.threshold == selective.ROUNDING and found.coverage == 1


def test_bound_of_single_clips_is_the_exact_one():
    correct = np.arange(60) >= 3
    bound = uncertainty.accuracy_bound(correct, np.arange(60), 0.9)
    assert bound == pytest.approx(beta.ppf(0.1, 57, 4))


def test_clips_that_are_all_alike_are_worth_as_many_as_people():
    correct = np.repeat(np.arange(20) >= 2, 30)  # all clips of a person are right, or none
    bound = uncertainty.accuracy_bound(correct, np.repeat(np.arange(20), 30), 0.9)
    assert bound == pytest.approx(beta.ppf(0.1, 18, 3), abs=0.006)
    assert uncertainty.accuracy_bound([True] * 50, ["a"] * 50) == 0.0
    assert uncertainty.accuracy_bound([False] * 4, list("abcd")) == 0.0


@pytest.mark.parametrize("alike", [0.0, 0.3])
def test_bound_holds_as_often_as_it_says(alike):
    held = []
    for seed in range(300):
        values, correct, people = drawn(seed, 12, 20, alike, best=0.9, worst=0.9)
        held.append(uncertainty.accuracy_bound(correct, people, 0.9) <= 0.9)
    assert 0.88 <= np.mean(held) < 1


def reached(seed, people, clips, alike, best=0.995, worst=0.75):
    """Promise of so many people, and whether it holds on average over everybody."""
    found = uncertainty.promised_threshold(*drawn(seed, people, clips, alike, best, worst), 0.95)
    if not found.promised:
        return found, True
    return found, best - (best - worst) * found.threshold**2 / 3 >= 0.95


# most of the promises that are made where 0.74 of the clips could be answered
@pytest.mark.parametrize("people, clips, alike, least_made", [
    (9, 40, 0.0, 0.7), (9, 40, 0.1, 0.4), (9, 40, 0.3, 0.2), (20, 20, 0.1, 0.6),
    (100, 10, 0.0, 0.8), (100, 10, 0.3, 0.8),
])  # fmt: skip
def test_promises_are_made_and_kept(people, clips, alike, least_made):
    found, held = zip(*(reached(seed, people, clips, alike) for seed in range(100)), strict=True)
    assert np.mean(held) >= (0.9 if alike < 0.3 else 0.87)
    assert np.mean([each.promised for each in found]) >= least_made
    made = [each for each in found if each.promised]
    assert all(each.bound >= 0.95 and each.accuracy > each.bound for each in made)
    assert np.mean([each.coverage for each in made]) > 0.35


def test_promises_are_kept_in_random_divisions_of_people():
    values, correct, people = drawn(1, 24, 40, 0.05)
    made, broken = 0, 0
    for seed in range(50):
        own = np.isin(people, np.random.default_rng(seed).permutation(24)[:12])
        found = uncertainty.promised_threshold(values[own], correct[own], people[own], 0.95)
        made += found.promised
        answered = ~own & (values <= (found.threshold or 0))
        broken += found.promised and correct[answered].mean() < 0.95
    assert made >= 25 and broken <= 5


@pytest.mark.parametrize("people", [9, 100])
def test_nothing_is_promised_where_nothing_can_be(people):
    promised = [reached(seed, people, 20, 0.1, best=0.94, worst=0.7)[0].promised
                for seed in range(60)]  # fmt: skip
    assert np.mean(promised) <= 0.1


def test_everything_is_promised_where_all_are_right():
    values, _, people = drawn(0, 9, 40)
    found = uncertainty.promised_threshold(values, np.ones(360, bool), people, 0.95)
    assert (found.threshold, found.coverage, found.accuracy) == (values.max(), 1.0, 1.0)
    assert (found.people, found.clips) == (9, 360)


@pytest.mark.parametrize("count, people", [(0, 1), (1, 1), (5, 5), (30, 9), (300, 1)])
def test_too_little_promises_nothing(count, people):
    values = np.linspace(0, 1, count)
    found = uncertainty.promised_threshold(
        values, np.ones(count, bool), np.arange(count) % people, 0.95
    )
    assert found.threshold is None and not found.promised and found.coverage == 0
    assert (found.people, found.clips) == (min(people, count), count)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.randoms(use_true_random=False))
def test_promise_does_not_depend_on_order_or_unknown_clips(seed, random):
    values, correct, people = drawn(seed, 12, 20, 0.0)
    order = np.array(random.sample(range(len(values)), len(values)))
    more = (np.append(values[order], np.nan), np.append(correct[order], False),
            np.append(people[order], 99))  # fmt: skip
    first = uncertainty.promised_threshold(values, correct, people, 0.9)
    again = uncertainty.promised_threshold(*more, 0.9)
    assert again.threshold == first.threshold
    assert again[1:] == pytest.approx(first[1:], nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99))
def test_a_higher_confidence_answers_no_more(seed):
    evaluated = drawn(seed, 20, 20, 0.05)
    found = [uncertainty.promised_threshold(*evaluated, 0.9, each).coverage for each in (0.8, 0.9)]
    assert found[1] <= found[0] or found[0] == 0  # they begin at other coverages


@pytest.mark.parametrize("target, confidence", [(1.0, 0.9), (95, 0.9), (0.9, 0.0)])
def test_shares_that_are_none_are_refused(target, confidence):
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        uncertainty.promised_threshold(UNCERTAINTY, CORRECT, list("abcde"), target, confidence)
