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
import jax.numpy as jnp
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
from fer_jax import (
    augment,
    checkpoint,
    data,
    frame_maps,
    landmarks,
    parallel,
    pretrained,
    programs,
    protocols,
    report,
    train,
)
from fer_jax.models import MODELS, build
from fer_jax.tasks import TASKS

MEMORY_SHARE = 0.8  # of a device's memory that runs side by side may take
_RANGES = (
    ("model.dropout", 0.0, 0.95),
    ("optimizer.learning_rate", 0.0, math.inf),
    ("optimizer.momentum", 0.0, 1.0),
    ("optimizer.weight_decay", 0.0, math.inf),
    ("optimizer.warmup_epochs", 0.0, math.inf),
    ("augment.noise", 0.0, math.inf),
    ("augment.degrees", 0.0, 180.0),
    ("evaluation.target_accuracy", 0.0, 1.0),
    ("search.width_threshold", 1e-12, 1.0),
    ("search.depth_threshold", 1e-12, 1.0),
)
_COUNTS = (
    "data.frames", "model.subsets", "model.kernel_size", "train.batch_size", "train.copies",
    "train.epochs", "train.checkpoint_epochs", "evaluation.passes", "protocol.repeats",
    "search.epochs", "search.block_size", "search.max_layers", "search.max_blocks",
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
    program: programs.Program
    model: dict
    parameters: tuple[int, int]
    assess: object
    backbone: dict | None = None  # pretrained weights


def prepare(config: ConfigDict, workdir) -> Experiment:
    """Checks a config against the data and builds everything, compiling nothing yet.

    The work directory is claimed last: a config that fails here leaves nothing behind.

    Raises:
      data.NotPreparedError: the data set is not there.
      WorkdirError: `workdir` holds a run of another config.
      ValueError: a field has a value that does not exist.
    """
    if config.task not in TASKS:
        raise ValueError(f"task {config.task!r} is unknown: use one of {sorted(TASKS)}")
    _check_values(config)
    crop_bytes = None
    if takes_crops(config.model.name):
        crop_bytes = int(config.data.crops_in_memory_gb * 2**30)
    clips = data.load_clips(
        config.data.path,
        config.data.frames,
        config.data.frame_rule,
        config.data.dataset,
        crop_bytes,
    )
    if len(clips.classes) < 2:
        raise ValueError(f"{config.data.path} has one class ({clips.classes[0]}): nothing to learn")
    if config.data.graph != clips.graph.mode:
        graph = landmarks.make_graph(clips.graph.reference_shape, config.data.graph)
        clips = dataclasses.replace(clips, graph=graph)
    folds = protocols.make_folds(config.protocol, clips.subjects, clips.splits)
    model = config.model.to_dict()
    module = build(model, len(clips.classes), clips.graph, config.data.frames)
    if clips.frames is not None and config.data.crop_size > clips.frames.shape[2]:
        raise ValueError(
            f"--config.data.crop_size={config.data.crop_size} is more than the "
            f"{clips.frames.shape[2]} pixels with which {config.data.path} was prepared"
        )

    def features(batch):
        edges, size = clips.graph.edges, config.data.crop_size
        return data.batch_inputs(batch, module, edges, config.data.features, size)

    features(data.take(clips, np.arange(1)))  # an unknown kind fails here, not while training
    program = programs.make_program(
        module,
        TASKS[config.task],
        config,
        features,
        folds,
        make_augmentation(config),
        clips.clip_bytes,
    )
    shapes = jax.eval_shape(functools.partial(fresh_states, program, clips, [0]))
    backbone = _load_backbone(config, shapes)
    return Experiment(
        config=config,
        workdir=_claim(pathlib.Path(workdir), config, clips),
        clips=clips,
        folds=folds,
        program=program,
        model=model,
        parameters=programs.count_parameters(shapes.params),
        assess=assessment.make_assess(program, config.evaluation.passes),
        backbone=backbone,
    )


def _load_backbone(config: ConfigDict, shapes) -> dict | None:
    """Reads `config.pretrained`, None where it is empty."""
    if not config.pretrained:
        return None
    if "backbone" not in shapes.params:
        raise ValueError(
            f"--config.pretrained={config.pretrained}: {config.model.name} has no backbone"
        )
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), shapes)
    return pretrained.load_backbone(
        config.pretrained, {name: tree["backbone"] for name, tree in one.variables.items()}
    )


def _check_values(config: ConfigDict) -> None:
    """Refuses numbers that have the right type but no meaning."""
    for field in _COUNTS:
        section, name = field.split(".")
        if config[section].get(name, 1) < 1:
            raise ValueError(f"--config.{field}={config[section][name]}: it must be 1 or more")
    for field, low, high in _RANGES:
        section, name = field.split(".")
        if not low <= config[section].get(name, low) <= high:
            raise ValueError(
                f"--config.{field}={config[section][name]}: it must lie in {low} to {high}"
            )
    widths = config.model.get("widths", (1,))
    if not widths or not all(isinstance(width, int) and width > 0 for width in widths):
        raise ValueError(
            f"--config.model.widths={tuple(widths)}: give the positive width of every layer, "
            f"e.g. --config.model.widths='(8, 16, 16)'"
        )
    if config.data.features == "motion" and config.data.frames < 2:
        raise ValueError("--config.data.features=motion needs --config.data.frames=2 or more")
    if config.search.enabled and config.model.name != "st_bln":
        raise ValueError(
            f"--config.search.enabled=True grows st_bln, not {config.model.name}: leave it off"
        )


def takes_crops(model: str) -> bool:
    """Tells whether a model of `MODELS` looks at face crops."""
    return model in MODELS and MODELS[model].inputs == "frames"


def make_augmentation(config: ConfigDict):
    """Returns `(key, clip) -> clip` as `config.augment` says, None where it is off."""
    options = config.augment.to_dict()
    if not options.pop("enabled"):
        return None
    if takes_crops(config.model.name):

        def change_crops(key, clip):
            frames, landmarks = augment.augment_crops(
                key, clip["frames"], clip["crop_landmarks"], size=config.data.crop_size, **options
            )
            return {**clip, "frames": frames, "crop_landmarks": landmarks}

        return change_crops

    def change_landmarks(key, clip):
        return {**clip, "landmarks": augment.augment_clip(key, clip["landmarks"], **options)}

    return change_landmarks


def _fingerprint(clips: data.Clips) -> str:
    """Hash of everything that a run learns from."""
    names = [clips.clip_ids, clips.subjects, clips.splits, clips.classes]
    digest = hashlib.sha256(json.dumps(names).encode())
    arrays = [clips.labels, clips.landmarks, clips.graph.edges]
    if clips.frames is not None:
        arrays += [clips.crop_landmarks, np.array(clips.frames.shape)]
    for array in arrays:
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


def fresh_states(program: programs.Program, clips: data.Clips, seeds, backbone: dict | None = None):
    """States in which R runs begin, leading axis R; `backbone` replaces what was drawn."""
    inputs = jax.eval_shape(program.features, data.take(clips, np.arange(1)))
    states = programs.create_train_states(program.module, program.optimizer, inputs, seeds)
    if backbone is None:
        return states
    runs = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(seeds)), backbone)
    return states.replace(
        params={**states.params, "backbone": runs["params"]},
        batch_stats={**states.batch_stats, "backbone": runs["batch_stats"]},
    )


def keep_compiled(folder: str | None) -> None:
    """Keeps compiled programs between runs.

    Args:
      folder: where; None for the place in the user's cache, "" for nowhere.
    """
    default = pathlib.Path.home() / ".cache/fer_jax/xla"
    jax.config.update(
        "jax_compilation_cache_dir", str(default) if folder is None else folder or None
    )


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
    if config.search.enabled:
        from fer_jax import search  # it is built on this file

        return search.run(experiment, console)
    clips, total = experiment.clips, experiment.parameters
    console.print(
        f"{config.name}: {len(clips)} clips, {len(set(clips.subjects))} subjects, "
        f"{len(clips.classes)} classes, {len(clips.graph.edges)} edges, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"{config.model.name}: {total[0]:,} parameters, {total[1]:,} without graph matrices; "
        f"batch {experiment.program.batch_size}, {experiment.program.steps} steps an epoch"
    )
    runs = [train.Run(fold, config.seed * 1000 + n) for n, fold in enumerate(experiment.folds)]
    if len(runs) > 1:  # the bundle of a cross-validation learns from every clip
        everything = np.arange(len(clips))
        fold = protocols.Fold("all", everything, everything[:0])
        runs.append(train.Run(fold, config.seed * 1000 + len(runs)))
    for fold in experiment.folds:
        known = np.isin(np.arange(len(clips.classes)), clips.labels[fold.train])
        for number in np.flatnonzero(~known):
            console.print(f"{fold.name}: no training clip shows {clips.classes[number]}")
    pending = [run for run in runs if not _result_file(experiment, run).exists()]
    if len(pending) < len(runs):
        console.print(f"done before: {', '.join(r.fold.name for r in runs if r not in pending)}")
    with make_progress(console) as progress:
        # side by side pays for small networks only
        size = len(pending) if clips.frames is None else 1
        while pending:
            group, program = _together(experiment, pending[:size])
            size = len(group)  # what did not fit once is not compiled again
            _run_group(dataclasses.replace(experiment, program=program), group, progress, started)
            pending = pending[len(group) :]
    metrics = report.write(
        experiment.workdir,
        config,
        clips,
        experiment.folds,
        experiment.parameters,
        _own_figures(experiment),
    )
    write_bundle(experiment, runs[-1].fold.name, metrics)
    return metrics


def _own_figures(experiment: Experiment):
    """What `report.write` draws of this model only, None for most."""
    program, folds = experiment.program, experiment.folds
    if not getattr(program.module, "modules", 0):
        return None
    return functools.partial(
        frame_maps.figures,
        program.module,
        program.features,
        experiment.workdir,
        experiment.clips,
        folds,
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


def _result_file(experiment: Experiment, run: train.Run) -> pathlib.Path:
    return experiment.workdir / "folds" / f"{run.fold.name}.npz"


def _together(experiment: Experiment, runs: list[train.Run]):
    """Returns the first of the runs, as many as a device's memory takes, and their program."""
    program, clips = experiment.program, experiment.clips
    size, room = len(runs), parallel.device_memory() * MEMORY_SHARE
    while True:
        seeds = [run.seed for run in runs[:size]]
        states = jax.eval_shape(functools.partial(fresh_states, program, clips, seeds))
        compiled, need = programs.compile_ahead(program, states, clips)
        if size == 1 or need <= room:
            return runs[:size], compiled
        size = -(-size // 2)


def _run_group(experiment: Experiment, runs: list[train.Run], progress: Progress, started) -> None:
    """Trains runs side by side, from their last checkpoint, and assesses them."""
    config, clips, program = experiment.config, experiment.clips, experiment.program
    names = [run.fold.name for run in runs]
    title = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    bar = progress.add_task(title, total=config.train.epochs, figures="")
    folder = experiment.workdir / "checkpoints" / "-".join(dict.fromkeys([names[0], names[-1]]))
    checkpoints = checkpoint.Checkpoints(folder)
    seeds = [run.seed for run in runs]
    fresh = fresh_states(program, clips, seeds, experiment.backbone)
    states, histories = checkpoints.restore(fresh)
    histories = histories or [[] for _ in runs]
    logs = [
        report.EpochLog(experiment.workdir, name, history)
        for name, history in zip(names, histories, strict=True)
    ]
    resumed = bool(histories[0])

    def after_epoch(states, histories):
        epoch = len(histories[0])
        if epoch == 1 and not resumed:
            seconds = time.perf_counter() - started
            progress.console.print(f"first epoch done {seconds:.1f} s after the start")
        if epoch % config.train.checkpoint_epochs == 0 or epoch == config.train.epochs:
            checkpoints.save(epoch, states, histories)
        for log, history in zip(logs, histories, strict=True):
            log.write(history[-1])
        progress.update(bar, completed=epoch, figures=_figures(histories))

    try:
        states = train.fit(
            program,
            TASKS[config.task],
            states,
            clips,
            runs,
            epochs=config.train.epochs,
            histories=histories,
            after_epoch=after_epoch,
        )
    finally:
        for log in logs:
            log.close()
        checkpoints.close()
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


def assess_runs(experiment: Experiment, runs: list[train.Run], states) -> None:
    """Scores trained runs and keeps what the report needs; a run then counts as done."""
    clips, variables = experiment.clips, states.variables
    columns = [{} for _ in runs]
    for part in ("evaluate", "validation"):
        if runs[0].fold.validation is None and part == "validation":
            continue
        numbers = [getattr(run.fold, part) for run in runs]
        results, recalibrated = experiment.assess(variables, clips, runs, numbers)
        for column, result in zip(columns, results, strict=True):
            column |= {f"{part}_{name}": value for name, value in result.items()}
    for number, (run, column) in enumerate(zip(runs, columns, strict=True)):
        file = _result_file(experiment, run)
        own, stats = (
            jax.tree.map(np.asarray, programs.unstack(tree, number))
            for tree in (variables, recalibrated["batch_stats"])
        )
        checkpoint.save_weights(file.with_suffix(".msgpack"), own, stats)
        partial = file.with_suffix(".partial.npz")
        np.savez_compressed(partial, **column)
        partial.rename(file)  # a run counts as done only when its file is whole


def write_bundle(experiment: Experiment, fold: str, metrics: dict) -> None:
    config, clips = experiment.config, experiment.clips
    variables, stats = checkpoint.load_weights(experiment.workdir / "folds" / f"{fold}.msgpack")
    seconds = clips.seconds[np.isfinite(clips.seconds)]
    prepared = 0 if clips.frames is None else clips.frames.shape[2]
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
        crop_size=min(config.data.crop_size or prepared, prepared),
        prepared_size=prepared,
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
