"""A network begins with what it has in common with a bundle."""

import json

import numpy as np
import pytest

from fer_jax.training import checkpoint, warm_start
from fer_jax.training.initial_weights import PretrainedError

CLASSES = ["valence", "arousal", "dominance"]


def network(outputs, seed=0, width=5):
    rng = np.random.default_rng(seed)
    params = {
        "trunk": {"kernel": rng.normal(size=(3, 4))},
        "extra": {"kernel": rng.normal(size=(4, width))},
        "head": {"kernel": rng.normal(size=(width, outputs)), "bias": rng.normal(size=outputs)},
    }
    return {"params": params, "batch_stats": {"trunk": {"mean": rng.normal(size=4)}}}


@pytest.fixture
def bundle(tmp_path):
    """Weights of three outputs, and where they are."""
    given = network(3, seed=1)
    checkpoint.save_weights(tmp_path / "weights.msgpack", given, {})
    (tmp_path / "model.json").write_text(json.dumps({"classes": CLASSES}))
    return given, str(tmp_path)


def test_outputs_are_taken_by_name(bundle):
    given, path = bundle
    assert warm_start.is_bundle(path) and not warm_start.is_bundle("timm/vgg16_bn.tv_in1k")
    taken, note = warm_start.load_weights(path, ("arousal", "valence"), network(2))
    np.testing.assert_array_equal(
        taken["params"]["head"]["kernel"], given["params"]["head"]["kernel"][:, [1, 0]]
    )
    np.testing.assert_array_equal(
        taken["params"]["head"]["bias"], given["params"]["head"]["bias"][[1, 0]]
    )
    for part in ("params", "batch_stats"):
        for name, leaf in given[part]["trunk"].items():
            np.testing.assert_array_equal(taken[part]["trunk"][name], leaf)
    assert "begins with 5 of 5 arrays" in note and "new are" not in note


def test_outputs_of_other_names_are_new_though_there_are_as_many(bundle):
    taken, note = warm_start.load_weights(bundle[1], ("anger", "fear", "joy"), network(3))
    assert "head" not in taken["params"] and set(taken["params"]) == {"trunk", "extra"}
    assert note.endswith("new are head/kernel, head/bias")


def test_layers_of_another_size_are_new(bundle):
    taken, note = warm_start.load_weights(bundle[1], CLASSES, network(3, width=7))
    assert set(taken["params"]) == {"trunk", "head"} and set(taken["params"]["head"]) == {"bias"}
    assert "extra/kernel, head/kernel" in note


def test_nothing_in_common_is_an_error(bundle, tmp_path):
    with pytest.raises(PretrainedError, match="no weights of .* have the name and shape"):
        warm_start.load_weights(bundle[1], CLASSES, {"params": {"other": np.zeros(2)}})
    (tmp_path / "weights.msgpack").unlink()
    with pytest.raises(PretrainedError, match="cannot be read"):
        warm_start.load_weights(bundle[1], CLASSES, network(3))
