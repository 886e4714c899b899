"""Parts of clips that fit a CPU's caches, and operations of convolutions on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Parts(NamedTuple):
    """A division of clips into `count` parts of `clips` x `frames`, `across` parts per clip."""

    clips: int
    frames: int
    across: int
    count: int

    def take(self, x: jax.Array, index, around: int = 0) -> jax.Array:
        """Takes a part of `[B, T, ...]` and `around` further frames."""
        if self.count == 1:
            return x
        start = (index // self.across * self.clips, index % self.across * self.frames)
        sizes = (self.clips, self.frames + around, *x.shape[2:])
        return jax.lax.dynamic_slice(x, (*start, *[0] * (x.ndim - 2)), sizes)

    def map(self, function: Callable) -> jax.Array:
        """Joins the results of `function(index)`, `[b, t, ...]`, to `[B, T, ...]`.

        It loops even over a single part: without the loop a step of `benchmarks.speed stc_nlstm`
        takes twice as long, because XLA recomputes the operands of a product at each use.
        """
        y = jax.lax.map(function, jnp.arange(self.count))
        return y.reshape(-1, self.across * self.frames, *y.shape[3:])

    def sum(self, function: Callable):
        """Sums the results of `function(index)`, trees of arrays."""
        shapes = jax.eval_shape(function, 0)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def step(total, index):
            return jax.tree.map(jnp.add, total, function(index)), None

        return jax.lax.scan(step, zeros, jnp.arange(self.count))[0]


def cut(shape: Sequence[int], item_bytes: float, limit: int) -> Parts:
    """Divides `[B, T, ...]` into equal parts as large as a limit allows.

    Args:
      shape: of the clips.
      item_bytes: memory needed for each element of a part.
      limit: memory of a part, bytes; a part has at least one frame.
    """
    clips, frames = shape[:2]
    limit = int(limit // (item_bytes * math.prod(shape[2:])))
    t = _divisor(frames, limit)
    b = _divisor(clips, limit // frames) if t == frames else 1
    return Parts(b, t, frames // t, clips // b * (frames // t))


def _divisor(number: int, limit: int) -> int:
    """Largest divisor of a number within a limit, at least 1."""
    return max(n for n in range(1, max(1, min(number, limit)) + 1) if number % n == 0)


def frames_around(x: jax.Array, taps: int) -> jax.Array:
    """Joins the channels of K neighbouring frames, `[b, t + K - 1, ..., C] -> [b, t, ..., K C]`."""
    if taps == 1:
        return x
    return side_by_side([x[:, tap : x.shape[1] - taps + 1 + tap] for tap in range(taps)])


def side_by_side(arrays: Sequence[jax.Array]) -> jax.Array:
    """Joins the channels of arrays, `[..., C] -> [..., n C]`.

    Updates an array in place: XLA:CPU selects the source of a concatenation element by element.
    """
    *leading, channels = arrays[0].shape
    joined = jnp.zeros((*leading, len(arrays), channels), arrays[0].dtype)
    for index, each in enumerate(arrays):
        joined = joined.at[..., index, :].set(each)
    return joined.reshape(*leading, -1)


def over_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """Sums the products of rows, `[..., C], [..., D] -> [C, D]` float32.

    The wider array should be the right one, because XLA:CPU transposes the left one.
    """
    left, right = (each.reshape(-1, each.shape[-1]) for each in (left, right))
    contract_rows = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(left, right, contract_rows, preferred_element_type=jnp.float32)
