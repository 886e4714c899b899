"""Votes of several people for the class of a clip: distributions, classes, rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fer_jax.faces.emotion_ratings import VOTE_RULES, of_classes, read_votes

NONE = [0, 0, 0]
# Votes for three classes and two answers that are none: their distribution, the class of each rule.
CASES = {
    "clear": ([8, 2, 0, 0, 0], [0.8, 0.2, 0], [1, 0, 0], [1, 0, 0]),
    "single votes": ([6, 1, 1, 2, 0], [0.75, 0.125, 0.125], [1, 0, 0], [1, 0, 0]),
    "exactly half": ([5, 3, 2, 0, 0], [0.5, 0.3, 0.2], NONE, [1, 0, 0]),
    "half without single ones": ([4, 1, 1, 3, 1], [4 / 6, 1 / 6, 1 / 6], [1, 0, 0], [1, 0, 0]),
    "tie": ([0, 5, 5, 0, 0], [0, 0.5, 0.5], NONE, [0, 1, 0]),
    "no class": ([3, 0, 0, 7, 0], [1, 0, 0], NONE, [1, 0, 0]),
    "no class, half": ([5, 0, 0, 3, 2], [1, 0, 0], NONE, [1, 0, 0]),
    "single ones alone": ([1, 1, 0, 0, 0], [0.5, 0.5, 0], NONE, [1, 0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_rules_read_votes(name):
    votes, shares, *classes = CASES[name]
    for rule, chosen in zip(VOTE_RULES, classes, strict=True):
        np.testing.assert_allclose(read_votes([votes], 3, rule)[0], [shares, chosen], rtol=1e-6)


def test_nothing_is_known_without_votes_for_a_class():
    for rule in VOTE_RULES:
        assert np.isnan(read_votes([[0, 0, 0, 5, 5], [9, 0, 0, 0, 0]], 3, rule)[0]).all()


@given(arrays.arrays(int, (4, 6), elements=st.integers(0, 10)), st.sampled_from(VOTE_RULES))
@settings(deadline=None, max_examples=50)
def test_labels_are_distributions_with_at_most_one_class(votes, rule):
    labels = read_votes(votes, 4, rule)
    known = np.isfinite(labels).all((1, 2))
    assert (np.isnan(labels).all((1, 2)) == ~known).all()
    np.testing.assert_allclose(labels[known, 0].sum(-1), 1, rtol=1e-6)
    for distribution, chosen in labels[known]:
        assert chosen.sum() in (0, 1)
        if chosen.any():
            assert distribution[chosen.argmax()] == distribution.max() > 0
        assert chosen.any() or rule == "majority"


def test_restricted_labels_add_up_to_one():
    labels = read_votes([[4, 4, 2, 0], [0, 0, 9, 0], [2, 7, 0, 0]], 3, "majority")
    kept = of_classes(labels, [0, 1])
    np.testing.assert_allclose(kept[0], [[0.5, 0.5], [0, 0]])
    assert np.isnan(kept[1, 0]).any()
    np.testing.assert_allclose(kept[2], [[2 / 9, 7 / 9], [0, 1]], rtol=1e-6)


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'plurality' is unknown: use one of"):
        read_votes([[1, 2]], 2, "plurality")
