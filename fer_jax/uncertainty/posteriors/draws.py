"""Draws from a posterior as a bundle keeps them: plain arrays, checked when they are read.

What is kept is drawn once: every prediction then has the same networks, or last layers, whose
accuracy was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.uncertainty.posteriors.ensembles import member, stack_members
from fer_jax.uncertainty.posteriors.swag import WeightAverage, draw_weights

MOST_NETWORKS = 100  # each is as large as the network
_PROBED = 8  # numbers that tell whether another JAX draws the same


class WeightDraws(NamedTuple):
    """Networks drawn around averaged weights (SWAG-diagonal).

    The weights of a draw are drawn anew from the seed; its BatchNorm statistics, which take a pass
    over the training clips, are kept.

    Attributes:
      variance: of the weights, a tree as they are.
      batch_stats: of the S draws, leading axis S; {} without BatchNorm.
      count: S.
      seed: of the draws.
    """

    variance: dict
    batch_stats: dict
    count: int
    seed: int

    @classmethod
    def of_average(cls, average: WeightAverage, count: int, seed: int) -> WeightDraws:
        """The draws around an average, without statistics."""
        variance = jax.tree.map(lambda leaf: leaf / jnp.maximum(average.count, 1), average.squares)
        return cls(variance, {}, count, seed)

    def weights(self, mean: dict) -> Iterator[dict]:
        """Yields the weights of each draw around the mean ones."""
        average = WeightAverage(jnp.ones((), jnp.int32), mean, self.variance)
        for index in range(self.count):
            yield draw_weights(average, jax.random.fold_in(jax.random.key(self.seed), index))

    def to_arrays(self) -> dict:
        """A tree of arrays."""
        numbers = {
            "count": np.int32(self.count),
            "seed": np.int64(self.seed),
            "probe": _probe(self.seed),
        }
        trees = {"variance": self.variance, "batch_stats": self.batch_stats}
        return jax.tree.map(np.asarray, {**trees, **numbers})

    @classmethod
    def from_arrays(cls, arrays) -> WeightDraws:
        """Reads what `to_arrays` made; whether the trees fit a network is not known here.

        Raises:
          ValueError: it is something else, or this JAX draws other numbers from the seed.
        """
        _check_names(arrays, {"variance", "batch_stats", "count", "seed", "probe"})
        count, seed = (_whole(arrays[name], name) for name in ("count", "seed"))
        if not 0 < count <= MOST_NETWORKS:
            raise ValueError(f"draws: count must lie in 1 to {MOST_NETWORKS}, not {count}")
        for name in ("variance", "batch_stats"):
            if not isinstance(arrays[name], dict):
                raise ValueError(f"draws: {name} is no tree of arrays")
            for leaf in jax.tree.leaves(arrays[name]):
                _check_floats(leaf, name)
        if any((leaf < 0).any() for leaf in _variances(arrays)):
            raise ValueError("draws: a variance is negative")
        probe, own = arrays["probe"], _probe(seed)
        if np.shape(probe) != own.shape or not np.allclose(probe, own, rtol=1e-4, atol=1e-4):
            raise ValueError(
                "draws: this version of JAX draws other networks from the seed than the one that "
                "measured them"
            )
        return cls(arrays["variance"], arrays["batch_stats"], count, seed)


class LayerDraws(NamedTuple):
    """Last layers drawn from their distribution (Laplace).

    Attributes:
      heads: `[S, D + 1, C]` kernels with their bias as last row.
    """

    heads: jax.Array

    def to_arrays(self) -> dict:
        """A tree of arrays."""
        return {"heads": np.asarray(self.heads, np.float32)}

    @classmethod
    def from_arrays(cls, arrays) -> LayerDraws:
        """Reads what `to_arrays` made.

        Raises:
          ValueError: it is something else.
        """
        _check_names(arrays, {"heads"})
        heads = arrays["heads"]
        _check_floats(heads, "heads")
        if heads.ndim != 3 or not heads.size:
            raise ValueError(f"draws: heads must be [S, D + 1, C], not {list(heads.shape)}")
        return cls(heads)


def drawn_networks(draws: Sequence[WeightDraws], recalibrated: dict) -> dict:
    """Makes the variables of all networks that were drawn.

    Args:
      draws: of each of M members, S each.
      recalibrated: variables of the members, leading axis M.

    Returns:
      Leading axis S * M: one of each member after the other, so that the first few are of all.
    """
    found = []
    for index, own in enumerate(draws):
        mean = member(recalibrated, index)
        for count, params in enumerate(own.weights(mean["params"])):
            stats = member(own.batch_stats, count)
            found.append((count, {**mean, "params": params, "batch_stats": stats}))
    found.sort(key=lambda each: each[0])
    return stack_members([network for _, network in found])


def _probe(seed: int) -> np.ndarray:
    return np.asarray(jax.random.normal(jax.random.key(seed), (_PROBED,)))


def _variances(arrays: dict) -> Iterator[np.ndarray]:
    """The variances of weights, and those of BatchNorm."""
    yield from jax.tree.leaves(arrays["variance"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(arrays["batch_stats"]):
        if jax.tree_util.keystr(path).endswith("['var']"):
            yield leaf


def _check_names(arrays, names: set[str]) -> None:
    if not isinstance(arrays, dict) or set(arrays) != names:
        raise ValueError(f"draws: they have {', '.join(sorted(names))}, nothing else")


def _whole(value, name: str) -> int:
    kind = getattr(value, "dtype", np.dtype(object))
    if np.ndim(value) or not np.issubdtype(kind, np.integer) or not 0 <= value < 2**31:
        raise ValueError(f"draws: {name} is no whole number from 0 on")
    return int(value)


def _check_floats(leaf, name: str) -> None:
    if not isinstance(leaf, np.ndarray) or leaf.dtype != np.float32 or not np.isfinite(leaf).all():
        raise ValueError(f"draws: {name} holds something else than finite float32 arrays")
