"""Predictions of several networks."""

import jax
import numpy as np
import pytest

from fer_jax import uncertainty
from tests.uncertainty.posteriors.plain_models import Dropping, Plain, rows, started

KEY = jax.random.key(7)


def members(module, count=3, **options):
    return [started(module, seed, **options) for seed in range(count)]


@pytest.mark.parametrize("chunk", [0, 1, 2, 3, 9])
def test_ensemble_predicts_as_its_members(chunk):
    module, x = Dropping(), rows()
    own = members(module, 4, train=False)
    stacked = uncertainty.stack_members(own)
    samples = uncertainty.sample_ensemble(module, stacked, x, KEY, chunk=chunk)
    expected = [jax.nn.softmax(module.apply(each, x, train=False)) for each in own]
    np.testing.assert_allclose(samples, expected, rtol=1e-5, atol=1e-6)


def test_ensemble_of_a_function_under_jit():
    module, x = Plain(), rows()
    own = members(module)

    def forward(variables, inputs, key):
        del key
        return module.apply(variables, inputs)

    @jax.jit
    def predict(stacked, inputs):
        return uncertainty.sample_ensemble(
            forward, stacked, inputs, KEY, probabilities=jax.nn.sigmoid
        )

    expected = [jax.nn.sigmoid(module.apply(each, x)) for each in own]
    found = predict(uncertainty.stack_members(own), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("as_function", [False, True])
def test_mc_dropout_within_members(as_function):
    module, x = Dropping(), rows()
    own = members(module, 2, train=False)
    forward = uncertainty.stochastic(module)
    samples = uncertainty.sample_ensemble(
        forward if as_function else module, uncertainty.stack_members(own), x, KEY, mc_samples=4
    )
    assert samples.shape == (8, 6, 3)
    keys = jax.random.split(KEY, 2)
    expected = [
        uncertainty.mc_dropout(forward, each, x, key, mc_samples=4)
        for each, key in zip(own, keys, strict=True)
    ]
    np.testing.assert_allclose(samples, np.concatenate(expected), rtol=1e-5, atol=1e-6)


def test_members_disagree_as_mutual_information():
    module, x = Plain(), rows()
    one, other = members(module, 2)
    alike = uncertainty.stack_members([one, one])
    unlike = uncertainty.stack_members([one, other])

    def forward(variables, inputs, key):
        return module.apply(variables, inputs)

    information = [
        uncertainty.summarise(uncertainty.sample_ensemble(forward, each, x, KEY)).mutual_information
        for each in (alike, unlike)
    ]
    assert information[0].max() < 1e-6 < information[1].min()


def test_stacked_members_come_apart_again():
    own = members(Plain())
    stacked = uncertainty.stack_members(own)
    again = uncertainty.member(stacked, 1)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), again, own[1]))


@pytest.mark.parametrize(
    ("given", "problem"),
    [([], "at least one member"), ([Plain(), Plain(4)], "member 1 .* same network")],
)
def test_members_of_other_networks_are_refused(given, problem):
    with pytest.raises(ValueError, match=problem):
        uncertainty.stack_members([started(module) for module in given])
