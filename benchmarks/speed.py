"""Speed of ST-BLN against a PyTorch mirror of the published model, in one run.

    python -m benchmarks.speed            # every row, about 10 minutes on 2 CPU cores
    python -m benchmarks.speed --quick    # T=4 only, about 2 minutes

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
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from benchmarks import torch_st_bln as mirror
from fer_jax import parallel, train, uncertainty
from fer_jax.models.st_bln import STBLN
from fer_jax.tasks import TASKS

REFERENCE_EDGES, CLEAN_EDGES, CLASSES = 309, 181, 6
STEPS = {4: 4, 150: 1}  # steps of ours a call: enough work to hide the call itself
CONFIG = ConfigDict(
    {
        "train": {"batch_size": 0, "epochs": 1, "copies": 1},
        "optimizer": {
            "learning_rate": 0.01,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "schedule": "constant",
            "warmup_epochs": 0.0,
        },
    }
)


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
        program = train.make_program(
            self.module, TASKS["classification"], config, lambda b: b["inputs"], batch
        )
        self.state = train.create_train_state(self.module, program.optimizer, x, jax.random.key(0))
        weight = np.ones(batch, np.float32)
        one = {"inputs": x, "label": y, "weight": weight}
        stacked = {name: np.stack([leaf] * self.steps) for name, leaf in one.items()}
        self.batches = parallel.split(stacked)
        self.program = program
        forward = uncertainty.stochastic(self.module)
        self._mc = jax.jit(
            lambda variables, inputs, key: uncertainty.mc_dropout(
                forward, variables, inputs, key, passes=passes
            )
        )
        self.x = jax.device_put(x)

    def step(self) -> float:
        started = time.perf_counter()
        self.state, metrics = self.program.train(self.state, self.batches, jax.random.key(1))
        jax.block_until_ready(metrics)
        return (time.perf_counter() - started) / self.steps

    def mc(self) -> float:
        started = time.perf_counter()
        jax.block_until_ready(self._mc(self.state.variables, self.x, jax.random.key(2)))
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


def _alternate(ours, theirs, repeats: int) -> tuple[float, float]:
    """Warms up once, then times both in turns; returns the medians, seconds."""
    ours(), theirs()
    times = [(ours(), theirs()) for _ in range(repeats)]
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def measure(name, what, batch, frames, edges, repeats, passes=1) -> dict:
    """Times one row of the table.

    Args:
      name: shown in the table.
      what: "step" or "mc".
      batch, frames, edges: our shape; the mirror always has the reference graph's edges.
      repeats: timed repetitions of each side.
      passes: of MC dropout.
    """
    ours, theirs = (
        Ours(batch, frames, edges, passes),
        Mirror(batch, frames, REFERENCE_EDGES, passes),
    )
    seconds = _alternate(getattr(ours, what), getattr(theirs, what), repeats)
    del ours, theirs
    gc.collect()
    return {"row": name, "ours": seconds[0], "mirror": seconds[1], "ratio": seconds[1] / seconds[0]}


def rows(quick: bool) -> list[tuple]:
    """(name, what, batch, frames, edges, repeats, passes, target ratio)."""
    same, clean = REFERENCE_EDGES, CLEAN_EDGES
    table = [
        ("training step, same shapes, T=4, B=128", "step", 128, 4, same, 5, 1, 1.2),
        ("100-pass MC inference, same shapes, T=4, B=128", "mc", 128, 4, same, 1, 100, 1.5),
        ("training epoch, clean graph, T=4, B=128", "step", 128, 4, clean, 5, 1, 3.0),
        ("100-pass MC inference, clean graph, T=4, B=128", "mc", 128, 4, clean, 1, 100, 4.0),
    ]
    if quick:
        return table
    return table + [
        ("training step, same shapes, T=150, B=16", "step", 16, 150, same, 3, 1, 1.5),
        ("10-pass MC inference, same shapes, T=150, B=16", "mc", 16, 150, same, 1, 10, 1.5),
        ("training epoch, clean graph, T=150, B=16", "step", 16, 150, clean, 3, 1, 4.0),
        ("10-pass MC inference, clean graph, T=150, B=16", "mc", 16, 150, clean, 1, 10, 4.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="T=4 only")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    console = Console(width=110)
    table = Table("row", "PyTorch mirror, s", "fer_jax, s", "ratio", "target")
    for name, what, batch, frames, edges, repeats, passes, target in rows(options.quick):
        console.print(f"measuring: {name}", style="dim")
        row = measure(name, what, batch, frames, edges, repeats, passes)
        figures = [f"{row[key]:.3f}" for key in ("mirror", "ours")]
        table.add_row(name, *figures, f"{row['ratio']:.2f}", f"{target:.1f}")
    console.print(table)
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{os.cpu_count()} CPU cores"
    console.print(f"{kind}, jax {jax.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
