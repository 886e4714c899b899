"""Runs the PST-BLN search: trains what `growth.decide` asks for, fine-tunes what it finds.

All of it happens on the training clips of the protocol's first fold, so that the people held out
there never influence the topology (those held out in the other folds do). Every stage is kept; a
run that was killed replays the losses of its finished stages and goes on with the one that was cut
short.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import time

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax.data.folds import Fold
from fer_jax.experiments import report
from fer_jax.experiments.run import assess_runs, make_progress, write_bundle
from fer_jax.experiments.setup import Experiment, make_augmentation
from fer_jax.experiments.workdir import WorkdirError
from fer_jax.systems.st_bln import growth, search_report
from fer_jax.systems.st_bln.growth import Topology, show
from fer_jax.tasks import TASKS
from fer_jax.training import checkpoint, evaluate, loop, resume
from fer_jax.training.program import (
    Program,
    TrainState,
    compile_ahead,
    count_parameters,
    make_program,
    stack,
    unstack,
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run of the search.

    Attributes:
      number: counted from 1.
      topology, parent: what is trained, and whose weights it begins with (() for none).
      epochs: how long.
      fold: the clips it learns from and the name it is logged under; nothing is scored while the
        search goes on.
      folder: where its epochs are logged.
    """

    number: int
    topology: Topology
    parent: Topology
    epochs: int
    fold: Fold
    folder: pathlib.Path


def run(setting: Experiment, console: Console) -> dict:
    """Searches, fine-tunes, scores the fold that was held out and writes the report.

    Args:
      setting: of `setup.prepare`; its folds beyond the first are left for the retraining.
      console: where progress is shown.

    Returns:
      The metrics of the report.

    Raises:
      loop.NonFiniteLossError: while training; the message names the stage.
    """
    config, fold = setting.config, setting.folds[0]
    rule = growth.Rule(
        **{field.name: config.search[field.name] for field in dataclasses.fields(growth.Rule)}
    )
    rows = search_report.read_rows(setting.workdir)
    numbers = itertools.count(1)
    measured = {}
    clips = setting.clips
    console.print(
        f"{config.name}: search on the {len(fold.train)} training clips of {fold.name} (of "
        f"{len(clips)}), {len(clips.classes)} classes, {len(clips.graph.edges)} edges, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"blocks of {rule.block_size}, {config.search.epochs} epochs a stage"
    )
    with make_progress(console) as progress:

        def loss(topology: Topology, parent: Topology) -> float:
            number = next(numbers)
            if number <= len(rows):
                return _replayed(rows[number - 1], topology, setting.workdir)
            stage = Stage(
                number=number,
                topology=topology,
                parent=parent,
                epochs=config.search.epochs,
                fold=Fold(f"stage{number:02d}", fold.train, fold.evaluate[:0]),
                folder=setting.workdir / "search",
            )
            _, states, measures = train_stage(setting, stage, progress)
            _save(setting.workdir, topology, states)
            measured.update(measures)
            return measures["loss"]

        for number, decision in enumerate(growth.decide(loss, rule), 1):
            if number > len(rows):
                rows.append({"stage": number, **dataclasses.asdict(decision), **measured})
                search_report.write_rows(setting.workdir, rows)
            console.print(search_report.line(rows[number - 1]), soft_wrap=True)
        return _finish(setting, decision.kept, rows[:number], progress)


def _replayed(row: dict, topology: Topology, workdir) -> float:
    if tuple(row["topology"]) != topology:
        raise WorkdirError(
            f"{workdir / search_report.FILE} tells of {show(row['topology'])} in stage "
            f"{row['stage']}, where this config trains {show(topology)}: name another --workdir, "
            f"or delete it"
        )
    return row["loss"]


def train_stage(setting: Experiment, stage: Stage, progress):
    """Trains one topology, from its last checkpoint if it was cut short.

    Returns:
      The compiled program, the last states (of one run), and `{"loss", "params_total",
      "params_without_U", "seconds", "compile_seconds", "memory_bytes"}`.
    """
    config, clips = setting.config, setting.clips
    run, name = loop.Run(stage.fold, stage_seed(config, stage)), show(stage.topology)
    bar = progress.add_task(f"stage {stage.number} {name}", total=stage.epochs, figures="compiling")
    started = time.perf_counter()
    program = make_stage_program(setting, stage)
    parent = _load(setting.workdir, stage.parent) if stage.parent else {}
    deeper = len(stage.topology) > len(stage.parent)
    states = stack([growth.first_state(program, clips, run.seed, parent, deeper=deeper)])
    program, memory = compile_ahead(program, states, clips)
    compile_seconds = time.perf_counter() - started

    def after_epoch(histories):
        (history,) = histories
        figures = f"loss {history[-1]['train_loss']:.4f}"
        progress.update(bar, completed=len(history), figures=figures)

    try:
        states, (history,) = resume.fit(
            program,
            TASKS[config.task],
            states,
            clips,
            [run],
            epochs=stage.epochs,
            checkpoint_epochs=config.train.checkpoint_epochs,
            checkpoints=setting.workdir / "checkpoints" / stage.fold.name,
            logs=stage.folder,
            after_epoch=after_epoch,
        )
    except loop.NonFiniteLossError as error:
        raise loop.NonFiniteLossError(f"stage {stage.number} {name}: {error}") from error
    finally:
        progress.remove_task(bar)
    total, without_graph = count_parameters(unstack(states.params, 0))
    measures = {
        "loss": history[-1]["train_loss"],
        "params_total": total,
        "params_without_U": without_graph,
        "seconds": sum(row["seconds"] for row in history),
        "compile_seconds": compile_seconds,
        "memory_bytes": memory,
    }
    return program, states, measures


def stage_seed(config: ConfigDict, stage: Stage) -> int:
    return config.seed * 1000 + stage.number


def make_stage_program(setting: Experiment, stage: Stage) -> Program:
    """The experiment's program for another topology and number of epochs."""
    config = setting.config.copy_and_resolve_references()
    config.train.epochs = stage.epochs
    return make_program(
        setting.program.module.clone(widths=stage.topology),
        TASKS[config.task],
        config,
        setting.program.features,
        [stage.fold],
        make_augmentation(config, of_crops=False),
        setting.clips.clip_bytes,
    )


def _finish(setting, topology: Topology, rows: list[dict], progress) -> dict:
    """Fine-tunes the found network, scores it, writes report, bundle and `found.py`."""
    workdir, fold = setting.workdir, setting.folds[0]
    config = setting.config.copy_and_resolve_references()
    config.model.widths = topology
    found = dataclasses.replace(
        setting, config=config, folds=[fold], model={**setting.model, "widths": list(topology)}
    )
    result_file = workdir / "folds" / f"{fold.name}.npz"
    if not result_file.exists():
        rows = _fine_tune(found, topology, rows, progress)
    else:
        rows = search_report.read_rows(workdir)
    progress.console.print(search_report.line(rows[-1]), soft_wrap=True)
    parameters = (rows[-1]["params_total"], rows[-1]["params_without_U"])
    metrics = report.write(workdir, config, setting.clips, [fold], parameters)
    write_bundle(found, fold.name, metrics)
    search_report.write(workdir, config, rows, fold, progress.console)
    return metrics


def _fine_tune(found, topology: Topology, rows: list[dict], progress) -> list[dict]:
    """Trains the found network once more, by now scored every epoch, and assesses it."""
    config, fold = found.config, found.folds[0]
    stage = Stage(
        number=len(rows) + 1,
        topology=topology,
        parent=topology,
        epochs=config.train.epochs,
        fold=fold,
        folder=found.workdir,
    )
    program, states, measures = train_stage(found, stage, progress)
    row = {"stage": stage.number, "topology": topology, "parent": topology, **measures}
    rows = [*rows, {**row, "decision": "fine-tuned", "kept": topology}]
    search_report.write_rows(found.workdir, rows)
    assess = evaluate.make_assess(program, TASKS[config.task], config.evaluation.passes)
    tuned = dataclasses.replace(
        found, program=program, assess=assess, memory=measures["memory_bytes"]
    )
    assess_runs(tuned, [loop.Run(fold, stage_seed(config, stage))], states)
    return rows


def _weights(workdir: pathlib.Path, topology: Topology) -> pathlib.Path:
    return workdir / "search" / "weights" / f"{'-'.join(map(str, topology))}.msgpack"


def _save(workdir, topology: Topology, states: TrainState) -> None:
    variables = jax.tree.map(np.asarray, unstack(states.variables, 0))
    checkpoint.save_weights(_weights(workdir, topology), variables, {})


def _load(workdir, topology: Topology) -> dict:
    return checkpoint.load_weights(_weights(workdir, topology))[0]
