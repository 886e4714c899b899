"""EMFACS on DISFA: worked frames, one rule at most, neutral only without any unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.faces.labels import DISFA_ACTION_UNITS, DISFA_CLASSES, FERA_CLASSES
from preprocess.datasets.emfacs import emfacs

UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def frame(**intensities):
    """Intensities of one frame, `au1=3`; those not named are 0."""
    assert {int(name.removeprefix("au")) for name in intensities} <= set(UNITS)
    return [intensities.get(f"au{unit}", 0) for unit in UNITS]


def all_at(*units):
    return frame(**{f"au{unit}": 1 for unit in units})


def named(frames, **options):
    """Names of the emotions, "" for none."""
    return [DISFA_CLASSES[n] if n >= 0 else "" for n in emfacs(frames, **options)]


def test_names_and_orders():
    assert tuple(f"AU{unit:02d}" for unit in UNITS) == DISFA_ACTION_UNITS
    assert tuple(sorted(DISFA_CLASSES)) == DISFA_CLASSES and len(DISFA_CLASSES) == 7
    assert FERA_CLASSES == ("anger", "fear", "joy", "relief", "sadness")


@pytest.mark.parametrize(
    ("units", "wanted"),
    [
        ((), "neutral"),
        ((1, 2, 4, 5, 20), "fear"),
        ((1, 2, 4, 5, 25), "fear"),
        ((1, 2, 4, 5, 26, 9, 6, 12), "fear"),  # the first rule wins
        ((1, 2, 4, 5), ""),  # no mouth, and a frown is no surprise
        ((1, 2, 5), "surprise"),
        ((1, 2, 26), "surprise"),
        ((1, 2, 25), ""),
        ((1, 2, 4, 26), ""),
        ((1, 4, 15), "sadness"),
        ((1, 4, 9, 15), "sadness"),
        ((15, 17), "sadness"),
        ((9, 15, 17), "disgust"),  # a wrinkled nose takes the chin from sadness
        ((1, 4), ""),
        ((9,), "disgust"),
        ((9, 6, 12), "disgust"),
        ((4, 5), "anger"),
        ((1, 4, 5), ""),
        ((2, 4, 5, 6, 12), "happiness"),
        ((6, 12), "happiness"),
        ((6, 12, 25, 26), "happiness"),
        ((12,), ""),
        ((25,), ""),
    ],
)
def test_worked_frames(units, wanted):
    assert named([all_at(*units)]) == [wanted]


def test_presence_threshold_does_not_change_neutral():
    frames = [frame(au6=1, au12=3), frame(au6=2, au12=2), frame(au25=1), frame()]
    assert named(frames) == ["happiness", "happiness", "", "neutral"]
    assert named(frames, present=2) == ["", "happiness", "", "neutral"]
    assert named(frames, present=3) == ["", "", "", "neutral"]


def test_raised_chin_is_anger_by_option():
    frames = [all_at(4, 17), all_at(4, 17, 6, 12), all_at(1, 4, 17), all_at(4, 15, 17)]
    assert named(frames) == ["", "happiness", "", "sadness"]
    assert named(frames, chin_anger=True) == ["anger", "anger", "", "sadness"]


def test_unknown_unit_leaves_a_frame_without_emotion():
    assert named([[float("nan"), *[0] * 11], all_at(9)[:-1] + [float("nan")]]) == ["", ""]
    assert emfacs(np.zeros((2, 3, 12))).shape == (2, 3) and emfacs(np.zeros((0, 12))).shape == (0,)


def _by_hand(on) -> set[str]:
    """Every rule that fits, whatever its rank, without the option (page of the paper)."""
    brows = on[1] and on[2]
    fits = {
        "fear": brows and on[4] and on[5] and (on[20] or on[25] or on[26]),
        "surprise": brows and (on[5] or on[26]) and not on[4],
        "sadness": (on[1] and on[4] and on[15]) or (on[15] and on[17] and not on[9]),
        "disgust": on[9],
        "anger": on[4] and on[5] and not on[1] and not on[2],
        "happiness": on[6] and on[12],
        "neutral": not any(on.values()),
    }
    return [name for name, fit in fits.items() if fit]


@given(st.lists(st.lists(st.integers(0, 5), min_size=12, max_size=12), min_size=1, max_size=8))
def test_first_fitting_rule_wins_frame_by_frame(frames):
    together = named(frames)
    assert together == [named([frame])[0] for frame in frames]
    for row, emotion in zip(frames, together, strict=True):
        fitting = _by_hand({unit: value >= 1 for unit, value in zip(UNITS, row, strict=True)})
        assert emotion == (fitting[0] if fitting else "")
        assert (emotion == "neutral") == (not any(row))
