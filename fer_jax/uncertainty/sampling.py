"""Monte Carlo dropout: samples of a network's predictions.

The file is not named after `mc_dropout`, a function that the package exports under that name.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax

# Bytes of inputs evaluated in parallel: enough to fill the device, while the activations (about a
# hundred times the inputs) fit into the caches of a CPU.
CHUNK_BYTES = {"cpu": 2**18, "other": 2**24}


def stochastic(module: nn.Module) -> Callable:
    """Returns `forward(variables, inputs, key)`: dropout on, BatchNorm in inference mode."""

    def forward(variables, inputs, key):
        return module.apply(variables, inputs, train=False, dropout=True, rngs={"dropout": key})

    return forward


def sample(
    module: nn.Module, variables, inputs, key: jax.Array, *, mc_samples: int = 100,
    probabilities: Callable = jax.nn.softmax,
):  # fmt: skip
    """MC dropout of one of this package's models: probabilities `[S, B, C]`.

    The part of a model before its first dropout is computed once, if the model has the methods
    `before_dropout` and `after_dropout`.

    Args:
      module, variables, inputs: the model, its variables and inputs.
      key, mc_samples, probabilities: see `mc_dropout`.
    """
    if not hasattr(module, "before_dropout"):
        forward = stochastic(module)
        return mc_dropout(
            forward, variables, inputs, key, mc_samples=mc_samples, probabilities=probabilities
        )

    def rest(variables, inputs, key):
        rngs = {"dropout": key}
        return module.apply(variables, inputs, dropout=True, rngs=rngs, method=module.after_dropout)

    kept = module.apply(variables, inputs, method=module.before_dropout)
    return mc_dropout(
        rest, variables, kept, key, mc_samples=mc_samples, probabilities=probabilities
    )


def mc_dropout(
    forward: Callable, variables, inputs, key: jax.Array, *, mc_samples: int = 100, chunk: int = 0,
    probabilities: Callable = jax.nn.softmax,
) -> jax.Array:  # fmt: skip
    """Evaluates a network many times on the same inputs, each time with other dropout masks.

    Args:
      forward: `(variables, inputs, key) -> logits [B, C]`.
      variables: of `forward`, with the BatchNorm statistics of training.
      inputs: array, or a tree of them, with leading axis B.
      key: split into one key per MC sample.
      mc_samples: S.
      chunk: MC samples evaluated in parallel; 0: the most whose inputs fit `CHUNK_BYTES`.
      probabilities: applied to the logits, over the last axis.

    Returns:
      Probabilities `[S, B, C]`. Jit-able; the chunk bounds the memory. Layers before the first
      dropout do not depend on the key, so they are computed at most once per chunk.

    Source: Gal & Ghahramani, ICML 2016; Heidari & Iosifidis, MMSP 2021, sections III-D and IV-C.
    """
    side_by_side = passes_side_by_side(inputs, mc_samples, chunk)

    def one_sample(sample_key):
        return probabilities(forward(variables, inputs, sample_key))

    keys = jax.random.split(key, mc_samples)
    if side_by_side == 1:
        return jax.lax.map(one_sample, keys)
    keys = keys.reshape(-1, side_by_side)
    passed = jax.lax.map(jax.vmap(one_sample), keys)
    return passed.reshape(mc_samples, *passed.shape[2:])


def passes_side_by_side(inputs, passes: int, chunk: int = 0) -> int:
    """Forward passes evaluated in parallel: a divisor of their number.

    Args:
      inputs: of one pass.
      passes: their number.
      chunk: the most; 0: the most whose inputs fit `CHUNK_BYTES`.
    """
    room = CHUNK_BYTES["cpu" if jax.default_backend() == "cpu" else "other"]
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(inputs))
    limit = chunk or max(1, room // max(size, 1))
    return max(n for n in range(1, min(limit, passes) + 1) if passes % n == 0)
