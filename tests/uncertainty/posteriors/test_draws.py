"""Draws as a bundle keeps them: the same when they are read, and nothing else is read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from fer_jax import uncertainty

MEAN = {"layer": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)}}


def average_of(count=4):
    average = uncertainty.start_average(MEAN)
    for index in range(count):
        moved = jax.tree.map(lambda leaf, by=index: leaf + by * (1 + leaf), MEAN)
        average = uncertainty.update_average(average, moved)
    return average


def test_weights_are_drawn_again_from_the_seed():
    average = average_of()
    draws = uncertainty.WeightDraws.of_average(average, 500, 7)
    drawn = list(draws.weights(average.mean))
    kernels = np.stack([each["layer"]["kernel"] for each in drawn])
    deviation = np.sqrt(np.asarray(average.squares["layer"]["kernel"]) / 4)
    np.testing.assert_allclose(kernels.mean(0), average.mean["layer"]["kernel"], atol=1.2)
    np.testing.assert_allclose(kernels.std(0), deviation, rtol=0.12)
    few = uncertainty.WeightDraws.of_average(average, 3, 7)
    data = serialization.msgpack_serialize(few.to_arrays())
    read = uncertainty.WeightDraws.from_arrays(serialization.msgpack_restore(data))
    for ours, again in zip(drawn, read.weights(average.mean), strict=False):  # of 500 the first
        jax.tree.map(np.testing.assert_array_equal, ours, again)
    assert (read.count, read.seed, read.batch_stats) == (3, 7, {})


@pytest.mark.parametrize(
    "change",
    [
        {"count": np.int32(0)},
        {"count": np.int32(101)},
        {"count": np.ones(2, np.int32)},
        {"seed": np.int64(-1)},
        {"seed": "7"},
        {"probe": np.zeros(3, np.float32)},
        {"variance": {"layer": np.ones(3)}},  # float64
        {"variance": {"layer": np.full(3, np.inf, np.float32)}},
        {"variance": {"layer": -np.ones(3, np.float32)}},
        {"batch_stats": {"norm": {"var": -np.ones(3, np.float32)}}},
        {"batch_stats": None},
        {"more": np.zeros(1)},
    ],
)
def test_other_draws_are_not_read(change):
    arrays = uncertainty.WeightDraws.of_average(average_of(), 3, 7).to_arrays()
    uncertainty.WeightDraws.from_arrays(arrays)
    with pytest.raises(ValueError, match="draws: "):
        uncertainty.WeightDraws.from_arrays(arrays | change)
