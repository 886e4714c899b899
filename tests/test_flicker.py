"""The command that measures flicker and delay: its figures on rows of which they are known."""

import types

import numpy as np
import pytest

from benchmarks.flicker import FILTERS, Stretch, delay_of, figures, mean
from tests.trusting import trusting

TIMES = np.arange(1, 61) / 10  # six seconds, the face changes after three


def stretch(wrong=()):
    """Rows that are right but for some, of faces of class 0, then of class 2."""
    truth = np.where(TIMES > 3, 2, 0)
    shown = truth.copy()
    shown[list(wrong)] = 1
    return Stretch(TIMES, 0.1 + 0.7 * np.eye(3)[shown], truth, 3.0)


def measured(own, smooth=mean, seconds=0.0):
    predictor = types.SimpleNamespace(threshold=0.7, trust=trusting())
    return figures(predictor, [own], smooth, seconds)


def test_figures_of_a_stretch_are_known():
    cells = measured(stretch(wrong=(5, 20, 32)))
    assert cells["label changes a second"] == f"{7 / 5.9:.2f}"  # into each mistake, back, and once
    assert cells["variation a second"] == f"{7 * 0.7 / 5.9:.2f}"
    assert cells["answered"] == "1.000"
    held = (TIMES < 3) | (TIMES >= 4)
    assert cells["accuracy, held"] == f"{1 - 2 / held.sum():.3f}" and cells["all"] == "0.950"
    assert cells["sets hold it, held"] == f"{1 - 2 / held.sum():.3f}"
    assert cells["changing"] == f"{1 - 1 / (~held).sum():.3f}"


@pytest.mark.parametrize(("late", "delay"), [((), 0.1), ((30, 31, 32), 0.4)])
def test_delay_is_the_time_to_the_new_label(late, delay):
    own = stretch(late)
    assert delay_of(own, own.shares) == pytest.approx(delay)
    assert delay_of(own, np.tile([1.0, 0, 0], (60, 1))) == 3.0  # it never comes
    assert delay_of(own._replace(shares=np.tile([1.0, 0, 0], (60, 1))), own.shares) is None


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_leaves_out_narrow_mistakes(name):
    own = stretch()
    own.shares[[5, 20]] = 0.4, 0.5, 0.1  # as its noise is, not as a change
    assert measured(own)["label changes a second"] == f"{5 / 5.9:.2f}"
    shares = FILTERS[name](own.times, own.shares, 1.0)
    np.testing.assert_allclose(shares.sum(-1), 1)
    assert measured(own, FILTERS[name], 1.0)["label changes a second"] == f"{1 / 5.9:.2f}"
