"""STC-NLSTM: bins of its pyramid, sides, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers.conv3d import max_pool_frames
from fer_jax.systems.stc_nlstm.network import mspp, pyramid
from tests.quick import quick
from tests.systems.toys import CLASSES, CLIPS, make, variables

# MSPP


def binned(maps):
    """MSPP of one frame `[H, W, C]`, bin by bin."""
    height, width, _ = maps.shape
    found = []
    for n in (8, 4, 2):
        for i in range(n):
            rows = slice(int(np.floor(i * height / n)), int(np.ceil((i + 1) * height / n)))
            for j in range(n):
                columns = slice(int(np.floor(j * width / n)), int(np.ceil((j + 1) * width / n)))
                found.append(maps[rows, columns].max((0, 1)))
    return np.concatenate(found)


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (12, 12), (7, 9), (3, 20), (56, 1)])
def test_bins_of_any_side(size):
    maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = [binned(frame) for frame in maps]
    np.testing.assert_array_equal(quick(mspp)(maps), expected)


@pytest.mark.parametrize("side", [16, 32, 24, 12, 17])
def test_pooled_maps_are_read_only_where_they_hold_the_same_values(side):
    maps = np.random.default_rng(0).normal(size=(1, 2, side, side, 3)).astype(np.float32)
    found = quick(lambda maps: (pyramid(maps, max_pool_frames(maps)), mspp(maps)))(maps)
    np.testing.assert_array_equal(*found)


# Sides, dropout


def test_crop_sides_need_not_divide_by_the_bins():
    """The pyramid has one length for every side; without it a model is tied to its crops."""
    inputs = jnp.zeros((CLIPS, 4, 20, 20, 3))
    apply = make("stc_nlstm").apply
    found = jax.eval_shape(lambda x: apply(variables("stc_nlstm"), x, train=False), inputs)
    assert found.shape == (CLIPS, CLASSES)


def test_dropout_stands_before_the_classifier():
    """With all representations equal to one, what is dropped shows in the logits themselves."""
    model, rngs = make("stc_nlstm", dropout=0.5), {"dropout": jax.random.key(0)}
    hidden, own = model.hidden, variables("stc_nlstm")
    head = {"kernel": jnp.ones((hidden, CLASSES)), "bias": jnp.zeros(CLASSES)}
    logits = model.apply(
        {**own, "params": {**own["params"], "head": head}}, jnp.ones((200, hidden)),
        dropout=True, rngs=rngs, method=model.after_dropout,
    )  # fmt: skip
    assert set(np.unique(logits)) <= {2.0 * n for n in range(hidden + 1)}
    assert 0.4 < logits.mean() / (2 * hidden) < 0.6
