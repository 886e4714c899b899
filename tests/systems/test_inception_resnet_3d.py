"""3D Inception-ResNet: its blocks, its landmark filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from tests.quick import quick
from tests.systems.toys import draw, make, variables

NAME = "inception_resnet_3d"
SIDE, CELLS = 99, (13, 6)  # cells of the filters


@pytest.fixture(autouse=True)
def plain_convolutions(monkeypatch):
    """Those of an accelerator, which compile faster: tests of layers compare them with a CPU's."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


# Blocks


def test_convolutions_without_batch_norm_have_biases():
    bare = variables("inception_resnet_3d bare")
    assert "batch_stats" not in bare
    for block, parts in bare["params"].items():
        if block not in ("lstm", "head"):
            assert all(set(leaves) == {"kernel", "bias"} for leaves in parts.values())
    with_norm = variables(NAME)["params"]["inception_a"]
    assert set(with_norm["branch0_0_conv"]) == {"kernel"}
    assert set(with_norm["linear"]) == {"kernel", "bias"} and "linear_norm" not in with_norm


def test_filter_weighs_the_shortcut_alone():
    """Weights multiply the input of the block, not its residual and not its output."""

    @quick
    def both(x):
        model = make(NAME).bind(variables(NAME))
        zeros = jnp.zeros((*x.shape[:-1], 1))
        half = model.inception_a(x, zeros + 0.5, False)
        none = model.inception_a(x, zeros, False)
        whole = model.inception_a(x, zeros + 1, False)
        return none, half, whole

    x = np.random.default_rng(0).uniform(1, 2, (1, 2, 5, 5, 16)).astype(np.float32)
    none, half, whole = (np.asarray(each) for each in both(x))
    active = (none > 0) & (half > 0)
    assert active.any()
    np.testing.assert_allclose((half - none)[active], 0.5 * x[active], rtol=1e-4)
    np.testing.assert_allclose((whole - none)[active], x[active], rtol=1e-4)


# Landmarks


def cornered_faces():
    """Faces whose landmarks leave cells outside all windows, of block A and of block B."""
    inputs = draw(NAME)
    return {**inputs, "landmarks": inputs["landmarks"] / 4}


@pytest.mark.parametrize("outside", [0.0, 0.3, 1.0])
def test_filters_for_figures_are_those_of_the_landmarks(outside):
    inputs = cornered_faces()
    filters = make(NAME, outside=outside).filters(inputs)
    for name, cells in zip("AB", CELLS, strict=True):
        expected = shortcut_filters(inputs["landmarks"], SIDE, cells, outside)
        np.testing.assert_array_equal(filters[name], expected, err_msg=name)
        assert np.unique(filters[name]).size > 3 and (filters[name] == outside).any()
