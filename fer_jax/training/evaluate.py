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

from fer_jax import uncertainty
from fer_jax.data import clips as clip_data
from fer_jax.tasks.base import Task
from fer_jax.training import parallel
from fer_jax.training.loop import Run, map_clips, predict
from fer_jax.training.program import Program, stack, unstack


def make_assess(program: Program, task: Task, passes: int) -> Callable:
    """Compiles the assessment once for all runs.

    Args:
      program: the compiled functions of training.
      task: makes probabilities of what the model puts out.
      passes: S of MC dropout; a model without dropout is passed once.

    Returns:
      `assess(variables, clips, runs, parts) -> (results, recalibrated)`: variables of R runs and,
      under the names of the parts, what they are scored on, R arrays of clip numbers; results of
      each part and run are `stored [N, C]`, `recalibrated [N, C]` and `samples [S, N, C]`,
      probabilities.
    """
    passes = passes if program.module.dropout else 1
    spread = program.module.clone(axis_name=parallel.AXIS)

    def sampled(variables, batch, key):
        inputs = program.features(batch)
        samples = uncertainty.sample(
            spread, variables, inputs, key, passes=passes, probabilities=task.probabilities
        )
        return samples.swapaxes(0, 1)

    draw, recalibrate = parallel.map_batches(sampled), _make_recalibrate(program)

    def samples(variables, clips: clip_data.Clips, part, seed: int) -> np.ndarray:
        """`[S, N, C]` of one run alone: its passes fill a device already."""
        chosen, weight = clip_data.padded_parts([part], program.scored_size)
        own, key = stack([variables]), jax.random.key(seed)[None]
        drawn = map_clips(program, draw, own, clips, chosen, weight, key)
        return drawn[0, : len(part)].swapaxes(0, 1)

    def assess(variables, clips: clip_data.Clips, runs: list[Run], parts: dict):
        # a model without BatchNorm has nothing to re-estimate
        recalibrated = (
            recalibrate(variables, clips, runs) if variables["batch_stats"] else variables
        )
        results = {name: score(variables, recalibrated, clips, runs, parts[name]) for name in parts}
        return results, recalibrated

    def score(variables, recalibrated, clips: clip_data.Clips, runs: list[Run], part):
        if not any(map(len, part)):
            return [{} for _ in runs]
        stored = again = predict(program, variables, clips, part)
        if recalibrated is not variables:
            again = predict(program, recalibrated, clips, part)
        return [
            {
                "stored": np.asarray(task.probabilities(stored[number])),
                "recalibrated": np.asarray(task.probabilities(again[number])),
                "samples": samples(unstack(variables, number), clips, own, runs[number].seed),
            }
            if len(own)
            else {}
            for number, own in enumerate(part)
        ]

    return assess


def _make_recalibrate(program: Program) -> Callable:
    """Makes `recalibrate(variables, clips, runs)`: each run on its own training clips."""
    module = program.module

    spread = module.clone(axis_name=parallel.AXIS)

    def one_batch(variables, batch):
        inputs = program.features(batch)
        _, updates = spread.apply(
            variables, inputs, train=True, dropout=False, mutable=["batch_stats"]
        )
        return updates.get("batch_stats", {})

    statistics = parallel.reduce_batch(one_batch)

    def one(variables, clips: clip_data.Clips, run: Run):
        # Shuffled: clips come sorted, and a batch of one person or class would mislead BatchNorm.
        order = np.random.default_rng(run.seed).permutation(run.fold.train)
        whole = order[: len(order) // program.batch_size * program.batch_size]
        calls = clip_data.batches(clips, whole.reshape(1, -1, program.batch_size))
        batches = ({name: leaf[0, 0] for name, leaf in call.items()} for call in calls)
        return uncertainty.recalibrate_batch_norm(statistics, variables, batches)

    def recalibrate(variables, clips: clip_data.Clips, runs: list[Run]):
        stats = [one(unstack(variables, number), clips, run) for number, run in enumerate(runs)]
        return {**variables, "batch_stats": stack(stats)}

    return recalibrate
