"""The stages of a PST-BLN search; programs are compiled once for all folds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from ml_collections import ConfigDict

from fer_jax import hosts
from fer_jax.data.folds import Fold
from fer_jax.experiments.setup import Experiment, make_augmentation
from fer_jax.progress import Work
from fer_jax.systems.st_bln import growth
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

_SEEDS = 1_000_000  # from one fold to the next, more than there are stages


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run of the search.

    Attributes:
      index: counted from 1.
      topology, parent: the network, and the network whose weights it starts from (() for none).
      epochs: of training.
      fold: its training clips and its name in logs; there is no evaluation during the search.
      seed: of weights and shuffling.
      files: its checkpoints and logs.
      parent_weights: file of the weights of `parent`.
    """

    index: int
    topology: Topology
    parent: Topology
    epochs: int
    fold: Fold
    seed: int
    files: loop.Files
    parent_weights: object


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The program of a topology.

    Attributes:
      program: its training call takes one run.
      evaluate: see `training.evaluate.make_evaluate`.
      memory: of the training call, bytes.
    """

    program: Program
    evaluate: Callable
    memory: int


class Programs:
    """Makes the program of each topology once: folds grow the same ones.

    All folds have programs of the same shape: steps and clips of a batch are set for all together.
    """

    def __init__(self, setting: Experiment, folds: list[Fold]):
        self._setting, self._folds = setting, folds
        self._compiled: dict[tuple, Compiled] = {}

    def find(self, topology: Topology, epochs: int) -> Compiled | None:
        """Returns the program of a topology and length of training, if it is compiled."""
        return self._compiled.get((topology, epochs))

    def make(self, topology: Topology, epochs: int) -> Program:
        """Makes the experiment's program for a topology and a number of epochs."""
        setting = self._setting
        config = setting.config.copy_and_resolve_references()
        config.train.epochs = epochs
        return make_program(
            setting.program.module.clone(widths=topology),
            setting.program.task,
            config,
            setting.program.features,
            self._folds,
            make_augmentation(config, of_crops=False),
            setting.clips.clip_bytes,
        )

    def compile(self, topology: Topology, epochs: int, program: Program, states) -> Compiled:
        """Compiles what `make` returned, for states of one run, and keeps it."""
        mc_samples = self._setting.config.evaluation.mc_samples
        ready, memory = compile_ahead(program, states, self._setting.clips)
        made = Compiled(ready, make_evaluate(ready, mc_samples), memory)
        self._compiled[topology, epochs] = made
        return made


def stage_seed(config: ConfigDict, index: int, fold: int) -> int:
    """Seed of a stage.

    Args:
      config: of the experiment.
      index: of the stage, from 1.
      fold: index of the fold that is searched, from 0.
    """
    return config.seed * 1000 + index + fold * _SEEDS


def train_stage(
    setting: Experiment, stage: Stage, programs: Programs, work: Work, say: Callable[[str], None]
):
    """Trains one topology, or resumes its training; `say` takes messages on damaged files.

    Returns:
      The compiled program, the final states (of one run), and `{"loss", "params_total",
      "params_without_U", "seconds", "compile_seconds", "compiled_before", "memory_bytes"}`.
    """
    config, clips = setting.config, setting.clips
    run, name = Run(stage.fold, stage.seed), show(stage.topology)
    work.restart(f"{stage.fold.name} {name}", stage.epochs)
    work.update(figures="compiling")
    started = time.perf_counter()
    compiled = programs.find(stage.topology, stage.epochs)
    compiled_before = compiled is not None
    program = compiled.program if compiled else programs.make(stage.topology, stage.epochs)
    states = _first_states(program, clips, stage)
    if not compiled:
        compiled = programs.compile(stage.topology, stage.epochs, program, states)
    compile_seconds = time.perf_counter() - started

    def after_epoch(histories):
        (history,) = histories
        work.update(len(history), f"loss {history[-1]['train_loss']:.4f}")

    schedule = loop.Schedule(
        stage.epochs, checkpoint_every_epochs=config.train.checkpoint_every_epochs
    )
    try:
        states, (history,) = loop.fit(
            compiled.program, states, clips, [run], schedule, stage.files, after_epoch, say
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
        "compiled_before": compiled_before,
        "memory_bytes": compiled.memory,
    }
    return compiled, states, measures


def _first_states(program: Program, clips, stage: Stage):
    """Initial states of a stage, of one run: weights of the parent, the rest random."""
    parent = {}
    if stage.parent:
        parent, _ = hosts.from_writer(lambda: list(checkpoint.load_weights(stage.parent_weights)))
    deeper = len(stage.topology) > len(stage.parent)
    return stack([growth.first_state(program, clips, stage.seed, parent, deeper=deeper)])
