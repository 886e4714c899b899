"""Figures of the systems: feature maps, weights of frames, filters, where the answer is known."""

import types

import jax
import numpy as np
import pytest

from fer_jax.faces import landmarks as lm
from fer_jax.plotting import images
from fer_jax.systems.bilinear_cnn import figures as face_figures
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.systems.fer_gcn import figures
from fer_jax.systems.fer_gcn.network import FERGCN
from fer_jax.systems.inception_resnet_3d import figures as filter_figures
from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from tests.quick import quick

FRAMES, SIDE = 3, 16


# FER-GCN


@pytest.fixture(scope="module")
def network():
    """One stage of positive kernels and a graph that changes nothing."""
    module = FERGCN(classes=2, frames=FRAMES, features=4, modules=1, stages=((4, 1),))
    inputs = np.zeros((1, FRAMES, SIDE, SIDE, 3), np.float32)
    variables = quick(lambda: module.init(jax.random.key(0), inputs, train=False))()
    variables = jax.tree.map(np.array, dict(variables))
    params = variables["params"]
    convolution = params["backbone"]["stage1"]["conv1"]
    convolution["kernel"] = np.abs(convolution["kernel"])
    params["reduce"]["kernel"] = np.abs(params["reduce"]["kernel"])
    params["graph_modules_0"]["kernel"] = np.eye(4, dtype=np.float32)
    return module, variables


def bright_spots():
    """Frames that are black but for a square, which moves down."""
    inputs = np.zeros((FRAMES, SIDE, SIDE, 3), np.float32)
    for frame in range(FRAMES):
        inputs[frame, 5 * frame : 5 * frame + 4, 6:10] = 1.0
    return inputs


def test_feature_maps_find_the_bright_spot(network):
    module, variables = network
    maps = figures.feature_maps(module, variables, bright_spots())
    assert maps["before"].shape == (FRAMES, SIDE // 2, SIDE // 2)
    for frame, heat in enumerate(maps["before"]):
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert abs(2 * row + 0.5 - (5 * frame + 1.5)) <= 1.5 and 3 <= column <= 4
        assert heat.min() >= 0 and heat[:, 0].max() == 0
    np.testing.assert_allclose(maps["after"], maps["before"], rtol=1e-5)  # an identity graph
    adjacency = np.eye(FRAMES, dtype=np.float32)
    adjacency[1, 1], adjacency[1, 0] = 0.0, 1.0  # frame 1 sees frame 0 instead of itself
    changed = {**variables, "params": {**variables["params"], "A": adjacency}}
    ignored = figures.feature_maps(module, changed, bright_spots())
    assert ignored["before"][1].max() > 0 and ignored["after"][1].max() == 0
    np.testing.assert_allclose(ignored["after"][2], ignored["before"][2], rtol=1e-5)


def test_frame_weights_are_those_of_the_columns():
    adjacency = np.array([[0.9, 0.2, 0.7], [0.1, 0.8, 0.9], [0.0, 0.1, 1.4]])
    weights = figures.frame_weights({"A": adjacency})
    np.testing.assert_allclose(weights, [0.2512, 0.2597, 0.4892], atol=1e-4)


def test_landmark_motion_ignores_the_head():
    face = 50 * lm.MEAN_FACE
    shifted = np.stack([face, face + [30, -4]])
    np.testing.assert_allclose(figures.landmark_motion(shifted[None]), [0, 0], atol=1e-6)
    opened = np.stack([face, face])
    opened[1, 55:60, 1] += 10  # five of the 51 points, a fifth of the eye distance
    np.testing.assert_allclose(
        figures.landmark_motion(opened[None]), [0, 5 / 51 * 10 / 50], atol=1e-4
    )
    some = np.stack([np.full_like(opened, np.nan), opened])  # a picture without landmarks
    np.testing.assert_allclose(figures.landmark_motion(some), figures.landmark_motion(some[1:]))


def test_weight_curve_without_landmarks():
    motion = figures.landmark_motion(np.full((2, 3, 68, 2), np.nan))
    assert np.isnan(motion).all()
    figure = figures.weight_curve(np.full((1, 3), 1 / 3), motion)
    assert [axes.get_xlabel() for axes in figure.axes] == ["step of the clip"]
    with_motion = figures.weight_curve(np.full((1, 3), 1 / 3), np.arange(3))
    assert [axes.get_xlabel() for axes in with_motion.axes] == ["", "step of the clip"]


def test_intensity_figure_shows_shares():
    weights = np.array([[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]])
    figure = figures.weight_curve(weights, [0.0, 0.1, 0.2])
    upper, lower = figure.axes
    drawn = [line.get_ydata() for line in upper.lines if len(line.get_ydata()) == 3]
    assert any(np.allclose(line, [0.9, 0.9, 1.2]) for line in drawn)  # mean of the folds, times 3
    assert sum(any(np.allclose(line, 3 * row) for row in weights) for line in drawn) == 2
    np.testing.assert_allclose(lower.lines[0].get_ydata(), [0.0, 0.1, 0.2])


def test_heat_maps_lie_over_the_crops():
    crops = np.zeros((4, 8, 8, 3), np.uint8)
    rows = [("before", np.zeros((4, 2, 2))), ("after", np.ones((4, 2, 2)))]
    figure = images.heat_maps(crops, rows, "title", shown=3)
    assert len(figure.axes) == 9
    top, first, second = (figure.axes[index] for index in (0, 3, 6))
    assert (len(top.images), len(first.images), len(second.images)) == (1, 2, 2)
    assert first.images[1].get_array().max() == 0 and second.images[1].get_array().min() == 1
    assert tuple(first.images[1].get_extent()) == (-0.5, 7.5, 7.5, -0.5)


def test_heat_maps_on_one_scale_have_a_colour_bar():
    crops = np.zeros((4, 8, 8, 3), np.uint8) + np.uint8([30, 60, 120])
    rows = [("low", np.full((4, 2, 2), 0.25)), ("high", np.full((4, 2, 2), 0.5))]
    figure = images.heat_maps(crops, rows, "title", scale="weight", shown=3)
    *axes, bar = figure.axes
    assert len(axes) == 9 and bar.get_ylabel() == "weight" and bar.get_ylim() == (0, 1)
    for place, value in ((3, 0.25), (8, 0.5)):
        under, over = axes[place].images
        np.testing.assert_array_equal(over.get_array(), value)  # not of its own largest
        assert over.get_clim() == (0, 1)
        np.testing.assert_array_equal(under.get_array(), 70)  # grey, so that colours are the maps'
    np.testing.assert_array_equal(axes[0].images[0].get_array(), crops[0])


# Bilinear CNN


def test_feature_maps_of_bilinear_cnn_find_the_bright_square():
    module = BilinearCNN(classes=2, stages=((3, 1), (4, 1)), features=2, pixels="symmetric")
    inputs = np.zeros((2, 1, SIDE, SIDE, 3), np.float32)
    inputs[0, 0, 2:6, 9:13] = inputs[1, 0, 10:14, 2:6] = 1.0  # a bright square in black
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), inputs, train=False))
    positive = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.1, np.float32), dict(shapes))
    maps = face_figures.feature_maps(module, positive, inputs)
    every = module.apply(positive, inputs, method="maps")
    np.testing.assert_allclose(maps["largest"], np.asarray(every).max(-1), rtol=1e-5)
    np.testing.assert_allclose(maps["mean"], np.asarray(every).mean(-1), rtol=1e-5)
    scale = SIDE / every.shape[-2]
    for place, (row, column) in enumerate(((3.5, 10.5), (11.5, 3.5))):
        for values in maps.values():
            found = np.unravel_index(values[place, 0].argmax(), values[place, 0].shape)
            middle = (np.array(found) + 0.5) * scale - 0.5
            assert np.abs(middle - [row, column]).max() <= scale


# 3D Inception-ResNet


@pytest.fixture
def drawn(monkeypatch):
    """Draws the second of two clips, whose landmarks leave a corner out."""
    rng = np.random.default_rng(0)
    inputs = {
        "frames": rng.uniform(-1, 1, (2, 3, 96, 96, 3)).astype(np.float32),
        "landmarks": rng.uniform(0, 96 / 2, (2, 3, 68, 2)).astype(np.float32),
    }
    monkeypatch.setattr(
        filter_figures, "take", lambda _, indices: {k: v[indices] for k, v in inputs.items()}
    )
    clips = types.SimpleNamespace(clip_ids=["a", "b"])

    def draw(**options):
        module = InceptionResNet3D(4, **options)
        return list(filter_figures.figures(module, lambda batch: batch, None, clips, [], [1, 0]))

    return inputs, draw


@pytest.mark.parametrize("outside", [0.0, 0.7])
def test_filter_figure_shows_the_weights_and_their_scale(drawn, outside):
    inputs, draw = drawn
    ((name, figure, caption),) = draw(outside=outside)
    assert name == "landmark_filters" and "colour bar" in caption
    *axes, bar = figure.axes
    assert bar.get_ylabel() == "weight of the shortcut" and bar.get_ylim() == (0, 1)
    for row, cells in ((1, 12), (2, 5)):
        expected = shortcut_filters(inputs["landmarks"][1:], 96, cells, outside)[0, ..., 0]
        shown = [each.images[-1].get_array() for each in axes[3 * row : 3 * row + 3]]
        np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_filter_figure_needs_landmarks(drawn):
    assert drawn[1](landmarks=False) == []
