"""Reading what a bundle keeps: exactly what was written, or an error."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.uncertainty import Calibrator, IntervalRule, SetRule

STORED = [
    Calibrator(),
    Calibrator("temperature", ((1.3,),), 9, 360),
    Calibrator("vector", ((1.0, 0.5), (0.0, -1.0)), 2, 30),
    Calibrator("isotonic", ((0.1, 0.9), (0.2, 0.7), (0.5,), (0.4,)), 3, 400),
    SetRule("lac", 0.9, (0.75,), 9, 360),
    SetRule("raps", 0.8, (0.9, 1.2), 3, 30, "effective", True, 0.01, 2),
    IntervalRule("quantile", 0.9, (-0.1, 1.7), 12, 80, "clip"),
]
IDS = [f"{type(each).__name__}-{index}" for index, each in enumerate(STORED)]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9)
    | st.sampled_from(["vector", "isotonic", "lac", "clip", 1e300, -1, 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("stored", STORED, ids=IDS)
def test_written_and_read_again(stored):
    assert type(stored).from_json(json.loads(json.dumps(stored.to_json()))) == stored


@pytest.mark.parametrize("stored", STORED, ids=IDS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_changed_field_is_read_as_it_is_or_refused(stored, data):
    written = stored.to_json()
    name = data.draw(st.sampled_from(sorted(written)))
    written[name] = data.draw(JSON)
    try:
        read = type(stored).from_json(written)
    except ValueError as error:
        assert type(stored).__name__ in str(error) or "penalty" in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        assert read.to_json() == written and json.dumps(read.to_json(), allow_nan=False)


@pytest.mark.parametrize("kind", [Calibrator, SetRule, IntervalRule])
@settings(max_examples=30, deadline=None)
@given(value=JSON)
def test_anything_else_is_refused(kind, value):
    with pytest.raises(ValueError, match=f"{kind.__name__} has the fields"):
        kind.from_json(value)


CALIBRATOR = Calibrator("temperature", ((1.3,),), 9, 360).to_json()
SETS = SetRule("lac", 0.9, (0.75,), 9, 360).to_json()
INTERVALS = IntervalRule("residual", 0.9, (1.0, 1.7), 12, 80).to_json()
HOSTILE = [
    (Calibrator, CALIBRATOR, {"parameters": [[0.0]]}, "the temperature is one number"),
    (Calibrator, CALIBRATOR, {"parameters": [[float("nan")]]}, "parameters has no finite number"),
    (Calibrator, CALIBRATOR, {"parameters": [[True]]}, "parameters has no finite number"),
    (Calibrator, CALIBRATOR, {"parameters": [[1.0, 1.0]]}, "the temperature is one number"),
    (Calibrator, CALIBRATOR, {"parameters": [[1.0]] * 20000}, "is no list of at most"),
    (Calibrator, CALIBRATOR, {"method": "none"}, "none has no parameters"),
    (Calibrator, CALIBRATOR, {"method": "exec"}, "method is none of"),
    (Calibrator, CALIBRATOR, {"people": 400}, "more people than clips"),
    (Calibrator, CALIBRATOR, {"people": -1}, "people is no count"),
    (Calibrator, CALIBRATOR, {"clips": 360.0}, "clips is no count"),
    (Calibrator, CALIBRATOR, {"extra": 1}, "has the fields"),
    (Calibrator, CALIBRATOR, {"method": "vector", "parameters": [[1, 1], [0]]}, "a vector has"),
    (Calibrator, CALIBRATOR, {"method": "vector", "parameters": [[1, 1], [0, 99]]}, "a vector has"),
    (Calibrator, CALIBRATOR, {"method": "isotonic", "parameters": [[0.5, 0.1], [0, 1]] * 2},
     "isotonic has ascending"),
    (Calibrator, CALIBRATOR, {"method": "isotonic", "parameters": [[0.1, 0.5], [1, 0]] * 2},
     "isotonic has ascending"),
    (Calibrator, CALIBRATOR, {"method": "isotonic", "parameters": [[], []] * 2}, "isotonic has"),
    (SetRule, SETS, {"level": 1.0}, "level does not lie"),
    (SetRule, SETS, {"level": True}, "level has no finite number"),
    (SetRule, SETS, {"quantile": []}, "it has no quantile"),
    (SetRule, SETS, {"quantile": [float("inf")]}, "quantile has no finite number"),
    (SetRule, SETS, {"quantile": [-0.5]}, "a quantile lies where no score does"),
    (SetRule, SETS, {"quantile": [0.5, 1e9]}, "a quantile lies where no score does"),
    (SetRule, SETS, {"score": "aps", "quantile": [-5.0]}, "a quantile lies where no score does"),
    (SetRule, SETS, {"score": "raps", "penalty": 0.1, "quantile": [-5.0]}, "where no score does"),
    (IntervalRule, INTERVALS, {"quantile": [1.0, -0.1]}, "a quantile of distances is negative"),
    (SetRule, SETS, {"score": "raps"}, "the score raps has a penalty"),
    (SetRule, SETS, {"penalty": 0.1}, "the score raps has a penalty"),
    (SetRule, SETS, {"unit": "face"}, "unit is none of"),
    (SetRule, SETS, {"crossed": 1}, "crossed is no bool"),
]  # fmt: skip


@pytest.mark.parametrize("kind, written, change, message", HOSTILE)
def test_hostile_values_are_refused(kind, written, change, message):
    with pytest.raises(ValueError, match=message):
        kind.from_json({**written, **change})
