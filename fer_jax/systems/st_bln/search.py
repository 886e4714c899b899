"""Runs the PST-BLN search: trains the topologies of `growth.decide`, fine-tunes the result.

The search uses only the training clips of the protocol's first fold, so that the evaluation clips
of this fold never influence the topology (those of the other folds do). Finished stages are stored:
an interrupted run replays their losses and resumes the unfinished stage.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax.data.folds import Fold
from fer_jax.experiments import report
from fer_jax.experiments.run import evaluate_runs, say_line
from fer_jax.experiments.setup import Experiment, make_augmentation
from fer_jax.experiments.workdir import Workdir, WorkdirError
from fer_jax.experiments.write_bundle import write_bundle
from fer_jax.progress import Progress, Work
from fer_jax.systems.st_bln import growth, search_report
from fer_jax.systems.st_bln.growth import Topology, show
from fer_jax.training import checkpoint, loop
from fer_jax.training.evaluate import make_evaluate
from fer_jax.training.program import (
    Program,
    Run,
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
      index: counted from 1.
      topology, parent: the network, and the network whose weights it starts from (() for none).
      epochs: of training.
      fold: its training clips and its name in logs; there is no evaluation during the search.
      files: its checkpoints and logs.
    """

    index: int
    topology: Topology
    parent: Topology
    epochs: int
    fold: Fold
    files: loop.Files


def run_search(setting: Experiment, console: Console) -> dict:
    """Searches, fine-tunes, evaluates and writes the report.

    Args:
      setting: of `setup.prepare`; the search uses the first fold.
      console: shows progress.

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
    indices = itertools.count(1)
    measured = {}
    clips = setting.clips
    console.print(
        f"{config.name}: search on the {len(fold.train)} training clips of {fold.name} (of "
        f"{len(clips)}), {len(clips.classes)} classes, {len(clips.graph.edges)} edges, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"blocks of {rule.block_size}, {config.search.epochs} epochs a stage"
    )
    with Progress(console) as progress:
        work = progress.start("search")

        def loss(topology: Topology, parent: Topology) -> float:
            index = next(indices)
            if index <= len(rows):
                return _replayed(rows[index - 1], topology, setting.workdir)
            name = f"stage{index:02d}"
            stage = Stage(
                index=index,
                topology=topology,
                parent=parent,
                epochs=config.search.epochs,
                fold=Fold(name, fold.train, fold.evaluation[:0]),
                files=setting.workdir.stage_training(name),
            )
            _, states, measures = train_stage(setting, stage, work)
            weights = jax.tree.map(np.asarray, unstack(states.variables, 0))
            checkpoint.save_weights(setting.workdir.search_weights(topology), weights, {})
            measured.update(measures)
            return measures["loss"]

        for index, decision in enumerate(growth.decide(loss, rule), 1):
            if index > len(rows):
                rows.append({"stage": index, **dataclasses.asdict(decision), **measured})
                search_report.write_rows(setting.workdir, rows)
            console.print(search_report.line(rows[index - 1]), soft_wrap=True)
        metrics = _finish(setting, decision.kept, rows[:index], work, console)
        work.finish()
    return metrics


def _replayed(row: dict, topology: Topology, workdir: Workdir) -> float:
    if tuple(row["topology"]) != topology:
        raise WorkdirError(
            f"{workdir.search_rows} has {show(row['topology'])} in stage {row['stage']}, but this "
            f"config trains {show(topology)}: name another --workdir, or delete it"
        )
    return row["loss"]


def train_stage(setting: Experiment, stage: Stage, work: Work):
    """Trains one topology, or resumes its training.

    Returns:
      The compiled program, the final states (of one run), and `{"loss", "params_total",
      "params_without_U", "seconds", "compile_seconds", "memory_bytes"}`.
    """
    config, clips = setting.config, setting.clips
    run, name = Run(stage.fold, stage_seed(config, stage)), show(stage.topology)
    work.restart(f"stage {stage.index} {name}", stage.epochs)
    work.update(figures="compiling")
    started = time.perf_counter()
    program = make_stage_program(setting, stage)
    parent = {}
    if stage.parent:
        parent, _ = checkpoint.load_weights(setting.workdir.search_weights(stage.parent))
    deeper = len(stage.topology) > len(stage.parent)
    states = stack([growth.first_state(program, clips, run.seed, parent, deeper=deeper)])
    program, memory = compile_ahead(program, states, clips)
    compile_seconds = time.perf_counter() - started

    def after_epoch(histories):
        (history,) = histories
        work.update(len(history), f"loss {history[-1]['train_loss']:.4f}")

    say = functools.partial(say_line, work.console)
    schedule = loop.Schedule(
        stage.epochs, checkpoint_every_epochs=config.train.checkpoint_every_epochs
    )
    try:
        states, (history,) = loop.fit(
            program, states, clips, [run], schedule, stage.files, after_epoch, say
        )
    except loop.NonFiniteLossError as error:
        raise loop.NonFiniteLossError(f"stage {stage.index} {name}: {error}") from error
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
    return config.seed * 1000 + stage.index


def make_stage_program(setting: Experiment, stage: Stage) -> Program:
    """Makes the experiment's program for the topology and epochs of a stage."""
    config = setting.config.copy_and_resolve_references()
    config.train.epochs = stage.epochs
    return make_program(
        setting.program.module.clone(widths=stage.topology),
        setting.program.task,
        config,
        setting.program.features,
        [stage.fold],
        make_augmentation(config, of_crops=False),
        setting.clips.clip_bytes,
    )


def _finish(
    setting: Experiment, topology: Topology, rows: list[dict], work: Work, console: Console
) -> dict:
    """Fine-tunes and evaluates the found network, writes report, bundle and `found.py`."""
    workdir, fold = setting.workdir, setting.folds[0]
    config = setting.config.copy_and_resolve_references()
    config.model.widths = topology
    found = dataclasses.replace(
        setting, config=config, folds=[fold], model={**setting.model, "widths": list(topology)}
    )
    if workdir.result(fold.name).exists():
        rows = search_report.read_rows(workdir)
    else:
        rows = _fine_tune(found, topology, rows, work)
    console.print(search_report.line(rows[-1]), soft_wrap=True)
    parameters = (rows[-1]["params_total"], rows[-1]["params_without_U"])
    module = setting.program.module
    metrics = report.write(workdir, config, setting.clips, [fold], parameters, module)
    write_bundle(found, fold.name, metrics)
    search_report.write(workdir, config, rows, fold, console)
    return metrics


def _fine_tune(found: Experiment, topology: Topology, rows: list[dict], work: Work) -> list[dict]:
    """Trains the found network further, evaluating every epoch, and evaluates the result."""
    config, fold = found.config, found.folds[0]
    stage = Stage(
        index=len(rows) + 1,
        topology=topology,
        parent=topology,
        epochs=config.train.epochs,
        fold=fold,
        files=found.workdir.training(fold.name),
    )
    program, states, measures = train_stage(found, stage, work)
    row = {"stage": stage.index, "topology": topology, "parent": topology, **measures}
    rows = [*rows, {**row, "decision": "fine-tuned", "kept": topology}]
    search_report.write_rows(found.workdir, rows)
    tuned = dataclasses.replace(
        found,
        program=program,
        evaluate=make_evaluate(program, config.evaluation.mc_samples),
        memory=measures["memory_bytes"],
    )
    evaluate_runs(tuned, [Run(fold, stage_seed(config, stage))], states)
    return rows
