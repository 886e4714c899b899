"""Worked examples and sizes of the bilinear CNN (docs/papers/bilinear_cnn.md)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.data.model_inputs import frame_inputs
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.systems.bilinear_cnn.pooling import bilinear_vector
from tests.golden.sizes import shape_of, size, variables_of


def params(classes=3, **options):
    return variables_of(BilinearCNN(classes, **options), 1, 1, 224, 224, 3)["params"]


# Trunks


@pytest.mark.parametrize(
    ("trunk", "pooling", "shape"),
    [
        ("vgg16", "global", (14, 14, 512)),
        ("vgg16", "bilinear", (14, 14, 512)),
        ("vgg16", "fc", (7, 7, 512)),
        ("resnet50", "global", (7, 7, 2048)),
        ("resnet50", "bilinear", (7, 7, 512)),
    ],
)
def test_where_the_trunks_end(trunk, pooling, shape):
    model = BilinearCNN(3, trunk=trunk, pooling=pooling)
    assert shape_of(model, model.maps, 2, 1, 224, 224, 3).shape[2:] == shape


# Bilinear pooling


@pytest.mark.parametrize("reference_grad", [False, True])
def test_worked_example_of_bilinear_pooling(reference_grad):
    x = jnp.array([[[1.0, 2.0], [0.0, 1.0]]])
    found = bilinear_vector(x, False, reference_grad)
    np.testing.assert_allclose(found, [[0.3162, 0.4472, 0.4472, 0.7071]], atol=5e-5)


def test_sum_or_mean_over_the_positions_makes_no_difference():
    x = jnp.asarray(np.random.default_rng(0).uniform(0.1, 9, (3, 196, 8)).astype(np.float32))
    mean = bilinear_vector(x / 14.0)
    np.testing.assert_allclose(mean, bilinear_vector(x), atol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(mean, axis=1), 1, atol=1e-5)


def test_the_authors_slope_of_the_root():
    """One channel at one position: y = x^2; length 1 leaves no slope but through 1e-5."""
    x = jnp.array([[[3.0, 0.0]]])  # y = (9, 0, 0, 0)

    def second(x):
        return bilinear_vector(x, False, True)[0, 1]

    # d root / d y = 0.5 / 0.1 at y12 = 0, d y12 / d x2 = 3, divided by the length 3.00001
    np.testing.assert_allclose(jax.grad(second)(x)[0, 0, 1], 5 * 3 / 3.00001, rtol=1e-6)


# Compact forms


def test_inner_products_of_the_triangle_are_those_of_the_whole():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 20, 8)).astype(np.float32))
    whole, triangle = bilinear_vector(x), bilinear_vector(x, True)
    assert whole.shape == (5, 64) and triangle.shape == (5, 36)
    np.testing.assert_allclose(triangle @ triangle.T, whole @ whole.T, atol=1e-6)


def test_sizes_of_the_vectors():
    x = jax.ShapeDtypeStruct((1, 196, 512), jnp.float32)
    assert jax.eval_shape(bilinear_vector, x).shape == (1, 262_144)
    assert jax.eval_shape(functools.partial(bilinear_vector, triangle=True), x).shape[1] == 131_328
    assert params(compact="reduced")["reduce"]["kernel"].shape == (512, 100)
    assert params(compact="reduced")["extra"]["kernel"].shape == (10_000, 512)  # figure 5(c)
    assert params(compact="reduced", features=0)["head"]["kernel"].shape == (10_000, 3)


# Numbers of parameters


def test_parameters_of_the_trunks():
    assert size(params()["backbone"]) == 14_714_688
    assert size(params(trunk="resnet50")["backbone"]) == 22_455_360


def test_parameters_of_the_extra_layer():
    assert size(params()["extra"]) == 134_218_240
    assert size(params(compact="triangle")["extra"]) == 131_328 * 512 + 512


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 148_934_467),
        ({"pooling": "global"}, 14_716_227),
        ({"pooling": "fc"}, 134_272_835),
        ({"trunk": "resnet50", "pooling": "global"}, 23_514_179),
        ({"trunk": "resnet50"}, 156_675_139),
    ],
    ids=["vgg bilinear", "vgg global", "vgg fc", "resnet50 global", "resnet50 bilinear"],
)
def test_parameters(options, count):
    assert size(params(**options)) == count


def test_two_dimensions_leave_out_a_row_of_the_output():
    assert size(params()) - size(params(classes=2)) == 513


# Inputs


def test_pixels_have_the_mean_of_vgg_face_taken_off():
    frames = np.uint8([[[[[129, 105, 255]]]]])
    scaled = frame_inputs(frames, 0, BilinearCNN(3).pixels)
    np.testing.assert_allclose(scaled.reshape(-1), [-0.1863, 0.2376, 161.406], atol=1e-4)
