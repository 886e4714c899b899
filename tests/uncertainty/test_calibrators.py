"""Calibrators: fitted by people, chosen on people left out, finite on separable data."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from fer_jax import metrics, uncertainty
from fer_jax.uncertainty import Calibrator, calibrators
from tests.uncertainty.drawn_people import classified

FITTED = ("temperature", "vector", "isotonic")


def likelihood(p, labels, people):
    return -(uncertainty.equal_weights(people) * np.log(p[np.arange(len(p)), labels])).sum()


def test_temperature_by_hand():
    # Two classes with odds 9 to 1. 7 of 10 are right, and half a clip more of one that was labelled
    # evenly: 7.5 / 11 = sigmoid(log(9) / T).
    p, labels = np.tile([[0.9, 0.1]], (10, 1)), np.repeat([0, 1], [7, 3])
    fitted = uncertainty.fit_calibrator(p, labels, np.arange(10))
    expected = np.log(9) / np.log(7.5 / 3.5)
    assert (fitted.method, fitted.people, fitted.clips) == ("temperature", 10, 10)
    assert fitted.parameters[0][0] == pytest.approx(expected)
    np.testing.assert_allclose(fitted.apply(p)[0], [7.5 / 11, 3.5 / 11], rtol=1e-6)


def test_each_person_counts_the_same():
    # the first person is right in all of 90 clips, the second in 1 of 10: half the weight each
    p, people = np.tile([[0.8, 0.2]], (100, 1)), np.repeat(["a", "b"], [90, 10])
    labels = np.repeat([0, 1], [91, 9])
    share = uncertainty.fit_calibrator(p, labels, people).apply(p)[0, 0]
    assert share == pytest.approx((1.0 + 0.1) / 2, abs=0.005)
    share = uncertainty.fit_calibrator(p, labels, np.arange(100)).apply(p)[0, 0]
    assert share == pytest.approx(0.91, abs=0.005)


def test_vector_is_fitted_by_one_thread(monkeypatch):
    def threads():
        return {own["num_threads"] for own in threadpool_info() if own["user_api"] == "blas"}

    def minimize(*arguments, **options):
        during.append(threads())
        return real(*arguments, **options)

    during, real = [], scipy.optimize.minimize
    monkeypatch.setattr(scipy.optimize, "minimize", minimize)
    with threadpool_limits(2, "blas"):
        uncertainty.fit_calibrator(*classified(0, people=4), "vector")
        assert (during, threads()) == ([{1}], {2})


@pytest.mark.parametrize("method", FITTED)
def test_calibration_helps_people_never_seen(method):
    p, labels, people = classified(0, people=40, sharpness=4.0)
    own = people < 20
    fitted = uncertainty.fit_calibrator(p[own], labels[own], people[own], method)
    rest = p[~own], labels[~own], people[~own]
    calibrated = fitted.apply(rest[0])
    assert likelihood(calibrated, *rest[1:]) < likelihood(*rest) - 0.1
    error = uncertainty.expected_calibration_error
    assert error(calibrated, rest[1]) < error(*rest[:2]) / 2


def test_a_bias_is_found_by_the_vector():
    p, labels, people = classified(1, people=20, classes=3, sharpness=1.0)
    shifted = p * [5.0, 1.0, 1.0]
    shifted /= shifted.sum(-1, keepdims=True)
    fitted = uncertainty.fit_calibrator(shifted, labels, people, "vector")
    bias = np.array(fitted.parameters[1])
    assert bias[0] - bias[1:].mean() < -1
    assert metrics.accuracy(fitted.apply(shifted), labels) > metrics.accuracy(shifted, labels)


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("right", [True, False])
def test_separable_clips_leave_parameters_finite(method, right):
    labels = np.arange(24) % 3
    p = np.eye(3)[labels if right else (labels + 1) % 3]
    fitted = uncertainty.fit_calibrator(p, labels, np.arange(24) // 4, method)
    calibrated = fitted.apply(p)
    assert np.isfinite(calibrated).all() and calibrated.sum(-1) == pytest.approx(np.ones(24))
    assert (calibrated > 0).all() and Calibrator.from_json(fitted.to_json()) == fitted
    assert (calibrated.argmax(-1) == labels).all() or not right


def probabilities(classes):
    return st.lists(
        st.lists(st.floats(0.0, 1.0), min_size=classes, max_size=classes), min_size=4, max_size=20
    ).map(lambda rows: (np.array(rows) + 1e-6) / (np.array(rows) + 1e-6).sum(-1, keepdims=True))


@settings(max_examples=40, deadline=None)
@given(probabilities(3), st.sampled_from(FITTED), st.randoms(use_true_random=False))
def test_calibrated_are_probabilities_in_any_order(p, method, random):
    labels = np.array([random.randrange(3) for _ in p])
    people = np.array([random.randrange(3) for _ in p])
    order = np.array(random.sample(range(len(p)), len(p)))
    fitted = uncertainty.fit_calibrator(p, labels, people, method)
    shuffled = uncertainty.fit_calibrator(p[order], labels[order], people[order], method)
    calibrated = fitted.apply(p)
    np.testing.assert_allclose(calibrated.sum(-1), 1)
    assert (calibrated >= 0).all()
    np.testing.assert_allclose(shuffled.apply(p), calibrated, atol=2e-3)
    assert Calibrator.from_json(fitted.to_json()) == fitted
    if method == "temperature":
        assert (np.sort(p, -1).argsort(-1) == np.sort(calibrated, -1).argsort(-1)).all()
        top = calibrated[np.arange(len(p)), p.argmax(-1)]
        np.testing.assert_allclose(top, calibrated.max(-1))


def test_votes_of_one_class_are_its_label():
    p, labels, people = classified(2, people=6, classes=4)
    for method in FITTED:
        votes = uncertainty.fit_calibrator(p, np.eye(4)[labels], people, method)
        assert votes == uncertainty.fit_calibrator(p, labels, people, method)


def test_divided_votes_make_the_temperature_higher():
    p, labels, people = classified(3, people=6, classes=4)
    divided = 0.6 * np.eye(4)[labels] + 0.1
    whole, other = (uncertainty.fit_calibrator(p, each, people).parameters[0][0]
                    for each in (labels, divided))  # fmt: skip
    assert other > whole


def test_applies_to_any_leading_axes():
    p, labels, people = classified(4, people=4)
    fitted = uncertainty.fit_calibrator(p, labels, people, "isotonic")
    np.testing.assert_array_equal(fitted.apply(p.reshape(4, 40, 5))[1, 3], fitted.apply(p[43]))


def test_chooses_none_where_nothing_is_wrong():
    p, labels, people = classified(5, people=30, alike=0.0, sharpness=2.0)
    rng = np.random.default_rng(0)
    labels = np.array([rng.choice(5, p=row / row.sum()) for row in p])
    chosen, found = uncertainty.choose_calibrator(p, labels, people)
    assert set(found) == set(calibrators.METHODS)  # 1200 clips: each class has 100
    assert found["none"] < min(found.values()) + 0.005
    assert np.abs(chosen.apply(p) - p).mean() < 0.02


def test_chooses_what_helps_and_says_what_it_rests_on():
    p, labels, people = classified(6, people=12, sharpness=4.0)
    chosen, found = uncertainty.choose_calibrator(p, labels, people)
    assert chosen.method in ("temperature", "vector")
    assert (chosen.people, chosen.clips) == (12, 480)
    assert "isotonic" not in found  # a class has fewer than 100 clips
    assert found[chosen.method] < found["none"] - 0.1
    with pytest.raises(ValueError, match="takes clips of 2 people; there are 1"):
        uncertainty.choose_calibrator(p[:40], labels[:40], people[:40])


def test_across_folds_nobody_is_calibrated_on_himself():
    p, labels, people = classified(7, people=6)
    folds = people // 2
    calibrated = uncertainty.calibrate_across(p, labels, people, folds, "temperature")
    rest = folds != 1
    fitted = uncertainty.fit_calibrator(p[rest], labels[rest], people[rest])
    np.testing.assert_array_equal(calibrated[~rest], fitted.apply(p[~rest]))


def test_action_units_have_a_calibrator_each():
    rng = np.random.default_rng(0)
    true = rng.beta(1, 1, (400, 3))
    labels = (rng.random(true.shape) < true).astype(float)
    labels[:, 2], labels[:7, 0] = np.nan, np.nan
    odds = (true / (1 - true)) ** [1, 4, 1]
    people = np.arange(400) % 10
    p = odds / (1 + odds)
    fitted = uncertainty.fit_unit_calibrators(p, labels, people)
    assert fitted[2] == Calibrator() and (fitted[0].clips, fitted[0].people) == (393, 10)
    calibrated = uncertainty.apply_to_units(p, fitted)
    assert np.abs(calibrated - true)[:, :2].mean(0).max() < 0.05 < np.abs(p - true)[:, 1].mean()
    np.testing.assert_allclose(calibrated[:, 2], p[:, 2])
    chosen = uncertainty.fit_unit_calibrators(p, labels, people, "temperature")
    assert [each.method for each in chosen] == ["temperature", "temperature", "none"]


def test_deviation_factor_by_hand():
    errors = np.array([[2.0, 1.0], [2.0, np.nan], [1.0, np.nan]])
    deviation, people = np.array([[1.0, 0.5], [1.0, 0.5], [1.0, 0.5]]), ["a", "a", "b"]
    found = uncertainty.fit_deviation_factors(errors, deviation, people)
    np.testing.assert_allclose(found, [np.sqrt((4 + 1) / 2), 2.0])
    assert uncertainty.fit_deviation_factors(errors, 0 * deviation, people).max() == 20.0


@pytest.mark.parametrize("labels, message", [
    ([0, 5], "no class of the probabilities"), ([0, -1], "no class"), ([0.5, 1], "no class"),
    ([0], "no class"), ([[0.5, 0.5, 0.5]] * 2, "must be at least 0 and add up to 1"),
    ([[0.5, 0.5]] * 2, "shape of the probabilities"),
])  # fmt: skip
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        uncertainty.fit_calibrator(np.full((2, 3), 1 / 3), labels, ["a", "b"])


def test_inputs_that_cannot_be_calibrated_are_refused():
    with pytest.raises(ValueError, match="must be finite"):
        uncertainty.fit_calibrator([[np.nan, 0.5]], [0], ["a"])
    with pytest.raises(ValueError, match="needs clips, and a person for each"):
        uncertainty.fit_calibrator([[0.5, 0.5]], [0], [])
    with pytest.raises(ValueError, match="'platt' is none of"):
        uncertainty.fit_calibrator([[0.5, 0.5]], [0], ["a"], "platt")
    p, labels, people = classified(8, people=2)
    fitted = uncertainty.fit_calibrator(p, labels, people, "vector")
    with pytest.raises(ValueError, match="is for 5 classes, not 2"):
        fitted.apply([[0.5, 0.5]])
    with pytest.raises(ValueError, match="take the softmax of logits"):
        fitted.apply(np.full((1, 5), 3.0))
