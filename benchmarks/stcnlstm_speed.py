"""Speed and memory of STC-NLSTM against its PyTorch mirror: forward pass and training step.

    python -m benchmarks.stcnlstm_speed                            # 2 CPU cores: 6 minutes
    python -m benchmarks.stcnlstm_speed --skip-memory              # 2 minutes
    python -m benchmarks.stcnlstm_speed --dtype bfloat16           # on a GPU

Both sides use all cores of the same machine (or its GPU) and are timed in turns; the table has the
medians. PyTorch runs in both of its memory layouts and the faster one counts; bfloat16 is its
autocast. A step is the cross-entropy, its gradients and SGD with momentum and weight decay of the
kernels. Ours is what `run.py` compiles: `parallel.scan_steps` around `program.make_train_step`.
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
from rich.console import Console
from rich.progress import Progress

from benchmarks import fergcn_speed
from benchmarks.fergcn_speed import on_gpu
from benchmarks.torch_mirrors import stc_nlstm as mirrors
from configs import base, stcnlstm_synthetic
from fer_jax.data import folds
from fer_jax.systems.stc_nlstm.network import STCNLSTM, WIDTHS
from fer_jax.tasks import TASKS
from fer_jax.training import program

CLASSES = 6
LAYOUTS = {"NCDHW": torch.contiguous_format, "NDHWC": torch.channels_last_3d}
BYTES = 8 * 2**30  # of the memory that the largest batch may take
OPTIMIZER = base.get_stcnlstm("ckplus", "full").optimizer


@dataclasses.dataclass(frozen=True)
class Row:
    """A size of STC-NLSTM.

    Attributes:
      name: in the table.
      channels, hidden: of the model.
      frames, side: of a clip; pixels.
      batch: clips.
      steps: training steps of ours in one compiled call.
    """

    name: str
    channels: tuple[int, ...]
    hidden: int
    frames: int
    batch: int
    steps: int
    side: int = 64

    @property
    def shape(self) -> tuple[int, ...]:
        return self.batch, self.frames, self.side, self.side, 3

    def inputs(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, self.shape).astype(np.float32)
        return x, rng.integers(0, CLASSES, self.batch).astype(np.int32)


def small_row() -> Row:
    """That of `configs/stcnlstm_synthetic.py`."""
    config = stcnlstm_synthetic.get_config()
    frames, batch = config.data.frames, config.train.batch_size
    name = f"synthetic, {frames} x 64 x 64, B={batch}"
    return Row(name, config.model.channels, config.model.hidden, frames, batch, 4)


PAPER = Row("paper, 18 x 64 x 64, B=4", WIDTHS, 128, 18, 4, 2)
SYNTHETIC = small_row()


class Ours(fergcn_speed.Ours):
    """The Flax model at one size; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, remat: bool = False):
        self.row = row
        self.module = STCNLSTM(CLASSES, row.channels, row.hidden, dtype=dtype, remat=remat)
        config = base.get_config()
        config.train.batch_size, config.optimizer = row.batch, OPTIMIZER
        fold = folds.Fold("all", np.arange(row.batch), np.arange(0))
        self.program = program.make_program(
            self.module, TASKS["classification"], config, lambda b: b["inputs"], [fold]
        )
        make = functools.partial(
            program.create_train_states, self.module, self.program.optimizer, seeds=[0]
        )
        self.shapes = jax.eval_shape(make, jax.ShapeDtypeStruct(row.shape, np.float32))


class Mirror(fergcn_speed.Mirror):
    """The PyTorch model at one size in one memory layout; `forward` and `step` return seconds."""

    def __init__(self, row: Row, dtype: str, layout: torch.memory_format):
        self.device, self.dtype = "cuda" if on_gpu() else "cpu", dtype
        x, y = row.inputs()
        self.x = mirrors.channels_first(x).contiguous(memory_format=layout).to(self.device)
        self.y = torch.from_numpy(y).long().to(self.device)
        self.model = mirrors.STCNLSTM(CLASSES, row.channels, row.hidden)
        self.model = self.model.to(self.device, memory_format=layout)
        self.optimizer = mirrors.make_optimizer(self.model, OPTIMIZER["learning_rate"])
        self.clip_norm = OPTIMIZER["clip_norm"]


def measure(row: Row, dtype: str, repeats: int, progress: Progress) -> dict[str, dict]:
    """Times the mirror in both layouts and ours in turns, after one pass that is not timed.

    Returns:
      For "forward" and "step" the median seconds of each side.
    """
    sides = {f"torch {name}": Mirror(row, dtype, layout) for name, layout in LAYOUTS.items()}
    bar = progress.add_task(f"{row.name}: compiling", total=2 * (repeats + 1) * len(sides) + 2)
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
    """Markdown: memory of the compiled training call with and without rematerialisation."""
    lines = ["| memory | stored | remat |", "|---|---|---|"]
    for row in chosen:
        need = [Ours(row, dtype, remat).step_bytes() / 2**20 for remat in (False, True)]
        lines.append(f"| {row.name}, {row.steps} steps | {need[0]:.0f} MiB | {need[1]:.0f} MiB |")
    if PAPER in chosen:
        most = [largest_batch(dtype, remat) for remat in (False, True)]
        lines.append(f"| paper, clips in {BYTES >> 30} GiB, one step | {most[0]} | {most[1]} |")
    return "\n".join(lines)


def largest_batch(dtype: str, remat: bool) -> int:
    """Most clips of the paper's size whose compiled training step takes at most `BYTES`."""

    @functools.cache
    def need(batch: int) -> int:
        return Ours(dataclasses.replace(PAPER, batch=batch, steps=1), dtype, remat).step_bytes()

    slope = (need(8) - need(4)) / 4
    batch = int(4 + (BYTES - need(4)) / slope)  # memory grows nearly in proportion
    while need(batch) > BYTES:
        batch -= 1
    while need(batch + 1) <= BYTES:
        batch += 1
    return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name: paper or synthetic")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes of each side")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--skip-memory", action="store_true", help="times only")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as JAX does
    torch.backends.cudnn.benchmark = True
    chosen = [row for row in (PAPER, SYNTHETIC) if options.only in row.name]
    measured = {}
    with Progress() as progress:
        for row in chosen:
            measured[row.name] = measure(row, options.dtype, options.repeats, progress)
            gc.collect()
    console = Console(soft_wrap=True)
    goal = 1.2 if on_gpu() else 0.9
    table = fergcn_speed.table(measured, goal, "STC-NLSTM", tuple(LAYOUTS))
    console.print(table, markup=False)
    if not options.skip_memory:
        console.print("\n" + memory_table(chosen, options.dtype), markup=False)
    device = jax.devices()[0]
    kind = device.device_kind if on_gpu() else f"{os.cpu_count()} CPU cores"
    console.print(
        f"\n{kind}, {options.dtype}, jax {jax.__version__}, torch {torch.__version__}, medians of "
        f"{options.repeats}"
    )


if __name__ == "__main__":
    main()
