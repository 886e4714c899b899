"""Speed and memory of the bilinear CNN against its PyTorch mirror: forward pass and training step.

    python -m benchmarks.bilinear                                 # 2 CPU cores: 5 minutes
    python -m benchmarks.bilinear --only full                     # one row
    python -m benchmarks.bilinear --only VGG16 --dtype bfloat16   # on a GPU

The head is what stands behind VGG16 at 224 pixels: bilinear pooling of 512 channels at 14 x 14
positions, roots, length 1, Dense 512, dropout, Dense 3. In front of it each channel is multiplied
by a learnt number in place of the trunk, so that a step goes through all of it.

Both sides use all cores of the same machine (or its GPU) and are timed in turns; the table has the
medians. bfloat16 is PyTorch's autocast, and ours of the trunk. A step is the loss e^2 + 2|e|, its
gradients and SGD with momentum and weight decay. Ours is what `run.py` compiles:
`parallel.scan_steps` around `program.make_train_step`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import os
import statistics

import flax.linen as nn
import jax
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks import fergcn_speed
from benchmarks.fergcn_speed import on_gpu
from benchmarks.torch_mirrors import bilinear_cnn as mirrors
from configs import base
from fer_jax.data import folds
from fer_jax.layers.backbones import VGG16_STAGES
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.tasks import TASKS
from fer_jax.training import program

DIMENSIONS = 3
LAYOUTS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
CONFIG = base.get_config()  # SGD with momentum 0.9 and weight decay 5e-4
CONFIG.optimizer.learning_rate = 1e-3
CONFIG.train.epochs = CONFIG.train.copies = 1


@dataclasses.dataclass(frozen=True)
class Row:
    """What is timed.

    Attributes:
      name: in the table.
      batch: images.
      steps: training steps of ours in one compiled call.
      compact: of the model.
      stages: of VGG16; empty: the head alone.
      side: of an image, pixels, or of the maps in front of the head.
    """

    name: str
    batch: int
    steps: int
    compact: str = "full"
    stages: tuple[tuple[int, int], ...] = ()
    side: int = 14

    @property
    def shape(self) -> tuple[int, ...]:
        if not self.stages:
            return self.batch, self.side**2, 512
        return self.batch, 1, self.side, self.side, 3

    def inputs(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal(self.shape, dtype=np.float32)
        y = rng.uniform(1, 9, (self.batch, DIMENSIONS)).astype(np.float32)
        return (x if self.stages else np.maximum(x, 0)), y


def rows() -> tuple[Row, ...]:
    batch = 50 if on_gpu() else 2
    heads = ("full", "triangle", "reduced", "low_rank")
    small = ((32, 1), (64, 1), (128, 1), (128, 1))
    return (
        *(Row(f"head, {compact}, B=50", 50, 4, compact) for compact in heads),
        Row("small network, 64 px, B=50", 50, 4, stages=small, side=64),
        Row(f"VGG16, 224 px, B={batch}", batch, 2, stages=VGG16_STAGES, side=224),
    )


class Head(nn.Module):
    """Ours behind the trunk: `[B, n, c]` to values `[B, D]`."""

    model: BilinearCNN
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = x * self.param("scale", nn.initializers.ones, (x.shape[-1],))
        return self.model.of_frames(self.model.pool(x), dropout=train)


class MirrorHead(torch.nn.Module):
    """The mirror of `Head`: `[B, c, n]`."""

    def __init__(self, compact: str):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(512, 1))
        self.head = mirrors.Head(DIMENSIONS, 512, compact=compact)

    def forward(self, x):
        return self.head(x * self.scale)[:, None]


class Ours(fergcn_speed.Ours):
    """The Flax model of one row; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, remat: bool = False):
        self.row = row
        self.module = BilinearCNN(
            DIMENSIONS, compact=row.compact, stages=row.stages, dtype=dtype, remat=remat
        )
        if not row.stages:
            self.module = Head(self.module)
        config = CONFIG.copy_and_resolve_references()
        config.train.batch_size = row.batch
        fold = folds.Fold("all", np.arange(row.batch), np.arange(0))
        self.program = program.make_program(
            self.module, TASKS["dimensional"], config, lambda b: b["inputs"], [fold]
        )
        make = functools.partial(
            program.create_train_states, self.module, self.program.optimizer, seeds=[0]
        )
        self.shapes = jax.eval_shape(make, jax.ShapeDtypeStruct(row.shape, np.float32))


class Mirror(fergcn_speed.Mirror):
    """The PyTorch model of one row in one memory layout; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, layout: torch.memory_format):
        self.device, self.dtype = "cuda" if on_gpu() else "cpu", dtype
        x, y = row.inputs()
        self.y = torch.from_numpy(y).to(self.device)
        if row.stages:
            self.model = mirrors.BilinearCNN(DIMENSIONS, stages=row.stages)
            x = mirrors.channels_first(x).flatten(0, 1).contiguous(memory_format=layout)
            self.x = x.to(self.device).unflatten(0, (row.batch, 1))
            self.model = self.model.to(self.device, memory_format=layout)
        else:
            self.model = MirrorHead(row.compact).to(self.device)
            x = torch.from_numpy(x).transpose(1, 2)  # its memory is that of NHWC
            self.x = (x.contiguous() if layout == torch.contiguous_format else x).to(self.device)
        self.optimizer = mirrors.make_optimizer(self.model, CONFIG.optimizer.learning_rate)

    def step(self) -> float:
        self.model.train()
        with self._timed() as seconds:
            self.optimizer.zero_grad()
            with self._precision():
                values = self.model(self.x)
            error = values.float()[:, 0] - self.y
            (error**2 + 2 * error.abs()).mean().backward()
            self.optimizer.step()
        return seconds[0]


def measure(row: Row, dtype: str, repeats: int, progress: Progress) -> dict[str, dict]:
    """Times the mirror in both layouts and ours in turns, after one pass that is not timed.

    Returns:
      For "forward" and "step" the median seconds of each side.
    """
    sides = {f"torch {name}": Mirror(row, dtype, layout) for name, layout in LAYOUTS.items()}
    bar = progress.add_task(f"{row.name}: compiling", total=2 * (repeats + 1) * len(sides))
    sides["ours"] = Ours(row, dtype).prepare()
    medians = {}
    for what in ("forward", "step"):
        progress.update(bar, description=f"{row.name}: {what}")
        columns = {name: [] for name in sides}
        for _ in range(repeats + 1):
            for name, side in sides.items():
                columns[name].append(getattr(side, what)())
                progress.advance(bar)
        medians[what] = {name: statistics.median(each[1:]) for name, each in columns.items()}
    return medians


def memory_table(chosen: list[Row], dtype: str) -> str:
    """Markdown: what stands in memory from step to step, the gradients, and the compiled call."""
    lines = [
        "| memory, MiB | parameters, momentum | gradients | training call |",
        "|---|---|---|---|",
    ]
    for row in chosen:
        ours = Ours(row, dtype)
        params = 4 * program.count_parameters(ours.shapes.params)[0] / 2**20
        call = ours.step_bytes() / 2**20
        lines.append(f"| {row.name} | {2 * params:.0f} | {params:.0f} | {call:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name: head, full, small, VGG16 ...")
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
    table = fergcn_speed.table(measured, 1.0, "Bilinear CNN", tuple(LAYOUTS))
    console.print(table, markup=False)
    console.print("\n" + memory_table(chosen, options.dtype), markup=False)
    device = jax.devices()[0]
    kind = device.device_kind if on_gpu() else f"{os.cpu_count()} CPU cores"
    console.print(
        f"\n{kind}, {options.dtype}, jax {jax.__version__}, torch {torch.__version__}, medians of "
        f"{options.repeats}"
    )


if __name__ == "__main__":
    main()
