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


def test_initial_outputs_are_taken_by_name(bundle):
    given, path = bundle
    assert warm_start.is_bundle(path) and not warm_start.is_bundle("timm/vgg16_bn.tv_in1k")
    taken, note = warm_start.load_weights(path, ("arousal", "valence"), network(2))
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


def test_initial_outputs_of_other_names_are_new(bundle):
    taken, note = warm_start.load_weights(bundle[1], ("anger", "fear", "joy"), network(3))
    assert "head" not in taken["params"] and set(taken["params"]) == {"trunk", "extra"}
    assert note.endswith("new are head/kernel, head/bias")


def test_initial_layers_of_another_size_are_new(bundle):
    taken, note = warm_start.load_weights(bundle[1], CLASSES, network(3, width=7))
    assert set(taken["params"]) == {"trunk", "head"} and set(taken["params"]["head"]) == {"bias"}
    assert "extra/kernel, head/kernel" in note


def test_bundle_with_nothing_in_common_is_refused(bundle, tmp_path):
    with pytest.raises(PretrainedError, match="no weights of .* have the name and shape"):
        warm_start.load_weights(bundle[1], CLASSES, {"params": {"other": np.zeros(2)}})
    (tmp_path / "weights.msgpack").unlink()
    with pytest.raises(PretrainedError, match="cannot be read"):
        warm_start.load_weights(bundle[1], CLASSES, network(3))
