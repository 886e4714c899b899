"""Cross-validation with all folds in one program against one fold after another.

    python -m benchmarks.folds            # CK+-sized: 327 clips, 118 people, T=4, 10 folds

Both train ST-BLN at the paper's batch of 128, on the same clips, and evaluate every epoch. Their
epochs are timed in turns, compiling excluded; the losses must agree.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import time

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import sides
from configs import base
from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import subject_kfold
from fer_jax.data.model_inputs import model_inputs
from fer_jax.faces import landmarks
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.tasks import TASKS
from fer_jax.training import loop, parallel, program

CLIPS, SUBJECTS, CLASSES, FRAMES, FOLDS, BATCH = 327, 118, 7, 4, 10, 128


def make_clips(count: int = CLIPS, subjects: int = SUBJECTS) -> Clips:
    """Makes clips of randomly moving faces, by default as many as in CK+."""
    rng = np.random.default_rng(0)
    face = landmarks.MEAN_FACE * 60
    moved = rng.normal(0, 2, (count, FRAMES, 68, 2)) + face + 250
    return Clips(
        clip_ids=[f"clip{index:03d}" for index in range(count)],
        subjects=[f"s{index * subjects // count:03d}" for index in range(count)],
        splits=["train"] * count,
        labels=rng.integers(0, CLASSES, count).astype(np.int32),
        landmarks=moved.astype(np.float32),
        seconds=np.ones(count, np.float32),
        classes=tuple(f"class{index}" for index in range(CLASSES)),
        graph=landmarks.make_graph(landmarks.inner(face)),
    )


class Folds:
    """Trains the `count` folds in groups of `together`, from fresh weights."""

    def __init__(self, clips: Clips, together: int, count: int = FOLDS, widths=STBLN.widths):
        config = base.get_config()
        config.train.batch_size = BATCH
        folds = subject_kfold(clips.subjects, count)
        module, task = STBLN(classes=CLASSES, widths=widths), TASKS["classification"]

        def features(batch):
            return model_inputs(batch["landmarks"], clips.graph.edges)

        self.clips = clips
        self.program = program.make_program(module, task, config, features, folds)
        runs = [program.Run(fold, index) for index, fold in enumerate(folds)]
        self.groups = [runs[first : first + together] for first in range(0, count, together)]
        shape = np.zeros((1, FRAMES, len(clips.graph.edges), 2))
        self.states = [
            program.create_train_states(
                module, self.program.optimizer, shape, [r.seed for r in runs]
            )
            for runs in self.groups
        ]
        self.histories = [[[] for _ in runs] for runs in self.groups]

    def compile_training(self):
        """Compiles the training call of a group; all groups are of the same size."""
        return program.compile_ahead(self.program, self.states[0], self.clips)[0].train

    def compile_evaluation(self):
        """Compiles the evaluation call of a group, for one batch of each fold."""
        count, one = len(self.groups[0]), take(self.clips, np.arange(1))
        batches = parallel.shard_shapes(one, count, 1, self.program.evaluated_size)
        keys = jax.random.split(jax.random.key(0), count)
        first = np.zeros(count, np.int32)
        call = self.program.logits.lower(self.states[0].variables, batches, keys, first)
        return call.compile()

    def use(self, train, logits) -> None:
        """Takes the results of the methods above."""
        self.program = dataclasses.replace(self.program, train=train, logits=logits)

    def epoch(self) -> float:
        """Trains and evaluates one more epoch of every fold; returns its seconds."""
        started = time.perf_counter()
        for index, runs in enumerate(self.groups):
            histories = self.histories[index]
            schedule, states = loop.Schedule(len(histories[0]) + 1), self.states[index]
            (self.states[index],) = loop.train_epochs(
                self.program, states, self.clips, runs, schedule, histories
            )
        jax.block_until_ready(self.states)
        return time.perf_counter() - started

    def losses(self) -> np.ndarray:
        """Training losses `[folds, epochs]`."""
        histories = [history for group in self.histories for history in group]
        return np.array([[row["train_loss"] for row in history] for history in histories])


def compare(epochs: int, clips: int = CLIPS, count: int = FOLDS, widths=STBLN.widths):
    """Times epochs of all folds both ways, after one epoch that is not timed.

    The programs of both ways are compiled beforehand, in parallel: a GPU takes half a minute to
    choose the kernels of each.

    Returns:
      Median seconds of an epoch by way, and the largest difference of the losses.
    """
    clips = make_clips(clips)
    ways = {
        "one after another": Folds(clips, 1, count, widths),
        "side by side": Folds(clips, count, count, widths),
    }
    compilers = [(way.compile_training, way.compile_evaluation) for way in ways.values()]
    compiled = sides.side_by_side(itertools.chain.from_iterable(compilers))
    for index, way in enumerate(ways.values()):
        way.use(*compiled[2 * index : 2 * index + 2])
    seconds = {name: [] for name in ways}
    for _ in range(epochs + 1):
        for name, way in ways.items():
            seconds[name].append(way.epoch())
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    first, second = (way.losses() for way in ways.values())
    return medians, float(np.abs(first - second).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="timed epochs (default 5)")
    options = parser.parse_args()
    medians, difference = compare(options.epochs)
    table = Table("way", "s an epoch of all folds", "ratio")
    for name, value in medians.items():
        table.add_row(name, f"{value:.2f}", f"{medians['one after another'] / value:.2f}")
    console = Console(width=100)
    console.print(table)
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{os.cpu_count()} CPU cores"
    console.print(
        f"{FOLDS} folds of {CLIPS} clips, T={FRAMES}, batch {BATCH}; largest difference of the "
        f"losses {difference:.1e}. {kind}, jax {jax.__version__}"
    )


if __name__ == "__main__":
    main()
