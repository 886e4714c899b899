"""Clips in parts that stay in a CPU's caches, and what convolutions do with such parts there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Parts(NamedTuple):
    """How clips are cut: into `count` parts of some clips and frames each, `across` to a clip."""

    clips: int
    frames: int
    across: int
    count: int

    def take(self, x: jax.Array, index, around: int = 0) -> jax.Array:
        """Takes a part of `[B, T, ...]`, and `around` frames more."""
        if self.count == 1:
            return x
        start = (index // self.across * self.clips, index % self.across * self.frames)
        sizes = (self.clips, self.frames + around, *x.shape[2:])
        return jax.lax.dynamic_slice(x, (*start, *[0] * (x.ndim - 2)), sizes)

    def map(self, function: Callable) -> jax.Array:
        """Joins what `function(number)` makes of each part, `[b, t, ...]`, to `[B, T, ...]`.

        A loop even over one part: without it a step of `benchmarks.speed stc_nlstm` takes twice the
        time, as XLA makes the operands of a product anew wherever it uses them.
        """
        y = jax.lax.map(function, jnp.arange(self.count))
        return y.reshape(-1, self.across * self.frames, *y.shape[3:])

    def sum(self, function: Callable):
        """Sums what `function(number)` makes of each part, a tree of arrays."""
        shapes = jax.eval_shape(function, 0)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def step(total, index):
            return jax.tree.map(jnp.add, total, function(index)), None

        return jax.lax.scan(step, zeros, jnp.arange(self.count))[0]


def cut(shape: Sequence[int], item_bytes: float, limit: int) -> Parts:
    """Makes parts of `[B, T, ...]` as large as a limit allows, of equal size.

    Args:
      shape: of the clips.
      item_bytes: memory that a part needs for each of its numbers.
      limit: memory of a part; a part has a frame at least.
    """
    clips, frames = shape[:2]
    limit = int(limit // (item_bytes * math.prod(shape[2:])))
    t = _divisor(frames, limit)
    b = _divisor(clips, limit // frames) if t == frames else 1
    return Parts(b, t, frames // t, clips // b * (frames // t))


def _divisor(index: int, limit: int) -> int:
    """Largest divisor of a number within a limit, at least 1."""
    return max(n for n in range(1, max(1, min(index, limit)) + 1) if index % n == 0)


def frames_around(x: jax.Array, taps: int) -> jax.Array:
    """Joins the channels of neighbours, `[b, t + K - 1, ..., C] -> [b, t, ..., K C]`."""
    if taps == 1:
        return x
    return side_by_side([x[:, tap : x.shape[1] - taps + 1 + tap] for tap in range(taps)])


def side_by_side(arrays: Sequence[jax.Array]) -> jax.Array:
    """Joins the channels of arrays, `[..., C] -> [..., n C]`.

    Written into place: XLA:CPU asks element by element where one of a concatenation comes from.
    """
    *leading, channels = arrays[0].shape
    joined = jnp.zeros((*leading, len(arrays), channels), arrays[0].dtype)
    for place, each in enumerate(arrays):
        joined = joined.at[..., place, :].set(each)
    return joined.reshape(*leading, -1)


def over_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """Sums the products of rows, `[..., C], [..., D] -> [C, D]` float32.

    The wider side should stand to the right, as XLA:CPU turns the left one.
    """
    left, right = (each.reshape(-1, each.shape[-1]) for each in (left, right))
    indices = (((0,), (0,)), ((), ()))
    return jax.lax.dot_general(left, right, indices, preferred_element_type=jnp.float32)
