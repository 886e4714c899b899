"""Runs the PST-BLN search: trains the topologies of `growth.decide`, fine-tunes the result.

`search.folds` chooses where: in "all" folds of the protocol, as in the paper, or in the "first"
one. A search uses only the training clips of its fold, so that its evaluation clips never influence
the topology. Finished stages are stored: an interrupted run replays their losses and resumes the
unfinished stage.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import jax
import numpy as np
from rich.console import Console

from fer_jax import hosts
from fer_jax.data.folds import Fold
from fer_jax.experiments import report
from fer_jax.experiments.run import evaluate_runs, is_done, say_line
from fer_jax.experiments.setup import Experiment
from fer_jax.experiments.workdir import Workdir, WorkdirError
from fer_jax.experiments.write_bundle import write_bundle
from fer_jax.progress import Progress, Work
from fer_jax.systems.st_bln import growth, search_report
from fer_jax.systems.st_bln.growth import Topology, show
from fer_jax.systems.st_bln.stages import Programs, Stage, stage_seed, train_stage
from fer_jax.training import checkpoint
from fer_jax.training.program import Run, unstack


@dataclasses.dataclass
class Search:
    """What the searches of all folds share.

    Attributes:
      setting: of `setup.prepare`.
      folds: those that are searched.
      rows: name of the fold -> its finished stages, the fine-tuning last.
      programs: compiled once for all folds.
      work, console: show progress.
    """

    setting: Experiment
    folds: list[Fold]
    rows: dict[str, list[dict]]
    programs: Programs
    work: Work
    console: Console

    @property
    def workdir(self) -> Workdir:
        return self.setting.workdir

    def label(self, fold: Fold, name: str) -> str:
        """Name of files and logs of a fold; a single fold needs none before it."""
        return f"{fold.name}_{name}" if len(self.folds) > 1 else name

    def train(self, stage: Stage):
        """Trains a stage, see `train_stage`."""
        say = functools.partial(say_line, self.console)
        return train_stage(self.setting, stage, self.programs, self.work, say)

    def all_rows(self) -> list[dict]:
        """The rows of all folds, one after the other."""
        return [row for fold in self.folds for row in self.rows[fold.name]]

    def add(self, fold: Fold, row: dict) -> None:
        """Stores a finished stage."""
        self.rows[fold.name].append({"fold": fold.name, **row})
        figure = self.label(fold, "growth")
        if hosts.is_writer():
            search_report.write_rows(self.workdir, self.all_rows(), self.rows[fold.name], figure)

    def show(self, fold: Fold, row: dict) -> None:
        """Prints a stage."""
        text = search_report.line(row)
        where = f"{fold.name} " if len(self.folds) > 1 else ""
        self.console.print(where + text, soft_wrap=True)


def run_search(setting: Experiment, console: Console) -> dict:
    """Searches, fine-tunes and evaluates in every fold asked for, and writes the report.

    Args:
      setting: of `setup.prepare`.
      console: shows progress.

    Returns:
      The metrics of the report.

    Raises:
      loop.NonFiniteLossError: while training; the message names the stage.
    """
    config = setting.config
    folds = setting.folds if config.search.folds == "all" else setting.folds[:1]
    rows = hosts.from_writer(lambda: search_report.read_rows(setting.workdir))
    own_rows = {fold.name: [row for row in rows if row["fold"] == fold.name] for fold in folds}
    _describe(setting, folds, console)
    with Progress(console) as progress:
        work = progress.start("search")
        programs = Programs(setting, folds)
        search = Search(setting, folds, own_rows, programs, work, console)
        for index in range(len(folds)):
            _run_fold(search, index)
        metrics = hosts.from_writer(lambda: _report(search))
        work.finish()
    return metrics


def _describe(setting: Experiment, folds: list[Fold], console: Console) -> None:
    """Prints what is searched, on which clips."""
    config, clips = setting.config, setting.clips
    sizes = sorted({len(fold.train) for fold in folds})
    count = " to ".join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))
    where = folds[0].name if len(folds) == 1 else f"each of {len(folds)} folds"
    console.print(
        f"{config.name}: search on the {count} training clips of {where} (of "
        f"{len(clips)}), {len(clips.classes)} classes, {len(clips.graph.edges)} edges, "
        f"{clips.landmarks.shape[1]} frames; {jax.device_count()} x {jax.devices()[0].platform}\n"
        f"blocks of {config.search.block_size}, {config.search.epochs} epochs a stage"
    )


def _run_fold(search: Search, index: int) -> None:
    """Searches on the training clips of a fold, fine-tunes and evaluates what is found."""
    config, fold = search.setting.config, search.folds[index]
    rule = growth.Rule(
        **{field.name: config.search[field.name] for field in dataclasses.fields(growth.Rule)}
    )
    rows, indices, measured = search.rows[fold.name], itertools.count(1), {}

    def loss(topology: Topology, parent: Topology) -> float:
        stage = next(indices)
        if stage <= len(rows):
            return _replayed(rows[stage - 1], topology, search.workdir)
        measured.update(_train_stage(search, index, stage, topology, parent))
        return measured["loss"]

    for stage, decision in enumerate(growth.decide(loss, rule), 1):
        if stage > len(rows):
            search.add(fold, {"stage": stage, **dataclasses.asdict(decision), **measured})
        search.show(fold, rows[stage - 1])
    del rows[stage + 1 :]
    done = hosts.from_writer(lambda: is_done(search.workdir, Run(fold, 0), search.console))
    if len(rows) == stage or not done:
        del rows[stage:]
        _fine_tune(search, index, decision.kept)
    search.show(fold, rows[-1])


def _replayed(row: dict, topology: Topology, workdir: Workdir) -> float:
    if tuple(row["topology"]) != topology:
        raise WorkdirError(
            f"{workdir.search_rows} has {show(row['topology'])} in stage {row['stage']}, but this "
            f"config trains {show(topology)}: name another --workdir, or delete it"
        )
    return row["loss"]


def _train_stage(
    search: Search, index: int, number: int, topology: Topology, parent: Topology
) -> dict:
    """Trains a topology and keeps its weights; returns what was measured."""
    setting, fold = search.setting, search.folds[index]
    name = search.label(fold, f"stage{number:02d}")
    stage = Stage(
        index=number,
        topology=topology,
        parent=parent,
        epochs=setting.config.search.epochs,
        fold=Fold(name, fold.train, fold.evaluation[:0]),
        seed=stage_seed(setting.config, number, index),
        files=setting.workdir.stage_training(name),
        parent_weights=_weights(search, fold, parent),
    )
    _, states, measures = search.train(stage)
    if hosts.is_writer():
        weights = jax.tree.map(np.asarray, unstack(states.variables, 0))
        checkpoint.save_weights(_weights(search, fold, topology), weights, {})
    return measures


def _weights(search: Search, fold: Fold, topology: Topology):
    """File of the weights of a stage."""
    return search.workdir.search_weights(search.label(fold, "-".join(map(str, topology))))


def _fine_tune(search: Search, index: int, topology: Topology) -> None:
    """Trains the found network further, evaluating every epoch, and evaluates the result."""
    setting, fold = search.setting, search.folds[index]
    number = len(search.rows[fold.name]) + 1
    stage = Stage(
        index=number,
        topology=topology,
        parent=topology,
        epochs=setting.config.train.epochs,
        fold=fold,
        seed=stage_seed(setting.config, number, index),
        files=setting.workdir.training(fold.name),
        parent_weights=_weights(search, fold, topology),
    )
    compiled, states, measures = search.train(stage)
    row = {"stage": number, "topology": topology, "parent": topology, **measures}
    search.add(fold, {**row, "decision": "fine-tuned", "kept": topology})
    tuned = dataclasses.replace(
        setting, program=compiled.program, evaluate=compiled.evaluate, memory=compiled.memory
    )
    evaluate_runs(tuned, [Run(fold, stage.seed)], states)


def _report(search: Search) -> dict:
    """Writes report, bundle and `found.py`; the last two have the network of the first fold."""
    setting, folds, workdir = search.setting, search.folds, search.workdir
    tuned = [search.rows[fold.name][-1] for fold in folds]
    topology = tuple(tuned[0]["topology"])
    config = setting.config.copy_and_resolve_references()
    config.model.widths = topology
    found = dataclasses.replace(
        setting, config=config, folds=folds, model={**setting.model, "widths": list(topology)}
    )
    summary = search_report.summarise(search.all_rows())
    kinds = ("params_total", "params_without_U")
    parameters = tuple(round(summary[kind]["mean"]) for kind in kinds)
    module = setting.program.module
    metrics = report.write(
        workdir, config, setting.clips, folds, parameters, module, more={"search": summary},
        save_bundle=functools.partial(write_bundle, found, folds[0].name),
    )  # fmt: skip
    search_report.write(workdir, config, search.all_rows(), folds, metrics, search.console)
    return metrics
