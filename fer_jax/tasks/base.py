"""Tasks: what a model's output means, how it is scored in a step and what stands beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

# Root mean square error over the dimensions, on their scale of 1 to 9, below which a prediction
# counts as right (bilinear CNN specification, section 5).
TOLERANCE = 1.0
_ABSOLUTE = 2.0  # weight of the absolute error beside the squared one (equation 2's `a`)


@dataclasses.dataclass(frozen=True)
class Task:
    """The functions of a task.

    The outputs are `[B, C]`. A model of still images gives those of every frame, `[B, T, C]`, while
    it learns: then each frame is an example of its own.

    Attributes:
      target: what of a prepared data set is learnt, see `data.load.load_clips`.
      names: what the C outputs stand for, in the plural.
      loss: `(outputs, batch) -> [B]`, nats, or as the dimensions' scale has it.
      score: `(outputs, batch) -> [B]`, in 0..1; its mean is shown as `accuracy`.
      probabilities: `outputs [..., C] -> [..., C]`; of dimensions the values as they are.
      shown: `(labels [B, ...], C) -> [C]` bool, which of the C outputs some label shows.
    """

    target: str
    names: str
    loss: Callable[[jax.Array, dict], jax.Array]
    score: Callable[[jax.Array, dict], jax.Array]
    probabilities: Callable[[jax.Array], jax.Array]
    shown: Callable[[np.ndarray, int], np.ndarray]


def _over_frames(function: Callable) -> Callable:
    """Takes the mean over the frames of outputs `[B, T, C]`."""

    def over_frames(outputs, labels):
        if outputs.ndim == 2:
            return function(outputs, labels)
        return jax.vmap(function, (1, None))(outputs, labels).mean(0)

    return lambda outputs, batch: over_frames(outputs, batch["label"])


@_over_frames
def _cross_entropy(logits, label):
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


@_over_frames
def _is_correct(logits, label):
    return (jnp.argmax(logits, -1) == label).astype(jnp.float32)


def _classes_shown(labels, classes: int) -> np.ndarray:
    return np.isin(np.arange(classes), labels)


def _over_known(values, label) -> jax.Array:
    """Mean over the action units whose label is known, `[B, A] -> [B]`; 0 where none is."""
    known = ~jnp.isnan(label)
    return jnp.where(known, values, 0.0).sum(-1) / jnp.maximum(known.sum(-1), 1)


@_over_frames
def _unit_cross_entropy(logits, label):
    # a NaN that is only masked afterwards would come back through the derivative
    present = jnp.where(jnp.isnan(label), 0.0, label)
    return _over_known(optax.sigmoid_binary_cross_entropy(logits, present), label)


@_over_frames
def _units_correct(logits, label):
    return _over_known((logits > 0) == (label > 0.5), label)


def _units_shown(labels, units: int) -> np.ndarray:
    return (np.asarray(labels).reshape(-1, units) == 1).any(0)


@_over_frames
def _squared_and_absolute(values, label):
    error = jnp.abs(values - label)
    return (error**2 + _ABSOLUTE * error).mean(-1)


@_over_frames
def _is_near(values, label):
    return (jnp.square(values - label).mean(-1) < TOLERANCE**2).astype(jnp.float32)


def _as_they_are(values) -> jax.Array:
    return jnp.asarray(values)


def _dimensions_shown(labels, dimensions: int) -> np.ndarray:
    return np.isfinite(np.asarray(labels).reshape(-1, dimensions)).any(0)


TASKS = {
    "classification": Task(
        target="label",
        names="classes",
        loss=_cross_entropy,
        score=_is_correct,
        probabilities=jax.nn.softmax,
        shown=_classes_shown,
    ),
    # Source: STC-NLSTM specification, section 9.
    "action_units": Task(
        target="action_units",
        names="action units",
        loss=_unit_cross_entropy,
        score=_units_correct,
        probabilities=jax.nn.sigmoid,
        shown=_units_shown,
    ),
    # Source: bilinear CNN specification, sections 4 and 5.
    "dimensional": Task(
        target="votes",
        names="dimensions",
        loss=_squared_and_absolute,
        score=_is_near,
        probabilities=_as_they_are,
        shown=_dimensions_shown,
    ),
}
