"""Deep ensembles: predictions of several trained networks, MC dropout within each if asked for.

Source: Lakshminarayanan, Pritzel & Blundell, NeurIPS 2017 (networks that differ in their seed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax.uncertainty.sampling import mc_dropout, passes_side_by_side, sample


def stack_members(members: Sequence) -> dict:
    """Stacks the variables of M networks: every leaf gets a leading axis M.

    Raises:
      ValueError: there is none, or they are not of the same network.
    """
    if not members:
        raise ValueError("an ensemble needs at least one member")
    first = jax.tree.map(jnp.shape, members[0])
    for index, member in enumerate(members):
        if jax.tree.map(jnp.shape, member) != first:
            raise ValueError(
                f"member {index} of the ensemble has other variables than member 0: all members "
                "must be of the same network"
            )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def member(stacked, index: int):
    """Takes the variables of one member out of those of `stack_members`."""
    return jax.tree.map(lambda leaf: leaf[index], stacked)


def sample_ensemble(
    model: nn.Module | Callable, stacked, inputs, key: jax.Array, *, mc_samples: int = 0,
    chunk: int = 0, probabilities: Callable = jax.nn.softmax,
) -> jax.Array:  # fmt: skip
    """Predicts the same inputs by every member of an ensemble.

    Args:
      model: a module whose `__call__` takes `train` and `dropout`, or a function `(variables,
        inputs, key) -> logits [B, C]`, which says itself whether it drops anything.
      stacked: variables of M members, leading axis M. Without dropout they should hold BatchNorm
        statistics of passes without it, see `recalibrate_batch_norm`.
      inputs: array, or a tree of them, with leading axis B.
      key: every member gets a key of its own.
      mc_samples: samples S drawn of every member by MC dropout; 0: one pass, of a module without
        dropout.
      chunk: members evaluated in parallel; 0: one on a CPU, which took a third of the time there,
        otherwise the most whose inputs fit `CHUNK_BYTES`.
      probabilities: applied to the logits, over the last axis.

    Returns:
      Probabilities `[M, B, C]`, or `[M * S, B, C]`, the samples of a member in a row. Jit-able.
    """
    count = len(jax.tree.leaves(stacked)[0])
    if not chunk and jax.default_backend() == "cpu":
        chunk = 1

    def predict(each):
        variables, own_key = each
        if mc_samples and isinstance(model, nn.Module):
            drawn = {"mc_samples": mc_samples, "probabilities": probabilities}
            return sample(model, variables, inputs, own_key, **drawn)
        if mc_samples:
            drawn = {"mc_samples": mc_samples, "probabilities": probabilities}
            return mc_dropout(model, variables, inputs, own_key, **drawn)
        if isinstance(model, nn.Module):
            return probabilities(model.apply(variables, inputs, train=False))[None]
        return probabilities(model(variables, inputs, own_key))[None]

    size = passes_side_by_side(inputs, count, chunk)
    members = (stacked, jax.random.split(key, count))
    parts = jax.tree.map(lambda leaf: leaf.reshape(-1, size, *leaf.shape[1:]), members)
    predicted = jax.lax.map(jax.vmap(predict), parts)  # [M / size, size, S, B, C]
    return predicted.reshape(-1, *predicted.shape[3:])
