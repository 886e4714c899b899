"""Weighted measures: equal weights give those of the package, others those of repeated clips."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.trust import measures
from fer_jax import uncertainty

RNG = np.random.default_rng(0)
N = 150
P = RNG.dirichlet(np.ones(4), N).round(2) + 0.01
P /= P.sum(-1, keepdims=True)
LABELS = np.array([RNG.choice(4, p=p) for p in P])
ENTROPY, RIGHT, SURE = uncertainty.entropy(P).round(2), P.argmax(-1) == LABELS, P.max(-1)
OTHER = RNG.random(N) < 0.4
PEOPLE = np.arange(N) // 10


def of(function, *values, repeats=None):
    """The measure where each clip has the weight of its repeats."""
    weight = np.ones(N) if repeats is None else np.asarray(repeats, float)
    return function(*values, weight[None] / weight.sum())[0]


MEASURES = [
    (measures.auroc, (ENTROPY, OTHER), lambda s, o: roc_auc_score(o, s)),
    (measures.aurc, (ENTROPY, RIGHT), uncertainty.area_under_risk_coverage),
    (measures.augrc, (ENTROPY, RIGHT), uncertainty.area_under_generalised_risk),
    (measures.mean, (RIGHT,), np.mean),
]


@pytest.mark.parametrize(("function", "values", "expected"), MEASURES)
@pytest.mark.parametrize("repeats", [np.ones(N, int), np.arange(N) % 3])
def test_a_weight_is_a_number_of_repeats(function, values, expected, repeats):
    repeated = [np.repeat(each, repeats) for each in values]
    assert of(function, *values, repeats=repeats) == pytest.approx(expected(*repeated))


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        (measures.equal_bins, uncertainty.expected_calibration_error),
        (measures.adaptive_bins, uncertainty.adaptive_calibration_error),
    ],
)
def test_calibration_errors_are_those_of_the_package(bins, expected):
    found = of(measures.calibration_error, SURE, RIGHT, bins(SURE))
    assert found == pytest.approx(expected(P, LABELS))


def test_paired_areas_are_the_mean_over_kinds():
    altered = np.stack([ENTROPY + 0.1, ENTROPY - 0.2], 1)
    expected = np.mean([
        roc_auc_score(np.repeat([0, 1], N), np.append(ENTROPY, kind)) for kind in altered.T
    ])  # fmt: skip
    assert of(measures.paired_auroc, ENTROPY, altered) == pytest.approx(expected)


def test_a_figure_has_an_interval_over_people():
    found = measures.figure("d", "", "accuracy", measures.mean, RIGHT, people=PEOPLE)
    assert found.low < found.value < found.high and found.people == N // 10
    alone = measures.figure("d", "", "accuracy", measures.mean, RIGHT, people=np.zeros(N))
    assert np.isnan([alone.low, alone.high]).all() and alone.value == found.value
