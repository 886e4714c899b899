"""BatchNorm statistics for a network with dropout off."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp


def recalibrate_batch_norm(statistics: Callable, variables: dict, batches: Iterable) -> dict:
    """Re-estimates BatchNorm statistics over the training set with dropout off.

    Dropout before BatchNorm changes the variance that BatchNorm stores, so the stored statistics
    do not fit deterministic predictions.

    Args:
      statistics: `(variables, inputs) -> batch_stats` after one forward pass in training mode,
        dropout off (for a Flax model: the `mutable=["batch_stats"]` of `apply`).
      variables: `{"params", "batch_stats"}`.
      batches: inputs, each a batch of the training set.

    Returns:
      New `batch_stats`: mean over the batches of their means, and total variance (mean variance
      plus variance of the means).

    Raises:
      ValueError: no batch.
    """
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
    kept, result, count = None, None, 0
    for inputs in batches:
        new = statistics({**variables, "batch_stats": zeros}, inputs)
        if kept is None:  # the momentum of BatchNorm; the probe is of the size of the statistics
            probe = jax.tree.map(lambda leaf: jnp.where(leaf == 0, 1.0, leaf), new)
            other = statistics({**variables, "batch_stats": probe}, inputs)
            kept = jax.tree.map(_share, probe, new, other)
        batch = jax.tree.map(lambda leaf, share: leaf / (1.0 - share), new, kept)
        count += 1
        result = batch if result is None else _joined(result, batch, count)
    if not count:
        raise ValueError("BatchNorm statistics need at least one batch of training clips")
    return result


def _share(probe: jax.Array, new: jax.Array, other: jax.Array) -> jax.Array:
    """Share of `probe` that `other` has beyond `new`."""
    return jnp.abs(other - new).sum() / jnp.abs(probe).sum()


def _joined(before: dict, batch: dict, count: int) -> dict:
    """Statistics of `count` batches from those of all but the last, and of the last.

    Differences of means are squared, never the means: a variance far below the squared mean keeps
    its digits.
    """
    if not ("mean" in batch and "var" in batch):
        return {name: _joined(before[name], branch, count) for name, branch in batch.items()}
    step = batch["mean"] - before["mean"]
    return {
        **batch,
        "mean": before["mean"] + step / count,
        "var": before["var"]
        + (batch["var"] - before["var"]) / count
        + jnp.square(step) * ((count - 1) / count**2),
    }
