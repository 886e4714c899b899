"""Bilinear CNN: what its pooling computes, mirror images, dropout, first outputs, fields."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from fer_jax.data.model_inputs import PIXELS
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from tests.quick import quick
from tests.systems.toys import (
    CLASSES,
    CLIPS,
    draw,
    make,
    outputs,
    random_variables,
    variables,
)

TOY, RESNET = "bilinear_cnn", "bilinear_cnn global"


def maps_of(model, own, inputs):
    return np.asarray(quick(functools.partial(model.apply, method=model.maps))(own, inputs))


def test_low_rank_pooling_is_an_explicit_matrix():
    """Each output is the product of W = U+ U+' - U- U-' and X'X."""
    name = "bilinear_cnn low_rank"
    x, own = draw(name)[:, :1], variables(name)
    rows = maps_of(make(name), own, x).astype(np.float64).reshape(CLIPS, -1, 8)
    pooled = np.einsum("bnc,bnd->bcd", rows, rows)
    pooled /= np.linalg.norm(pooled, axis=(1, 2), keepdims=True) + 1e-5
    columns = own["params"]["directions"]["kernel"].reshape(8, CLASSES, 2, 2)
    plus, minus = columns[:, :, 0], columns[:, :, 1]  # [c, D, rank / 2]
    matrices = np.einsum("cdr,edr->dce", plus, plus) - np.einsum("cdr,edr->dce", minus, minus)
    assert [np.linalg.matrix_rank(matrix) for matrix in matrices] == [4, 4, 4]
    expected = np.einsum("dce,bce->bd", matrices, pooled) + own["params"]["head"]["bias"]
    np.testing.assert_allclose(outputs(name, x), expected, atol=1e-5)


# Frames, dropout


@pytest.mark.parametrize("name", [TOY, RESNET])
def test_mirrored_averages_a_face_and_its_mirror_image(name):
    x = draw(name)
    expected = (outputs(name, x) + outputs(name, x[..., ::-1, :])) / 2
    assert np.abs(outputs(name, x) - expected).max() > 1e-3 * np.abs(expected).max()
    found = outputs(name, x, mirrored=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    def trained(mirrored):  # each frame for itself
        apply = make(name, mirrored=mirrored).apply
        options = {"train": True, "dropout": False, "mutable": ["batch_stats"]}
        return str(jax.make_jaxpr(lambda x: apply(variables(name), x, **options))(x))

    assert trained(True) == trained(False)


def test_mc_sample_is_one_network_for_all_images_of_a_clip():
    """Else the samples would agree more, the more images the mean is taken of."""
    model, x = make(TOY, dropout=0.5), draw(TOY)[:1, :1]
    x = (x + x[..., ::-1, :]) / 2  # its own mirror image

    def samples(model, images):
        sample = functools.partial(uncertainty.sample, model, mc_samples=8)
        return quick(sample)(variables(TOY), images, jax.random.key(3))

    one = samples(model, x)
    assert np.std(one, axis=0).min() > 1e-4
    for other, images in ((model.clone(mirrored=True), x), (model, np.concatenate([x] * 4, 1))):
        np.testing.assert_allclose(samples(other, images), one, rtol=1e-4, atol=1e-5)


def test_dropout_stands_behind_the_extra_layer():
    """Rate 1 - 1e-9 leaves the output's bias alone, whatever comes before."""
    apply = functools.partial(make(TOY).clone(dropout=1 - 1e-9).apply, train=True)
    y = quick(lambda own, x: apply(own, x, rngs={"dropout": jax.random.key(0)}))(
        variables(TOY), draw(TOY)
    )
    bias = variables(TOY)["params"]["head"]["bias"]
    np.testing.assert_allclose(y, np.broadcast_to(bias, y.shape), atol=1e-6)


def test_fully_connected_layers_have_two_dropouts():
    model, x = BilinearCNN(2, pooling="fc", stages=((4, 1), (4, 1))), draw(TOY)[:2, :1, :8, :8]
    own = random_variables(model, x)
    params = own["params"]
    assert params["fc6"]["kernel"].shape == (2 * 2 * 4, 4096)  # pool5 is there

    @quick
    def run(own, x):
        _, seen = model.apply(
            own, x, train=True, rngs={"dropout": jax.random.key(1)},
            capture_intermediates=lambda module, _: module.name == "drop",
        )  # fmt: skip
        return model.apply(own, x, train=False), seen["intermediates"]["drop"]["__call__"]

    y, dropped = run(own, x)
    maps = maps_of(model, own, x).reshape(2, -1)
    fc6 = np.maximum(maps @ params["fc6"]["kernel"] + params["fc6"]["bias"], 0)
    fc7 = np.maximum(fc6 @ params["fc7"]["kernel"] + params["fc7"]["bias"], 0)
    expected = fc7 @ params["head"]["kernel"] + params["head"]["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
    assert len(dropped) == 2
    for each, zeros in zip(dropped, ((fc6 == 0).mean(), 0.5), strict=True):
        assert (np.asarray(each) == 0).mean() > zeros + 0.05


@pytest.mark.parametrize("options", [{}, {"compact": "low_rank"}, {"pooling": "global"}])
def test_outputs_begin_near_the_label_mean(options):
    options, x = {**options, "label_mean": 4.5}, draw(TOY, 8)
    init = functools.partial(make(TOY, **options).init, train=False)
    own = quick(init)(jax.random.key(0), x)
    assert np.abs(outputs(TOY, x, own, **options) - 4.5).max() < 2.0
    np.testing.assert_array_equal(own["params"]["head"]["bias"], np.full(CLASSES, 4.5))


# Fields


def test_size_enlarges_faces_by_bicubic_interpolation():
    """As Pillow's bicubic resampling, whose kernel is that of MATLAB."""
    from PIL import Image

    x = 50 * draw(TOY)[:, :1, :12, :12]
    channels = x[:, 0].transpose(0, 3, 1, 2).reshape(-1, 12, 12)
    large = [Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC) for each in channels]
    large = np.stack([np.asarray(each) for each in large]).reshape(CLIPS, 3, 32, 32)
    large = large.transpose(0, 2, 3, 1)[:, None]
    expected = maps_of(make(TOY), variables(TOY), large)
    found = maps_of(make(TOY, size=32), variables(TOY), x)
    assert found.shape == (CLIPS, 1, 16, 16, 8)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    same = maps_of(make(TOY, size=32), variables(TOY), large)
    np.testing.assert_array_equal(same, expected)  # nothing to enlarge


def test_pixels_and_batch_norm_are_fields():
    def shapes(**options):
        init = functools.partial(make(TOY, **options).init, train=False)
        return jax.eval_shape(init, jax.random.key(0), jnp.asarray(draw(TOY)))

    assert make(TOY, pixels="symmetric").pixels == "symmetric" and make(TOY).pixels in PIXELS
    assert "batch_stats" not in shapes()
    stage = shapes(batch_norm=True)["batch_stats"]["backbone"]["stage2"]
    assert set(stage) == {"norm1", "norm2"}
