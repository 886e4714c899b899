"""ST-BLN: its temporal convolution, its invariances, its first weights, its MC samples."""

import functools
import re

import jax
import numpy as np
import pytest

from benchmarks import flops
from fer_jax import uncertainty
from fer_jax.layers import common
from fer_jax.layers.common import TemporalConv
from fer_jax.systems.st_bln.network import STBLN
from tests.layers.compare import assert_same, assert_same_on_accelerator, normal
from tests.quick import quick
from tests.systems.toys import draw, make, outputs, variables

# The temporal convolution has four forms of one function.


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("frames", "kernel_size"),
    [(1, 9), (4, 9), (9, 9), (16, 9), (23, 9), (150, 9), (7, 3), (5, 1)],
)
def test_temporal_convolution_is_a_convolution(frames, stride, kernel_size):
    conv, bias = TemporalConv(5, kernel_size, stride), normal(2, 5)
    x, kernel = normal(0, 3, 2, frames, 2), normal(1, kernel_size, 2, 5)

    def plain(kernel, x):
        rows, pad = x.reshape(-1, frames, 2), kernel_size // 2
        y = common.convolve(rows, kernel, (pad, pad), stride).reshape(*x.shape[:2], -1, 5)
        return y + bias

    def ours(kernel, x):
        return conv.apply({"params": {"kernel": kernel, "bias": bias}}, x)

    assert_same(ours, plain, kernel, x)
    if frames >= kernel_size:
        assert_same_on_accelerator(ours, kernel, x)


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
    inputs = normal(0, 1, 4, 100, 2)
    u = quick(lambda key: model.init(key, inputs, train=False))(jax.random.key(0))
    u = np.asarray(u["params"]["layer1"]["bilinear"]["U"])
    assert u.shape == (3, 100, 100)
    assert low <= u.min() + 1e-12 and u.max() - 1e-12 <= high
    assert u.std() == pytest.approx(std, rel=0.05, abs=1e-9)


def test_initial_weights_have_the_published_deviations():
    model = STBLN(classes=7, widths=(64, 128))
    init = quick(lambda key: model.init(key, normal(0, 1, 4, 7, 2), train=False))
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


# MC dropout


def products_in_loops(compiled: str) -> tuple[set[str], set[str]]:
    """Layers whose products XLA computes inside loops, and those of the others."""
    calls, products, current = {}, {}, ""
    for line in compiled.splitlines():
        if line and not line.startswith(" "):  # a computation begins
            current = line.removeprefix("ENTRY ").split()[0]
        calls.setdefault(current, set()).update(
            re.findall(r"(?:calls|body|condition|to_apply)=(%[\w.-]+)", line)
        )
        if re.search(r" (?:dot|custom-call|convolution)\(", line):
            found = re.findall(r"STBLN/(\w+)/", line)
            products.setdefault(current, set()).update(found)
    inside, open_ = set(), set(re.findall(r"body=(%[\w.-]+)", compiled))
    while open_:
        inside |= open_
        open_ = set().union(*(calls.get(each, set()) for each in open_)) - inside
    looped = set().union(*(products.get(each, set()) for each in inside))
    return looped, set().union(*products.values()) - looped


def test_layer_before_dropout_is_computed_once_for_all_samples():
    """By XLA itself, so the network has no `before_dropout`."""
    model = STBLN(classes=3, widths=(6, 4))
    inputs = normal(0, 3, 4, 10, 2)
    own = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), inputs)
    options = {"mc_samples": 4, "chunk": 1}
    sample = functools.partial(uncertainty.mc_dropout, uncertainty.stochastic(model), **options)
    compiled = jax.jit(sample).lower(own, inputs, jax.random.key(0)).compile()
    looped, shared = products_in_loops(compiled.as_text())
    assert looped == {"layer2", "head"} and shared == {"layer1"}


@pytest.mark.parametrize(
    ("widths", "share"), [(STBLN.widths, 0.015), ((15, 10, 15, 5, 5, 10), 0.078), ((20, 15), 0.18)]
)
def test_share_of_the_layer_before_dropout(widths, share):
    """The products of docs/speed.md: 4 frames, 309 edges."""

    def work(widths) -> int:
        model, inputs = STBLN(classes=7, widths=widths), np.zeros((1, 4, 309, 2), np.float32)
        own = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), inputs)
        return flops.count(functools.partial(model.apply, train=False), own, inputs)

    assert work(widths[:1]) / work(widths) == pytest.approx(share, rel=0.05)
