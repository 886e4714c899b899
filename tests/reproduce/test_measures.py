"""Results of finished runs, under the names that the papers' tables ask for."""

import numpy as np
import pytest

from fer_jax.reproduce.measures import Result, measure


@pytest.fixture
def result(experiment):
    return lambda kind: Result(experiment(kind))


def test_errors_of_dimensions(result):
    own = result("dimensions")
    stored = own.metrics["inference_modes"]["stored"]
    for name in ("rmse", "mae", "pearson"):
        expected = stored["dimensions"]["arousal"][name]
        assert measure(own, f"{name} arousal").number == expected
    assert measure(own, "rmse dominance") is None
    assert measure(own, "within stored").number == 100 * stored["accuracy"]
    assert measure(own, "threshold stored").number == stored["threshold_for_kaggle"]


def test_f1_of_action_units(result):
    own = result("action_units")
    expected = own.metrics["inference_modes"]["stored"]["f1_mean"]
    assert measure(own, "f1 stored").number == expected


def test_accuracies_and_shares_of_classes(result):
    own = result("landmarks")
    rows = own.metrics["inference_modes"]
    for mode in ("stored", "mc_dropout"):
        expected = 100 * rows[mode]["accuracy_mean_of_folds"]
        assert measure(own, f"accuracy {mode}").number == pytest.approx(expected)
    assert measure(own, "parameters").number == own.metrics["params_without_U"]
    names = own.classes
    matrix = np.array([
        [measure(own, f"confusion {true}>{taken}").number for taken in names] for true in names
    ])  # fmt: skip
    np.testing.assert_allclose(matrix.sum(1), 100)
    np.testing.assert_allclose(np.trace(own.confusion()) / own.confusion().sum(),
                               rows["stored"]["accuracy_pooled"])  # fmt: skip
    assert measure(own, "confusion anger>contempt") is None


def test_prepared_clips_of_each_class_are_counted(result):
    own = result("landmarks")
    counts = [measure(own, f"clips {name}").number for name in own.classes]
    assert sum(counts) == measure(own, "clips all").number > 0 and min(counts) > 0
