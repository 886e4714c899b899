"""Evaluates trained models: the three inference modes and the samples behind them.

Dropout in front of BatchNorm changes the statistics that BatchNorm stores, so one accuracy is
not enough (ST-BLN specification, section 7). The inference modes are

- stored: dropout off, BatchNorm statistics as stored in training;
- recalibrated: dropout off, statistics re-estimated on the training clips without dropout;
- mc_dropout: mean of S passes with dropout on, stored statistics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np

from fer_jax import uncertainty
from fer_jax.data.clips import Clips, batches, padded_parts
from fer_jax.tasks.base import Task
from fer_jax.training import parallel
from fer_jax.training.program import Program, Run, stack, unstack


def predict_logits(program: Program, variables: dict, clips: Clips, parts) -> list[np.ndarray]:
    """Logits `[N, C]` of R runs: dropout off, BatchNorm statistics as in `variables`.

    Args:
      variables: of R runs, leading axis R.
      parts: R arrays of clip indices.
    """
    logits, _, _ = _padded_logits(program, variables, clips, parts)
    return [own[: len(part)] for own, part in zip(logits, parts, strict=True)]


def mean_scores(program: Program, variables: dict, clips: Clips, parts) -> list[dict]:
    """Scores the logits of `predict_logits`.

    Returns:
      `{"loss", "accuracy"}` of each run, means over its clips; {} for a run without any.
    """
    if not any(map(len, parts)):
        return [{} for _ in parts]
    logits, chosen, weight = _padded_logits(program, variables, clips, parts)
    losses, scores = _scored(program.task, logits, clips.labels[chosen])
    sums = {
        "loss": (np.asarray(losses) * weight).sum(-1),
        "accuracy": (np.asarray(scores) * weight).sum(-1),
    }
    return [
        {name: float(values[run] / len(part)) for name, values in sums.items()} if len(part) else {}
        for run, part in enumerate(parts)
    ]


@functools.partial(jax.jit, static_argnums=0)
def _scored(task: Task, logits, labels):
    def score(logits, labels):
        batch = {"label": labels}
        return task.loss(logits, batch), task.score(logits, batch)

    return jax.vmap(score)(logits, labels)


def _padded_logits(program: Program, variables, clips: Clips, parts):
    """Logits `[R, N, C]`, their clips and weights `[R, N]`, all runs filled to the same N."""
    chosen, weight = padded_parts(parts, program.evaluated_size)
    keys = jax.random.split(jax.random.key(0), len(parts))
    logits = _map_clips(program, program.logits, variables, clips, chosen, weight, keys)
    return logits, chosen.reshape(len(parts), -1), weight.reshape(len(parts), -1)


def _map_clips(program: Program, function, variables, clips: Clips, chosen, weight, keys):
    """Applies what `parallel.map_batches` made to clips, as many a call as memory allows.

    Args:
      variables, keys: of R runs, leading axis R.
      chosen, weight: `[R, K, B]` clip indices, and 0 where they are only filling.

    Returns:
      `[R, K * B, ...]`.
    """
    runs, count, size = chosen.shape
    hop = program.steps_a_call(runs, count, size)
    parts = []
    for index, batch in enumerate(batches(clips, chosen, weight, hop)):
        first = np.full(runs, index * hop, np.int32)
        parts.append(parallel.unshard(function(variables, parallel.shard(batch), keys, first)))
    return np.concatenate(parts, 1)


def make_evaluate(program: Program, mc_samples: int) -> Callable:
    """Compiles the evaluation once for all runs.

    Args:
      program: the compiled functions of training.
      mc_samples: number S of MC samples; a model without dropout gets one.

    Returns:
      `evaluate(variables, clips, runs, parts) -> (results, recalibrated)`: variables of R runs and,
      under the names of the parts, what they are scored on, R arrays of clip indices; results of
      each part and run are `stored [N, C]`, `recalibrated [N, C]` and `samples [S, N, C]`,
      probabilities.
    """
    mc_samples = mc_samples if getattr(program.module, "dropout", 0.0) else 1
    task = program.task
    spread = program.module.clone(axis_name=parallel.AXIS)

    def sampled(variables, batch, key):
        inputs = program.features(batch)
        samples = uncertainty.sample(
            spread, variables, inputs, key, mc_samples=mc_samples, probabilities=task.probabilities
        )
        return samples.swapaxes(0, 1)

    draw, recalibrate = parallel.map_batches(sampled), _make_recalibrate(program)

    def samples(variables, clips: Clips, part, seed: int) -> np.ndarray:
        """`[S, N, C]` of one run alone: its samples fill a device already."""
        chosen, weight = padded_parts([part], program.evaluated_size)
        own, key = stack([variables]), jax.random.key(seed)[None]
        drawn = _map_clips(program, draw, own, clips, chosen, weight, key)
        return drawn[0, : len(part)].swapaxes(0, 1)

    def evaluate(variables, clips: Clips, runs: list[Run], parts: dict):
        # a model without BatchNorm has nothing to re-estimate
        recalibrated = (
            recalibrate(variables, clips, runs) if variables["batch_stats"] else variables
        )
        results = {name: score(variables, recalibrated, clips, runs, parts[name]) for name in parts}
        return results, recalibrated

    def score(variables, recalibrated, clips: Clips, runs: list[Run], part):
        if not any(map(len, part)):
            return [{} for _ in runs]
        stored = again = predict_logits(program, variables, clips, part)
        if recalibrated is not variables:
            again = predict_logits(program, recalibrated, clips, part)
        return [
            {
                "stored": np.asarray(task.probabilities(stored[index])),
                "recalibrated": np.asarray(task.probabilities(again[index])),
                "samples": samples(unstack(variables, index), clips, own, runs[index].seed),
            }
            if len(own)
            else {}
            for index, own in enumerate(part)
        ]

    return evaluate


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

    def one(variables, clips: Clips, run: Run):
        # Shuffled: clips come sorted, and a batch of one person or class would mislead BatchNorm.
        order = np.random.default_rng(run.seed).permutation(run.fold.train)
        whole = order[: len(order) // program.batch_size * program.batch_size]
        calls = batches(clips, whole.reshape(1, -1, program.batch_size))
        one_by_one = ({name: leaf[0, 0] for name, leaf in call.items()} for call in calls)
        return uncertainty.recalibrate_batch_norm(statistics, variables, one_by_one)

    def recalibrate(variables, clips: Clips, runs: list[Run]):
        stats = [one(unstack(variables, index), clips, run) for index, run in enumerate(runs)]
        return {**variables, "batch_stats": stack(stats)}

    return recalibrate
