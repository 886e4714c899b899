"""Worked examples and sizes of 3D Inception-ResNet (docs/papers/inception_resnet_3d.md)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.systems.inception_resnet_3d import landmark_filters
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from fer_jax.training.program import count_parameters
from tests.golden.sizes import size
from tests.quick import quick

shortcut_filters = quick(landmark_filters.shortcut_filters, static_argnums=(1, 2, 3))


@functools.cache
def params_of(**fields):
    """Shapes of the parameters, whose sizes no number of frames or pixels changes."""
    return shapes("init", 49, 1, **fields)["params"]


def shapes(method, side, frames=10, **fields):
    """What a method of the network returns for two clips; inputs are shapes, too."""
    model = InceptionResNet3D(6, **fields)
    inputs = {
        "frames": jax.ShapeDtypeStruct((2, frames, side, side, 3), jnp.float32),
        "landmarks": jax.ShapeDtypeStruct((2, frames, 68, 2), jnp.float32),
    }
    init = functools.partial(model.init, train=False)
    if method == "init":
        return jax.eval_shape(init, jax.random.key(0), inputs)
    found = lambda key, x: model.init_with_output(key, x, method=method)[0]  # noqa: E731
    return jax.eval_shape(found, jax.random.key(0), inputs)


# Sizes of the maps (section 3.1)


@pytest.mark.parametrize(
    ("fields", "side", "sizes"),
    [
        ({}, 299, [(38, 256), (38, 256), (18, 896), (18, 896), (8, 1792), (8, 1792)]),
        ({"divisor": 8}, 96, [(12, 32), (12, 32), (5, 112), (5, 112), (2, 224), (2, 224)]),
        (
            {"version": "v2"}, 299,
            [(38, 320), (38, 320), (18, 1088), (18, 1088), (8, 2080), (8, 2080)],
        ),
    ],
)  # fmt: skip
def test_sizes_of_the_maps(fields, side, sizes):
    """Time never shrinks; 299 pixels become 38, 18 and 8."""
    maps = shapes("maps", side, **fields)
    assert [each.shape for each in maps] == [(2, 10, s, s, c) for s, c in sizes]


def test_kernels_span_three_frames_unless_they_have_one_pixel():
    kernels = {}
    for block, parts in params_of().items():
        for name, leaves in parts.items():
            if name.endswith("conv") or name == "linear":
                kernels[f"{block}/{name}"] = leaves["kernel"].shape[:3]
    assert kernels["stem/branch0_0_conv"] == (3, 3, 3)
    assert kernels["inception_b/branch1_1_conv"] == (3, 1, 7)
    assert kernels["inception_b/branch1_2_conv"] == (3, 7, 1)
    assert kernels["inception_c/branch1_1_conv"] == (3, 1, 3)
    assert kernels["inception_c/branch1_2_conv"] == (3, 3, 1)
    for sides in kernels.values():
        assert sides[0] == (1 if sides[1:] == (1, 1) else 3)
    assert len(kernels) == 34


# Numbers of parameters


@pytest.mark.parametrize(
    ("version", "factorised", "total"),
    [
        ("v1", 3, 20_436_502),
        ("v1", 1, 19_535_382),
        ("v2", 3, 25_525_686),
        ("v2", 1, 24_206_774),
    ],
)
def test_parameters(version, factorised, total):
    params = params_of(version=version, factorised=factorised)
    assert count_parameters(params) == (total, total)
    assert size(params["head"]) == 1_206
    assert size(params["lstm"]) == {"v1": 1_594_400, "v2": 1_824_800}[version]


# Landmark filters (equation 2)


def filters(points, side, pixels=299, outside=0.0):
    """The filter `[S, S]` of one frame with landmarks (x, y) at some places and nowhere else."""
    landmarks = np.resize(np.float32(points), (1, 1, 68, 2))
    found = shortcut_filters(landmarks, pixels, side, outside)
    assert found.shape == (1, 1, side, side, 1)
    return np.asarray(found)[0, 0, :, :, 0]


def test_a_landmark_in_the_middle():
    found = filters([(150, 150)], 38)
    row = np.array([4, 5, 6, 7, 6, 5, 4]) / 10
    window = np.stack([row + away / 10 for away in (0, 1, 2, 3, 2, 1, 0)])
    np.testing.assert_allclose(found[16:23, 16:23], window, atol=1e-6)
    assert found[19, 19] == 1 and found.sum() == pytest.approx(32.2, abs=1e-4)
    assert np.count_nonzero(found) == 49


def test_of_two_windows_the_larger_weight_counts():
    found = filters([(150, 150), (166, 150)], 38)
    row = [0, 0, 0.7, 0.8, 0.9, 1, 0.9, 1, 0.9, 0.8, 0.7, 0, 0]
    np.testing.assert_allclose(found[19, 14:27], row, atol=1e-6)
    assert found.sum() == pytest.approx(43.1, abs=1e-4)


def test_a_landmark_in_the_corner():
    found = filters([(0, 298)], 18)
    np.testing.assert_allclose(found[17, :6], [1, 0.9, 0.8, 0.7, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found[14, :5], [0.7, 0.6, 0.5, 0.4, 0], atol=1e-6)
    assert np.count_nonzero(found) == 16 and not found[:14].any()
