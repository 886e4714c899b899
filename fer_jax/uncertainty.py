"""When not to trust a prediction: Monte Carlo dropout, calibration, selective prediction.

Everything here works on any Flax model: a model enters as a function
`forward(variables, inputs, key) -> logits`, which `stochastic` makes for the models of this
package, and as `statistics(variables, inputs) -> batch_stats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# Inputs passed through the network side by side: enough to fill the device, while the activations
# (some hundred times the inputs) stay in a CPU's caches.
CHUNK_BYTES = {"cpu": 2**18, "other": 2**24}


class Summary(NamedTuple):
    """Predictive distribution of B examples over C classes.

    Attributes:
      mean: `[B, C]` mean probabilities, the ensemble's prediction.
      variance: `[B, C]` variance over the passes of each class probability.
      entropy: `[B]` entropy of the mean, nats (total uncertainty).
      mutual_information: `[B]` entropy of the mean minus mean entropy of the passes, nats
        (uncertainty of the model; 0 when all passes agree).
      agreement: `[B]` share of the passes that vote for the ensemble's class.
    """

    mean: np.ndarray
    variance: np.ndarray
    entropy: np.ndarray
    mutual_information: np.ndarray
    agreement: np.ndarray


def stochastic(module: nn.Module) -> Callable:
    """Returns `forward(variables, inputs, key)`: dropout on, BatchNorm in inference mode."""

    def forward(variables, inputs, key):
        return module.apply(variables, inputs, train=False, dropout=True, rngs={"dropout": key})

    return forward


def sample(
    module: nn.Module, variables, inputs, key: jax.Array, *, passes: int = 100,
    probabilities: Callable = jax.nn.softmax,
):  # fmt: skip
    """MC dropout of one of this package's models: probabilities `[S, B, C]`.

    What a model has in front of its first dropout is computed once, where it says what that is
    (methods `before_dropout` and `after_dropout`).

    Args:
      module, variables, inputs: the model and what it takes.
      key, passes, probabilities: see `mc_dropout`.
    """
    if not hasattr(module, "before_dropout"):
        forward = stochastic(module)
        return mc_dropout(
            forward, variables, inputs, key, passes=passes, probabilities=probabilities
        )

    def rest(variables, inputs, key):
        rngs = {"dropout": key}
        return module.apply(variables, inputs, dropout=True, rngs=rngs, method=module.after_dropout)

    kept = module.apply(variables, inputs, method=module.before_dropout)
    return mc_dropout(rest, variables, kept, key, passes=passes, probabilities=probabilities)


def mc_dropout(
    forward: Callable, variables, inputs, key: jax.Array, *, passes: int = 100, chunk: int = 0,
    probabilities: Callable = jax.nn.softmax,
) -> jax.Array:  # fmt: skip
    """Passes the same inputs through a network many times, with other dropout masks each time.

    Args:
      forward: `(variables, inputs, key) -> logits [B, C]`.
      variables: what `forward` takes; MC dropout wants the BatchNorm statistics of training.
      inputs: array, or a tree of them, with leading axis B.
      key: split into one key a pass.
      passes: S.
      chunk: passes evaluated side by side; 0: as many as keep the inputs under `CHUNK_BYTES`.
      probabilities: what becomes of the logits, over the last axis.

    Returns:
      Probabilities `[S, B, C]`. Jit-able; memory is bounded by the chunk, and what comes before
      the first dropout does not depend on the key, so it is computed at most once a chunk.

    Source: Gal & Ghahramani, ICML 2016; ST-BLN specification, section 7.
    """
    room = CHUNK_BYTES["cpu" if jax.default_backend() == "cpu" else "other"]
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(inputs))
    limit = chunk or max(1, room // max(size, 1))
    side_by_side = max(n for n in range(1, min(limit, passes) + 1) if passes % n == 0)

    def one_pass(pass_key):
        return probabilities(forward(variables, inputs, pass_key))

    keys = jax.random.split(key, passes)
    if side_by_side == 1:
        return jax.lax.map(one_pass, keys)
    keys = keys.reshape(-1, side_by_side)
    passed = jax.lax.map(jax.vmap(one_pass), keys)
    return passed.reshape(passes, *passed.shape[2:])


def entropy(probabilities) -> np.ndarray:
    """Entropy over the last axis, nats."""
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log(np.maximum(p, 1e-300))).sum(-1)


def summarise(probabilities) -> Summary:
    """Summarises sampled probabilities `[S, B, C]`, see `Summary`."""
    samples = np.asarray(probabilities, np.float64)
    mean = samples.mean(0)
    total = entropy(mean)
    votes = samples.argmax(-1) == mean.argmax(-1)
    information = np.maximum(total - entropy(samples).mean(0), 0.0)
    return Summary(mean, samples.var(0), total, information, votes.mean(0))


def recalibrate_batch_norm(statistics: Callable, variables: dict, batches: Iterable) -> dict:
    """Re-estimates BatchNorm statistics over the training set with dropout off.

    Dropout in front of BatchNorm changes the variance that BatchNorm stores; without dropout the
    stored statistics no longer fit and deterministic predictions suffer.

    Args:
      statistics: `(variables, inputs) -> batch_stats` after one forward pass in training mode,
        dropout off (for a Flax model: the `mutable=["batch_stats"]` of `apply`).
      variables: `{"params", "batch_stats"}`.
      batches: inputs, each a batch of the training set.

    Returns:
      New `batch_stats`: mean over the batches of their means, and total variance (mean variance
      plus variance of the means).

    Raises:
      ValueError: no batch.
    """
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
    ones = jax.tree.map(jnp.ones_like, variables["batch_stats"])
    kept, total, count = None, None, 0
    for inputs in batches:
        new = statistics({**variables, "batch_stats": zeros}, inputs)
        if kept is None:  # the share of the old statistics that the model's BatchNorm keeps
            other = statistics({**variables, "batch_stats": ones}, inputs)
            kept = jax.tree.map(lambda one, zero: jnp.mean(one - zero), other, new)
        batch = jax.tree.map(lambda leaf, share: leaf / (1.0 - share), new, kept)
        batch = _with_squares(batch)
        total = batch if total is None else jax.tree.map(jnp.add, total, batch)
        count += 1
    if not count:
        raise ValueError("BatchNorm statistics need at least one batch of training clips")
    return _without_squares(jax.tree.map(lambda leaf: leaf / count, total))


def _with_squares(tree: dict) -> dict:
    """Replaces each variance by the mean square, which may be averaged over batches."""
    if "mean" in tree and "var" in tree:
        return {**tree, "var": tree["var"] + jnp.square(tree["mean"])}
    return {name: _with_squares(branch) for name, branch in tree.items()}


def _without_squares(tree: dict) -> dict:
    if "mean" in tree and "var" in tree:
        return {**tree, "var": tree["var"] - jnp.square(tree["mean"])}
    return {name: _without_squares(branch) for name, branch in tree.items()}


def reliability_bins(probabilities, labels, bins: int = 15):
    """Confidence against accuracy in equal bins of the largest probability.

    Returns:
      confidence `[bins]`, accuracy `[bins]` (nan where empty) and count `[bins]`.
    """
    probabilities = np.asarray(probabilities)
    confidence = probabilities.max(-1)
    correct = probabilities.argmax(-1) == np.asarray(labels)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    divisor = np.where(count, count, np.nan)
    return (
        np.bincount(place, confidence, bins) / divisor,
        np.bincount(place, correct, bins) / divisor,
        count,
    )


def expected_calibration_error(probabilities, labels, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over the bins (Guo et al., ICML 2017)."""
    confidence, accuracy, count = reliability_bins(probabilities, labels, bins)
    if not count.sum():
        return float("nan")
    return float(np.nansum(np.abs(confidence - accuracy) * count) / count.sum())


def risk_coverage(uncertainty, correct) -> tuple[np.ndarray, np.ndarray]:
    """Error rate among the most certain clips, for every share of clips that is answered.

    Clips of equal uncertainty are answered together, so the order of the input does not matter.

    Args:
      uncertainty: `[B]`, larger is less certain.
      correct: `[B]` bool.

    Returns:
      coverage `[K]` (ascending, ends with 1) and risk `[K]`, one point a distinct uncertainty.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    order = np.argsort(uncertainty, kind="stable")
    wrong = np.cumsum(~np.asarray(correct, bool)[order])
    answered = np.arange(1, len(order) + 1)
    last = np.append(np.diff(uncertainty[order]) > 0, True)[: len(order)]
    return (answered / max(len(order), 1))[last], (wrong / answered)[last]


def area_under_risk_coverage(uncertainty, correct) -> float:
    """Mean risk over all coverages (0 is perfect; the error rate if uncertainty is useless)."""
    coverage, risk = risk_coverage(uncertainty, correct)
    return float((risk * np.diff(coverage, prepend=0.0)).sum())


def abstain_threshold(uncertainty, correct, target_accuracy: float) -> float:
    """Largest uncertainty at which answered clips still reach an accuracy.

    Choose it on validation clips and abstain where `uncertainty > threshold`.

    Returns:
      The threshold; minus infinity when no share of the clips reaches the target.
    """
    uncertainty = np.asarray(uncertainty, np.float64)
    _, risk = risk_coverage(uncertainty, correct)
    reached = np.flatnonzero(1.0 - risk >= target_accuracy)
    if not len(reached):
        return float("-inf")
    return float(np.unique(uncertainty)[reached[-1]])


def selective_accuracy(uncertainty, correct, threshold: float) -> tuple[float, float]:
    """Returns the share of clips answered and the accuracy on them (nan if none)."""
    answered = np.asarray(uncertainty) <= threshold
    correct = np.asarray(correct, bool)[answered]
    return float(answered.mean()), float(correct.mean()) if len(correct) else float("nan")
