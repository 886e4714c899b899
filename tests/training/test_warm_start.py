"""A network begins with what it has in common with another one."""

import numpy as np
import pytest

from fer_jax.experiments import setup
from fer_jax.training.initial_weights import take_over

CLASSES = ["valence", "arousal", "dominance"]


def network(outputs, seed=0, width=5):
    rng = np.random.default_rng(seed)
    params = {
        "trunk": {"kernel": rng.normal(size=(3, 4))},
        "extra": {"kernel": rng.normal(size=(4, width))},
        "last": {"kernel": rng.normal(size=(width, outputs)), "bias": rng.normal(size=outputs)},
    }
    return {"params": params, "batch_stats": {"trunk": {"mean": rng.normal(size=4)}}}


@pytest.fixture
def given():
    """Weights of three outputs."""
    return network(3, seed=1)


def taken_over(given, classes, width=5):
    return take_over(given, CLASSES, lambda outputs: network(outputs, width=width), classes)


def test_outputs_are_taken_by_name(given):
    taken, new = taken_over(given, ("arousal", "valence"))
    np.testing.assert_array_equal(
        taken["params"]["last"]["kernel"], given["params"]["last"]["kernel"][:, [1, 0]]
    )
    np.testing.assert_array_equal(
        taken["params"]["last"]["bias"], given["params"]["last"]["bias"][[1, 0]]
    )
    for part in ("params", "batch_stats"):
        for name, leaf in given[part]["trunk"].items():
            np.testing.assert_array_equal(taken[part]["trunk"][name], leaf)
    assert not new


def test_outputs_of_other_names_are_new_though_there_are_as_many(given):
    taken, new = taken_over(given, ("anger", "fear", "joy"))
    assert "last" not in taken["params"] and set(taken["params"]) == {"trunk", "extra"}
    assert new == ["last/kernel", "last/bias"]


def test_layers_of_another_size_are_new(given):
    taken, new = taken_over(given, CLASSES, width=7)
    assert set(taken["params"]) == {"trunk", "last"} and set(taken["params"]["last"]) == {"bias"}
    assert new == ["extra/kernel", "last/kernel"]


def test_nothing_in_common_is_taken(given):
    taken, _ = take_over(
        given, CLASSES, lambda outputs: {"params": {"other": np.zeros(2)}}, CLASSES
    )
    assert not taken


def test_a_bundle_without_weights_or_anything_in_common_is_an_error(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be read.*no weights.msgpack"):
        setup._from_bundle(tmp_path, None, None)
