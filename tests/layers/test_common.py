"""Layers: channel products and derivative, BatchNorm against PyTorch, dropout's statistics."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers import common
from tests.layers.compare import assert_same
from tests.quick import quick

RATE = 0.2


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])  # a GPU sums many rows in parts
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5), (7, 3 * 1024, 5)])
def test_channel_mix_and_its_derivative(shape, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert_same(common.channel_mix, jnp.matmul, normal(0, *shape), normal(1, 5, 3), tolerance=1e-4)


def test_channel_mix_under_vmap():
    x, kernel = normal(0, 6, 4, 5), normal(1, 6, 5, 3)
    expected = np.einsum("sbc,scd->sbd", x, kernel)
    np.testing.assert_allclose(jax.vmap(common.channel_mix)(x, kernel), expected, atol=1e-5)


# Dropout. A mask is 1 where an element is kept.


def masks(keys, shape=(64, 40, 50)):
    drop = common.Dropout(RATE)

    def mask(key):
        return drop.apply({}, jnp.ones(shape), active=True, rngs={"dropout": key}) > 0

    return np.asarray(quick(jax.vmap(mask))(keys))


@pytest.fixture(scope="module")
def many():
    """16 keys, 64 examples, 2,000 elements."""
    return masks(jax.random.split(jax.random.key(0), 16))


def correlations(rows):
    """Correlation of every pair of rows, in standard deviations expected of independent ones."""
    rows = rows.reshape(len(rows), -1).astype(float)
    matrix = np.corrcoef(rows)
    return matrix[np.triu_indices(len(rows), 1)] * np.sqrt(rows.shape[1])


def assert_independent(rows):
    z = correlations(rows)
    assert np.abs(z).max() < 5.5
    if len(z) > 30:
        assert z.std() == pytest.approx(1.0, abs=0.25)
    assert abs(z.mean()) < 5 / np.sqrt(len(z))


def test_share_of_kept_elements(many):
    spread = np.sqrt(RATE * (1 - RATE) / many.size)
    assert abs(many.mean() - (1 - RATE)) < 5 * spread
    # as spread over examples, elements and keys as a binomial is
    for axes in [(1, 2, 3), (0, 2, 3), (0, 1)]:
        shares = many.mean(axes)
        count = many.size // shares.size
        assert shares.std() == pytest.approx(np.sqrt(RATE * (1 - RATE) / count), rel=0.6)


def test_masks_are_independent(many):
    """Keys, examples and elements differ; no pair of key and example repeats a mask."""
    flat = many.reshape(-1, 2000)
    for rows in (many, many[0], many[:, ::7].swapaxes(0, 1), flat[:, :60].T):
        assert_independent(rows)
    for lag in (1, 2, 16, 50, 256, 1024):  # also neighbours and powers of two
        product = (flat[:, :-lag] - (1 - RATE)) * (flat[:, lag:] - (1 - RATE))
        z = product.mean() / (RATE * (1 - RATE)) * np.sqrt(product.size)
        assert abs(z) < 5, lag
    assert len(np.unique(np.packbits(flat, axis=-1), axis=0)) == len(flat)


def test_consecutive_keys_and_steps_are_independent():
    steps = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(7), jnp.arange(12))
    for keys in (jax.vmap(jax.random.key)(jnp.arange(12)), steps):
        assert_independent(masks(keys, (8, 500)))


def test_kept_elements_are_scaled_and_the_mean_stays():
    x = normal(0, 32, 500) + 3
    drop = common.Dropout(RATE)
    y = drop.apply({}, x, active=True, rngs={"dropout": jax.random.key(0)})
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / (1 - RATE), rtol=1e-5)
    assert float(y.mean()) == pytest.approx(float(x.mean()), abs=0.1)


def test_inactive_or_rate_zero_changes_nothing():
    x = normal(0, 4, 5)
    assert common.Dropout(RATE).apply({}, x, active=False) is x
    assert common.Dropout(0.0).apply({}, x, active=True) is x


def test_gradient_passes_kept_elements_only():
    drop, key = common.Dropout(0.5), jax.random.key(3)

    def total(x):
        return drop.apply({}, x, active=True, rngs={"dropout": key}).sum()

    x = jnp.ones((4, 50))
    kept = drop.apply({}, x, active=True, rngs={"dropout": key}) > 0
    np.testing.assert_array_equal(jax.grad(total)(x), jnp.where(kept, 2.0, 0.0))


@pytest.mark.parametrize(("batch_axis", "parts"), [(0, 8), (1, 2)])
def test_dropout_of_a_batch_in_parts_draws_the_same_masks(batch_axis, parts):
    shape = (16, 6, 5) if batch_axis == 0 else (6, 16, 5)
    x = jnp.ones(shape)
    rngs = {"dropout": jax.random.key(5)}
    whole = common.Dropout(RATE, batch_axis).apply({}, x, active=True, rngs=rngs)
    drop = common.Dropout(RATE, batch_axis, axis_name="parts")
    cut = jnp.stack(jnp.split(x, parts, axis=batch_axis))
    apply = jax.vmap(lambda x: drop.apply({}, x, active=True, rngs=rngs), axis_name="parts")
    joined = jnp.concatenate(list(quick(apply)(cut)), axis=batch_axis)
    np.testing.assert_array_equal(joined, whole)


def test_dropout_masks_do_not_depend_on_the_batch_size():
    short, long = (masks(jax.random.split(jax.random.key(0), 1), (n, 300))[0] for n in (4, 9))
    np.testing.assert_array_equal(long[:4], short)


def test_dropout_layers_draw_masks_of_their_own():
    import flax.linen as nn

    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            drop = common.Dropout(RATE)  # one instance, called twice, as in ST-BLN
            other = common.Dropout(RATE)
            return [part(x, active=True) > 0 for part in (drop, drop, other)]

    rows = Two().apply({}, jnp.ones((16, 1000)), rngs={"dropout": jax.random.key(0)})
    for first, second in itertools.combinations(rows, 2):
        assert abs(correlations(np.stack([first, second]))[0]) < 5


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_dropout_rates(rate):
    y = common.Dropout(rate).apply(
        {}, jnp.ones((100, 1000)), active=True, rngs={"dropout": jax.random.key(0)}
    )
    spread = np.sqrt(rate * (1 - rate) / y.size)
    assert abs(float((y == 0).mean()) - rate) < 5 * spread
