"""Averages of late weights and networks drawn around them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax import uncertainty
from tests.uncertainty.posteriors.plain_models import Dropping, Plain, rows, started

KEY = jax.random.key(3)


def averaged(series):
    """The average of weights with a leading axis, in a loop under jit."""
    first = jax.tree.map(lambda leaf: leaf[0], series)

    def body(average, params):
        return uncertainty.update_average(average, params), None

    return jax.lax.scan(body, uncertainty.start_average(first), series)[0]


@pytest.mark.parametrize("mean, deviation", [(0.0, 1.0), (50.0, 1e-3), (-3.0, 0.0)])
def test_average_holds_the_moments_of_the_weights(mean, deviation):
    rng = np.random.default_rng(0)
    series = {
        "a": rng.normal(mean, deviation, (20, 3)),
        "b": rng.normal(mean, deviation, (20, 2, 2)),
    }
    series = jax.tree.map(np.float32, series)
    average = jax.jit(averaged)(series)
    assert average.count == 20
    for name, values in series.items():
        wide = values.astype(np.float64)
        np.testing.assert_allclose(average.mean[name], wide.mean(0), rtol=1e-6, atol=1e-6)
        found = average.squares[name] / 20
        np.testing.assert_allclose(found, wide.var(0), rtol=2e-2, atol=1e-12)


def test_draws_have_the_moments_of_the_average():
    series = {"a": np.float32(np.random.default_rng(1).normal(2.0, 0.5, (30, 2)))}
    average = averaged(series)
    draw = jax.vmap(lambda key: uncertainty.draw_weights(average, key, 2.0)["a"])
    drawn = draw(jax.random.split(KEY, 4000))
    np.testing.assert_allclose(drawn.mean(0), series["a"].mean(0), atol=0.07)
    np.testing.assert_allclose(drawn.std(0), 2 * series["a"].std(0), rtol=0.05)


def test_one_network_alone_is_drawn_as_it_is():
    variables = started(Plain())
    average = uncertainty.update_average(
        uncertainty.start_average(variables["params"]), variables["params"]
    )
    drawn = uncertainty.draw_networks(average, variables, KEY, draws=2)
    expected = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), variables)
    jax.tree.map(np.testing.assert_array_equal, drawn, expected)


def trained():
    """Weights of three epochs of a network with BatchNorm: their average, the last network."""
    module = Dropping()
    networks = [started(module, seed, train=False) for seed in range(3)]
    average = uncertainty.start_average(networks[0]["params"])
    for network in networks:
        average = uncertainty.update_average(average, network["params"])

    def statistics(variables, inputs):
        options = {"train": True, "dropout": False, "mutable": ["batch_stats"]}
        return module.apply(variables, inputs, **options)[1]["batch_stats"]

    return module, average, networks[-1], jax.jit(statistics)


def test_average_network_has_statistics_of_its_own():
    _, average, last, statistics = trained()
    batches = [rows(seed=seed) for seed in range(2)]
    network = uncertainty.average_network(average, last, statistics, batches)
    jax.tree.map(np.testing.assert_array_equal, network["params"], average.mean)
    expected = uncertainty.recalibrate_batch_norm(
        statistics, {**last, "params": average.mean}, batches
    )
    jax.tree.map(np.testing.assert_array_equal, network["batch_stats"], expected)


def test_every_drawn_network_has_statistics_of_its_own():
    module, average, last, statistics = trained()
    batches = np.stack([rows(seed=seed) for seed in range(2)])
    drawn = uncertainty.draw_networks(
        average, last, KEY, draws=3, statistics=statistics, batches=batches
    )
    for index in range(3):
        network = uncertainty.member(drawn, index)
        expected = uncertainty.recalibrate_batch_norm(statistics, network, batches)
        jax.tree.map(np.testing.assert_array_equal, network["batch_stats"], expected)
    samples = uncertainty.sample_ensemble(module, drawn, rows(), KEY)
    assert samples.shape == (3, 6, 3) and np.ptp(samples, 0).max() > 1e-3


def test_averages_that_cannot_be_used_are_refused():
    _, average, last, statistics = trained()
    empty = uncertainty.start_average(last["params"])
    with pytest.raises(ValueError, match="holds no weights yet"):
        uncertainty.average_network(empty, last, statistics, [rows()])
    with pytest.raises(ValueError, match="BatchNorm statistics of their own"):
        uncertainty.average_network(average, last)
    with pytest.raises(ValueError, match="give a list, no iterator"):
        uncertainty.draw_networks(average, last, KEY, statistics=statistics, batches=iter([rows()]))
