"""Recurrent layers over the frames of a clip."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class LSTM(nn.Module):
    """Long short-term memory: `[B, T, d] -> [B, T, features]`, zero state at the start.

    Gates are in the order input, forget, cell, output, with one bias each.

    Attributes:
      features: hidden units.
      reverse: runs from the last frame to the first; the output keeps the order of the frames.
    """

    features: int
    reverse: bool = False
    recurrent_init: nn.initializers.Initializer = nn.initializers.orthogonal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = 4 * self.features
        glorot = nn.initializers.glorot_uniform()
        kernel = self.param("kernel", glorot, (x.shape[-1], width))
        recurrent = self.param("recurrent", self.recurrent_init, (self.features, width))
        bias = self.param("bias", nn.initializers.zeros, (width,))
        given = (x @ kernel + bias).swapaxes(0, 1)  # all frames in one product

        def step(state, given):
            hidden, cell = state
            gates = given + hidden @ recurrent
            enter, keep, new, leave = jnp.split(gates, 4, axis=-1)
            cell = nn.sigmoid(keep) * cell + nn.sigmoid(enter) * jnp.tanh(new)
            hidden = nn.sigmoid(leave) * jnp.tanh(cell)
            return (hidden, cell), hidden

        zeros = jnp.zeros((x.shape[0], self.features), given.dtype)
        _, hidden = jax.lax.scan(step, (zeros, zeros), given, reverse=self.reverse)
        return hidden.swapaxes(0, 1)


class BiLSTM(nn.Module):
    """An LSTM in each direction, concatenated: `[B, T, d] -> [B, T, 2 features]`."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        forward = LSTM(self.features, name="forward")(x)
        backward = LSTM(self.features, reverse=True, name="backward")(x)
        return jnp.concatenate([forward, backward], axis=-1)
