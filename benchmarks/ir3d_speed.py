"""Speed and memory of 3D Inception-ResNet against its PyTorch mirror.

    python -m benchmarks.ir3d_speed --skip-memory                 # 2 CPU cores: 6 minutes
    python -m benchmarks.ir3d_speed --only synthetic              # 2 minutes
    python -m benchmarks.ir3d_speed --only paper --skip-speed     # memory of the paper's size
    python -m benchmarks.ir3d_speed --dtype bfloat16              # on a GPU

Both sides use all cores of the same machine (or its GPU) and are timed in turns; the table has the
medians. PyTorch runs in both of its memory layouts and the faster one counts; bfloat16 is its
autocast. A step is the cross-entropy, its gradients and SGD with momentum and weight decay of the
kernels. Ours is what `run.py` compiles: `parallel.scan_steps` around `program.make_train_step`;
it makes the weights of the shortcuts from the landmarks, the mirror is given them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import os
import statistics

import jax
import numpy as np
import torch
from ml_collections import ConfigDict
from rich.console import Console
from rich.progress import Progress

from benchmarks import fergcn_speed
from benchmarks.fergcn_speed import on_gpu
from benchmarks.torch_mirrors import inception_resnet_3d as mirrors
from fer_jax.data import folds
from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from fer_jax.tasks import TASKS
from fer_jax.training import parallel, program

CLASSES = 6
LAYOUTS = {"NCDHW": torch.contiguous_format, "NDHWC": torch.channels_last_3d}
OPTIMIZER = {
    "name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4,
    "decay": "kernels", "clip_norm": 0.0, "schedule": "constant", "warmup_epochs": 0.0,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """A size of 3D Inception-ResNet.

    Attributes:
      name: in the table.
      divisor, hidden: of the model.
      side: of a frame, pixels.
      batch: clips.
      steps: training steps of ours in one compiled call.
      repeats: timed passes of each side.
    """

    name: str
    divisor: int
    hidden: int
    side: int
    batch: int
    steps: int
    repeats: int
    frames: int = 10

    def inputs(self):
        rng = np.random.default_rng(0)
        clips = self.batch, self.frames
        x = rng.uniform(-1, 1, (*clips, self.side, self.side, 3)).astype(np.float32)
        landmarks = rng.uniform(0, self.side, (*clips, 68, 2)).astype(np.float32)
        labels = rng.integers(0, CLASSES, self.batch).astype(np.int32)
        return {"frames": x, "landmarks": landmarks}, labels


def rows() -> tuple[Row, ...]:
    """The paper's network and one of an eighth of its widths."""
    batch = 8 if on_gpu() else 1
    return (
        Row(f"paper, 10 x 299 x 299, B={batch}", 1, 200, 299, batch, 1, 3),
        Row("synthetic, 10 x 96 x 96, an eighth, B=4", 8, 25, 96, 4, 4, 7),
        Row("synthetic, 10 x 96 x 96, an eighth, B=8", 8, 25, 96, 8, 4, 7),
    )


class Ours(fergcn_speed.Ours):
    """The Flax model at one size; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, remat: bool = False, parts: int = 1):
        self.row = row
        self.module = InceptionResNet3D(
            CLASSES, divisor=row.divisor, hidden=row.hidden, dropout=0.0, dtype=dtype, remat=remat
        )
        train = {"batch_size": row.batch, "batch_parts": parts, "epochs": 1, "copies": 1}
        config = ConfigDict({"train": train, "optimizer": OPTIMIZER})
        fold = folds.Fold("all", np.arange(row.batch), np.arange(0))
        self.program = program.make_program(
            self.module, TASKS["classification"], config, lambda batch: batch["inputs"], [fold]
        )
        make = functools.partial(
            program.create_train_states, self.module, self.program.optimizer, seeds=[0]
        )
        self.shapes = jax.eval_shape(make, jax.eval_shape(lambda: row.inputs()[0]))

    def _batches(self, steps: int):
        x, y = self.row.inputs()
        one = {"inputs": x, "label": y, "weight": np.ones(len(y), np.float32)}
        return parallel.split(jax.tree.map(lambda leaf: np.stack([leaf] * steps)[None], one))


class Mirror(fergcn_speed.Mirror):
    """The PyTorch model at one size in one memory layout; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, layout: torch.memory_format):
        self.device, self.dtype = "cuda" if on_gpu() else "cpu", dtype
        x, y = row.inputs()
        frames = mirrors.channels_first(x["frames"]).contiguous(memory_format=layout)
        self.x = frames.to(self.device)
        self.y = torch.from_numpy(y).long().to(self.device)
        model = mirrors.InceptionResNet3D(CLASSES, divisor=row.divisor, hidden=row.hidden)
        side = -(-row.side // 8)
        weights = [
            mirrors.channels_first(shortcut_filters(x["landmarks"], row.side, cells))
            for cells in (side, (side - 1) // 2)
        ]
        weights = [each.to(self.device) for each in weights]
        self.network = model.to(self.device, memory_format=layout)
        self.model = _Weighted(self.network, weights)
        self.optimizer = mirrors.make_optimizer(self.network, OPTIMIZER["learning_rate"])
        self.clip_norm = OPTIMIZER["clip_norm"]


class _Weighted(torch.nn.Module):
    """A mirror that brings the weights of its shortcuts along."""

    def __init__(self, network, weights):
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, x):
        return self.network(x, *self.weights)


def measure(row: Row, dtype: str, repeats: int, progress: Progress) -> dict[str, dict]:
    """Times the mirror in both layouts and ours in turns, after one pass that is not timed.

    Returns:
      For "forward" and "step" the median seconds of each side.
    """
    sides = {f"torch {name}": Mirror(row, dtype, layout) for name, layout in LAYOUTS.items()}
    bar = progress.add_task(f"{row.name}: compiling", total=2 * (repeats + 1) * 3)
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


def memory_table(chosen: list[Row]) -> str:
    """Markdown: memory of the compiled training call, of one clip and of each more."""
    lines = [
        "| memory, MiB | option | one clip | two clips | each clip more |",
        "|---|---|---|---|---|",
    ]
    ways = {
        "float32": ("float32", False, False),
        "float32, remat": ("float32", True, False),
        "bfloat16": ("bfloat16", False, False),
        "bfloat16, remat": ("bfloat16", True, False),
        "float32, clip by clip": ("float32", False, True),  # batch_parts
    }
    for row in {row.side: row for row in chosen}.values():
        for way, (dtype, remat, divided) in ways.items():
            one, two = (
                Ours(
                    dataclasses.replace(row, batch=batch, steps=1),
                    dtype,
                    remat,
                    batch if divided else 1,
                ).step_bytes()
                / 2**20
                for batch in (1, 2)
            )
            name = row.name.rpartition(",")[0]
            lines.append(f"| {name} | {way} | {one:.0f} | {two:.0f} | {two - one:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name, e.g. paper or synthetic")
    parser.add_argument("--repeats", type=int, default=0, help="timed passes; 0: as the row says")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--skip-memory", action="store_true", help="times only")
    parser.add_argument("--skip-speed", action="store_true", help="memory only")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as JAX does
    torch.backends.cudnn.benchmark = True
    chosen = [row for row in rows() if options.only in row.name]
    measured = {}
    with Progress() as progress:
        for row in () if options.skip_speed else chosen:
            repeats = options.repeats or row.repeats
            measured[row.name] = measure(row, options.dtype, repeats, progress)
            gc.collect()
    console, goal = Console(soft_wrap=True), 1.2 if on_gpu() else 0.9
    if measured:
        table = fergcn_speed.table(measured, goal, "3D Inception-ResNet", tuple(LAYOUTS))
        console.print(table, markup=False)
    if not options.skip_memory:
        console.print("\n" + memory_table(chosen), markup=False)
    device = jax.devices()[0]
    kind = device.device_kind if on_gpu() else f"{os.cpu_count()} CPU cores"
    versions = f"jax {jax.__version__}, torch {torch.__version__}"
    console.print(f"\n{kind}, {options.dtype}, {versions}, medians")


if __name__ == "__main__":
    main()
