"""ST-BLN: one function with its PyTorch mirror, and the invariances that the equations promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers import common
from fer_jax.systems import SYSTEMS
from fer_jax.systems.st_bln.network import STBLN, TemporalConv

EDGES, CLASSES = 7, 3
WIDTHS = (4, 4, 6, 6, 6)  # the fifth layer halves the time


def small_model(**options):
    return STBLN(**{"classes": CLASSES, "widths": WIDTHS, **options})


@functools.partial(jax.jit, static_argnums=0, static_argnames="dropout")
def logits_of(model, variables, inputs, key=None, dropout=None):
    """Logits with BatchNorm in inference mode."""
    rngs = {"dropout": jax.random.key(0) if key is None else key}
    return model.apply(variables, inputs, train=False, dropout=dropout, rngs=rngs)


def clip_batch(clips=4, frames=4, edges=EDGES, seed=1):
    return np.random.default_rng(seed).normal(0, 2, (clips, frames, edges, 2)).astype(np.float32)


def awake(variables):
    """Sets the scale of the bilinear BatchNorm, 1e-6 at first, to 1: U and W become visible."""

    def wake(path, leaf):
        names = [part.key for part in path]
        return jnp.ones_like(leaf) if names[-2:] == ["bilinear_norm", "scale"] else leaf

    return jax.tree_util.tree_map_with_path(wake, variables)


@pytest.fixture(scope="module")
def model_and_variables():
    model = small_model()
    init = jax.jit(lambda key: model.init(key, jnp.asarray(clip_batch()), train=False))
    return model, awake(init(jax.random.key(0)))


# Parity with PyTorch


@pytest.mark.parametrize(("frames", "train"), [(4, False), (4, True), (16, True)])
def test_logits_gradients_and_statistics_are_those_of_pytorch(frames, train):
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    from benchmarks import parity

    pair = parity.make_pair(EDGES, CLASSES, frames, WIDTHS)
    labels = np.arange(4) % CLASSES
    difference = parity.compare(*pair, clip_batch(frames=frames), labels, train=train)
    assert difference["largest_gradient"] > 0.1
    for name in ("logits", "gradients", "statistics"):
        assert difference[name] < 1e-4, name


def test_full_size_is_that_of_pytorch():
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    from benchmarks import parity

    edges, classes = parity.REFERENCE["Oulu-CASIA"]
    pair = parity.make_pair(edges, classes, frames=4)
    inputs = clip_batch(clips=2, edges=edges)
    difference = parity.compare(*pair, inputs, np.array([1, 4]), train=True)
    for name in ("logits", "gradients", "statistics"):
        assert difference[name] < 1e-4, name


def test_parity_would_notice_every_parameter():
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    from benchmarks import parity

    model, variables, mirror = parity.make_pair(EDGES, CLASSES, 4, WIDTHS)
    names = parity.names_of(mirror)(variables["params"])
    assert set(names) == {name for name, _ in mirror.named_parameters()}
    # all different, so a leaf in another's place would show
    assert len({value.sum().item() for value in names.values()}) == len(names)
    broken = {**variables["params"], "layer1": {}}
    with pytest.raises(RuntimeError, match="layers.0.u"):
        parity.load({**variables, "params": broken}, mirror)


# The temporal convolution has four forms of one function.


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("frames", "kernel_size"),
    [
        (1, 9),
        (2, 9),
        (4, 9),
        (5, 9),
        (8, 9),
        (9, 9),
        (16, 9),
        (23, 9),
        (150, 9),
        (4, 3),
        (7, 3),
        (5, 1),
    ],
)
def test_temporal_convolution_is_a_convolution(frames, stride, kernel_size, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x = jnp.asarray(clip_batch(clips=3, frames=frames, edges=2).swapaxes(1, 2))
    conv = TemporalConv(5, kernel_size, stride)
    variables = conv.init(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]

    def plain(kernel, x):
        rows, pad = x.reshape(-1, frames, 2), kernel_size // 2
        return common.convolve(rows, kernel, (pad, pad), stride).reshape(*x.shape[:2], -1, 5)

    def ours(kernel, x):
        return conv.apply({"params": {**variables["params"], "kernel": kernel}}, x)

    expected, pull_expected = jax.vjp(plain, kernel, x)
    assert expected.shape[2] == -(-frames // stride)
    given, pull = jax.vjp(ours, kernel, x)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4)
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape), jnp.float32)
    for ours_gradient, gradient in zip(pull(cotangent), pull_expected(cotangent), strict=True):
        scale = float(jnp.abs(gradient).max()) + 1e-6
        np.testing.assert_allclose(ours_gradient / scale, gradient / scale, atol=1e-4)


# Invariances


def test_gradient_reaches_every_parameter(model_and_variables):
    model, variables = model_and_variables
    inputs = jnp.asarray(clip_batch(clips=6))

    @jax.jit
    def gradient(params):
        def loss(params):
            logits, _ = model.apply(
                {**variables, "params": params}, inputs, train=True, dropout=False,
                mutable=["batch_stats"],
            )  # fmt: skip
            return jax.nn.log_softmax(logits)[:, 0].sum()

        return jax.grad(loss)(params)

    dead = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(variables["params"])):
        if not np.abs(leaf).max() > 1e-5:
            dead.add("/".join(part.key for part in path[-2:]))
    # BatchNorm takes the mean away, so a bias in front of it has no gradient.
    assert dead <= {"bilinear/bias", "r1/bias", "r2/bias", "temporal/bias"}


def test_order_of_the_clips_does_not_matter(model_and_variables):
    model, variables = model_and_variables
    inputs, order = clip_batch(), np.array([2, 0, 3, 1])
    logits = logits_of(model, variables, inputs)
    again = logits_of(model, variables, inputs[order])
    np.testing.assert_allclose(again, logits[order], rtol=1e-4, atol=1e-5)
    alone = logits_of(model, variables, inputs[1:2])
    np.testing.assert_allclose(alone, logits[1:2], rtol=1e-4, atol=1e-5)


def test_order_of_the_edges_does_not_matter_when_the_maps_follow(model_and_variables):
    model, variables = model_and_variables
    inputs, order = clip_batch(), np.random.default_rng(0).permutation(EDGES)
    logits = logits_of(model, variables, inputs)

    def follow(path, leaf):
        names = [part.key for part in path]
        if names[-1] == "U":
            return leaf[:, order][:, :, order]
        if "data_norm" in names:
            return leaf.reshape(EDGES, 2)[order].ravel()
        return leaf

    moved = jax.tree_util.tree_map_with_path(follow, variables)
    again = logits_of(model, moved, inputs[:, :, order])
    np.testing.assert_allclose(again, logits, rtol=1e-3, atol=1e-4)
    assert np.abs(logits_of(model, variables, inputs[:, :, order]) - logits).max() > 1e-2


def test_each_layer_starts_as_residual_and_temporal_convolution(model_and_variables):
    model, variables = model_and_variables

    def change(name, value):
        def changed(path, leaf):
            names = [part.key for part in path]
            return jnp.full_like(leaf, value) if name in ("/".join(names[-2:]), names[-1]) else leaf

        return lambda tree: jax.tree_util.tree_map_with_path(changed, tree)

    fresh = change("bilinear_norm/scale", 1e-6)(variables)
    logits = logits_of(model, fresh, clip_batch())
    without = logits_of(model, change("U", 0.0)(fresh), clip_batch())
    np.testing.assert_allclose(without, logits, atol=1e-3)
    assert np.abs(logits_of(model, variables, clip_batch()) - logits).max() > 1e-2


@pytest.mark.parametrize("place", ["after", "before"])
def test_dropout_follows_its_switch(place, model_and_variables):
    variables, inputs = model_and_variables[1], clip_batch()
    model = small_model(dropout_place=place)
    off = logits_of(model, variables, inputs)
    on = logits_of(model, variables, inputs, dropout=True)
    other = logits_of(model, variables, inputs, jax.random.key(1), dropout=True)
    assert np.abs(on - off).max() > 1e-3 and np.abs(on - other).max() > 1e-3
    zero = small_model(dropout_place=place, dropout=0.0)
    np.testing.assert_allclose(logits_of(zero, variables, inputs, dropout=True), off, atol=1e-5)


def test_places_of_dropout_differ(model_and_variables):
    after, before = (
        logits_of(small_model(dropout_place=place), model_and_variables[1], clip_batch(),
                  dropout=True)
        for place in ("after", "before")
    )  # fmt: skip
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "low", "high", "std"),
    [("normal", -0.6, 0.6, 0.1), ("const_1e-6", 1e-6, 1e-6, 0.0), ("uniform01", 0, 1, 12**-0.5)],
)
def test_initial_edge_maps(name, low, high, std):
    model = STBLN(classes=2, widths=(2,), u_init=name)
    inputs = clip_batch(clips=1, edges=100)
    u = jax.jit(lambda key: model.init(key, inputs, train=False))(jax.random.key(0))
    u = np.asarray(u["params"]["layer1"]["bilinear"]["U"])
    assert u.shape == (3, 100, 100)
    assert low <= u.min() + 1e-12 and u.max() - 1e-12 <= high
    assert u.std() == pytest.approx(std, rel=0.05, abs=1e-9)


def test_initial_weights_have_the_published_deviations():
    model = STBLN(classes=7, widths=(64, 128))
    init = jax.jit(lambda key: model.init(key, clip_batch(), train=False))
    params = init(jax.random.key(0))["params"]
    layer = params["layer2"]
    bilinear = (2 / (64 * 128 * 3)) ** 0.5
    assert layer["bilinear"]["kernel"].std() == pytest.approx(bilinear, rel=0.05)
    temporal = (2 / (9 * 128)) ** 0.5  # He normal, fan out
    assert layer["temporal"]["kernel"].std() == pytest.approx(temporal, rel=0.05)
    assert layer["r1"]["kernel"].std() == pytest.approx((2 / 128) ** 0.5, rel=0.05)
    assert params["head"]["kernel"].std() == pytest.approx((2 / 7) ** 0.5, rel=0.1)
    assert (layer["bilinear_norm"]["scale"] == 1e-6).all()
    assert (layer["temporal_norm"]["scale"] == 1).all()
    assert not any(layer[name]["bias"].any() for name in ("bilinear", "temporal", "r1"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout_place": "middle"}, r"dropout_place=middle: use one of \('after', 'before'\)"),
        (
            {"u_init": "ones"},
            r"u_init=ones: use one of \('const_1e-6', 'normal', 'uniform01'\)",
        ),
        ({"kernel_size": 4}, "kernel_size=4: it must be odd"),
    ],
)
def test_wrong_fields_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        small_model(**options).init(jax.random.key(0), clip_batch(), train=False)


def test_the_config_finds_it():
    assert SYSTEMS["st_bln"].network is STBLN
