"""Figure of the landmark filters: weights as the model has them, and their scale."""

import types

import numpy as np
import pytest

from fer_jax.systems.inception_resnet_3d import figures
from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D

SIDE = 96


@pytest.fixture
def drawn(monkeypatch):
    """Draws the second of two clips, whose landmarks leave a corner out."""
    rng = np.random.default_rng(0)
    inputs = {
        "frames": rng.uniform(-1, 1, (2, 3, SIDE, SIDE, 3)).astype(np.float32),
        "landmarks": rng.uniform(0, SIDE / 2, (2, 3, 68, 2)).astype(np.float32),
    }
    monkeypatch.setattr(
        figures, "take", lambda _, numbers: {k: v[numbers] for k, v in inputs.items()}
    )
    clips = types.SimpleNamespace(clip_ids=["a", "b"])

    def draw(**options):
        module = InceptionResNet3D(4, **options)
        return list(figures.figures(module, lambda batch: batch, None, clips, [], [1, 0]))

    return inputs, draw


@pytest.mark.parametrize("outside", [0.0, 0.7])
def test_the_figure_shows_the_weights_and_their_scale(drawn, outside):
    inputs, draw = drawn
    ((name, figure, caption),) = draw(outside=outside)
    assert name == "landmark_filters" and "colour bar" in caption
    *axes, bar = figure.axes
    assert bar.get_ylabel() == "weight of the shortcut" and bar.get_ylim() == (0, 1)
    for row, cells in ((1, 12), (2, 5)):
        expected = shortcut_filters(inputs["landmarks"][1:], SIDE, cells, outside)[0, ..., 0]
        shown = [each.images[-1].get_array() for each in axes[3 * row : 3 * row + 3]]
        np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_without_landmarks_nothing_is_drawn(drawn):
    assert drawn[1](landmarks=False) == []
