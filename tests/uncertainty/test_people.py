"""Weights of people, intraclass correlation, groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax import uncertainty
from fer_jax.uncertainty import people as module

PEOPLE = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=60).map(np.array)


@given(PEOPLE)
def test_people_weigh_the_same(people):
    weights = uncertainty.equal_weights(people)
    for person in set(people):
        assert weights[people == person].sum() == pytest.approx(1 / len(set(people)))


def test_intraclass_correlation_by_hand():
    # between (2 - 1): 4 * 2 = 8 / 1; within (4 - 2): 2 / 2 = 1; (8 - 1) / (8 + (2 - 1) * 1)
    values, people = [1, 3, 5, 5], ["a", "a", "b", "b"]
    between, within = 2 * (2 - 3.5) ** 2 + 2 * (5 - 3.5) ** 2, 2 / 2
    expected = (between - within) / (between + within)
    assert uncertainty.intraclass_correlation(values, people) == pytest.approx(expected)


@pytest.mark.parametrize("values, people, expected", [
    ([1, 1, 0, 0], "aabb", 1.0), ([1, 0, 1, 0], "aabb", 0.0), ([1, 1, 1, 1], "aabb", 0.0),
    ([1, 0, 1], "abc", 0.0), ([1, 0, 1], "aaa", 0.0),
])  # fmt: skip
def test_intraclass_correlation_at_its_ends(values, people, expected):
    assert uncertainty.intraclass_correlation(values, list(people)) == expected


def test_intraclass_correlation_of_drawn_people():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(400), rng.integers(2, 30, 400))
    values = 0.5 * rng.standard_normal(400)[people] + rng.standard_normal(len(people))
    assert uncertainty.intraclass_correlation(values, people) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("alike", [0.0, 0.2])
def test_upper_bound_of_the_correlation_holds_as_often_as_it_says(alike):
    rng = np.random.default_rng(0)
    people, held = np.repeat(np.arange(9), 20), []
    for _ in range(400):
        values = np.sqrt(alike) * rng.standard_normal(9)[people]
        values += np.sqrt(1 - alike) * rng.standard_normal(180)
        held.append(uncertainty.intraclass_correlation(values, people, 0.75) >= alike)
    assert np.mean(held) == pytest.approx(1.0 if alike == 0 else 0.75, abs=0.06)


@given(PEOPLE, st.randoms(use_true_random=False))
def test_effective_number_lies_between_people_and_clips(people, random):
    values = np.array([random.random() < 0.3 for _ in people])
    number = uncertainty.effective_number(values, people)
    assert len(set(people)) - 1e-9 <= number <= len(people) + 1e-9


def test_effective_number_at_its_ends():
    people = np.repeat(["a", "b", "c"], 4)
    assert uncertainty.effective_number(people == "a", people) == pytest.approx(3)
    assert uncertainty.effective_number(np.ones(12), people) == pytest.approx(12)


@given(PEOPLE, st.integers(1, 12), st.randoms(use_true_random=False))
def test_groups_keep_people_whole_in_any_order(people, most, random):
    groups = uncertainty.groups_of_people(people, most)
    assert len(set(groups)) == min(most, len(set(people)))
    assert all(len(set(groups[people == person])) == 1 for person in set(people))
    order = np.array(random.sample(range(len(people)), len(people)))
    np.testing.assert_array_equal(uncertainty.groups_of_people(people[order], most), groups[order])


def test_other_people_of_repeated_folds():
    people, folds = np.array(list("abcabc")), np.array([0, 0, 1, 2, 3, 3])
    found = {tuple(np.flatnonzero(own)): set(people[rest])
             for own, rest in uncertainty.other_people(people, folds)}  # fmt: skip
    assert found == {(0, 1): {"c"}, (2,): {"a", "b"}, (3,): {"b", "c"}, (4, 5): {"a"}}
    with pytest.raises(ValueError, match="fold 0 has clips of everybody"):
        list(module.other_people(list("ab"), [0, 0]))
