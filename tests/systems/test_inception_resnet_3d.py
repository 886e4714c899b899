"""3D Inception-ResNet: its blocks, its landmark filters, frames."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from tests.quick import quick
from tests.systems.toys import CLASSES, CLIPS, draw, make, outputs, variables

NAME, STILL = "inception_resnet_3d", "inception_resnet_3d still"
FRAMES, SIDE, CELLS = 3, 99, (13, 6)  # cells of the filters


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


def test_filters_for_figures_are_those_that_weigh_the_shortcuts():
    """The blocks by hand, with these weights, yield the maps of the model."""

    @quick
    def both(inputs):
        model = make(NAME, outside=0.3).bind(variables(NAME))
        weights, maps = model.filters(inputs), model.maps(inputs)
        own = [
            model.inception_a(maps[0], weights["A"], False),
            model.inception_b(maps[2], weights["B"], False),
        ]
        return own, [maps[1], maps[3]]

    for own, of_model in zip(*both(cornered_faces()), strict=True):
        np.testing.assert_allclose(own, of_model, rtol=1e-4, atol=1e-5)


def test_shortcuts_pass_whole_without_landmarks():
    """A filter of ones: that of clips in which no face was marked, and of cells outside."""
    inputs = draw(NAME)
    plain = outputs(NAME, inputs, landmarks=False)
    nowhere = {**inputs, "landmarks": np.full_like(inputs["landmarks"], np.nan)}
    np.testing.assert_allclose(outputs(NAME, nowhere), plain, rtol=1e-4, atol=1e-5)
    assert np.abs(outputs(NAME, inputs) - plain).max() > 1e-3
    dark, bright = outputs(NAME, cornered_faces()), outputs(NAME, cornered_faces(), outside=1.0)
    assert np.abs(bright - dark).max() > 1e-3 and np.abs(bright - plain).max() > 1e-3


# Frames and clips


def test_frame_order_matters_unless_frames_are_still():
    turned = {name: leaf[:, ::-1] for name, leaf in draw(NAME).items()}
    assert np.abs(outputs(NAME, turned) - outputs(NAME, draw(NAME))).max() > 1e-3
    still = outputs(STILL, draw(STILL))
    np.testing.assert_allclose(outputs(STILL, turned), still, rtol=1e-4, atol=1e-5)


def test_training_sees_still_frames_and_inference_their_mean():
    apply = functools.partial(make(STILL).apply, train=True, dropout=False, mutable=["batch_stats"])
    logits, _ = jax.eval_shape(apply, variables(STILL), draw(STILL))
    assert logits.shape == (CLIPS, FRAMES, CLASSES)
    same = {name: np.repeat(leaf[:, :1], FRAMES, 1) for name, leaf in draw(STILL).items()}
    other = {name: np.repeat(leaf[:, 1:2], FRAMES, 1) for name, leaf in draw(STILL).items()}
    both = {name: np.concatenate([same[name][:, :2], other[name][:, :1]], 1) for name in same}
    first, second = (jax.nn.softmax(outputs(STILL, each)) for each in (same, other))
    found = jax.nn.softmax(outputs(STILL, both))
    np.testing.assert_allclose(found, (2 * first + second) / 3, rtol=1e-4, atol=1e-5)
    assert np.abs(first - second).max() > 1e-3
