"""Runs an experiment: trains its folds, as many side by side as fit, scores and reports them."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable

import jax
import numpy as np
from rich.console import Console

from fer_jax.data import folds
from fer_jax.data.clips import Clips
from fer_jax.data.load import NotPreparedError
from fer_jax.experiments import report
from fer_jax.experiments.setup import Experiment, SetupError, fresh_states
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.experiments.write_bundle import write_bundle
from fer_jax.installation import NotInstalledError
from fer_jax.progress import Progress
from fer_jax.tasks import TASKS
from fer_jax.training import checkpoint, loop, parallel
from fer_jax.training.program import Run, compile_ahead, unstack

# What keeps an experiment from being run; each message says what to do.
FAILURES = (
    SetupError, WorkdirError, NotPreparedError, NotInstalledError, loop.NonFiniteLossError,
)  # fmt: skip
MEMORY_SHARE = 0.8  # of a device's memory that runs side by side may take


def keep_compiled(folder: str | None) -> None:
    """Keeps compiled programs between runs.

    Args:
      folder: where; None for the place in the user's cache, "" for nowhere.
    """
    default = pathlib.Path.home() / ".cache/fer_jax/xla"
    jax.config.update(
        "jax_compilation_cache_dir", str(default) if folder is None else folder or None
    )


def run_experiment(
    experiment: Experiment, draw: Callable | None, console: Console, started: float
) -> dict:
    """Trains and scores the folds of an experiment, and writes its report and its bundle.

    Args:
      experiment: of `setup.prepare`. Its work directory receives all results, see `Workdir`.
      draw: `(module, features, workdir, clips, folds, numbers) -> ` names, figures and captions of
        what only this network shows, or None.
      console: where progress is shown.
      started: `time.perf_counter()` at the start.

    Returns:
      The metrics of the report.

    Raises:
      loop.NonFiniteLossError: while training.
    """
    config = experiment.config
    clips, total = experiment.clips, experiment.parameters
    console.print(
        f"{config.name}: {len(clips)} {clips.kind}, {len(set(clips.subjects))} subjects, "
        f"{len(clips.classes)} {TASKS[config.task].names}, {_seen(clips)}, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"{config.model.name}: {total[0]:,} parameters, {total[1]:,} without graph matrices; "
        f"batch {experiment.program.batch_size}, {experiment.program.steps} steps an epoch"
    )
    if experiment.start.note:
        console.print(experiment.start.note)
    if clips.left_out.classes:
        listed = ", ".join(f"{name} {count}" for name, count in clips.left_out.classes.items())
        console.print(f"left out of {config.data.dataset}, of classes not trained on: {listed}")
    for line in report.left_out(config, clips):
        console.print(line)
    for fold in experiment.folds:
        shown = TASKS[config.task].labelled(clips.labels[fold.train], len(clips.classes))
        for index in np.flatnonzero(~shown):
            console.print(f"{fold.name}: no training clip shows {clips.classes[index]}")
    runs = _runs(experiment)
    pending = [run for run in runs if not experiment.workdir.result(run.fold.name).exists()]
    if len(pending) < len(runs):
        console.print(f"done before: {', '.join(r.fold.name for r in runs if r not in pending)}")
    with Progress(console) as progress:
        # side by side pays for small networks only
        size, compiled = len(pending) if clips.crops is None else 1, {}
        while pending:
            group, ready = _largest_group(experiment, pending[:size], compiled, progress)
            size = len(group)  # what did not fit once is not compiled again
            _run_group(ready, group, progress, started)
            pending = pending[len(group) :]
        work = progress.start("report")
        metrics = report.write(
            experiment.workdir,
            config,
            clips,
            experiment.folds,
            experiment.parameters,
            draw and _own_figures(experiment, draw),
        )
        write_bundle(experiment, runs[-1].fold.name, metrics)
        work.finish()
    return metrics


def _runs(experiment: Experiment) -> list[Run]:
    """A run a fold, and for the bundle of a cross-validation one that trains on every clip."""
    config, clips = experiment.config, experiment.clips
    trained = list(experiment.folds)
    if len(trained) > 1:
        everything = np.arange(len(clips))
        fold = folds.Fold("all", everything, everything[:0])
        trained.append(folds.thinned(fold, clips.ranks, config.data.window_strides))
    return [Run(fold, config.seed * 1000 + index) for index, fold in enumerate(trained)]


def _seen(clips: Clips) -> str:
    """What a model sees of a frame."""
    if clips.crops is None:
        return f"{len(clips.graph.edges)} edges"
    where = "decoded while training" if clips.streamed else "in memory"
    return f"crops of {clips.crops.size} pixels {where}"


def _own_figures(experiment: Experiment, draw: Callable) -> Callable:
    """What `report.write` draws of this network only."""
    return functools.partial(
        draw,
        experiment.program.module,
        experiment.program.features,
        experiment.workdir,
        experiment.clips,
        experiment.folds,
    )


def _largest_group(
    experiment: Experiment, runs: list[Run], compiled: dict, progress: Progress
) -> tuple[list[Run], Experiment]:
    """Returns the largest leading group of runs that fits in memory, with the experiment compiled
    for that group size.

    Args:
      compiled: number of runs -> program and its memory; what is missing is added.
    """
    size, room = len(runs), parallel.device_memory() * MEMORY_SHARE
    while True:
        if size not in compiled:
            compiled[size] = _compile(experiment, runs[:size], progress)
        fits = compiled[size][1] <= room
        if size == 1 and not fits:
            remat = "" if experiment.clips.crops is None else " or set --config.model.remat=True"
            progress.console.print(
                f"that is more than the device may take: lower --config.train.batch_size{remat}"
            )
        if size == 1 or fits:
            ready, memory = compiled[size]
            return runs[:size], dataclasses.replace(experiment, program=ready, memory=memory)
        size = -(-size // 2)


def _compile(experiment: Experiment, runs: list[Run], progress: Progress):
    """Compiles the training call of a group of runs: the program and its memory, bytes."""
    program, clips = experiment.program, experiment.clips
    seeds = [run.seed for run in runs]
    states = jax.eval_shape(functools.partial(fresh_states, program, clips, seeds))
    work = progress.start("compiling the training call")
    ready, memory = compile_ahead(program, states, clips)
    work.finish()
    together = f" of {len(runs)} runs" if len(runs) > 1 else ""
    progress.console.print(f"a training call{together} takes {memory / 2**30:.2f} GiB")
    return ready, memory


def _run_group(experiment: Experiment, runs: list[Run], progress: Progress, started) -> None:
    """Trains runs side by side, from their last checkpoint, and scores them."""
    config, program, clips = experiment.config, experiment.program, experiment.clips
    names = [run.fold.name for run in runs]
    ends = list(dict.fromkeys([names[0], names[-1]]))
    work = progress.start(" to ".join(ends), config.train.epochs)

    def after_epoch(histories):
        epoch = len(histories[0])
        if epoch == 1:
            seconds = time.perf_counter() - started
            progress.console.print(f"first epoch done {seconds:.1f} s after the start")
        work.update(epoch, _figures(histories))

    schedule = loop.Schedule(
        epochs=config.train.epochs,
        eval_every_epochs=config.train.eval_every_epochs,
        checkpoint_every_epochs=config.train.checkpoint_every_epochs,
        select_best=config.train.select_checkpoint == "best"
        and runs[0].fold.validation is not None,
    )
    states = fresh_states(program, clips, [run.seed for run in runs], experiment.start.variables)
    files = experiment.workdir.training("-".join(ends))
    states, histories = loop.fit(program, states, clips, runs, schedule, files, after_epoch)
    work.update(config.train.epochs, "evaluating")
    evaluate_runs(experiment, runs, states)
    work.update(figures=_figures(histories))
    work.finish(keep_bar=True)


def _figures(histories: list[list[dict]]) -> str:
    """Means over the runs of their last epoch."""
    last = [history[-1] for history in histories]
    shown = {"loss": "train_loss", "accuracy": "train_accuracy", "held out": "evaluation_accuracy"}
    texts = []
    for text, name in shown.items():
        values = [row[name] for row in last if name in row]
        texts += [f"{text} {np.mean(values):.3f}"] if values else []
    return " ".join([*texts, f"{last[0]['clips_per_second']:.0f} clips/s"])


def evaluate_runs(experiment: Experiment, runs: list[Run], states) -> None:
    """Scores trained runs and keeps what the report needs; a run then counts as done."""
    clips, variables = experiment.clips, states.variables
    parts = {"evaluate": [run.fold.evaluate for run in runs]}
    if runs[0].fold.validation is not None:
        parts["validation"] = [run.fold.validation for run in runs]
    results, recalibrated = experiment.evaluate(variables, clips, runs, parts)
    columns = [
        {f"{part}_{name}": value for part in parts for name, value in results[part][index].items()}
        | {"train_memory_bytes": experiment.memory}
        for index in range(len(runs))
    ]
    for index, (run, column) in enumerate(zip(runs, columns, strict=True)):
        own, stats = (
            jax.tree.map(np.asarray, unstack(tree, index))
            for tree in (variables, recalibrated["batch_stats"])
        )
        checkpoint.save_weights(experiment.workdir.weights(run.fold.name), own, stats)
        file = experiment.workdir.result(run.fold.name)
        partial = file.with_suffix(f".partial{file.suffix}")
        np.savez_compressed(partial, **column)
        partial.rename(file)  # a run counts as done only when its file is whole
