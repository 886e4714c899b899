"""Trains and scores the runs of an experiment: `fit`, the loop over epochs."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.data import clips as clip_data
from fer_jax.data.folds import Fold
from fer_jax.tasks.base import Task
from fer_jax.training import parallel
from fer_jax.training.program import Program, TrainState


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to be trained.

    Attributes:
      fold: clips to learn from and to score after every epoch.
      seed: first weights, order of the clips and dropout; the same seed gives the same run.
    """

    fold: Fold
    seed: int


class NonFiniteLossError(RuntimeError):
    """The loss stopped being a number; the message names step and batch."""


def predict(program: Program, variables: dict, clips: clip_data.Clips, parts) -> list[np.ndarray]:
    """Logits `[N, C]` of R runs: dropout off, BatchNorm statistics as in `variables`.

    Args:
      variables: of R runs, leading axis R.
      parts: R arrays of clip numbers.
    """
    logits, _, _ = _padded_logits(program, variables, clips, parts)
    return [own[: len(part)] for own, part in zip(logits, parts, strict=True)]


def _padded_logits(program: Program, variables, clips: clip_data.Clips, parts):
    """Logits `[R, N, C]`, their clips and weights `[R, N]`, all runs filled to the same N."""
    chosen, weight = clip_data.padded_parts(parts, program.scored_size)
    keys = jax.random.split(jax.random.key(0), len(parts))
    logits = map_clips(program, program.logits, variables, clips, chosen, weight, keys)
    return logits, chosen.reshape(len(parts), -1), weight.reshape(len(parts), -1)


def map_clips(program: Program, function, variables, clips: clip_data.Clips, chosen, weight, keys):
    """Applies what `parallel.map_batches` made to clips, as many a call as memory allows.

    Args:
      variables, keys: of R runs, leading axis R.
      chosen, weight: `[R, K, B]` clip numbers, and 0 where they are only filling.

    Returns:
      `[R, K * B, ...]`.
    """
    runs, count, size = chosen.shape
    hop = program.steps_a_call(runs, count, size)
    parts = []
    for number, batch in enumerate(clip_data.batches(clips, chosen, weight, hop)):
        first = np.full(runs, number * hop, np.int32)
        parts.append(parallel.join(function(variables, parallel.split(batch), keys, first)))
    return np.concatenate(parts, 1)


def evaluate(
    program: Program, task: Task, variables: dict, clips: clip_data.Clips, parts
) -> list[dict]:
    """Scores the logits of `predict`.

    Returns:
      `{"loss", "accuracy"}` of each run, means over its clips; {} for a run without any.
    """
    if not any(map(len, parts)):
        return [{} for _ in parts]
    logits, chosen, weight = _padded_logits(program, variables, clips, parts)
    losses, scores = _scored(task, logits, clips.labels[chosen])
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


def check_finite(losses, epoch: int, chosen, clips: clip_data.Clips, fold: Fold) -> None:
    """Raises `NonFiniteLossError` that names the first step and the clips of its batch."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad):
        return
    first, steps = int(bad[0]), len(losses)
    names = ", ".join(clips.clip_ids[number] for number in chosen[first][:5])
    raise NonFiniteLossError(
        f"the loss is {losses[first]} at step {(epoch - 1) * steps + first + 1} "
        f"({fold.name}, epoch {epoch}, batch {first + 1} of {steps}; its first clips: {names}). "
        f"Lower --config.optimizer.learning_rate or set --config.optimizer.warmup_epochs=5.0, "
        f"with another --workdir; this one keeps its last checkpoint"
    )


def train_epoch(program: Program, states, clips: clip_data.Clips, runs: list[Run], epoch: int):
    """Runs one epoch of every run, in one compiled call unless its clips would fill the memory.

    Returns:
      The new states, `{"loss", "accuracy"}` of each run, means over the steps, and the seconds for
      which clips were waited for.

    Raises:
      NonFiniteLossError: see `check_finite`.
    """
    chosen = np.stack([_epoch_numbers(program, run, epoch) for run in runs])
    keys = jnp.stack([_epoch_keys(run.seed, epoch, program.steps) for run in runs])
    hop = program.steps_a_call(len(runs), program.steps, program.batch_size)
    parts, waited = [], 0.0
    calls = clip_data.batches(clips, chosen, hop=hop)
    for number in range(program.steps // hop):
        asked = time.perf_counter()
        batches = parallel.split(next(calls))
        waited += time.perf_counter() - asked
        first = number * hop
        states, part = program.train(states, batches, keys[:, first : first + hop])
        if parts:  # the call before must have ended: two at most hold their clips in memory
            parts[-1] = jax.tree.map(np.asarray, parts[-1])
        parts.append(part)
    metrics = {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}
    for number, run in enumerate(runs):
        check_finite(metrics["loss"][number], epoch, chosen[number], clips, run.fold)
    return (
        states,
        [
            {name: float(values[number].mean()) for name, values in metrics.items()}
            for number in range(len(runs))
        ],
        waited,
    )


def _epoch_keys(seed: int, epoch: int, steps: int) -> jax.Array:
    """One key a step `[steps]`, whatever number of steps a call takes."""
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(steps))


def _epoch_numbers(program: Program, run: Run, epoch: int) -> np.ndarray:
    train = run.fold.train
    copies = -(-program.steps * program.batch_size // len(train))
    order = np.tile(train, copies)
    return clip_data.epoch_numbers(order, program.steps, program.batch_size, (run.seed, epoch))


def fit(
    program: Program,
    task: Task,
    states: TrainState,
    clips: clip_data.Clips,
    runs: list[Run],
    *,
    epochs: int,
    evaluation_epochs: int = 1,
    validate: bool = False,
    histories: list[list[dict]],
    after_epoch: Callable[[TrainState, list[list[dict]]], None],
) -> TrainState:
    """Trains R runs side by side from where their histories end to the last epoch.

    Args:
      program: compiled functions.
      task: scores the evaluation.
      states: with a leading axis R; fresh, or restored together with `histories`.
      clips: the data set.
      runs: folds and seeds; a run alone gives the same numbers as among others.
      epochs: last epoch, counted from 1.
      evaluation_epochs: the evaluation is scored every so many epochs, and after the last.
      validate: the validation clips of the folds are scored as well.
      histories: one row an epoch for each run, equally long; this function appends to them.
      after_epoch: called with the new states and the histories; saves, logs, draws.

    Returns:
      The last states.
    """
    for epoch in range(len(histories[0]) + 1, epochs + 1):
        started = time.perf_counter()
        states, metrics, waited = train_epoch(program, states, clips, runs, epoch)
        seconds = time.perf_counter() - started
        scored = {"train": metrics}
        if epoch % evaluation_epochs == 0 or epoch == epochs:
            parts = {"evaluation": [run.fold.evaluate for run in runs]}
            if validate:
                parts["validation"] = [run.fold.validation for run in runs]
            for name, part in parts.items():
                scored[name] = evaluate(program, task, states.variables, clips, part)
        for number, history in enumerate(histories):
            row = {
                f"{part}_{name}": value
                for part, values in scored.items()
                for name, value in values[number].items()
            }
            row["clips_per_second"] = len(runs) * program.steps * program.batch_size / seconds
            row["seconds"] = seconds / len(runs)
            row["waited_for_clips"] = waited / seconds
            history.append({"epoch": epoch, **row})
        after_epoch(states, histories)
    return states
