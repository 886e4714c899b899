"""Speed of FER-GCN against its PyTorch mirror: forward pass and training step, in one run.

    python -m benchmarks.fergcn_speed                                # 2 CPU cores: 20 minutes
    python -m benchmarks.fergcn_speed --only synthetic               # 2 minutes
    python -m benchmarks.fergcn_speed --only VGG16 --dtype bfloat16  # on a GPU

Both sides use all cores of the same machine (or its GPU) and are timed in turns; the table has the
medians. PyTorch runs in both of its memory layouts and the faster one counts; bfloat16 is its
autocast. A step is the cross-entropy, its gradients and SGD with momentum. Ours is what `run.py`
compiles: `parallel.scan_steps` around `program.make_train_step`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gc
import os
import statistics
import time

import jax
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks.torch_mirrors import fer_gcn as mirrors
from configs import base
from fer_jax.data import folds
from fer_jax.layers.backbones import VGG16_STAGES
from fer_jax.systems.fer_gcn.network import FERGCN
from fer_jax.tasks import TASKS
from fer_jax.training import parallel, program

CLASSES, FRAMES = 7, 16
LAYOUTS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
OPTIMIZER = base.get_fergcn("ckplus", "full").optimizer


@dataclasses.dataclass(frozen=True)
class Row:
    """A size of FER-GCN.

    Attributes:
      name: in the table.
      stages, features: of the model.
      side: of a crop, pixels.
      batch: clips.
      steps: training steps of ours in one compiled call.
    """

    name: str
    stages: tuple[tuple[int, int], ...]
    features: int
    side: int
    batch: int
    steps: int

    def inputs(self):
        rng = np.random.default_rng(0)
        shape = (self.batch, FRAMES, self.side, self.side, 3)
        x = rng.standard_normal(shape, dtype=np.float32)
        return x, rng.integers(0, CLASSES, self.batch).astype(np.int32)


def rows() -> tuple[Row, ...]:
    """The paper's network and that of `configs/fergcn_synthetic.py`."""
    batch = 4 if on_gpu() else 1
    small = ((16, 1), (32, 1), (64, 1), (64, 1))
    return (
        Row(f"VGG16, 224 px, B={batch}", VGG16_STAGES, 256, 224, batch, batch),
        Row("synthetic, 56 px, B=8", small, 64, 56, 8, 4),
    )


def on_gpu() -> bool:
    return jax.default_backend() == "gpu"


class Ours:
    """The Flax model at one size; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, remat: bool = False):
        self.row, batch = row, row.batch
        self.module = FERGCN(
            CLASSES, features=row.features, stages=row.stages, dtype=dtype, remat=remat
        )
        config = base.get_config()
        config.train.batch_size, config.optimizer = batch, OPTIMIZER
        fold = folds.Fold("all", np.arange(batch), np.arange(0))
        self.program = program.make_program(
            self.module, TASKS["classification"], config, lambda b: b["inputs"], [fold]
        )
        shape = jax.ShapeDtypeStruct((batch, FRAMES, row.side, row.side, 3), np.float32)
        self.shapes = jax.eval_shape(
            functools.partial(
                program.create_train_states, self.module, self.program.optimizer, shape, [0]
            )
        )

    @functools.cached_property
    def train(self):
        """The training call, compiled."""
        batches = jax.eval_shape(lambda: self._batches(self.row.steps))
        return self.program.train.lower(self.shapes, batches, self._keys()).compile()

    def prepare(self) -> Ours:
        """Compiles, and puts weights and clips on the device."""
        x, _ = self.row.inputs()
        make = functools.partial(program.create_train_states, self.module, self.program.optimizer)
        self.states = make(x, [0])
        self.variables = jax.tree.map(jax.numpy.copy, self.states.variables)  # states are donated
        self.batches = jax.device_put(self._batches(self.row.steps))
        one = jax.device_put(self._batches(1))
        first = np.zeros(1, np.int32)
        logits = self.program.logits.lower(self.variables, one, self._keys(1)[:, 0], first)
        self._logits = functools.partial(
            logits.compile(), self.variables, one, self._keys(1)[:, 0], first
        )
        return self

    def forward(self) -> float:
        started = time.perf_counter()
        jax.block_until_ready(self._logits())
        return time.perf_counter() - started

    def step(self) -> float:
        started = time.perf_counter()
        self.states, metrics = self.train(self.states, self.batches, self._keys())
        jax.block_until_ready((self.states, metrics))
        return (time.perf_counter() - started) / self.row.steps

    def step_bytes(self) -> int:
        """Memory of the training call."""
        return program.call_bytes(self.train)

    def _batches(self, steps: int):
        x, y = self.row.inputs()
        one = {"inputs": x, "label": y, "weight": np.ones(len(y), np.float32)}
        return parallel.split({name: np.stack([leaf] * steps)[None] for name, leaf in one.items()})

    def _keys(self, steps: int | None = None):
        return jax.random.split(jax.random.key(1), (1, steps or self.row.steps))


class Mirror:
    """The PyTorch model at one size in one memory layout; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, layout: torch.memory_format):
        self.device = "cuda" if on_gpu() else "cpu"
        x, y = row.inputs()
        x = mirrors.channels_first(x).flatten(0, 1).contiguous(memory_format=layout)
        self.x = x.to(self.device).unflatten(0, (row.batch, FRAMES))
        self.y = torch.from_numpy(y).long().to(self.device)
        self.model = mirrors.FERGCN(CLASSES, features=row.features, stages=row.stages)
        self.model = self.model.to(self.device, memory_format=layout)
        self.optimizer = mirrors.make_optimizer(self.model, OPTIMIZER["learning_rate"])
        self.clip_norm = OPTIMIZER["clip_norm"]
        self.dtype = dtype

    def forward(self) -> float:
        self.model.eval()
        with self._timed() as seconds, torch.inference_mode(), self._precision():
            self.model(self.x)
        return seconds[0]

    def step(self) -> float:
        self.model.train()
        with self._timed() as seconds:
            self.optimizer.zero_grad()
            with self._precision():
                logits = self.model(self.x)
            torch.nn.functional.cross_entropy(logits.float(), self.y).backward()
            if self.clip_norm:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        return seconds[0]

    def _precision(self):
        if self.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device, getattr(torch, self.dtype))

    @contextlib.contextmanager
    def _timed(self):
        seconds, started = [], time.perf_counter()
        yield seconds
        if self.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)


def measure(row: Row, dtype: str, repeats: int, progress: Progress) -> dict[str, dict]:
    """Times the mirror in both layouts and ours in turns, after one pass that is not timed.

    Returns:
      For "forward" and "step" the median seconds of each side.
    """
    sides = {f"torch {name}": Mirror(row, dtype, layout) for name, layout in LAYOUTS.items()}
    bar = progress.add_task(f"{row.name}: compiling", total=2 * (repeats + 1) * 3)
    sides["ours"] = Ours(row, dtype).prepare()
    times = {what: {name: [] for name in sides} for what in ("forward", "step")}
    for what, columns in times.items():
        progress.update(bar, description=f"{row.name}: {what}")
        for repeat in range(repeats + 1):
            for name, side in sides.items():
                seconds = getattr(side, what)()
                if repeat:
                    columns[name].append(seconds)
                progress.advance(bar)
    return {
        what: {name: statistics.median(column) for name, column in columns.items()}
        for what, columns in times.items()
    }


def table(measured: dict[str, dict], goal: float, title="FER-GCN", layouts=tuple(LAYOUTS)) -> str:
    """Markdown: rows are sizes and what was timed."""
    lines = [
        f"| {title} | | PyTorch, s (layout) | other layout, s | ours, s | ratio | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, timed in measured.items():
        for what, seconds in timed.items():
            ours = seconds["ours"]
            (best, layout), (other, _) = sorted(
                (seconds[f"torch {layout}"], layout) for layout in layouts
            )
            lines.append(
                f"| {row} | {what} | {best:.4g} ({layout}) | {other:.4g} | {ours:.4g} "
                f"| {best / ours:.2f} | {goal} |"
            )
    return "\n".join(lines)


def memory_table(chosen: list[Row], dtype: str) -> str:
    """Markdown: memory of the compiled training call with and without rematerialisation."""
    lines = ["| training call | stored, MiB | remat, MiB |", "|---|---|---|"]
    for row in chosen:
        need = [Ours(row, dtype, remat).step_bytes() / 2**20 for remat in (False, True)]
        lines.append(f"| {row.name}, {row.steps} steps | {need[0]:.0f} | {need[1]:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name: VGG16 or synthetic")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes of each side")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as JAX does
    torch.backends.cudnn.benchmark = True
    chosen = [row for row in rows() if options.only in row.name]
    measured = {}
    with Progress() as progress:
        for row in chosen:
            measured[row.name] = measure(row, options.dtype, options.repeats, progress)
            gc.collect()
    console = Console(soft_wrap=True)
    console.print(table(measured, 1.2 if on_gpu() else 0.9), markup=False)
    console.print("\n" + memory_table(chosen, options.dtype), markup=False)
    device = jax.devices()[0]
    kind = device.device_kind if on_gpu() else f"{os.cpu_count()} CPU cores"
    console.print(
        f"\n{kind}, {options.dtype}, jax {jax.__version__}, torch {torch.__version__}, medians of "
        f"{options.repeats}"
    )


if __name__ == "__main__":
    main()
