"""From a config to a finished run: data, model, task, protocol, training, report."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import pathlib
import time

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

from fer_jax import assess as assessment
from fer_jax import augment, checkpoint, data, landmarks, protocols, report, train
from fer_jax.models import MODELS
from fer_jax.tasks import TASKS

_RANGES = (
    ("model.dropout", 0.0, 0.95),
    ("optimizer.learning_rate", 0.0, math.inf),
    ("optimizer.momentum", 0.0, 1.0),
    ("optimizer.weight_decay", 0.0, math.inf),
    ("optimizer.warmup_epochs", 0.0, math.inf),
    ("augment.noise", 0.0, math.inf),
    ("augment.degrees", 0.0, 180.0),
    ("evaluation.target_accuracy", 0.0, 1.0),
)
_COUNTS = (
    "data.frames", "model.subsets", "model.kernel_size", "train.batch_size", "train.copies",
    "train.epochs", "train.checkpoint_epochs", "evaluation.passes",
)  # fmt: skip


class SetupError(ValueError):
    """The config does not fit itself or the data; the message names the field."""


class WorkdirError(RuntimeError):
    """The work directory belongs to another experiment."""


@dataclasses.dataclass
class Experiment:
    """All that the folds of a run share."""

    config: ConfigDict
    workdir: pathlib.Path
    clips: data.Clips
    folds: list[protocols.Fold]
    program: train.Program
    model: dict
    parameters: tuple[int, int]
    assess: object


def prepare(config: ConfigDict, workdir) -> Experiment:
    """Checks a config against the data and builds everything, compiling nothing yet.

    The work directory is claimed last: a config that fails here leaves nothing behind.

    Raises:
      data.NotPreparedError: the data set is not there.
      WorkdirError: `workdir` holds a run of another config.
      ValueError: a field has a value that does not exist.
    """
    if config.model.name not in MODELS:
        raise ValueError(f"model {config.model.name!r} is unknown: use one of {sorted(MODELS)}")
    if config.task not in TASKS:
        raise ValueError(f"task {config.task!r} is unknown: use one of {sorted(TASKS)}")
    _check_values(config)
    clips = data.load_clips(
        config.data.path, config.data.frames, config.data.frame_rule, config.data.dataset
    )
    if len(clips.classes) < 2:
        raise ValueError(f"{config.data.path} has one class ({clips.classes[0]}): nothing to learn")
    if config.data.graph != clips.graph.mode:
        graph = landmarks.make_graph(clips.graph.reference_shape, config.data.graph)
        clips = dataclasses.replace(clips, graph=graph)
    folds = protocols.make_folds(config.protocol, clips.subjects, clips.splits)
    fields = config.model.to_dict()
    fields["widths"] = list(fields["widths"])
    model = {**fields, "classes": len(clips.classes)}
    module = MODELS[config.model.name](**{k: v for k, v in model.items() if k != "name"})
    edges = clips.graph.edges

    def features(batch):
        return data.edge_inputs(batch["landmarks"], edges, config.data.features)

    features(data.take(clips, np.arange(1)))  # an unknown kind fails here, not while training
    smallest = min(len(fold.train) for fold in folds)
    program = train.make_program(
        module,
        TASKS[config.task],
        config,
        features,
        smallest,
        _augmentation(config.augment),
        clips.landmarks[0].nbytes,
    )
    shapes = jax.eval_shape(lambda: _fresh_state(program, clips, 0))
    return Experiment(
        config=config,
        workdir=_claim(pathlib.Path(workdir), config, clips),
        clips=clips,
        folds=folds,
        program=program,
        model=model,
        parameters=train.count_parameters(shapes.params),
        assess=assessment.make_assess(program, config.evaluation.passes),
    )


def _check_values(config: ConfigDict) -> None:
    """Refuses numbers that have the right type but no meaning."""
    for field in _COUNTS:
        section, name = field.split(".")
        if config[section][name] < 1:
            raise ValueError(f"--config.{field}={config[section][name]}: it must be 1 or more")
    for field, low, high in _RANGES:
        section, name = field.split(".")
        if not low <= config[section][name] <= high:
            raise ValueError(
                f"--config.{field}={config[section][name]}: it must lie in {low} to {high}"
            )
    widths = config.model.widths
    if not widths or not all(isinstance(width, int) and width > 0 for width in widths):
        raise ValueError(
            f"--config.model.widths={tuple(widths)}: give the positive width of every layer, "
            f"e.g. --config.model.widths='(8, 16, 16)'"
        )


def _augmentation(config: ConfigDict):
    if not config.enabled:
        return None
    return functools.partial(augment.augment_clip, noise=config.noise, degrees=config.degrees)


def _fingerprint(clips: data.Clips) -> str:
    """Hash of everything that a run learns from."""
    names = [clips.clip_ids, clips.subjects, clips.splits, clips.classes]
    digest = hashlib.sha256(json.dumps(names).encode())
    for array in (clips.labels, clips.landmarks, clips.graph.edges):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _claim(workdir: pathlib.Path, config: ConfigDict, clips: data.Clips) -> pathlib.Path:
    """Writes config.json, or checks that the run found there is the same experiment."""
    claim = {**config.to_dict(), "data_fingerprint": _fingerprint(clips)}
    content = json.dumps(claim, indent=1, default=list) + "\n"
    file = workdir / "config.json"
    if not file.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(content)
        partial.replace(file)
        return workdir
    old = json.loads(file.read_text())
    if old != json.loads(content):
        changed = ", ".join(_changes(old, json.loads(content)))
        raise WorkdirError(
            f"{workdir} holds a run with another config ({changed}): "
            f"name another --workdir, or delete it"
        )
    return workdir


def _changes(old: dict, new: dict, prefix: str = "") -> list[str]:
    rows = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            rows += _changes(before, after, f"{prefix}{name}.")
        elif before != after:
            rows.append(f"{prefix}{name}: {before} there, {after} here")
    return rows


def _fresh_state(program: train.Program, clips: data.Clips, seed: int) -> train.TrainState:
    inputs = np.zeros((1, clips.landmarks.shape[1], len(clips.graph.edges), 2), np.float32)
    return train.create_train_state(program.module, program.optimizer, inputs, jax.random.key(seed))


def run(config: ConfigDict, workdir, console: Console | None = None) -> dict:
    """Runs an experiment to its end, or resumes it.

    Args:
      config: see configs/base.py.
      workdir: receives config.json, metrics.jsonl, checkpoints/, folds/, model/, predictions.csv,
        figures/ and report.md. A run found there is continued.
      console: where progress is shown.

    Returns:
      The metrics of the report.

    Raises:
      SetupError, data.NotPreparedError, WorkdirError: before any work.
      train.NonFiniteLossError: while training.
    """
    console = console or Console()
    started = time.perf_counter()
    try:
        experiment = prepare(config, workdir)
    except ValueError as error:
        raise SetupError(str(error)) from error
    clips, total = experiment.clips, experiment.parameters
    console.print(
        f"{config.name}: {len(clips)} clips, {len(set(clips.subjects))} subjects, "
        f"{len(clips.classes)} classes, {len(clips.graph.edges)} edges, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"{config.model.name}: {total[0]:,} parameters, {total[1]:,} without graph matrices; "
        f"batch {experiment.program.batch_size}, {experiment.program.steps} steps an epoch"
    )
    folds = list(experiment.folds)
    if len(folds) > 1:  # the bundle of a cross-validation learns from every clip
        everything = np.arange(len(clips))
        folds.append(protocols.Fold("all", everything, everything[:0]))
    timing = {"start": started}
    with _progress(console) as progress:
        for fold in folds:
            _run_fold(experiment, fold, progress, timing)
    metrics = report.write(
        experiment.workdir, config, clips, experiment.folds, experiment.parameters
    )
    _write_bundle(experiment, folds[-1].name, metrics)
    return metrics


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _run_fold(experiment: Experiment, fold: protocols.Fold, progress: Progress, timing) -> None:
    """Trains and assesses a fold, unless its result is already there."""
    config, clips, program = experiment.config, experiment.clips, experiment.program
    result_file = experiment.workdir / "folds" / f"{fold.name}.npz"
    bar = progress.add_task(fold.name, total=config.train.epochs, figures="")
    if result_file.exists():
        progress.update(bar, completed=config.train.epochs, figures="done before")
        return
    number = (
        [known.name for known in experiment.folds].index(fold.name)
        if len(fold.evaluate)
        else len(experiment.folds)
    )
    seed = config.seed * 1000 + number
    checkpoints = checkpoint.Checkpoints(experiment.workdir / "checkpoints" / fold.name)
    state, history = checkpoints.restore(_fresh_state(program, clips, seed))
    log = report.EpochLog(experiment.workdir, fold.name, history)

    def after_epoch(state, history):
        epoch = len(history)
        if epoch == 1 and "first_step" not in timing:
            timing["first_step"] = time.perf_counter() - timing["start"]
            progress.console.print(f"first epoch done {timing['first_step']:.1f} s after the start")
        if epoch % config.train.checkpoint_epochs == 0 or epoch == config.train.epochs:
            checkpoints.save(epoch, state, history)
        log.write(history[-1])
        progress.update(bar, completed=epoch, figures=_figures(history[-1]))

    try:
        state = train.fit(
            program,
            TASKS[config.task],
            state,
            clips,
            fold.train,
            fold.evaluate,
            epochs=config.train.epochs,
            seed=seed,
            history=history,
            after_epoch=after_epoch,
        )
    finally:
        log.close()
        checkpoints.close()
    progress.update(bar, completed=config.train.epochs, figures="assessing")
    _assess_fold(experiment, fold, state, seed, result_file)
    progress.update(bar, figures=_figures(history[-1]))


def _figures(row: dict) -> str:
    text = f"loss {row['train_loss']:.3f} accuracy {row['train_accuracy']:.3f}"
    if "evaluation_accuracy" in row:
        text += f" held out {row['evaluation_accuracy']:.3f}"
    return f"{text} {row['clips_per_second']:.0f} clips/s"


def _assess_fold(experiment, fold, state, seed, result_file) -> None:
    variables = jax.tree.map(np.asarray, state.variables)
    clips = experiment.clips
    results, stats = experiment.assess(variables, clips, fold.train, fold.evaluate, seed)
    results = {f"evaluate_{name}": value for name, value in results.items()}
    if fold.validation is not None:
        more, _ = experiment.assess(variables, clips, fold.train, fold.validation, seed)
        results |= {f"validation_{name}": value for name, value in more.items()}
    checkpoint.save_weights(result_file.with_suffix(".msgpack"), variables, stats)
    partial = result_file.with_suffix(".partial.npz")
    np.savez_compressed(partial, **results)
    partial.rename(result_file)  # a fold counts as done only when its file is whole


def _write_bundle(experiment: Experiment, fold: str, metrics: dict) -> None:
    config, clips = experiment.config, experiment.clips
    variables, stats = checkpoint.load_weights(experiment.workdir / "folds" / f"{fold}.msgpack")
    seconds = clips.seconds[np.isfinite(clips.seconds)]
    checkpoint.save_bundle(
        experiment.workdir / "model",
        name=config.name,
        model=experiment.model,
        variables=variables,
        recalibrated_stats=stats,
        classes=clips.classes,
        frames=config.data.frames,
        frame_rule=config.data.frame_rule,
        features=config.data.features,
        graph=clips.graph,
        window_seconds=float(np.median(seconds)) if len(seconds) else 2.0,
        threshold=metrics["selective"]["threshold"],
        metrics=metrics,
        dataset={
            "name": config.data.dataset,
            "clips": len(clips),
            "scaled": clips.scaled,
            "preprocess_version": clips.preprocess_version,
        },
        config=json.loads(json.dumps(config.to_dict(), default=list)),
    )
