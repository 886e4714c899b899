"""Trains runs with logs and checkpoints: what was cut short goes on where it was."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable

from fer_jax import checkpoint, data, epoch_log, train
from fer_jax.programs import Program, TrainState
from fer_jax.tasks import Task


def fit(
    program: Program,
    task: Task,
    states: TrainState,
    clips: data.Clips,
    runs: list[train.Run],
    *,
    epochs: int,
    checkpoint_epochs: int,
    evaluation_epochs: int = 1,
    checkpoints: pathlib.Path,
    logs: pathlib.Path,
    after_epoch: Callable[[list[list[dict]]], None],
) -> tuple[TrainState, list[list[dict]]]:
    """`train.fit` from the last checkpoint on.

    Args:
      program, task, clips, runs, epochs, evaluation_epochs: see `train.fit`.
      states: fresh ones, leading axis R.
      checkpoint_epochs: epochs from one checkpoint to the next; the last epoch has one as well.
      checkpoints: their folder.
      logs: folder of metrics.jsonl and tensorboard/.
      after_epoch: called with the histories, one list of rows a run.

    Returns:
      The last states and the histories.

    Raises:
      train.NonFiniteLossError: while training.
    """
    with contextlib.ExitStack() as opened:
        kept = opened.enter_context(contextlib.closing(checkpoint.Checkpoints(checkpoints)))
        states, histories = kept.restore(states)
        histories = histories or [[] for _ in runs]
        names = [run.fold.name for run in runs]
        logs.mkdir(parents=True, exist_ok=True)
        writers = [
            opened.enter_context(contextlib.closing(epoch_log.EpochLog(logs, *pair)))
            for pair in zip(names, histories, strict=True)
        ]

        def save(states, histories):
            epoch = len(histories[0])
            if epoch % checkpoint_epochs == 0 or epoch == epochs:
                kept.save(epoch, states, histories)
            for writer, history in zip(writers, histories, strict=True):
                writer.write(history[-1])
            after_epoch(histories)

        states = train.fit(
            program, task, states, clips, runs,
            epochs=epochs, evaluation_epochs=evaluation_epochs, histories=histories,
            after_epoch=save,
        )  # fmt: skip
    return states, histories
