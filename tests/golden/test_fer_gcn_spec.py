"""Worked examples and sizes of FER-GCN (docs/papers/fer_gcn.md)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.data.frame_selection import select_frames
from fer_jax.systems.fer_gcn.network import FERGCN, fuse, intensity_weights, propagate
from fer_jax.training.program import count_parameters
from tests.golden.sizes import size, variables_of
from tests.quick import quick

A = np.float32([[0.9, 0.2, 0.7], [0.1, 0.8, 0.9], [0, 0.1, 1.4]])
H = np.float32([[1, 0], [0, 1], [2, 2]])


# Graph convolution and fusion (equations 1 to 8)


def test_at_first_frames_are_independent_and_fusion_is_their_mean():
    model, frames = FERGCN(3, frames=16, features=8, stages=((4, 1),)), jnp.zeros((1, 16, 8, 8, 3))
    params = quick(functools.partial(model.init, train=False))(jax.random.key(0), frames)
    np.testing.assert_array_equal(params["params"]["A"], np.eye(16))
    np.testing.assert_array_equal(intensity_weights(jnp.eye(16)), np.full(16, 0.0625, np.float32))


def test_example_of_three_frames():
    weights = intensity_weights(A)
    np.testing.assert_allclose(weights, [0.2512, 0.2597, 0.4892], atol=5e-5)
    np.testing.assert_allclose(fuse(weights, H[None]), [[1.2295, 1.2380]], atol=5e-5)
    taken_in = propagate(A, H[None], np.eye(2, dtype=np.float32))  # nothing is negative
    np.testing.assert_allclose(taken_in[0], [[2.3, 1.6], [1.9, 2.6], [2.8, 2.9]], atol=1e-6)


def test_what_is_negative_leaks_a_fifth():
    leaked = propagate(A, H[None], -np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(leaked[0], -0.2 * (A @ H), atol=1e-6)


def test_no_gradient_flows_through_the_fusion():
    weighted = jax.grad(lambda adjacency: (intensity_weights(adjacency) * jnp.arange(3)).sum())
    np.testing.assert_array_equal(weighted(A), 0)


# Numbers of parameters


def counts(classes, **options):
    return variables_of(FERGCN(classes, **options), 1, 16, 224, 224, 3)["params"]


def test_parameters_of_the_default():
    params = counts(7)
    assert size(params) == 15_776_071
    assert size(params["backbone"]) == 14_723_136
    assert size(params["reduce"]) == 131_328
    assert params["A"].shape == (16, 16)
    assert size(params["head"]) == 1_799
    module = params["graph_modules_1"]
    assert (size(module["kernel"]), size(module["bilstm"])) == (65_536, 394_240)
    kernels = [params[f"graph_modules_{index}"]["kernel"] for index in (0, 1)]
    assert size(params["A"]) + size(kernels) == 131_328
    assert count_parameters(params) == (15_776_071, 15_776_071 - 256)


@pytest.mark.parametrize(
    ("classes", "options", "total"),
    [
        (6, {}, 15_776_071 - 1_799 + 1_542),
        (7, {"fusion": False}, 15_776_071),
        (7, {"modules": 1}, 15_776_071 - 459_776),
        (7, {"modules": 3}, 15_776_071 + 459_776),
        # LSTMs of 256 units, U of 128 x 512 and V of 256 x 128 both ways, b: 1,247,488 a module
        (7, {"recurrence": "eq6"}, 15_776_071 + 2 * (1_247_488 - 394_240)),
        (7, {"modules": 0}, 14_723_136 + 131_328 + 1_799),  # without A
    ],
)
def test_parameters_of_the_variants(classes, options, total):
    assert size(counts(classes, **options)) == total


# Frames


@pytest.mark.parametrize(
    ("rule", "length", "chosen"),
    [
        ("middles", 5, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4]),
        ("middles", 32, list(range(1, 32, 2))),
        ("middles", 16, list(range(16))),
        ("uniform", 18, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17]),
    ],
)
def test_frame_choice(rule, length, chosen):
    assert select_frames(np.ones(length, bool), 16, rule).tolist() == chosen
