"""Scores a trained model on a fold: the three readings and the samples behind them.

Dropout in front of BatchNorm changes the statistics that BatchNorm stores, so one accuracy says
too little (ST-BLN specification, section 7). The readings are

- stored: dropout off, BatchNorm statistics as stored in training;
- recalibrated: dropout off, statistics re-estimated on the training clips without dropout;
- mc_dropout: mean of S passes with dropout on, stored statistics.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from fer_jax import data, parallel, uncertainty
from fer_jax.train import Program

READINGS = {
    "stored": "dropout off, stored BatchNorm statistics",
    "recalibrated": "dropout off, recalibrated BatchNorm statistics",
    "mc_dropout": "MC dropout",
}


def make_assess(program: Program, passes: int) -> Callable:
    """Compiles the assessment once for all folds.

    Args:
      program: the compiled functions of training.
      passes: S of MC dropout.

    Returns:
      `assess(variables, clips, train, numbers, seed) -> (results, recalibrated_stats)` with
      results `stored [N, C]`, `recalibrated [N, C]` and `samples [S, N, C]`, probabilities.
    """
    module = program.module
    spread = module.clone(axis_name=parallel.AXIS)

    def sampled(variables, batch, key):
        samples = uncertainty.mc_dropout(
            uncertainty.stochastic(spread), variables, program.features(batch), key, passes=passes
        )
        return samples.swapaxes(0, 1)

    @jax.jit
    def statistics(variables, batch):
        inputs = program.features(batch)
        return module.apply(variables, inputs, train=True, dropout=False, mutable=["batch_stats"])[
            1
        ]["batch_stats"]

    draw = parallel.map_batches(sampled)

    def assess(variables, clips: data.Clips, train, numbers, seed: int):
        # Shuffled: clips come sorted, and a batch of one person or class would mislead BatchNorm.
        order = np.random.default_rng(seed).permutation(train)
        whole = order[: len(order) // program.batch_size * program.batch_size]
        batches = (data.take(clips, chosen) for chosen in whole.reshape(-1, program.batch_size))
        stats = uncertainty.recalibrate_batch_norm(statistics, variables, batches)
        recalibrated = {**variables, "batch_stats": stats}
        if not len(numbers):
            return {}, stats
        chosen, weight = data.padded_numbers(numbers, program.batch_size)
        parts = parallel.split(data.take(clips, chosen, weight))
        key = jax.random.key(seed)

        def plain(which):
            logits = parallel.join(program.logits(which, parts, key))[: len(numbers)]
            return np.asarray(jax.nn.softmax(logits, -1))

        samples = parallel.join(draw(variables, parts, key))[: len(numbers)]
        return {
            "stored": plain(variables),
            "recalibrated": plain(recalibrated),
            "samples": samples.swapaxes(0, 1),
        }, stats

    return assess


def readings(results: dict) -> dict[str, np.ndarray]:
    """Probabilities `[N, C]` of each reading, keyed as `READINGS`."""
    return {
        "stored": results["stored"],
        "recalibrated": results["recalibrated"],
        "mc_dropout": results["samples"].mean(0),
    }
