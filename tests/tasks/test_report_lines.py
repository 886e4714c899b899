"""Lines that reports share, and curves that tables and figures share."""

import types

import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.data.folds import Fold
from fer_jax.tasks import report_lines
from fer_jax.tasks.classification.scores import score_inference_modes
from fer_jax.tasks.dimensions.scores import at_levels
from fer_jax.tasks.evaluation import Evaluated, evaluation_folds


def test_table_keeps_empty_cells_and_marks_missing_numbers():
    numbers = [report_lines.number(value, 2) for value in (0.125, None, np.nan)]
    lines = report_lines.table("unit | a | b | c", [("AU01", *numbers), ("paper", "", "1", "")])
    assert lines == [
        "| unit | a | b | c |", "|---|---|---|---|", "| AU01 | 0.12 | - | - |", "| paper | | 1 | |",
    ]  # fmt: skip
    assert report_lines.interval((0.25, 0.5)) == "0.2500 to 0.5000"
    assert report_lines.interval((np.nan, np.nan)) == report_lines.interval((0.5, 0.5)) == "-"
    assert report_lines.interval((0.25, 0.5), subjects=2) == "-"


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_sentence_on_abstaining_names_what_was_chosen(threshold):
    promise = {"threshold": None, "confidence": 0.9, "people": 4, "clips": 80}
    row = {"target_accuracy": 0.9, "threshold": threshold, "chosen_on": "validation",
           "crossed": False, "coverage": 0.75, "accuracy": None, "promise": promise}  # fmt: skip
    line = report_lines.abstaining_line(row, "the entropy", "above {:.3f} nats", "clips", " (x)")
    if threshold is None:
        assert "no threshold on the entropy reaches the target accuracy 0.90" in line
    else:
        assert "abstains above 0.500 nats (threshold for an accuracy of 0.90, chosen on va" in line
        assert "Coverage 75.0% of the clips, accuracy on them none (x)." in line
        assert "No threshold can promise that target with 90% confidence over people (4 " in line


def test_tables_say_what_the_curves_show():
    rng = np.random.default_rng(0)
    samples, labels = rng.dirichlet([1, 1, 1], (5, 40)), rng.integers(0, 3, 40)
    probabilities = {"stored": samples[0], "mc_dropout": samples.mean(0)}
    evaluated = Evaluated(np.arange(40), np.zeros(40, int), labels, probabilities, samples,
                    uncertainty.summarise(samples), None)  # fmt: skip
    table, curves = score_inference_modes([Fold("holdout", None, None)], evaluated)
    for name, values in probabilities.items():
        entropy, correct = uncertainty.entropy(values), values.argmax(-1) == labels
        assert table[name]["area_under_risk_coverage"] == curves[name].risk[-1]
        assert curves[name].risk[-1] == uncertainty.area_under_risk_coverage(entropy, correct)
        assert table[name]["expected_calibration_error"] == curves[name].reliability[-1]
        error = uncertainty.expected_calibration_error(values, labels)
        assert curves[name].reliability[-1] == error and curves[name].reliability[2].sum() == 40


def test_fold_excludes_all_repeats_of_its_clips():
    evaluated = types.SimpleNamespace(
        folds=np.array([0, 0, 1, 1, 2, 2, 3, 3]), indices=np.array([0, 1, 2, 3, 0, 2, 1, 3])
    )
    own, rest = list(evaluation_folds(evaluated))[2]  # clips 0 and 2, in the second repeat
    assert np.flatnonzero(own).tolist() == [4, 5]
    assert np.flatnonzero(rest).tolist() == [1, 3, 6, 7]


def test_levels_of_intervals_are_picked_by_value():
    found = {"levels": [0.5, 0.7, 0.9], "measured_on": "validation",
             "mc_samples": {"valence": {"coverage": [1, 2, 3], "width": [4, 5, 6]}}}  # fmt: skip
    picked = at_levels(found, (0.9, 0.5))
    assert picked["levels"] == [0.9, 0.5] and picked["measured_on"] == "validation"
    assert picked["mc_samples"] == {"valence": {"coverage": [3, 1], "width": [6, 4]}}
    assert found["levels"] == [0.5, 0.7, 0.9]
