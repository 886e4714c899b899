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
    ones = jax.tree.map(jnp.ones_like, variables["batch_stats"])
    kept, total, count = None, None, 0
    for inputs in batches:
        new = statistics({**variables, "batch_stats": zeros}, inputs)
        if kept is None:  # the momentum of BatchNorm
            other = statistics({**variables, "batch_stats": ones}, inputs)
            kept = jax.tree.map(lambda one, zero: jnp.mean(one - zero), other, new)
        batch = jax.tree.map(lambda leaf, share: leaf / (1.0 - share), new, kept)
        batch = _with_squares(batch)
        total = batch if total is None else jax.tree.map(jnp.add, total, batch)
        count += 1
    if not count:
        raise ValueError("BatchNorm statistics need at least one batch of training clips")
    return _without_squares(jax.tree.map(lambda leaf: leaf / count, total))


def _with_squares(tree: dict) -> dict:
    """Replaces each variance by the mean square, which may be averaged over batches."""
    if "mean" in tree and "var" in tree:
        return {**tree, "var": tree["var"] + jnp.square(tree["mean"])}
    return {name: _with_squares(branch) for name, branch in tree.items()}


def _without_squares(tree: dict) -> dict:
    if "mean" in tree and "var" in tree:
        return {**tree, "var": tree["var"] - jnp.square(tree["mean"])}
    return {name: _without_squares(branch) for name, branch in tree.items()}
