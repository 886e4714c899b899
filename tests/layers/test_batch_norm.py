"""BatchNorm against PyTorch and far from zero; folded, every system gives the same outputs."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fer_jax.layers.batch_norm import BatchNorm, find_folds, fold
from fer_jax.layers.common import Dense
from tests.quick import quick
from tests.systems.toys import TOYS, draw, make, random_variables, variables


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_batch_norm_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    x = normal(0, 4, 6, 3) * 5 + 40
    ours, theirs = BatchNorm(), torch.nn.BatchNorm1d(3)
    variables = ours.init(jax.random.key(0), x, train=False)
    rows = torch.from_numpy(np.array(x).reshape(-1, 3))
    train = quick(lambda own, x: ours.apply(own, x, train=True, mutable=["batch_stats"]))
    for _ in range(3):
        y, updates = train(variables, x)
        variables = {**variables, **updates}
        np.testing.assert_allclose(y.reshape(-1, 3), theirs(rows).detach(), rtol=1e-3, atol=1e-4)
    stats = variables["batch_stats"]
    np.testing.assert_allclose(stats["mean"], theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(stats["var"], theirs.running_var, rtol=1e-4)
    y = ours.apply(variables, x, train=False)
    np.testing.assert_allclose(y.reshape(-1, 3), theirs.eval()(rows).detach(), rtol=1e-3, atol=1e-4)


def test_batch_norm_of_half_precision_keeps_whole_statistics():
    x, variables = normal(0, 8, 5, 3) + 9, BatchNorm().init(
        jax.random.key(0), normal(0, 8, 5, 3), train=False
    )  # fmt: skip
    (y, stats), (half, half_stats) = (
        BatchNorm().apply(variables, each, train=True, mutable=["batch_stats"])
        for each in (x, x.astype("bfloat16"))
    )
    np.testing.assert_allclose(half.astype(np.float32), y, atol=0.1)
    for ours, theirs in zip(jax.tree.leaves(half_stats), jax.tree.leaves(stats), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=0.02)


@functools.partial(jax.vmap, axis_name="parts")
def normalise_parts(x):
    """Output and statistics of a batch in parts, the stored ones being 0 before."""
    zeros = {"mean": jnp.zeros(x.shape[-1]), "var": jnp.zeros(x.shape[-1])}
    variables = {
        "params": {"scale": jnp.ones(x.shape[-1]), "bias": jnp.zeros(x.shape[-1])},
        "batch_stats": zeros,
    }
    norm = BatchNorm(axis_name="parts")
    return norm.apply(variables, x, train=True, mutable=["batch_stats"])


@jax.jit
def normalise_and_differentiate(x, weight):
    """Also the gradient of the weighted sum of the outputs."""
    y, pull, updates = jax.vjp(normalise_parts, x, has_aux=True)
    return y, updates, pull(weight)[0]


@settings(max_examples=20, deadline=None)
@given(
    mean=st.floats(-1000, 1000),
    deviation=st.sampled_from([1e-2, 0.5, 30.0]),
    parts=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
@example(mean=1000.0, deviation=0.5, parts=1, seed=0)
@example(mean=1000.0, deviation=0.01, parts=2, seed=0)
def test_batch_norm_far_from_zero(mean, deviation, parts, seed):
    x = np.float32(np.random.default_rng(seed).normal(mean, deviation, (parts, 32, 50, 3)))
    wide = x.astype(np.float64).reshape(-1, 3)
    centred, spread = x - wide.mean(0), np.sqrt(wide.var(0) + 1e-5)
    weight = np.float32(np.random.default_rng(seed + 1).normal(size=x.shape))
    y, updates, gradient = normalise_and_differentiate(x, weight)
    stats = jax.tree.map(lambda leaf: 10 * leaf[0], updates["batch_stats"])
    # the inputs themselves have 24 bits
    resolved = 3e-7 * abs(mean) / deviation
    exact = centred / spread
    np.testing.assert_allclose(y, exact, atol=1e-4 + resolved)
    along = (weight * exact).mean((0, 1, 2)) * exact
    slope = (weight - weight.mean((0, 1, 2)) - along) / spread
    np.testing.assert_allclose(gradient * spread, slope * spread, atol=2e-4 + 2 * resolved)
    np.testing.assert_allclose(stats["mean"], wide.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(stats["var"], wide.var(0, ddof=1), rtol=1e-3)


def test_initialising_in_training_mode_stores_no_statistics():
    variables = BatchNorm().init(jax.random.key(0), normal(0, 4, 3) + 9, train=True)
    assert not variables["batch_stats"]["mean"].any()
    assert (variables["batch_stats"]["var"] == 1).all()


def test_batch_norm_of_a_batch_in_parts_is_that_of_the_whole():
    x = normal(0, 8, 5, 3)
    whole = BatchNorm()
    variables = whole.init(jax.random.key(0), x, train=False)
    expected, stats = whole.apply(variables, x, train=True, mutable=["batch_stats"])
    part = BatchNorm(axis_name="parts")

    def apply(x):
        return part.apply(variables, x, train=True, mutable=["batch_stats"])

    y, parts = jax.vmap(apply, axis_name="parts")(x.reshape(4, 2, 5, 3))
    np.testing.assert_allclose(y.reshape(x.shape), expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(parts), jax.tree.leaves(stats), strict=True):
        np.testing.assert_allclose(ours, np.broadcast_to(theirs, ours.shape), rtol=1e-4, atol=1e-6)


def norms(tree):
    """Scales of BatchNorm among the parameters."""
    return [path for path in flatten_dict(tree["params"]) if path[-1] == "scale"]


@pytest.mark.parametrize("name", TOYS)
def test_folded_network_has_the_same_outputs(name):
    network, given, inputs = make(name), variables(name), draw(name)
    folds = find_folds(network, given, inputs)
    folded = fold(given, folds)
    assert len(norms(given)) == len(norms(folded)) + len(folds)
    plain = functools.partial(network.apply, train=False)
    np.testing.assert_allclose(
        quick(plain)(folded, inputs), quick(plain)(given, inputs), rtol=1e-4, atol=1e-5
    )
    if not getattr(network, "dropout", 0.0):
        return
    rngs = {"dropout": jax.random.key(3)}
    dropping = functools.partial(plain, dropout=True, rngs=rngs)
    np.testing.assert_allclose(
        quick(dropping)(folded, inputs), quick(dropping)(given, inputs), rtol=1e-4, atol=1e-5
    )


# Those left normalise inputs, or sums and joined channels, not what a layer gives.
@pytest.mark.parametrize(
    ("name", "left"),
    [("st_bln", 1), ("st_gcn", 1), ("agcn", 1), ("dgnn", 12), ("fer_gcn", 0), ("stc_nlstm", 0),
     ("densenet", 7), ("inception_resnet_3d", 0), ("bilinear_cnn global", 0)],
)  # fmt: skip
def test_what_follows_a_layer_is_folded(name, left):
    given = variables(name)
    folded = fold(given, find_folds(make(name), given, draw(name)))
    assert len(norms(folded)) == left < len(norms(given))


def test_networks_side_by_side_are_folded_each():
    network, inputs = make("st_bln"), draw("st_bln")
    own = [random_variables(network, inputs, seed) for seed in (0, 1)]
    folds = find_folds(network, own[0], inputs)
    both = fold(jax.tree.map(lambda *leaves: jnp.stack(leaves), *own), folds)
    for index, each in enumerate(own):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], both)
        jax.tree.map(np.testing.assert_array_equal, one, fold(each, folds))


def test_layer_that_is_applied_twice_is_not_folded():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            layer = Dense(3)
            return BatchNorm()(layer(layer(x)), train=train)

    inputs = normal(0, 4, 3)
    assert not find_folds(Twice(), Twice().init(jax.random.key(0), inputs, False), inputs)


class Block(nn.Module):
    """A layer and its BatchNorm, perhaps with a way around the BatchNorm."""

    around: bool

    @nn.compact
    def __call__(self, x):
        y = Dense(3)(x)
        normed = BatchNorm()(y, train=False)
        return normed + y if self.around else normed


class Blocks(nn.Module):
    """Both kinds of block, stored or recomputed in the backward pass."""

    remat: bool

    @nn.compact
    def __call__(self, x, train):
        kind = nn.remat(Block) if self.remat else Block
        return kind(around=False, name="alone")(kind(around=True, name="around")(x))


@pytest.mark.parametrize("remat", [False, True])
def test_layer_whose_output_goes_elsewhere_too_is_not_folded(remat):
    network, inputs = Blocks(remat), normal(0, 4, 3)
    given = network.init(jax.random.key(0), inputs, False)
    ((layer, norm),) = find_folds(network, given, inputs)
    assert (layer[0], norm[0]) == ("alone", "alone")


def test_training_a_folded_network_is_refused():
    network, inputs = make("fer_gcn"), draw("fer_gcn")
    folded = fold(variables("fer_gcn"), find_folds(network, variables("fer_gcn"), inputs))
    with pytest.raises(Exception, match="scale"):
        network.apply(folded, inputs, train=True, mutable=["batch_stats"])
