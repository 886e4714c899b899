"""Worked examples and sizes of STC-NLSTM (docs/papers/stc_nlstm.md)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.data.model_inputs import frame_inputs
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from fer_jax.systems.stc_nlstm.network import STCNLSTM, mspp
from fer_jax.training.program import count_parameters
from tests.golden.sizes import shape_of, size, variables_of


def params(classes=6, frames=18, **options):
    return variables_of(STCNLSTM(classes, **options), 1, frames, 64, 64, 3)["params"]


# 3D CNN (table 2)


def test_sizes_of_the_maps():
    """Time never shrinks; maps are taken before pooling."""
    model = STCNLSTM(6)
    pairs = shape_of(model, model.layers, 2, 18, 64, 64, 3)
    for place, sides in enumerate([(64, 32, 16, 16, 8), (32, 16, 16, 8, 8)]):
        shapes = [(2, 18, side, side, 64) for side in sides]
        assert [pair[place].shape for pair in pairs] == shapes


def test_parameters_of_the_convolutions():
    layers = [params()[f"layer{index}"] for index in range(1, 6)]
    assert [size(layer["conv"]) for layer in layers] == [5_248] + [110_656] * 4
    assert [size(layer.get("norm", {})) for layer in layers] == [128, 128, 0, 0, 0]
    assert size(layers) == 448_128
    assert [layer["conv"]["kernel"].shape[:3] for layer in layers] == [(3, 3, 3)] * 5


# MSPP-norm (section 3.2.1)


def test_bins_of_a_side_of_eight():
    maps = np.arange(64, dtype=np.float32).reshape(8, 8, 1)
    found = np.asarray(mspp(maps))
    assert found.shape == (84,)
    np.testing.assert_array_equal(found[:64], np.arange(64))
    four = [[9, 11, 13, 15], [25, 27, 29, 31], [41, 43, 45, 47], [57, 59, 61, 63]]
    np.testing.assert_array_equal(found[64:80].reshape(4, 4), four)
    np.testing.assert_array_equal(found[80:].reshape(2, 2), [[27, 31], [59, 63]])


@pytest.mark.parametrize("side", [64, 32, 16, 8])
def test_a_frame_has_5376_numbers_whatever_its_side(side):
    maps = jax.ShapeDtypeStruct((1, 18, side, side, 64), jnp.float32)
    assert jax.eval_shape(mspp, maps).shape == (1, 18, 5376)


def test_order_within_a_level_is_row_column_channel():
    maps = np.arange(8 * 8 * 3, dtype=np.float32).reshape(8, 8, 3)
    np.testing.assert_array_equal(mspp(maps)[:192], maps.reshape(-1))
    np.testing.assert_array_equal(mspp(maps)[-12:], maps[3::4, 3::4].reshape(-1))


# Nested LSTM (section 3.2.2)


def test_parameters_of_the_default():
    assert size(params()) == 15_462_790
    modules = [params()[f"t_lstm{index}"] for index in range(1, 6)]
    assert [size(module["level1"]) for module in modules] == [2_818_560] * 5
    assert [size(module["level2"]) for module in modules] == [131_584] * 5
    assert size(modules) == 14_750_720
    assert size(params()["c_lstm"]) == 263_168
    assert size(params()["head"]) == 774
    assert count_parameters(params()) == (15_462_790,) * 2  # no graph matrices


@pytest.mark.parametrize("frames", [12, 22])
def test_any_number_of_frames(frames):
    assert jax.tree.map(jnp.shape, params(frames=frames)) == jax.tree.map(jnp.shape, params())


# The paper's ablations (section 4.2)


def test_parameters_without_an_lstm():
    stc = params(nesting="none")
    assert size(stc["units"]) == 1_327_122
    assert size(stc["head"]) == 114
    assert size(stc) == 448_128 + 1_327_122 + 114


@pytest.mark.parametrize("nesting", ["last", "sum"])
def test_parameters_with_one_lstm(nesting):
    assert size(params(nesting=nesting)) == 448_128 + 2_818_560 + 131_584 + 774


# Frames (section 4.1)


@pytest.mark.parametrize("network", [STCNLSTM, InceptionResNet3D])
def test_pixels_lie_between_minus_one_and_one(network):
    frames = np.uint8([[[[[0, 255, 51]]]]])
    scaled = frame_inputs(frames, 0, network.pixels)
    np.testing.assert_allclose(scaled.reshape(-1), [-1, 1, -0.6], atol=1e-6)
