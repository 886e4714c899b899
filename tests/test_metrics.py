"""Metrics against worked examples and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from fer_jax import metrics

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])
LABELS = np.array([0, 1, 1, 2])


def test_worked_example():
    assert metrics.accuracy(PROBABILITIES, LABELS) == 0.5
    matrix = metrics.confusion_matrix(PROBABILITIES, LABELS)
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    expected = -np.log([0.7, 0.8, 0.3, 0.1]).mean()
    assert metrics.negative_log_likelihood(PROBABILITIES, LABELS) == pytest.approx(expected)


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(5), 200), rng.integers(0, 5, 200)
    predicted = probabilities.argmax(-1)
    assert metrics.accuracy(probabilities, labels) == reference.accuracy_score(labels, predicted)
    balanced = reference.balanced_accuracy_score(labels, predicted)
    assert metrics.balanced_accuracy(probabilities, labels) == pytest.approx(balanced)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(probabilities, labels),
        reference.confusion_matrix(labels, predicted, labels=range(5)),
    )
    assert metrics.negative_log_likelihood(probabilities, labels) == pytest.approx(
        reference.log_loss(labels, probabilities, labels=range(5))
    )


def test_scores_of_classes_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 4, 90), rng.integers(0, 4, 90)
    matrix = reference.confusion_matrix(labels, predicted, labels=range(4))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, predicted)
    found = metrics.class_scores(matrix)
    np.testing.assert_allclose(found["precision"], precision)
    np.testing.assert_allclose(found["recall"], recall)
    np.testing.assert_allclose(found["F1"], f1)
    both = metrics.confusion_scores(np.stack([matrix, 2 * matrix]))
    macro = reference.f1_score(labels, predicted, average="macro")
    np.testing.assert_allclose(both["macro F1"], [macro, macro])
    np.testing.assert_allclose(both["accuracy"], (labels == predicted).mean())


def test_class_that_is_not_there_counts_in_no_mean():
    # the second class is never predicted, the third neither occurs nor is predicted
    found = metrics.class_scores([[2, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(found["precision"], [2 / 3, np.nan, np.nan])
    np.testing.assert_allclose(found["recall"], [1, 0, np.nan])
    np.testing.assert_allclose(found["F1"], [0.8, 0, np.nan])
    means = metrics.confusion_scores([[2, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert means["macro F1"] == pytest.approx(0.4) and means["balanced accuracy"] == 0.5


def test_balanced_accuracy_weighs_classes_alike():
    assert metrics.balanced_accuracy(PROBABILITIES, LABELS) == pytest.approx((1 + 0.5 + 0) / 3)
    assert metrics.balanced_accuracy(PROBABILITIES[:3], LABELS[:3]) == pytest.approx(0.75)
    assert np.isnan(metrics.balanced_accuracy(PROBABILITIES[:0], LABELS[:0]))


def test_sure_mistake_costs_a_finite_amount():
    loss = metrics.negative_log_likelihood(np.array([[1.0, 0.0]]), [1])
    assert loss == pytest.approx(-np.log(1e-12))


def test_nothing_to_score_is_nan():
    assert np.isnan(metrics.accuracy(np.zeros((0, 3)), []))


def test_brier_score_by_hand():
    assert metrics.brier_score(np.array([[0.7, 0.2, 0.1], [0, 0, 1]]), [0, 1]) == pytest.approx(
        (0.3**2 + 0.2**2 + 0.1**2 + 2) / 2
    )
