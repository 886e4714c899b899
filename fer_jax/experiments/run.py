"""Runs an experiment: trains its folds, as many side by side as fit, assesses and reports them."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Callable

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from fer_jax.data import crops, folds, frame_selection
from fer_jax.data.clips import Clips
from fer_jax.data.load import NotPreparedError
from fer_jax.experiments import report
from fer_jax.experiments.setup import Experiment, SetupError, fresh_states
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.tasks import TASKS
from fer_jax.training import checkpoint, loop, parallel, resume
from fer_jax.training.program import compile_ahead, unstack

# What keeps an experiment from being run; each message says what to do.
FAILURES = (SetupError, WorkdirError, NotPreparedError, loop.NonFiniteLossError)
STILL_SECONDS = 0.2  # of a video for which one of its frames stands
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


def run(experiment: Experiment, draw: Callable | None, console: Console, started: float) -> dict:
    """Trains and scores the folds of an experiment, and writes its report and its bundle.

    Args:
      experiment: of `setup.prepare`. Its work directory receives config.json, metrics.jsonl,
        checkpoints/, folds/, model/, predictions.csv, figures/ and report.md.
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
    if experiment.start_note:
        console.print(experiment.start_note)
    if clips.unseen:
        listed = ", ".join(f"{name} {count}" for name, count in clips.unseen.items())
        console.print(f"left out of {config.data.dataset}, of classes not learnt: {listed}")
    for line in report.left_out(config, clips):
        console.print(line)
    runs = [loop.Run(fold, config.seed * 1000 + n) for n, fold in enumerate(experiment.folds)]
    if len(runs) > 1:  # the bundle of a cross-validation learns from every clip
        everything = np.arange(len(clips))
        fold = folds.Fold("all", everything, everything[:0])
        fold = folds.thinned(fold, clips.ranks, config.data.window_strides)
        runs.append(loop.Run(fold, config.seed * 1000 + len(runs)))
    for fold in experiment.folds:
        shown = TASKS[config.task].labelled(clips.labels[fold.train], len(clips.classes))
        for number in np.flatnonzero(~shown):
            console.print(f"{fold.name}: no training clip shows {clips.classes[number]}")
    pending = [run for run in runs if not _result_file(experiment, run).exists()]
    if len(pending) < len(runs):
        console.print(f"done before: {', '.join(r.fold.name for r in runs if r not in pending)}")
    with make_progress(console) as progress:
        # side by side pays for small networks only
        size, compiled = len(pending) if clips.frames is None else 1, {}
        while pending:
            group, ready = _together(experiment, pending[:size], compiled, console)
            size = len(group)  # what did not fit once is not compiled again
            _run_group(ready, group, progress, started)
            pending = pending[len(group) :]
    metrics = report.write(
        experiment.workdir,
        config,
        clips,
        experiment.folds,
        experiment.parameters,
        draw and _own_figures(experiment, draw),
    )
    write_bundle(experiment, runs[-1].fold.name, metrics)
    return metrics


def _seen(clips: Clips) -> str:
    """What a model sees of a frame."""
    if clips.frames is None:
        return f"{len(clips.graph.edges)} edges"
    streamed = isinstance(clips.frames, crops.Recorded)
    where = "decoded while training" if streamed else "in memory"
    return f"crops of {clips.frames.shape[2]} pixels {where}"


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


def make_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _result_file(experiment: Experiment, run: loop.Run) -> pathlib.Path:
    return experiment.workdir / "folds" / f"{run.fold.name}.npz"


def _together(experiment: Experiment, runs: list[loop.Run], compiled: dict, console: Console):
    """Returns the first of the runs, as many as fit the memory, and the experiment to run them.

    Args:
      compiled: number of runs -> program and its memory; what is missing is added.
    """
    program, clips = experiment.program, experiment.clips
    size, room = len(runs), parallel.device_memory() * MEMORY_SHARE
    while True:
        if size not in compiled:
            seeds = [run.seed for run in runs[:size]]
            states = jax.eval_shape(functools.partial(fresh_states, program, clips, seeds))
            console.print("compiling the training call ...")
            compiled[size] = compile_ahead(program, states, clips)
            together = f" of {size} runs" if size > 1 else ""
            console.print(f"a training call{together} takes {compiled[size][1] / 2**30:.2f} GiB")
        fits = compiled[size][1] <= room
        if size == 1 and not fits:
            console.print(
                "that is more than the device may take: lower --config.train.batch_size"
                + (" or set --config.model.remat=True" if clips.frames is not None else "")
            )
        if size == 1 or fits:
            ready, memory = compiled[size]
            return runs[:size], dataclasses.replace(experiment, program=ready, memory=memory)
        size = -(-size // 2)


def _run_group(experiment: Experiment, runs: list[loop.Run], progress: Progress, started) -> None:
    """Trains runs side by side, from their last checkpoint, and assesses them."""
    config, clips, program = experiment.config, experiment.clips, experiment.program
    names = [run.fold.name for run in runs]
    ends = list(dict.fromkeys([names[0], names[-1]]))
    title, group = " to ".join(ends), "-".join(ends)
    bar = progress.add_task(title, total=config.train.epochs, figures="")
    seeds = [run.seed for run in runs]

    def after_epoch(histories):
        epoch = len(histories[0])
        if epoch == 1:
            seconds = time.perf_counter() - started
            progress.console.print(f"first epoch done {seconds:.1f} s after the start")
        progress.update(bar, completed=epoch, figures=_figures(histories))

    states, histories = resume.fit(
        program,
        TASKS[config.task],
        fresh_states(program, clips, seeds, experiment.start),
        clips,
        runs,
        epochs=config.train.epochs,
        checkpoint_epochs=config.train.checkpoint_epochs,
        evaluation_epochs=config.train.evaluation_epochs,
        keep_best=config.train.keep == "best" and runs[0].fold.validation is not None,
        checkpoints=experiment.workdir / "checkpoints" / group,
        logs=experiment.workdir,
        after_epoch=after_epoch,
    )
    progress.update(bar, completed=config.train.epochs, figures="assessing")
    assess_runs(experiment, runs, states)
    progress.update(bar, figures=_figures(histories))


def _figures(histories: list[list[dict]]) -> str:
    """Means over the runs of their last epoch."""
    last = [history[-1] for history in histories]
    shown = {"loss": "train_loss", "accuracy": "train_accuracy", "held out": "evaluation_accuracy"}
    texts = []
    for text, name in shown.items():
        values = [row[name] for row in last if name in row]
        texts += [f"{text} {np.mean(values):.3f}"] if values else []
    return " ".join([*texts, f"{last[0]['clips_per_second']:.0f} clips/s"])


def assess_runs(experiment: Experiment, runs: list[loop.Run], states) -> None:
    """Scores trained runs and keeps what the report needs; a run then counts as done."""
    clips, variables = experiment.clips, states.variables
    parts = {"evaluate": [run.fold.evaluate for run in runs]}
    if runs[0].fold.validation is not None:
        parts["validation"] = [run.fold.validation for run in runs]
    results, recalibrated = experiment.assess(variables, clips, runs, parts)
    columns = [
        {f"{part}_{name}": value for part in parts for name, value in results[part][number].items()}
        | {"train_memory_bytes": experiment.memory}
        for number in range(len(runs))
    ]
    for number, (run, column) in enumerate(zip(runs, columns, strict=True)):
        file = _result_file(experiment, run)
        own, stats = (
            jax.tree.map(np.asarray, unstack(tree, number))
            for tree in (variables, recalibrated["batch_stats"])
        )
        checkpoint.save_weights(file.with_suffix(".msgpack"), own, stats)
        partial = file.with_suffix(".partial.npz")
        np.savez_compressed(partial, **column)
        partial.rename(file)  # a run counts as done only when its file is whole


def write_bundle(experiment: Experiment, fold: str, metrics: dict) -> None:
    config, clips = experiment.config, experiment.clips
    variables, stats = checkpoint.load_weights(experiment.workdir / "folds" / f"{fold}.msgpack")
    prepared = 0 if clips.frames is None else clips.frames.shape[2]
    checkpoint.save_bundle(
        experiment.workdir / "model",
        name=config.name,
        task=config.task,
        model=experiment.model,
        variables=variables,
        recalibrated_stats=stats,
        classes=clips.classes,
        frames=config.data.frames,
        frame_rule=_learnt_rule(config),
        frames_per_second=config.data.frames_per_second,
        features=config.data.features,
        crop_size=min(config.data.crop_size or prepared, prepared),
        prepared_size=prepared,
        framing=clips.framing,
        graph=clips.graph,
        window_seconds=_window_seconds(config, clips),
        threshold=metrics["selective"]["threshold"],
        metrics=metrics,
        dataset={
            "name": " + ".join(name for name, _, _ in config.data.train_on) or config.data.dataset,
            "clips": int(_learnt(config, clips).sum()),
            "scaled": clips.scaled,
            "preprocess_version": clips.preprocess_version,
        },
        config=json.loads(json.dumps(config.to_dict(), default=list)),
    )


def _learnt_rule(config: ConfigDict) -> str:
    """The frame rule that video is shown by: of several data sets one whose frames follow."""
    rules = [rule for _, _, rule in config.data.train_on] or [config.data.frame_rule]
    return next((rule for rule in rules if rule in frame_selection.CUT), rules[0])


def _learnt(config: ConfigDict, clips: Clips) -> np.ndarray:
    """Clips of the data sets that a bundle learns from, `[N]` bool."""
    if not config.data.train_on:
        return np.ones(len(clips), bool)
    return np.asarray(clips.splits) == "train"


def _window_seconds(config: ConfigDict, clips: Clips) -> float:
    """Length of the clips learnt from, as far as their source says how fast frames follow."""
    rule, learnt = _learnt_rule(config), clips.seconds[_learnt(config, clips)]
    seconds = learnt[np.isfinite(learnt)]
    if len(seconds):
        return float(np.median(seconds))
    if config.data.frames == 1 and rule not in frame_selection.CUT:
        return STILL_SECONDS  # learnt from still images
    return config.data.frames / UNKNOWN_FPS if rule in frame_selection.CUT else 2.0
