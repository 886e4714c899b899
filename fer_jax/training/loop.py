"""The training loop: epoch by epoch, with logs and checkpoints, resuming where a run stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.data.clips import Clips, batches, epoch_indices
from fer_jax.data.folds import Fold
from fer_jax.tasks.evaluation import epoch_of_lowest_loss
from fer_jax.training import checkpoint, parallel
from fer_jax.training.epoch_log import EpochLog
from fer_jax.training.evaluate import mean_scores
from fer_jax.training.program import Program, Run, TrainState, stack, unstack

Histories = list[list[dict]]  # of each run, one row an epoch


class NonFiniteLossError(RuntimeError):
    """The loss stopped being a number; the message names step and batch."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long to train, and what happens between epochs.

    Attributes:
      epochs: last epoch, counted from 1.
      eval_every_epochs: epochs between evaluations; the last epoch has one as well.
      checkpoint_every_epochs: the same for checkpoints.
      select_best: return the weights of the epoch with the lowest loss on the validation clips
        instead of the last ones; every fold must have validation clips.
    """

    epochs: int
    eval_every_epochs: int = 1
    checkpoint_every_epochs: int = 1
    select_best: bool = False


@dataclasses.dataclass(frozen=True)
class Files:
    """Where training writes.

    Attributes:
      checkpoints: folder of the checkpoints of the runs that are trained side by side.
      log: file with a row an epoch.
      tensorboard: folder.
    """

    checkpoints: pathlib.Path
    log: pathlib.Path
    tensorboard: pathlib.Path

    def best_weights(self, run: Run) -> pathlib.Path:
        return self.checkpoints.with_name(f"{run.fold.name}_best.msgpack")


def fit(
    program: Program,
    states: TrainState,
    clips: Clips,
    runs: list[Run],
    schedule: Schedule,
    files: Files,
    after_epoch: Callable[[Histories], None],
) -> tuple[TrainState, Histories]:
    """Trains R runs side by side, from their last checkpoint if there is one.

    Args:
      program, clips, runs: see `train_epochs`.
      states: fresh ones, leading axis R.
      schedule: epochs, evaluations and checkpoints.
      files: where checkpoints and logs go.
      after_epoch: called with the histories, one list of rows a run.

    Returns:
      The last states, with the weights of the best epoch if the schedule selects it, and the
      histories.

    Raises:
      NonFiniteLossError: while training.
    """
    with contextlib.ExitStack() as opened:
        saved = opened.enter_context(contextlib.closing(checkpoint.Checkpoints(files.checkpoints)))
        states, histories = saved.restore(states)
        histories = histories or [[] for _ in runs]
        files.log.parent.mkdir(parents=True, exist_ok=True)
        logs = [
            EpochLog(files.log, files.tensorboard, run.fold.name, history)
            for run, history in zip(runs, histories, strict=True)
        ]
        for log in logs:
            opened.enter_context(contextlib.closing(log))
        for trained in train_epochs(program, states, clips, runs, schedule, histories):
            states, epoch = trained, len(histories[0])
            if schedule.select_best:  # before the checkpoint that knows of it
                _save_best(files, runs, states, histories)
            if epoch % schedule.checkpoint_every_epochs == 0 or epoch == schedule.epochs:
                saved.save(epoch, states, histories)
            for log, history in zip(logs, histories, strict=True):
                log.write(history[-1])
            after_epoch(histories)
    if schedule.select_best:
        best = [checkpoint.load_weights(files.best_weights(run))[0] for run in runs]
        states = states.replace(**stack(best))
    return states, histories


def _save_best(files: Files, runs: list[Run], states: TrainState, histories: Histories) -> None:
    """Keeps the weights of the runs whose last epoch is the best so far."""
    for index, (run, history) in enumerate(zip(runs, histories, strict=True)):
        if epoch_of_lowest_loss(history) == len(history):
            own = unstack(states.variables, index)
            checkpoint.save_weights(files.best_weights(run), own, {})


def train_epochs(
    program: Program,
    states: TrainState,
    clips: Clips,
    runs: list[Run],
    schedule: Schedule,
    histories: Histories,
) -> Iterator[TrainState]:
    """Trains R runs side by side from where their histories end to the last epoch.

    Args:
      program: compiled functions.
      states: with a leading axis R; fresh, or restored together with `histories`; they are donated.
      clips: the dataset.
      runs: folds and seeds; a run alone gives the same numbers as among others.
      schedule: epochs and evaluations; the validation clips are scored where it selects the best.
      histories: one row an epoch for each run, equally long; this function appends to them.

    Yields:
      The states after each epoch, to be read before the next one begins.

    Raises:
      NonFiniteLossError: see `check_finite`.
    """
    for epoch in range(len(histories[0]) + 1, schedule.epochs + 1):
        started = time.perf_counter()
        states, metrics, waited = train_epoch(program, states, clips, runs, epoch)
        seconds = time.perf_counter() - started
        evaluated = {"train": metrics}
        if epoch % schedule.eval_every_epochs == 0 or epoch == schedule.epochs:
            parts = {"evaluation": [run.fold.evaluate for run in runs]}
            if schedule.select_best:
                parts["validation"] = [run.fold.validation for run in runs]
            for name, part in parts.items():
                evaluated[name] = mean_scores(program, states.variables, clips, part)
        for index, history in enumerate(histories):
            row = {
                f"{part}_{name}": value
                for part, values in evaluated.items()
                for name, value in values[index].items()
            }
            row["clips_per_second"] = len(runs) * program.steps * program.batch_size / seconds
            row["seconds"] = seconds / len(runs)
            row["waited_for_clips"] = waited / seconds
            history.append({"epoch": epoch, **row})
        yield states


def train_epoch(program: Program, states, clips: Clips, runs: list[Run], epoch: int):
    """Runs one epoch of every run, in one compiled call unless its clips would fill the memory.

    Returns:
      The new states, `{"loss", "accuracy"}` of each run, means over the steps, and the seconds for
      which clips were waited for.

    Raises:
      NonFiniteLossError: see `check_finite`.
    """
    chosen = np.stack([_shuffled(program, run, epoch) for run in runs])
    keys = jnp.stack([_epoch_keys(run.seed, epoch, program.steps) for run in runs])
    hop = program.steps_a_call(len(runs), program.steps, program.batch_size)
    parts, waited = [], 0.0
    calls = batches(clips, chosen, hop=hop)
    for index in range(program.steps // hop):
        asked = time.perf_counter()
        sharded = parallel.shard(next(calls))
        waited += time.perf_counter() - asked
        first = index * hop
        states, part = program.train(states, sharded, keys[:, first : first + hop])
        if parts:  # the call before must have ended: two at most hold their clips in memory
            parts[-1] = jax.tree.map(np.asarray, parts[-1])
        parts.append(part)
    metrics = {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}
    for index, run in enumerate(runs):
        check_finite(metrics["loss"][index], epoch, chosen[index], clips, run.fold)
    means = [
        {name: float(values[index].mean()) for name, values in metrics.items()}
        for index in range(len(runs))
    ]
    return states, means, waited


def check_finite(losses, epoch: int, chosen, clips: Clips, fold: Fold) -> None:
    """Raises `NonFiniteLossError` that names the first step and the clips of its batch."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad):
        return
    first, steps = int(bad[0]), len(losses)
    names = ", ".join(clips.clip_ids[index] for index in chosen[first][:5])
    raise NonFiniteLossError(
        f"the loss is {losses[first]} at step {(epoch - 1) * steps + first + 1} "
        f"({fold.name}, epoch {epoch}, batch {first + 1} of {steps}; its first clips: {names}). "
        f"Lower --config.optimizer.learning_rate or set --config.optimizer.warmup_epochs=5.0, "
        f"with another --workdir; this one keeps its last checkpoint"
    )


def _epoch_keys(seed: int, epoch: int, steps: int) -> jax.Array:
    """One key a step `[steps]`, whatever number of steps a call takes."""
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(steps))


def _shuffled(program: Program, run: Run, epoch: int) -> np.ndarray:
    """Training clips of one epoch, `[steps, batch_size]`."""
    train = run.fold.train
    repeats = -(-program.steps * program.batch_size // len(train))
    order = np.tile(train, repeats)
    return epoch_indices(order, program.steps, program.batch_size, (run.seed, epoch))
