"""Runs an experiment: trains the folds that fit side by side, evaluates and reports."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable

import jax
import numpy as np
from rich.console import Console

from fer_jax import hosts
from fer_jax.data import folds
from fer_jax.data.clips import Clips
from fer_jax.data.load import NotPreparedError
from fer_jax.experiments import report
from fer_jax.experiments.setup import Experiment, SetupError, fresh_states
from fer_jax.experiments.workdir import Workdir, WorkdirError
from fer_jax.experiments.write_bundle import write_bundle
from fer_jax.installation import NotInstalledError
from fer_jax.machine import FileError, StorageError, printable
from fer_jax.progress import Progress
from fer_jax.tasks import TASKS, doubts
from fer_jax.tasks.base import NonFiniteOutputError
from fer_jax.training import averaging, checkpoint, loop, parallel
from fer_jax.training.evaluate import count_clips, counted
from fer_jax.training.program import Run, compile_ahead, unstack

# What may stop an experiment; each message says what to do.
FAILURES = (
    SetupError, WorkdirError, NotPreparedError, NotInstalledError, loop.NonFiniteLossError,
    NonFiniteOutputError, checkpoint.WeightsError, FileError, StorageError, hosts.HostsError,
)  # fmt: skip
_SEEDS = 10**6  # from one member of an ensemble to the next
MEMORY_SHARE = 0.8  # of a device's memory, for runs side by side


def run_experiment(
    experiment: Experiment, draw: Callable | None, console: Console, started: float
) -> dict:
    """Trains and evaluates the folds of an experiment, writes its report and its bundle.

    Args:
      experiment: of `setup.prepare`; its work directory receives all results.
      draw: draws the figures of this network only: `(module, features, workdir, clips, folds,
        indices) -> ` names, figures and captions. None: there are none.
      console: shows the progress.
      started: `time.perf_counter()` at the start.

    Returns:
      The metrics of the report.

    Raises:
      loop.NonFiniteLossError: while training.
    """
    _describe(experiment, console)
    runs = _make_runs(experiment)
    posterior = experiment.posterior is not None
    done = hosts.from_writer(
        lambda: [is_done(experiment.workdir, run, console, posterior) for run in runs]
    )
    pending = [run for run, is_there in zip(runs, done, strict=True) if not is_there]
    if len(pending) < len(runs):
        console.print(f"done before: {', '.join(r.name for r in runs if r not in pending)}")
    with Progress(console) as progress:
        # only small networks gain from running side by side
        size, compiled = len(pending) if experiment.clips.crops is None else 1, {}
        while pending:
            group, ready = _largest_group(experiment, pending[:size], compiled, progress)
            size = len(group)  # later groups start at a size that fits
            _run_group(ready, group, progress, started)
            pending = pending[len(group) :]
        work = progress.start("report")
        metrics = hosts.from_writer(
            lambda: report.write(
                experiment.workdir,
                experiment.config,
                experiment.clips,
                experiment.folds,
                experiment.parameters,
                experiment.program.module,
                draw and _own_figures(experiment, draw),
                save_bundle=functools.partial(write_bundle, experiment, runs[-1].fold.name),
            )
        )
        work.finish()
    return metrics


def is_done(workdir: Workdir, run: Run, console: Console, posterior: bool = False) -> bool:
    """Tells whether a fold has results and weights; damaged ones are removed, to be made again.

    With `posterior` it must have the file of its posterior as well.
    """
    name = run.name
    if not workdir.result(name).exists():
        return False
    try:
        results = workdir.load_result(name)
        chosen = run.fold.evaluation
        if len(chosen) and len(results["evaluation_stored"]) != len(chosen):
            raise FileError(f"{workdir.result(name)} is of other clips")
        checkpoint.load_weights(workdir.weights(name))
        if posterior:
            checkpoint.load_tree(workdir.posterior(name))
    except (FileError, checkpoint.WeightsError, KeyError, OSError) as error:
        say_line(console, f"{error}: {name} is evaluated again")
        workdir.result(name).unlink()
        return False
    return True


def say_line(console: Console, text: str) -> None:
    """Prints one line as it is, however long."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _describe(experiment: Experiment, console: Console) -> None:
    """Prints the size of data and network, and what of the data cannot be used."""
    config, clips, total = experiment.config, experiment.clips, experiment.parameters
    steps = experiment.program.steps
    steps = "1 step" if steps == 1 else f"{steps} steps"
    console.print(
        f"{config.name}: {len(clips)} {clips.kind}, {len(set(clips.subjects))} subjects, "
        f"{len(clips.classes)} {TASKS[config.task].names}, {_input_size(clips)}, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"{config.model.name}: {total[0]:,} parameters, {total[1]:,} without graph matrices; "
        f"batch {experiment.program.batch_size}, {steps} an epoch"
    )
    if experiment.start.note:
        console.print(experiment.start.note)
    if clips.left_out.classes:
        listed = ", ".join(f"{name} {count}" for name, count in clips.left_out.classes.items())
        say_line(console, f"left out of {config.data.dataset}, of classes not trained on: {listed}")
    for line in report.left_out(config, clips):
        say_line(console, line)
    if config.data.framing:
        for line in report.framing(config, clips):
            say_line(console, line)
    if config.task == "action_units" and config.data.frame_rule != "windows":
        say_line(
            console,
            "a clip is labelled by its last frame alone: --config.data.frame_rule=windows (with "
            "--config.data.features=position) uses every labelled frame",
        )
    for fold in experiment.folds:
        shown = TASKS[config.task].labelled(clips.labels[fold.train], len(clips.classes))
        if not shown.all():
            never = ", ".join(clips.classes[index] for index in np.flatnonzero(~shown))
            say_line(console, f"{fold.name}: no training clip shows {never}")


def _input_size(clips: Clips) -> str:
    """Size of the model's input per frame, in words."""
    size = f" ({clips.input_bytes / 2**30:.2f} GiB)"
    if clips.crops is None:
        where = "read while training" if clips.read_from_disk else "in memory"
        return f"{len(clips.graph.edges)} edges {where}{size}"
    where = "decoded while training" if clips.streamed else "in memory"
    return f"crops of {clips.crops.size} pixels {where}{size}"


def _make_runs(experiment: Experiment) -> list[Run]:
    """One run per fold and member; a cross-validation has one more fold, of all clips, for the
    bundle.
    """
    config, clips = experiment.config, experiment.clips
    trained = list(experiment.folds)
    if len(trained) > 1:
        everything = np.arange(len(clips))
        fold = folds.Fold("all", everything, everything[:0])
        trained.append(folds.thinned(fold, clips.ranks, config.data.window_strides))
    return [
        Run(fold, config.seed * 1000 + index + member * _SEEDS, member)
        for index, fold in enumerate(trained)
        for member in range(config.uncertainty.members)
    ]


def _largest_group(
    experiment: Experiment, runs: list[Run], compiled: dict, progress: Progress
) -> tuple[list[Run], Experiment]:
    """Returns the largest leading group of runs that fits in memory, with the experiment compiled
    for that group size.

    Args:
      compiled: number of runs -> program and its memory; missing entries are added.
    """
    size, room = len(runs), parallel.device_memory() * MEMORY_SHARE
    while True:
        if size not in compiled:
            compiled[size] = _compile(experiment, runs[:size], progress)
        ready, memory = compiled[size]
        if size == 1 and memory > room:
            remat = "" if experiment.clips.crops is None else " or set --config.model.remat=True"
            progress.console.print(
                f"that is more than the device may take: lower --config.train.batch_size{remat}"
            )
        if size == 1 or memory <= room:
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
    progress.console.print(f"training {_side_by_side(runs)}takes {memory / 2**30:.2f} GiB")
    return ready, memory


def _side_by_side(runs: list[Run]) -> str:
    """Says how many runs are trained side by side, and what they are; "" for a single run."""
    if len(runs) == 1:
        return ""
    names = list(dict.fromkeys(run.fold.name for run in runs))
    final = names[-1] == "all"  # see _make_runs
    count = len(names) - final
    kinds = [f"{count} fold{'s' * (count > 1)}"] if count else []
    kinds += ["the final model on all clips"] if final else []
    members = ", all members of their ensembles" * (len(names) < len(runs))
    return f"{len(runs)} runs side by side ({' and '.join(kinds)}{members}) "


def _run_group(experiment: Experiment, runs: list[Run], progress: Progress, started) -> None:
    """Trains runs side by side, resuming from their last checkpoint, and evaluates them."""
    config, program, clips = experiment.config, experiment.program, experiment.clips
    names = [run.name for run in runs]
    ends = list(dict.fromkeys([names[0], names[-1]]))
    work = progress.start(" to ".join(ends), config.train.epochs)

    def after_epoch(histories):
        epoch = len(histories[0])
        if not work.done:
            seconds = time.perf_counter() - started
            which = "first epoch" if epoch == 1 else f"resumed: epoch {epoch}"
            progress.console.print(f"{which} done {seconds:.1f} s after the start")
        work.update(epoch, _figures(histories))

    schedule = loop.Schedule(
        epochs=config.train.epochs,
        eval_every_epochs=config.train.eval_every_epochs,
        checkpoint_every_epochs=config.train.checkpoint_every_epochs,
        select_best=config.train.select_checkpoint == "best"
        and runs[0].fold.validation is not None,
        average_after=averaging.average_after(config),
    )
    states = fresh_states(program, clips, [run.seed for run in runs], experiment.start.variables)
    files = experiment.workdir.training("-".join(ends))
    say = functools.partial(say_line, progress.console)
    states, histories = loop.fit(program, states, clips, runs, schedule, files, after_epoch, say)
    work.update(config.train.epochs, "evaluating")
    evaluate_runs(experiment, runs, states, lambda shown: work.update(figures=shown))
    work.update(figures=_figures(histories))
    work.finish(keep_bar=True)


def _figures(histories: loop.Histories) -> str:
    """Mean figures of the last epoch over the runs, in words."""
    last = [history[-1] for history in histories]
    shown = {"loss": "train_loss", "accuracy": "train_accuracy", "eval": "evaluation_accuracy"}
    texts = []
    for text, name in shown.items():
        values = [row[name] for row in last if name in row]
        texts += [f"{text} {np.mean(values):.3f}"] if values else []
    return " ".join([*texts, f"{last[0]['clips_per_second']:.0f} clips/s"])


def evaluate_runs(
    experiment: Experiment, runs: list[Run], states, show: Callable[[str], None] | None = None
) -> None:
    """Evaluates trained runs and saves the results for the report; a run then counts as done.

    `show`, if any, is called with the progress, in words.
    """
    clips, variables = experiment.clips, states.variables
    parts = {"evaluation": [run.fold.evaluation for run in runs]}
    if runs[0].fold.validation is not None:
        parts["validation"] = [run.fold.validation for run in runs]
    advance = counted(show, count_clips(parts))
    results, recalibrated = experiment.evaluate(variables, clips, runs, parts, advance)
    posteriors = [None for _ in runs]
    if experiment.posterior is not None:
        posteriors = experiment.posterior(states, recalibrated, clips, runs, parts, show)
    for index, run in enumerate(runs):
        arrays = {
            f"{part}_{name}": value
            for part in parts
            for name, value in results[part][index].items()
        }
        arrays["train_memory_bytes"] = np.array(experiment.memory)
        found = posteriors[index]
        if found is not None:
            samples = found.samples.items()
            arrays |= {f"{part}_posterior_samples": values for part, values in samples}
            arrays |= {f"{part}_average": values for part, values in found.average.items()}
            arrays |= found.numbers
        if experiment.familiarity is not None and run.member == 0:
            own = found and found.recalibrated
            evaluated = {part: chosen[index] for part, chosen in parts.items()}
            arrays |= _familiarity(experiment, own or unstack(recalibrated, index), run, evaluated)
        if hosts.is_writer():
            trained = unstack((variables, recalibrated["batch_stats"]), index)
            _save(experiment.workdir, run, trained, found, arrays)


def _save(workdir: Workdir, run: Run, trained, found, arrays: dict[str, np.ndarray]) -> None:
    """Saves weights, posterior and results of a run; the results come last, as then it is done."""
    checkpoint.save_weights(workdir.weights(run.name), *jax.tree.map(np.asarray, trained))
    if found is not None:
        checkpoint.save_tree(workdir.posterior(run.name), found.kept)
    workdir.save_result(run.name, arrays)


def _familiarity(experiment: Experiment, variables: dict, run: Run, parts: dict) -> dict:
    """What a result keeps of familiarity: each fit, and its scores `[N]` of each part."""
    try:
        found = experiment.familiarity(variables, experiment.clips, run, parts)
    except ValueError as error:
        why = f"{run.name}: {error}: leave it False, with another --workdir"
        raise SetupError(f"--config.uncertainty.familiarity=True: {why}") from error
    return doubts.kept(found)


def _own_figures(experiment: Experiment, draw: Callable) -> Callable:
    """The figures of this network only, for `report.write`."""
    return functools.partial(
        draw,
        experiment.program.module,
        experiment.program.features,
        experiment.workdir,
        experiment.clips,
        experiment.folds,
    )
