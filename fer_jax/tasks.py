"""Tasks: what a model's output means, how it is scored in a step and how it is reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Task:
    """The functions of a task.

    Attributes:
      loss: `(outputs [B, C], batch) -> [B]`, nats.
      score: `(outputs [B, C], batch) -> [B]`, in 0..1; its mean is shown as `accuracy`.
    """

    loss: Callable[[jax.Array, dict], jax.Array]
    score: Callable[[jax.Array, dict], jax.Array]


def _cross_entropy(logits, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])


def _is_correct(logits, batch):
    return (jnp.argmax(logits, -1) == batch["label"]).astype(jnp.float32)


TASKS = {
    "classification": Task(_cross_entropy, _is_correct),
}
