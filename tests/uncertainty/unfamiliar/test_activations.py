"""The spread of activations, as features."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from fer_jax import uncertainty
from tests.quick import quick
from tests.systems import toys
from tests.uncertainty.posteriors.plain_models import Plain, rows, started

NAMES = ["st_bln", "dgnn", "fer_gcn", "stc_nlstm none", "densenet", "inception_resnet_3d still",
         "bilinear_cnn low_rank"]  # fmt: skip


class OfPixels(nn.Module):
    """A user's network of pictures."""

    width: int = 4
    remat: bool = False

    @nn.compact
    def __call__(self, x):
        conv = nn.remat(nn.Conv) if self.remat else nn.Conv
        x = nn.relu(conv(self.width, (3, 3), name="conv")(x))
        return nn.Dense(2, name="score")(x.mean((1, 2)))


def pictures(count=3):
    return np.random.default_rng(0).normal(size=(count, 6, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("remat", [False, True])
def test_spread_of_a_plain_network(remat):
    module, x = OfPixels(remat=remat), pictures()
    variables = module.init(jax.random.key(0), x)
    own = variables["params"]["conv"]
    maps = nn.Conv(4, (3, 3)).apply({"params": own}, x)  # before the ReLU; the score has no spread
    found = quick(lambda v, x: uncertainty.activation_spread(module, v, x))(variables, x)
    np.testing.assert_allclose(found, np.log(maps.std((1, 2)) + 1e-3), rtol=1e-4, atol=1e-5)


def test_channels_are_limited():
    module, x = OfPixels(width=2000), pictures(1)
    variables = module.init(jax.random.key(0), x)
    found = np.exp(uncertainty.activation_spread(module, variables, x)[0]) - 1e-3
    assert len(found) == 512
    maps = nn.Conv(2000, (3, 3)).apply({"params": variables["params"]["conv"]}, x)
    np.testing.assert_allclose(found[[0, -1]], maps.std((1, 2))[0, [0, -1]], rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_system_has_a_spread(name):
    module = toys.make(name)
    shape = jax.eval_shape(
        jax.tree_util.Partial(uncertainty.activation_spread, module),
        toys.variables(name),
        toys.draw(name),
    ).shape
    assert shape[0] == toys.CLIPS and 10 < shape[1] <= 512


def test_examples_do_not_depend_on_each_other():
    module, variables, x = toys.make("st_bln"), toys.variables("st_bln"), toys.draw("st_bln")
    spread = quick(lambda v, x: uncertainty.activation_spread(module, v, x))
    found = spread(variables, x)
    np.testing.assert_allclose(found[::-1], spread(variables, x[::-1]), rtol=1e-4, atol=1e-4)
    still = np.repeat(x[:, :1], x.shape[1], 1)
    assert not np.allclose(found, spread(variables, still), atol=0.1)


def test_network_without_positions_is_refused():
    with pytest.raises(ValueError, match="use last_layer_inputs"):
        uncertainty.activation_spread(Plain(), started(Plain()), rows())
