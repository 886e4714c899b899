"""How much the activations of an example vary, as features that show what a network is not used to.

Pooling averages noise away: what enters the last layer may look the more usual the worse the input
is. The deviation of a channel over time and place does not: noise raises it, blur and standstill
lower it, in every layer.

Source: statistics of activations against unknown inputs: Sastry & Oore, ICML 2020 (Gram matrices,
whose diagonals hold the mean squares of the channels).
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.uncertainty.posteriors.last_layer import call_options

MOST_CHANNELS = 512  # of all layers together
_LEAST = 1e-3  # deviation of a channel that does not vary


def activation_spread(module: nn.Module, variables, inputs) -> jax.Array:
    """Computes how much each channel of each layer varies within an example, dropout off.

    The layers are all modules with parameters of their own whose output has several positions, such
    as frames, edges or pixels. Of many channels every nth is taken, in each layer as many.

    Args:
      module: any Flax module; if it takes `train`, that is off.
      variables: of the module.
      inputs: array, or a tree of them, with leading axis B.

    Returns:
      `[B, D]` natural logarithms of standard deviations, D at most `MOST_CHANNELS`. May be jitted.

    Raises:
      ValueError: no layer has outputs at several positions.
    """

    def of_example(example):
        batch = jax.tree.map(lambda leaf: leaf[None], example)
        _, captured = module.apply(
            variables, batch, capture_intermediates=_has_parameters,
            mutable=["intermediates"], **call_options(module),
        )  # fmt: skip
        return _spreads(captured["intermediates"])

    return jax.vmap(of_example)(jax.tree.map(jnp.asarray, inputs))


def _has_parameters(module: nn.Module, method: str) -> bool:
    own = module.variables.get("params", {}).values()
    return method == "__call__" and not all(isinstance(leaf, Mapping) for leaf in own)


def _spreads(captured) -> jax.Array:
    """The features of one example from the outputs of its layers."""
    outputs = [leaf for leaf in jax.tree.leaves(captured) if leaf.size > leaf.shape[-1]]
    if not outputs:
        raise ValueError(
            "no layer of the model has outputs at several positions: use last_layer_inputs"
        )
    share = max(1, MOST_CHANNELS // len(outputs))
    spreads = []
    for output in outputs[:MOST_CHANNELS]:
        rows = output.reshape(-1, output.shape[-1]).astype(jnp.float32)
        count = rows.shape[1]
        chosen = np.linspace(0, count - 1, min(count, share)).round().astype(int)
        spreads.append(jnp.log(rows[:, chosen].std(0) + _LEAST))
    return jnp.concatenate(spreads)
