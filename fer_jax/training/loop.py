"""The training loop: epochs with evaluation, logs, checkpoints and resume."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import hosts, stopping
from fer_jax.data.augment import COPIES
from fer_jax.data.clips import Chosen, Clips, batches, epoch_order
from fer_jax.data.folds import Fold
from fer_jax.tasks.evaluation import epoch_of_lowest_loss
from fer_jax.training import averaging, checkpoint, parallel
from fer_jax.training.epoch_log import EpochLog, Hook, read_history
from fer_jax.training.evaluate import mean_scores
from fer_jax.training.program import Program, Run, TrainState, epoch_keys, stack, unstack

Histories = list[list[dict]]  # one list of rows per run, one row per epoch


class NonFiniteLossError(RuntimeError):
    """The loss is NaN or infinite; the message names step and batch."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long to train, and how often to evaluate and to save a checkpoint.

    Attributes:
      epochs: last epoch, counted from 1.
      eval_every_epochs: epochs between evaluations; the last epoch always has one.
      checkpoint_every_epochs: epochs between checkpoints; the last epoch always has one.
      select_best: returns the weights of the epoch with the lowest validation loss instead of the
        last ones; every fold must have validation clips.
      average_after: epochs before the first whose weights are averaged; None: none are.
    """

    epochs: int
    eval_every_epochs: int = 1
    checkpoint_every_epochs: int = 1
    select_best: bool = False
    average_after: int | None = None


@dataclasses.dataclass(frozen=True)
class Files:
    """Where training writes.

    Attributes:
      checkpoints: folder of the checkpoints of the runs that are trained side by side.
      log: file with one row per epoch.
      tensorboard: folder.
      hook: gets every row of the log as well.
    """

    checkpoints: pathlib.Path
    log: pathlib.Path
    tensorboard: pathlib.Path
    hook: Hook | None = None

    def best_weights(self, run: Run) -> pathlib.Path:
        return self.checkpoints.with_name(f"{run.name}_best.msgpack")


def fit(
    program: Program,
    states: TrainState,
    clips: Clips,
    runs: list[Run],
    schedule: Schedule,
    files: Files,
    after_epoch: Callable[[Histories], None],
    say: Callable[[str], None] | None = None,
) -> tuple[TrainState, Histories]:
    """Trains R runs side by side, resuming from their last checkpoint if there is one.

    Args:
      program, clips, runs: see `train_epochs`.
      states: initial states, leading axis R.
      schedule: epochs, evaluations and checkpoints.
      files: where checkpoints and logs go.
      after_epoch: called with the histories after each epoch.
      say: takes messages on damaged files, one line each; default: prints to stderr.

    Returns:
      The last states, with the weights of the best epoch if the schedule selects it, and the
      histories.

    Raises:
      NonFiniteLossError: see `check_finite`.
      KeyboardInterrupt: a signal came; the epoch was ended and saved if it took seconds.
    """
    with contextlib.ExitStack() as opened:
        asked = opened.enter_context(stopping.held())
        if schedule.average_after is not None:
            states = averaging.start(states)
        saved = checkpoint.Checkpoints(files.checkpoints, say)
        states, histories = _restored(saved, states)
        histories = histories or [[] for _ in runs]
        logs = _open_logs(files, runs, histories, say, saved.missing) if hosts.is_writer() else []
        for log in logs:
            opened.enter_context(contextlib.closing(log))
        for trained in train_epochs(program, states, clips, runs, schedule, histories):
            states, epoch = trained, len(histories[0])
            # a signal from now on waits for the next epoch; one process that got it stops all
            stopping_here = any(hosts.everyone(asked.is_set()))
            if hosts.is_writer():
                if schedule.select_best:  # before the checkpoint, whose history counts on this file
                    _save_best(files, runs, states, histories)
                due = epoch % schedule.checkpoint_every_epochs == 0 or epoch == schedule.epochs
                if due or saved.is_overdue() or stopping_here:
                    saved.save(epoch, states, histories)
                for log, history in zip(logs, histories, strict=True):
                    log.write(history[-1])
            after_epoch(histories)
            if stopping_here:
                raise KeyboardInterrupt
    if schedule.select_best:
        states = states.replace(
            **hosts.arrays_from_writer(functools.partial(_load_best, files, runs), states.variables)
        )
    return states, histories


def _restored(saved: checkpoint.Checkpoints, states: TrainState) -> tuple[TrainState, Histories]:
    """The last states and histories; process 0 reads them, the others get them from it."""
    read, histories = saved.restore(states) if hosts.is_writer() else (states, [])
    histories = hosts.from_writer(lambda: histories)
    return hosts.arrays_from_writer(lambda: read, states) if histories else states, histories


def _open_logs(files: Files, runs: list[Run], histories: Histories, say, anew: bool):
    """Opens the log of every run; says if training that was under way begins anew."""
    if anew:
        _say_anew(files, runs, say)
    return [
        EpochLog(files.log, files.tensorboard, run.name, history, say, files.hook)
        for run, history in zip(runs, histories, strict=True)
    ]


def _load_best(files: Files, runs: list[Run]) -> dict:
    return stack([checkpoint.load_weights(files.best_weights(run))[0] for run in runs])


def _say_anew(files: Files, runs: list[Run], say: Callable[[str], None] | None) -> None:
    """Says that training which was under way before begins anew, for lack of a checkpoint."""
    logged = {row["fold"] for row in read_history(files.log)}
    if again := [run.name for run in runs if run.name in logged]:
        say = say or functools.partial(print, file=sys.stderr)
        say(f"there was no checkpoint yet of {', '.join(again)}: training begins anew")


def _save_best(files: Files, runs: list[Run], states: TrainState, histories: Histories) -> None:
    """Saves the weights of the runs whose last epoch is their best so far."""
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
    """Trains R runs side by side, from the end of their histories to the last epoch.

    Args:
      program: compiled functions.
      states: initial states, or those restored together with `histories`; leading axis R, donated.
      clips: the dataset.
      runs: folds and seeds; a run gives the same numbers alone and beside others.
      schedule: epochs and evaluations; if it selects the best epoch, validation clips count too.
      histories: rows of each run, equally long; this function appends to them.

    Yields:
      The states after each epoch; the next epoch overwrites them.

    Raises:
      NonFiniteLossError: see `check_finite`.
    """
    for epoch in range(len(histories[0]) + 1, schedule.epochs + 1):
        started = time.perf_counter()
        average = states.average  # apart from what is compiled
        states = states.replace(average=None)
        states, metrics, waited = train_epoch(program, states, clips, runs, epoch)
        if average is not None and epoch > schedule.average_after:
            average = averaging.update(average, states.params)
        states = states.replace(average=average)
        seconds = time.perf_counter() - started
        scores = {"train": metrics}
        if epoch % schedule.eval_every_epochs == 0 or epoch == schedule.epochs:
            scores |= _evaluate(program, states, clips, runs, schedule.select_best)
        speed = {
            "clips_per_second": sum(program.clips_an_epoch(run) for run in runs) / seconds,
            "seconds": seconds / len(runs),
            "waited_for_clips": waited / seconds,
        }
        for index, history in enumerate(histories):
            row = {
                f"{part}_{name}": value
                for part, values in scores.items()
                for name, value in values[index].items()
            }
            history.append({"epoch": epoch, **row, **speed})
        yield states


def _evaluate(program: Program, states, clips: Clips, runs: list[Run], validate: bool) -> dict:
    """Mean scores of each run on its evaluation clips, and if asked for on its validation clips."""
    parts = {"evaluation": [run.fold.evaluation for run in runs]}
    if validate:
        parts["validation"] = [run.fold.validation for run in runs]
    return {
        name: mean_scores(program, states.variables, clips, part) for name, part in parts.items()
    }


def train_epoch(program: Program, states, clips: Clips, runs: list[Run], epoch: int):
    """Trains every run for one epoch, in as few compiled calls as the memory for clips allows.

    Returns:
      The new states, the mean `{"loss", "accuracy"}` over the steps of each run, and the seconds
      spent waiting for clips.

    Raises:
      NonFiniteLossError: see `check_finite`.
    """
    chosen, weight, copies = _stacked([epoch_clips(program, run, epoch) for run in runs])
    keys = jnp.stack([epoch_keys(run.seed, epoch, program.steps) for run in runs])
    hop = program.steps_a_call(len(runs), program.steps, program.batch_size)
    parts, waited = [], 0.0
    weighted = _class_weighted(program, clips, runs, chosen, weight)
    own, own_weight, own_copies = parallel.own_examples((chosen, weighted, copies))
    calls = batches(clips, own, own_weight, hop, own_copies)
    for first in range(0, program.steps, hop):
        asked = time.perf_counter()
        sharded = parallel.shard(next(calls))
        waited += time.perf_counter() - asked
        states, part = program.train(states, sharded, keys[:, first : first + hop])
        if parts:  # waits for the call before, so that at most two hold their clips in memory
            parts[-1] = jax.tree.map(np.asarray, parts[-1])
        parts.append(part)
    metrics = {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}
    for index, run in enumerate(runs):
        check_finite(metrics["loss"][index], epoch, chosen[index], clips, run.fold)
    counts = None if weight is None else weight.sum(2)  # clips of each step
    means = [
        {name: _mean_of_steps(values, counts, index) for name, values in metrics.items()}
        for index in range(len(runs))
    ]
    return states, means, waited


def _mean_of_steps(values: np.ndarray, counts: np.ndarray | None, run: int) -> float:
    """Mean over the clips of an epoch, from the means of its steps, `[R, K]`."""
    if counts is None:
        return float(values[run].mean())
    return float(np.average(values[run], weights=counts[run]))


def _class_weighted(program: Program, clips: Clips, runs: list[Run], chosen, weight):
    """Weights `[R, K, B]`, or None, times those that balance the classes of each run's clips."""
    if not program.balanced:
        return weight
    classes = len(clips.classes)
    own = [program.task.balancing(clips.labels[run.fold.train], classes) for run in runs]
    if own[0] is None:
        return weight
    balanced = np.stack([each[clips.labels[part]] for each, part in zip(own, chosen, strict=True)])
    return balanced if weight is None else balanced * weight


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


def epoch_clips(program: Program, run: Run, epoch: int) -> Chosen:
    """Training clips of one epoch, `[steps, batch_size]`."""
    train, seed, repeats = run.fold.train, (run.seed, epoch), program.repeats
    if not program.fixed_copies:  # a fold larger than the smallest needs fewer to fill the steps
        repeats = min(repeats, -(-program.steps * program.batch_size // len(train)))
    count = len(train) * repeats
    places, weight, _ = epoch_order(count, program.steps, program.batch_size, seed)
    chosen, repeat = train[places % len(train)], places // len(train)
    if not program.fixed_copies:
        return Chosen(chosen, weight)
    # with 14 repeats each clip shows every copy once; with fewer, other copies in the next epoch
    copies = (repeat + chosen + (epoch - 1) * program.repeats) % COPIES
    return Chosen(chosen, weight, copies)


def _stacked(epochs: list[Chosen]) -> Chosen:
    """The epochs of R runs, `[R, steps, batch_size]`; all are padded if one is."""
    indices = np.stack([each.indices for each in epochs])
    weights = [each.weight for each in epochs]
    if any(weight is not None for weight in weights):
        ones = np.ones(indices.shape[1:], np.float32)
        weight = np.stack([ones if each is None else each for each in weights])
    else:
        weight = None
    copies = epochs[0].copies is not None
    return Chosen(indices, weight, np.stack([e.copies for e in epochs]) if copies else None)
