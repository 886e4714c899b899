"""Trains runs with logs and checkpoints: what was cut short goes on where it was."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable

from fer_jax.data.clips import Clips
from fer_jax.tasks.base import Task
from fer_jax.tasks.evaluation import epoch_of_lowest_loss
from fer_jax.training import checkpoint, epoch_log, loop
from fer_jax.training.program import Program, TrainState, stack, unstack


def fit(
    program: Program,
    task: Task,
    states: TrainState,
    clips: Clips,
    runs: list[loop.Run],
    *,
    epochs: int,
    checkpoint_epochs: int,
    evaluation_epochs: int = 1,
    keep_best: bool = False,
    checkpoints: pathlib.Path,
    logs: pathlib.Path,
    after_epoch: Callable[[list[list[dict]]], None],
) -> tuple[TrainState, list[list[dict]]]:
    """`loop.fit` from the last checkpoint on.

    Args:
      program, task, clips, runs, epochs, evaluation_epochs: see `loop.fit`.
      states: fresh ones, leading axis R.
      checkpoint_epochs: epochs from one checkpoint to the next; the last epoch has one as well.
      keep_best: return the weights of the epoch with the lowest loss on the validation clips
        instead of the last; every fold must have some.
      checkpoints: their folder.
      logs: folder of metrics.jsonl and tensorboard/.
      after_epoch: called with the histories, one list of rows a run.

    Returns:
      The last states, with the weights of the best epoch if they are kept, and the histories.

    Raises:
      loop.NonFiniteLossError: while training.
    """
    with contextlib.ExitStack() as opened:
        kept = opened.enter_context(contextlib.closing(checkpoint.Checkpoints(checkpoints)))
        states, histories = kept.restore(states)
        histories = histories or [[] for _ in runs]
        names = [run.fold.name for run in runs]
        best = [checkpoints.with_name(f"{name}_best.msgpack") for name in names]
        logs.mkdir(parents=True, exist_ok=True)
        writers = [
            opened.enter_context(contextlib.closing(epoch_log.EpochLog(logs, *pair)))
            for pair in zip(names, histories, strict=True)
        ]

        def save(states, histories):
            epoch = len(histories[0])
            for number, history in enumerate(histories if keep_best else ()):
                if epoch_of_lowest_loss(history) == epoch:  # before the checkpoint that knows of it
                    checkpoint.save_weights(best[number], unstack(states.variables, number), {})
            if epoch % checkpoint_epochs == 0 or epoch == epochs:
                kept.save(epoch, states, histories)
            for writer, history in zip(writers, histories, strict=True):
                writer.write(history[-1])
            after_epoch(histories)

        states = loop.fit(
            program, task, states, clips, runs,
            epochs=epochs, evaluation_epochs=evaluation_epochs, validate=keep_best,
            histories=histories, after_epoch=save,
        )  # fmt: skip
    if keep_best:
        states = states.replace(**stack([checkpoint.load_weights(file)[0] for file in best]))
    return states, histories
