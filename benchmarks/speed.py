"""Speed of ST-BLN against a PyTorch mirror of the published model, in one run.

    python -m benchmarks.speed                # every row, about 12 minutes on 2 CPU cores
    python -m benchmarks.speed --only T=4     # about 4 minutes

Both sides use all cores of the same machine (or its GPU). The two are timed in turns and the
medians compared. A training step of ours is one of the K steps that `parallel.scan_steps` compiles
into a call, as in training.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time

import jax
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.torch_mirrors import st_bln as mirror
from configs import base
from fer_jax import uncertainty
from fer_jax.data import folds
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.tasks import TASKS
from fer_jax.training import parallel
from fer_jax.training.program import create_train_states, make_program, unstack

REFERENCE_EDGES, CLEAN_EDGES, CLASSES = 309, 181, 6
STEPS = {4: 4, 150: 3}  # steps of ours a call, which takes its memory anew: an epoch has more
CONFIG = base.get_config()  # SGD with momentum 0.9 and weight decay 5e-4


def _inputs(batch: int, frames: int, edges: int):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, frames, edges, 2), dtype=np.float32)
    return x, rng.integers(0, CLASSES, batch).astype(np.int32)


class Ours:
    """The JAX model at one shape."""

    def __init__(self, batch: int, frames: int, edges: int, passes: int):
        self.steps = STEPS[frames]
        x, y = _inputs(batch, frames, edges)
        self.module = STBLN(classes=CLASSES)
        config = CONFIG.copy_and_resolve_references()
        config.train.batch_size = batch
        fold = folds.Fold("all", np.arange(batch), np.arange(0))
        program = make_program(
            self.module, TASKS["classification"], config, lambda b: b["inputs"], [fold]
        )
        self.states = create_train_states(self.module, program.optimizer, x, [0])
        self.variables = unstack(self.states.variables, 0)  # training donates the states
        weight = np.ones(batch, np.float32)
        one = {"inputs": x, "label": y, "weight": weight}
        stacked = {name: np.stack([leaf] * self.steps)[None] for name, leaf in one.items()}
        self.batches = parallel.split(stacked)
        keys = jax.random.split(jax.random.key(1), (1, self.steps))
        self.train = program.train.lower(self.states, self.batches, keys).compile()
        forward = uncertainty.stochastic(self.module)
        self._mc = jax.jit(
            lambda variables, inputs, key: uncertainty.mc_dropout(
                forward, variables, inputs, key, passes=passes
            )
        )
        self.x = jax.device_put(x)

    def step(self) -> float:
        started = time.perf_counter()
        keys = jax.random.split(jax.random.key(1), (1, self.steps))
        self.states, metrics = self.train(self.states, self.batches, keys)
        jax.block_until_ready(metrics)
        return (time.perf_counter() - started) / self.steps

    def mc(self) -> float:
        started = time.perf_counter()
        jax.block_until_ready(self._mc(self.variables, self.x, jax.random.key(2)))
        return time.perf_counter() - started


class Mirror:
    """The PyTorch model at one shape."""

    def __init__(self, batch: int, frames: int, edges: int, passes: int):
        x, y = _inputs(batch, frames, edges)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.x = torch.tensor(x).permute(0, 3, 1, 2).contiguous().to(self.device)
        self.y = torch.tensor(y).long().to(self.device)
        self.model = mirror.STBLN(edges, CLASSES).to(self.device)
        self.optimizer = mirror.make_optimizer(self.model, 0.01)
        self.passes = passes

    def _timed(self, work) -> float:
        started = time.perf_counter()
        work()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def step(self) -> float:
        return self._timed(
            lambda: float(mirror.train_step(self.model, self.optimizer, self.x, self.y))
        )

    def mc(self) -> float:
        return self._timed(lambda: mirror.mc_dropout(self.model, self.x, self.passes))


def _alternate(sides: dict, repeats: int) -> dict[str, float]:
    """Warms every side up once, then times them in turns; returns the medians, seconds."""
    for work in sides.values():
        work()
    times = {name: [] for name in sides}
    for _ in range(repeats):
        for name, work in sides.items():
            times[name].append(work())
    return {name: statistics.median(values) for name, values in times.items()}


def measure(what: str, batch: int, frames: int, repeats: int, passes: int = 1) -> dict[str, float]:
    """Times the mirror, ours at the same shapes and ours on the clean graph, in turns.

    Args:
      what: "step" (training) or "mc" (MC dropout inference).
      batch, frames: B and T.
      repeats: timed repetitions of each side, after one that is not timed.
      passes: of MC dropout.

    Returns:
      Median seconds of "mirror", "same" and "clean".
    """
    sides = {
        "mirror": Mirror(batch, frames, REFERENCE_EDGES, passes),
        "same": Ours(batch, frames, REFERENCE_EDGES, passes),
        "clean": Ours(batch, frames, CLEAN_EDGES, passes),
    }
    seconds = _alternate({name: getattr(side, what) for name, side in sides.items()}, repeats)
    del sides
    gc.collect()
    return seconds


# name, what, B, T, repeats, passes, target ratios at the same shapes and on the clean graph
ROWS = (
    ("training step, T=4, B=128", "step", 128, 4, 5, 1, 1.2, 3.0),
    ("100-pass MC inference, T=4, B=32", "mc", 32, 4, 1, 100, 1.5, 4.0),
    ("training step, T=150, B=16", "step", 16, 150, 2, 1, 1.5, 4.0),
    ("100-pass MC inference, T=150, B=1", "mc", 1, 150, 1, 100, 1.5, 4.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of the rows to measure")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    table = Table("row", "mirror, s", "same E, s", "ratio", "goal", "clean E, s", "ratio", "goal")
    console = Console(width=110)
    for name, what, batch, frames, repeats, passes, goal, clean_goal in ROWS:
        if options.only not in name:
            continue
        console.print(f"measuring: {name}", style="dim")
        seconds = measure(what, batch, frames, repeats, passes)
        same, clean = (seconds["mirror"] / seconds[side] for side in ("same", "clean"))
        console.print(f"{name}: {same:.2f} at the same shapes, {clean:.2f} on the clean graph")
        table.add_row(
            name,
            f"{seconds['mirror']:.2f}",
            f"{seconds['same']:.2f}",
            f"{same:.2f}",
            f"{goal:.1f}",
            f"{seconds['clean']:.2f}",
            f"{clean:.2f}",
            f"{clean_goal:.1f}",
        )
    console.print(table)
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{os.cpu_count()} CPU cores"
    console.print(
        f"same E: {REFERENCE_EDGES} edges on both sides. clean E: ours on the clean graph, "
        f"{CLEAN_EDGES} edges, the mirror on the reference graph: an epoch has the same number of "
        f"steps, so this is also the ratio of epochs.\n{kind}, jax {jax.__version__}, torch "
        f"{torch.__version__}"
    )


if __name__ == "__main__":
    main()
