"""Averages of the weights of the last epochs, which travel in the state of training."""

from __future__ import annotations

import jax

from fer_jax import uncertainty

AVERAGED = ("swa", "swag")  # posteriors that average weights
SHARE = 0.25  # of the epochs, the last ones, whose weights are averaged
LEAST_OF_SWAG = 2  # epochs: one tells nothing about the spread


def average_after(config) -> int | None:
    """Epochs before the first whose weights are averaged; None: none are.

    The learning rate is held from there on: one that falls to 0 would end with weights that are all
    the same.

    Args:
      config: reads `config.train.epochs` and, if it is there, `config.uncertainty.posterior`.
    """
    if config.get("uncertainty", {}).get("posterior") not in AVERAGED:
        return None
    epochs = config.train.epochs
    return epochs - max(1, round(SHARE * epochs))


def start(states):
    """Returns the states of R runs, leading axis R, with averages of no weights yet."""
    return states.replace(average=jax.vmap(uncertainty.start_average)(states.params))


@jax.jit
def update(average, params):
    """Adds the weights of R runs to their averages."""
    return jax.vmap(uncertainty.update_average)(average, params)
