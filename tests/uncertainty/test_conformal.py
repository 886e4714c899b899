"""Prediction sets: scores, quantiles by person, coverage on people never seen."""

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin

from fer_jax import uncertainty
from fer_jax.uncertainty import conformal
from tests.uncertainty.drawn_people import classified

P = np.array([[0.5, 0.2, 0.3]])


@pytest.mark.parametrize("options, expected", [
    ({}, [0.5, 0.8, 0.7]),
    ({"score": "aps"}, [0.5, 1.0, 0.8]),
    ({"score": "aps", "uniform": [0.5]}, [0.25, 0.9, 0.65]),
    ({"score": "raps", "penalty": 0.1}, [0.6, 1.3, 1.0]),
    ({"score": "raps", "penalty": 0.1, "free": 2}, [0.5, 1.1, 0.8]),
])  # fmt: skip
def test_scores_by_hand(options, expected):
    np.testing.assert_allclose(uncertainty.conformity_scores(P, **options), [expected])


@pytest.mark.parametrize("level, needed", [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_people_that_a_promise_takes(level, needed):
    assert uncertainty.needed_for(level) == needed
    scores = np.arange(2.0 * needed)
    for count in {needed, max(needed - 1, 1)}:
        found = uncertainty.conformal_quantile(scores, np.arange(2 * needed) % count, level)
        assert found.promised == (count == needed) and found.needed == needed


def test_quantiles_by_hand():
    # Person a has 1 ... 8, b has 9, c has 10: a person's share of 1 / 4 each, and one at infinity.
    scores, people = np.arange(1.0, 11.0), np.repeat(["a", "b", "c"], [8, 1, 1])
    take = uncertainty.conformal_quantile
    assert take(scores, people, 0.125).value == 4  # 4 / 8 of a fourth
    assert take(scores, people, 0.5) == (9.0, 3, 10, True, 1)
    assert take(scores, people, 0.75) == (10.0, 3, 10, True, 3)
    assert take(scores, people, 0.8) == (10.0, 3, 10, False, 4)
    assert take(scores, people, 0.7, "clip") == (8.0, 3, 10, True, 3)  # the 7.7th, upwards
    assert take(scores, people, 0.95, "clip") == (10.0, 3, 10, False, 19)
    effective = take(scores, people, 0.4, "effective")
    assert effective == (9.0, 3, 10, False, 1)  # 0.4 * (1 + 1 / 3), if each is all alike


SCORES = st.lists(
    st.tuples(st.floats(-5, 5), st.integers(0, 4)), min_size=1, max_size=40
).map(lambda rows: tuple(map(np.array, zip(*rows, strict=True))))  # fmt: skip


@given(SCORES, st.floats(0.05, 0.95), st.sampled_from(conformal.UNITS),
       st.randoms(use_true_random=False))  # fmt: skip
def test_quantile_does_not_depend_on_order_or_names(scored, level, unit, random):
    scores, people = scored
    order = np.array(random.sample(range(len(scores)), len(scores)))
    names = np.array(random.sample("vwxyz", 5))[people]
    first = uncertainty.conformal_quantile(scores, people, level, unit)
    assert first == uncertainty.conformal_quantile(scores[order], names[order], level, unit)


@given(SCORES, st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.sampled_from(["person", "clip"]))
def test_quantile_grows_with_the_level(scored, one, other, unit):
    low, high = sorted((one, other))
    if unit == "person":  # the promise ends where people are too few
        high = min(high, 0.49)
        low = min(low, high)
    take = [uncertainty.conformal_quantile(*scored, level, unit).value for level in (low, high)]
    assert take[0] <= take[1]


@given(SCORES, st.floats(0.05, 0.95))
def test_one_clip_a_person_makes_all_units_one(scored, level):
    scores, people = scored[0], np.arange(len(scored[0]))
    values = {uncertainty.conformal_quantile(scores, people, level, unit).value
              for unit in conformal.UNITS}  # fmt: skip
    assert len(values) == 1


@settings(max_examples=50)
@given(st.integers(0, 99), st.sampled_from(["lac", "aps", "raps"]), st.booleans())
def test_sets_are_nested_over_levels_and_never_empty(seed, score, randomised):
    p, labels, people = classified(seed, people=12, clips=8)
    uniform = np.random.default_rng(seed).random(len(p)) if randomised else None
    options = {"score": score, "uniform": uniform, "unit": "clip"}
    options |= {"penalty": 0.05, "free": 1} if score == "raps" else {}
    before = np.zeros(p.shape, bool)
    for level in (0.5, 0.7, 0.9, 0.95):
        rule = uncertainty.fit_sets(p, labels, people, level, **options)
        sets = uncertainty.prediction_sets(p, rule, uniform=uniform)
        assert (sets >= before).all() and sets.any(-1).all()
        assert sets[np.arange(len(p)), p.argmax(-1)].all()
        held = uncertainty.prediction_sets(p, rule, uniform=uniform, allow_empty=True)
        assert held[np.arange(len(p)), labels].mean() >= level
        before = sets


def test_a_set_is_empty_only_if_asked():
    rule = conformal.SetRule("lac", 0.5, (0.4,), 3, 30)
    assert uncertainty.prediction_sets(P, rule).tolist() == [[True, False, False]]
    assert not uncertainty.prediction_sets(P, rule, allow_empty=True).any()


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its probabilities."""

    def fit(self, inputs, labels):
        self.classes_ = np.arange(inputs.shape[1])
        return self

    def predict_proba(self, inputs):
        return inputs

    def predict(self, inputs):
        return inputs.argmax(-1)

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_mapie_has_the_same_scores_quantiles_and_sets(score):
    from mapie.classification import SplitConformalClassifier

    p, labels, people = classified(0, people=10)
    test = classified(1, people=5)[0]
    model = Given().fit(p, labels)
    levels = [0.8, 0.9, 0.95]
    seed = 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a future version of scikit-learn
        other = SplitConformalClassifier(
            model, levels, conformity_score=score, prefit=True, random_state=seed
        ).conformalize(p, labels)
        _, sets = other.predict_set(test)
    uniform = None if score == "lac" else np.random.RandomState(seed).uniform(size=len(p))
    own = uncertainty.conformity_scores(p, score, uniform=uniform)[np.arange(len(p)), labels]
    theirs = other._mapie_classifier
    np.testing.assert_allclose(own, np.ravel(theirs.conformity_scores_), atol=1e-12)
    for column, level in enumerate(levels):
        rule = uncertainty.fit_sets(
            p, labels, people, level, score=score, unit="clip", uniform=uniform
        )
        quantile = theirs.conformity_score_function_.quantiles_[column]
        assert rule.quantile[0] == pytest.approx(float(quantile), abs=1e-12)
        if score == "lac":
            found = uncertainty.prediction_sets(test, rule, allow_empty=True)
            np.testing.assert_array_equal(found, sets[..., column])


def test_mapie_has_the_same_raps_scores():
    from mapie.conformity_scores import RAPSConformityScore

    p, labels, _ = classified(0, people=10)
    theirs = RAPSConformityScore()
    theirs.set_external_attributes(classes=np.arange(5), random_state=0)
    total, cutoff = theirs.get_true_label_cumsum_proba(labels, p, np.arange(5))
    expected = theirs._regularize_conformity_score(np.array([2]), np.array([0.1]), total, cutoff)
    own = uncertainty.conformity_scores(p, "raps", penalty=0.1, free=2)
    np.testing.assert_allclose(own[np.arange(len(p)), labels], expected[:, 0, 0])


def covered(seed, people, unit, alike, level=0.9, **options):
    """Expected coverage of sets fitted on so many people, on 300 that were never seen."""
    p, labels, index = classified(seed, people=people + 300, clips=20, alike=alike)
    own = index < people
    rule = uncertainty.fit_sets(p[own], labels[own], index[own], level, unit=unit, **options)
    sets = uncertainty.prediction_sets(p[~own], rule, allow_empty=True)
    return sets[np.arange(len(sets)), labels[~own]].mean()


def mean_coverage(people, unit, alike):
    return np.mean([covered(seed, people, unit, alike) for seed in range(100)])


@pytest.mark.parametrize("people", [5, 8, 20])
@pytest.mark.parametrize("alike", [0.0, 0.6])
def test_effective_covers_people_never_seen(people, alike):
    assert 0.885 <= mean_coverage(people, "effective", alike) <= 0.93


def test_clips_of_few_people_cover_less_than_the_level():
    assert mean_coverage(8, "clip", 0.6) < 0.88
    assert mean_coverage(8, "clip", 0.0) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("alike", [0.0, 0.6])
def test_promise_covers_people_never_seen(alike):
    assert 0.9 <= mean_coverage(20, "person", alike) <= 0.96


def test_too_few_people_promise_nothing_and_say_how_many_it_takes():
    p, labels, people = classified(0, people=8)
    rule = uncertainty.fit_sets(p, labels, people, 0.9)
    assert not rule.promised and (rule.people, rule.clips, rule.needed) == (8, 320, 9)
    assert rule.quantile == uncertainty.fit_sets(p, labels, people, unit="effective").quantile
    p, labels, people = classified(0, people=9)
    rule = uncertainty.fit_sets(p, labels, people, 0.9)
    assert rule.promised and rule.quantile[0] == pytest.approx((1 - p)[range(360), labels].max())
    assert not uncertainty.fit_sets(p, labels, people, 0.9, unit="effective").promised
    assert uncertainty.fit_sets(p, labels, people, 0.9, unit="clip").promised


def test_by_class_each_class_is_covered():
    p, labels, people = classified(0, people=400, clips=20, classes=3)
    odds = p * [1.0, 0.2, 1.0]
    p = odds / odds.sum(-1, keepdims=True)  # the second class is missed
    own = people < 200
    given = p[own], labels[own], people[own]
    plain, by_class = (
        uncertainty.coverage_by(
            labels[~own], uncertainty.prediction_sets(p[~own], rule, allow_empty=True), labels[~own]
        )
        for rule in (uncertainty.fit_sets(*given, 0.8),
                     uncertainty.fit_sets(*given, 0.8, by_class=True))
    )  # fmt: skip
    assert plain[1]["coverage"] < 0.75
    assert all(abs(row["coverage"] - 0.8) < 0.03 for row in by_class.values())


def test_a_class_without_clips_has_the_quantile_of_all():
    p, labels, people = classified(0, people=10, classes=3)
    some = labels != 2
    given = p[some], labels[some], people[some]
    rule = uncertainty.fit_sets(*given, 0.8, by_class=True)
    assert rule.quantile[2] == uncertainty.fit_sets(*given, 0.8).quantile[0]
    assert (rule.people, rule.clips, rule.promised) == (0, 0, False)


def test_cross_sets_use_only_other_people():
    p, labels, people = classified(0, people=6)
    folds = people // 2
    sets, rule = uncertainty.cross_sets(p, labels, people, folds, 0.8, unit="effective")
    rest = folds != 1
    own = uncertainty.fit_sets(p[rest], labels[rest], people[rest], 0.8, unit="effective")
    np.testing.assert_array_equal(sets[~rest], uncertainty.prediction_sets(p[~rest], own))
    whole = uncertainty.fit_sets(p, labels, people, 0.8, unit="effective")
    assert rule == dataclasses.replace(whole, crossed=True)
    changed = labels.copy()
    changed[~rest] = (changed[~rest] + 1) % 5
    again, _ = uncertainty.cross_sets(p, changed, people, folds, 0.8, unit="effective")
    np.testing.assert_array_equal(again[~rest], sets[~rest])


def test_nobody_is_promised_what_a_cross_validation_found():
    p, labels, people = classified(0, people=20)
    _, rule = uncertainty.cross_sets(p, labels, people, people % 5, 0.8)
    assert rule.people >= rule.needed and not rule.promised


def test_random_shares_belong_to_their_clips():
    p, labels, people = classified(0, people=6)
    uniform = np.random.default_rng(0).random(len(p))
    sets, _ = uncertainty.cross_sets(
        p, labels, people, people, 0.8, score="aps", unit="effective", uniform=uniform
    )
    plain, _ = uncertainty.cross_sets(p, labels, people, people, 0.8, score="aps", unit="effective")
    assert sets.sum(-1).mean() < plain.sum(-1).mean()


def test_raps_are_smaller_than_aps():
    p, labels, people = classified(0, people=10, classes=8)
    penalty, free = uncertainty.choose_raps(p, labels, people, 0.9)
    assert penalty in conformal.PENALTIES and 1 <= free <= 8
    sizes = [
        uncertainty.cross_sets(p, labels, people, people, 0.9, unit="effective", **options)[0]
        .sum(-1).mean()
        for options in ({"score": "raps", "penalty": penalty, "free": free}, {"score": "aps"})
    ]  # fmt: skip
    assert sizes[0] <= sizes[1]


def test_action_units_have_a_set_each():
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 2, (2000, 3))
    labels = (rng.random(p.shape) < p).astype(float)
    labels[:, 2] = np.nan
    people = np.arange(2000) % 40
    for by_class in (False, True):
        rules = uncertainty.fit_unit_sets(p, labels, people, 0.9, by_class=by_class)
        assert rules[2] is None and rules[0].quantile != rules[1].quantile
        sets = uncertainty.unit_sets(p, rules)
        assert sets.shape == (2000, 3, 2) and sets[:, 2].all()
        present = labels[:, 0] == 1
        held = [sets[~present, 0, 0].mean(), sets[present, 0, 1].mean()]
        # {absent} alone is right often enough, except by class
        assert (min(held) > 0.88) == by_class
        assert np.average(held, weights=[(~present).mean(), present.mean()]) > 0.88


@pytest.mark.parametrize("call, message", [
    (lambda: uncertainty.conformity_scores(P, "margin"), "score 'margin' is none of"),
    (lambda: uncertainty.conformity_scores(P, "raps"), "raps has a penalty above 0"),
    (lambda: uncertainty.conformity_scores(P, "lac", penalty=0.1), "no other has one"),
    (lambda: uncertainty.conformity_scores(P * 3), "take the softmax of logits"),
    (lambda: uncertainty.conformal_quantile([], [], 0.9), "needs scores that are finite"),
    (lambda: uncertainty.conformal_quantile([np.nan], ["a"], 0.9), "needs scores"),
    (lambda: uncertainty.conformal_quantile([1.0], [], 0.9), "each score needs its person"),
    (lambda: uncertainty.conformal_quantile([1.0], ["a"], 90), "lies between 0 and 1, not 90"),
    (lambda: uncertainty.conformal_quantile([1.0], ["a"], 0.9, "face"), "unit 'face' is none of"),
    (lambda: uncertainty.prediction_sets(P, conformal.SetRule("lac", 0.9, (0.1, 0.2), 2, 4)),
     "for 2 classes, not 3"),
    (lambda: uncertainty.prediction_sets(
        P, conformal.SetRule("aps", 0.9, (0.9,), 2, 4, randomised=True)
    ), "with `uniform` if fitted so"),
])  # fmt: skip
def test_what_makes_no_set_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
