"""Averages of late weights (SWA), and networks drawn around them (SWAG-diagonal).

Weights are collected along the end of training, once an epoch say, with a learning rate that keeps
them moving. Networks drawn here are members of an ensemble, see `ensembles.sample_ensemble`.

Source: Izmailov et al., UAI 2018 (SWA, algorithm 1); Maddox et al., NeurIPS 2019 (SWAG, section 3,
the diagonal covariance of equation 1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fer_jax.uncertainty.batch_norm import recalibrate_batch_norm


class WeightAverage(NamedTuple):
    """Moments of the weights seen so far, in float32.

    Attributes:
      count: weights seen, int32.
      mean: a tree as the weights.
      squares: sums of squared deviations from the mean. The mean of squares minus the squared mean
        would lose a small variance in rounding.
    """

    count: jax.Array
    mean: dict
    squares: dict


def start_average(params) -> WeightAverage:
    """Returns the average of no weights yet, for weights such as `params`."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf), jnp.float32), params)
    return WeightAverage(jnp.zeros((), jnp.int32), zeros, zeros)


def update_average(average: WeightAverage, params) -> WeightAverage:
    """Adds weights to an average. Pure; may be jitted, or part of a training step."""
    count = average.count + 1
    step = jax.tree.map(lambda new, mean: new.astype(jnp.float32) - mean, params, average.mean)
    mean = jax.tree.map(lambda mean, by: mean + by / count, average.mean, step)
    squares = jax.tree.map(
        lambda squares, by: squares + jnp.square(by) * ((count - 1) / count), average.squares, step
    )
    return WeightAverage(count, mean, squares)


def draw_weights(average: WeightAverage, key: jax.Array, scale: float = 1.0) -> dict:
    """Draws weights from the normal distribution with the moments of an average.

    Args:
      average: of two weights or more; of fewer, the mean is returned.
      key: one key per draw.
      scale: of the standard deviation.
    """
    leaves, structure = jax.tree.flatten(average.mean)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))

    def draw(mean, squares, own_key):
        deviation = jnp.sqrt(squares / jnp.maximum(average.count, 1))
        return mean + scale * deviation * jax.random.normal(own_key, mean.shape)

    return jax.tree.map(draw, average.mean, average.squares, keys)


def average_network(
    average: WeightAverage, variables: dict, statistics: Callable | None = None,
    batches: Collection = (),
) -> dict:  # fmt: skip
    """Returns the network of the mean weights (SWA).

    Args:
      average: of one training; of at least one network.
      variables: of the last network, for all that is not averaged.
      statistics, batches: for a network with BatchNorm, see `recalibrate_batch_norm`: the
        statistics of the last network do not fit other weights. One pass over the batches.

    Raises:
      ValueError: the average is empty, or a network with BatchNorm comes without batches.
    """
    _check(average, variables, statistics, batches)
    return _with_statistics(average.mean, variables, statistics, batches)


def draw_networks(
    average: WeightAverage, variables: dict, key: jax.Array, *, draws: int = 30,
    scale: float = 1.0, statistics: Callable | None = None, batches: Collection = (),
) -> dict:  # fmt: skip
    """Draws networks around the mean weights (SWAG-diagonal), for `sample_ensemble`.

    Args:
      average, variables, statistics: see `average_network`.
      key: split into one key per draw.
      draws: S.
      scale: of the standard deviation; 1 as published.
      batches: a list or array, not an iterator: with BatchNorm every draw passes over all of them,
        which costs as much as S evaluations of the training set.

    Returns:
      Variables with a leading axis S.

    Raises:
      ValueError: see `average_network`.
    """
    _check(average, variables, statistics, batches)
    networks = [
        _with_statistics(draw_weights(average, own, scale), variables, statistics, batches)
        for own in jax.random.split(key, draws)
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)


def _check(average: WeightAverage, variables, statistics, batches) -> None:
    if not average.count:
        raise ValueError("the average holds no weights yet: update it at the end of late epochs")
    if variables.get("batch_stats") and statistics is None:
        raise ValueError(
            "averaged weights need BatchNorm statistics of their own: give statistics= and batches="
        )
    if hasattr(batches, "__next__"):
        raise ValueError("batches are passed over again for every draw: give a list, no iterator")


def _with_statistics(params, variables: dict, statistics, batches) -> dict:
    given = jax.tree.map(lambda leaf, own: leaf.astype(own.dtype), params, variables["params"])
    network = {**variables, "params": given}
    if not variables.get("batch_stats"):
        return network
    return {**network, "batch_stats": recalibrate_batch_norm(statistics, network, batches)}
