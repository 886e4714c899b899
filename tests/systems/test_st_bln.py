"""ST-BLN: its temporal convolution, its invariances, its first weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers import common
from fer_jax.systems.st_bln.network import STBLN, TemporalConv
from tests.quick import quick
from tests.systems.toys import draw, make, outputs, random_variables, variables


def clip_batch(clips=4, frames=4, edges=7, seed=1):
    return np.random.default_rng(seed).normal(0, 2, (clips, frames, edges, 2)).astype(np.float32)


def test_full_size_is_that_of_pytorch():
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    from benchmarks import parity
    from benchmarks.torch_mirrors import st_bln as mirrors
    from benchmarks.torch_mirrors.weights import load

    edges, classes = parity.REFERENCE["Oulu-CASIA"]
    inputs, model = clip_batch(clips=2, edges=edges), STBLN(classes, dropout=0.0)
    own = random_variables(model, inputs)
    pair = model, own, load(own, mirrors.STBLN(edges, classes, dropout=0.0))
    difference = parity.compare(*pair, inputs, np.array([1, 4]), train=True)
    for name in ("logits", "gradients", "statistics"):
        assert difference[name] < 1e-4 * max(1, difference["largest_gradient"]), name


# The temporal convolution has four forms of one function.


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("frames", "kernel_size"),
    [(1, 9), (2, 9), (4, 9), (5, 9), (8, 9), (9, 9), (16, 9), (23, 9), (150, 9), (4, 3), (7, 3),
     (5, 1)],
)  # fmt: skip
def test_temporal_convolution_is_a_convolution(frames, stride, kernel_size, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x = jnp.asarray(clip_batch(clips=3, frames=frames, edges=2).swapaxes(1, 2))
    conv, rng = TemporalConv(5, kernel_size, stride), np.random.default_rng(0)
    shapes = jax.eval_shape(conv.init, jax.random.key(0), x)["params"]
    params = {k: rng.normal(size=leaf.shape).astype(np.float32) for k, leaf in shapes.items()}
    length = -(-frames // stride)
    cotangent = np.random.default_rng(1).normal(size=(*x.shape[:2], length, 5)).astype(np.float32)

    def plain(kernel, x):
        rows, pad = x.reshape(-1, frames, 2), kernel_size // 2
        y = common.convolve(rows, kernel, (pad, pad), stride).reshape(*x.shape[:2], -1, 5)
        return y + params.get("bias", 0)

    def ours(kernel, x):
        return conv.apply({"params": {**params, "kernel": kernel}}, x)

    @jax.jit
    def values_and_derivatives(kernel, x):
        found = []
        for function in (ours, plain):
            y, pull = jax.vjp(function, kernel, x)
            found.append((y, *pull(jnp.asarray(cotangent))))
        return found

    for given, expected in zip(*values_and_derivatives(params["kernel"], x), strict=True):
        assert given.shape == expected.shape
        atol = 1e-4 * (float(jnp.abs(expected).max()) + 1e-6)
        np.testing.assert_allclose(given, expected, rtol=0, atol=atol)


# Invariances


def test_edges_may_stand_in_any_order_when_the_maps_follow():
    own, inputs = variables("st_bln"), draw("st_bln")
    edges = inputs.shape[2]
    order = np.random.default_rng(0).permutation(edges)
    y = outputs("st_bln", inputs)

    def follow(path, leaf):
        names = [part.key for part in path]
        if names[-1] == "U":
            return leaf[:, order][:, :, order]
        if "data_norm" in names:
            return leaf.reshape(edges, 2)[order].ravel()
        return leaf

    moved = jax.tree_util.tree_map_with_path(follow, own)
    again = outputs("st_bln", inputs[:, :, order], moved)
    np.testing.assert_allclose(again, y, rtol=1e-3, atol=1e-4)
    assert np.abs(outputs("st_bln", inputs[:, :, order]) - y).max() > 1e-2


def test_layers_start_as_residual_and_temporal_convolution():
    def changed(tree, name, value):
        def change(path, leaf):
            names = [part.key for part in path]
            return np.full_like(leaf, value) if name in ("/".join(names[-2:]), names[-1]) else leaf

        return jax.tree_util.tree_map_with_path(change, tree)

    inputs = draw("st_bln")
    fresh = changed(variables("st_bln"), "bilinear_norm/scale", 1e-6)
    y = outputs("st_bln", inputs, fresh)
    np.testing.assert_allclose(outputs("st_bln", inputs, changed(fresh, "U", 0.0)), y, atol=1e-3)
    assert np.abs(outputs("st_bln", inputs) - y).max() > 1e-2


def test_places_of_dropout_differ():
    def drawn(place):
        apply = make("st_bln", dropout_place=place).apply
        options = {"train": False, "dropout": True, "rngs": {"dropout": jax.random.key(0)}}
        run = quick(lambda own, x: apply(own, x, **options))
        return run(variables("st_bln"), draw("st_bln"))

    assert np.abs(drawn("after") - drawn("before")).max() > 1e-3


# First weights


@pytest.mark.parametrize(
    ("name", "low", "high", "std"),
    [("normal", -0.6, 0.6, 0.1), ("const_1e-6", 1e-6, 1e-6, 0.0), ("uniform01", 0, 1, 12**-0.5)],
)
def test_initial_edge_maps(name, low, high, std):
    model = STBLN(classes=2, widths=(2,), u_init=name)
    inputs = clip_batch(clips=1, edges=100)
    u = quick(lambda key: model.init(key, inputs, train=False))(jax.random.key(0))
    u = np.asarray(u["params"]["layer1"]["bilinear"]["U"])
    assert u.shape == (3, 100, 100)
    assert low <= u.min() + 1e-12 and u.max() - 1e-12 <= high
    assert u.std() == pytest.approx(std, rel=0.05, abs=1e-9)


def test_initial_weights_have_the_published_deviations():
    model = STBLN(classes=7, widths=(64, 128))
    init = quick(lambda key: model.init(key, clip_batch(), train=False))
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
