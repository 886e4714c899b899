"""Masks of dropout as arrays: which there are, which JAX draws, and a network that takes them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fer_jax import uncertainty
from fer_jax.layers.common import Dropout


class Mask(NamedTuple):
    """The mask of a dropout layer: True where an element is kept.

    Attributes:
      shape: for one clip, without the axis B, which comes first.
      rate: share of elements that are dropped.
    """

    shape: tuple[int, ...]
    rate: float


def masks_of(module: nn.Module, variables, inputs) -> tuple[Mask, ...]:
    """The masks that one MC sample takes, in the order in which the network calls its layers.

    Args:
      module, variables: the network.
      inputs: its inputs, for shapes.
    """
    found = []

    def note(layer: Dropout, x: jax.Array, call: Callable) -> jax.Array:
        shape = [1 if axis == layer.shared_axis else n for axis, n in enumerate(x.shape)]
        del shape[layer.batch_axis]
        found.append(Mask(tuple(shape), layer.rate))
        return x

    def run(inputs):
        with _in_place_of_dropout(note):
            return module.apply(variables, inputs, train=False, dropout=True)

    jax.eval_shape(run, inputs)
    return tuple(found)


def drawn_masks(predictor, inputs, mc_samples: int, seed: int = 0) -> list[jax.Array]:
    """The masks that `Predictor.samples` draws, as `functions.mc_dropout` takes them.

    Args:
      predictor: one with dropout.
      inputs: of its network for B clips, for shapes.
      mc_samples, seed: as there.
    """
    module = predictor.module

    def of_sample(variables, key):
        kept = []

        def note(layer: Dropout, x: jax.Array, call: Callable) -> jax.Array:
            mask = call(jnp.ones_like(x), active=True) > 0
            if layer.shared_axis is not None:
                mask = jax.lax.slice_in_dim(mask, 0, 1, axis=layer.shared_axis)
            kept.append(jnp.moveaxis(mask, layer.batch_axis, 0))
            return x

        with _in_place_of_dropout(note):
            module.apply(variables, inputs, train=False, dropout=True, rngs={"dropout": key})
        return kept

    draw, key = jax.jit(jax.vmap(of_sample, in_axes=(None, 0))), jax.random.key(seed)
    if predictor.ensemble is None:
        return draw(predictor.variables, jax.random.split(key, mc_samples))
    share = -(-mc_samples // predictor.members)
    members = [
        draw(uncertainty.member(predictor.ensemble[0], index), jax.random.split(own, share))
        for index, own in enumerate(jax.random.split(key, predictor.members))
    ]
    return [jnp.stack(each) for each in zip(*members, strict=True)]


@contextlib.contextmanager
def given(masks: Sequence[jax.Array]) -> Iterator[None]:
    """Makes the dropout layers of a network take these masks, `[B, ...]`, one after another."""
    left = iter(masks)

    def masked(layer: Dropout, x: jax.Array, call: Callable) -> jax.Array:
        keep = jnp.moveaxis(next(left), 0, layer.batch_axis)
        return jnp.where(keep, x * (1.0 / (1.0 - layer.rate)), 0.0)

    with _in_place_of_dropout(masked):
        yield


@contextlib.contextmanager
def _in_place_of_dropout(function: Callable) -> Iterator[None]:
    """Calls `(layer, x, call) -> x` instead of dropout layers; `call` is what they do."""

    def replaced(call, args, kwargs, context):
        layer = context.module
        if isinstance(layer, Dropout) and context.method_name == "__call__" and layer.rate:
            return function(layer, args[0], call)
        return call(*args, **kwargs)

    with nn.intercept_methods(replaced):
        yield
