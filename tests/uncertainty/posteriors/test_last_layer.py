"""The last dense layer of the systems and of other Flax models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from tests.quick import quick
from tests.systems import toys
from tests.uncertainty.posteriors.plain_models import Around, Dropping, Plain, rows, started

NAMES = ["st_bln", "st_gcn", "agcn", "dgnn", "fer_gcn", "stc_nlstm", "stc_nlstm none", "densenet",
         "inception_resnet_3d still", "bilinear_cnn", "bilinear_cnn triangle",
         "bilinear_cnn low_rank", "bilinear_cnn global"]  # fmt: skip
COMPUTED = ["st_bln", "stc_nlstm none", "bilinear_cnn", "densenet"]  # every kind of ending


@pytest.mark.parametrize("name", NAMES)
def test_every_system_has_a_last_layer_or_says_that_it_has_none(name):
    module, variables, inputs = toys.make(name), toys.variables(name), toys.draw(name)

    def shape_of_inputs(**options):
        take = jax.tree_util.Partial(uncertainty.last_layer_inputs, module, **options)
        return jax.eval_shape(take, variables, inputs).shape

    if name == "bilinear_cnn low_rank":
        with pytest.raises(ValueError, match=r"ends in no dense layer: .* is head \(LowRank\)"):
            shape_of_inputs()
        return
    width = len(variables["params"]["head"]["kernel"])
    assert shape_of_inputs() == (toys.CLIPS, width)
    of_frames = name in ("densenet", "inception_resnet_3d still") or "bilinear" in name
    middle = (toys.TOYS[name].shape[0],) if of_frames else ()
    assert shape_of_inputs(pooled=False) == (toys.CLIPS, *middle, width)
    located = uncertainty.locate_last_layer(module, variables, inputs)
    assert (located.path, located.direct) == (("head",), not of_frames)
    assert located.kernel.shape == variables["params"]["head"]["kernel"].shape


@pytest.mark.parametrize("name", COMPUTED)
def test_outputs_of_a_system_follow_from_the_inputs_of_its_last_layer(name):
    module, variables, inputs = toys.make(name), toys.variables(name), toys.draw(name)

    @quick
    def again(variables, inputs):
        features = uncertainty.last_layer_inputs(module, variables, inputs, pooled=False)
        head = variables["params"]["head"]
        layer = uncertainty.LastLayer(("head",), **head, direct=features.ndim == 2)
        own = features @ layer.kernel + layer.bias
        return uncertainty.outputs_from_last_layer(module, variables, inputs, layer, own)

    found = again(variables, inputs)
    np.testing.assert_allclose(found, toys.outputs(name, inputs), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("module", [Plain(), Around()], ids=["plain", "around"])
def test_last_layer_of_a_plain_model(module):
    variables, x = started(module), rows()
    layer = uncertainty.find_last_layer(module.apply, variables, x)
    assert layer.path[-1] == "score" and layer.direct and layer.kernel.shape == (5, 3)
    features = uncertainty.last_layer_inputs(jax.jit(module.apply), variables, x)
    np.testing.assert_allclose(
        features @ layer.kernel + layer.bias, module.apply(variables, x), rtol=1e-5, atol=1e-6
    )


def test_inputs_of_the_last_layer_hold_no_dropout():
    module = Dropping()
    variables, x = started(module, train=False), rows()
    features = uncertainty.last_layer_inputs(module, variables, x)
    layer = uncertainty.find_last_layer(module, variables, x)
    assert layer.path == ("Dense_1",)
    expected = module.apply(variables, x, train=False)
    np.testing.assert_allclose(features @ layer.kernel + layer.bias, expected, rtol=1e-5, atol=1e-6)


def twice(variables, x):
    return Plain().apply(variables, x) + Plain().apply(variables, x)


def summed(variables, x):
    return Plain().apply(variables, x).sum(1)


REFUSED = {
    "no layer": (lambda variables, x: x, "it has none"),
    "another last layer": (Plain(normed=True).apply, r"is norm \(LayerNorm\)"),
    "outputs changed": (Plain(scaled=2.0).apply, "something is applied to them"),
    "called twice": (twice, r"score \(Dense\), is called more than once"),
    "outputs joined": (summed, r"has outputs \[6, 3\], but the model \[6\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_model_without_a_last_layer_is_refused(name):
    model, problem = REFUSED[name]
    variables = started(Plain(normed=True))
    with pytest.raises(ValueError, match=problem):
        uncertainty.find_last_layer(model, variables, jnp.asarray(rows()))
