"""What each row of `worker.LIMITS` measures: `MEASURES[name](small)` yields results."""

from __future__ import annotations

import functools
import gc
import os
import pathlib
import tempfile
from collections.abc import Callable

import jax
import torch

from benchmarks import sides
from benchmarks.gpu import ceilings, correctness, devices, folds, mc_dropout, memory, search, speed
from benchmarks.gpu.worker import LIMITS


def set_up(small: bool) -> None:
    """Sets up both libraries in a new process; `small` takes the paths of a GPU."""
    sides.allow_tf32(True)
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(os.cpu_count())
    if small:
        jax.default_backend = lambda: "gpu"  # networks take a GPU's paths on a CPU too
        # Rows share toys, and compiling takes most of the time.
        cache = pathlib.Path(tempfile.gettempdir()) / f"fer_jax-gpu-{os.getuid()}"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def clean_up(small: bool) -> None:
    """Frees the memory of the device after a row; toys stay for other rows."""
    if small:
        return
    speed.forget()
    gc.collect()
    jax.clear_caches()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# Steps in one call, for each size of the rows on speed.
STEPS = {
    "ST-BLN, T=4, B=128": 16, "ST-BLN, T=150, B=64": 4, "ST-BLN, T=4, B=2048": 4,
    "PST-BLN, T=4, B=128": 16, "PST-BLN, T=150, B=64": 4, "AGCN, T=4, B=128": 16,
    "ST-GCN, T=4, B=128": 16, "DGNN, T=4, B=128": 16, "FER-GCN, B=4": 4, "FER-GCN, B=32": 1,
    "STC-NLSTM, B=64": 2, "STC-NLSTM, B=256": 1, "3D Inception-ResNet, B=8": 2,
    "3D Inception-ResNet, B=32": 1, "bilinear CNN, B=50": 4, "bilinear CNN, B=200": 1,
}  # fmt: skip
KINDS = {  # first words of a row's name -> `(system, small, **sizes)`
    "correct": correctness.measure,
    "speed": speed.against_mirror,
    "compiled mirror": speed.against_compiled,
    "MC dropout": mc_dropout.by_chunk,
    "memory": memory.measure,
}
WHOLE = {  # rows without a system: `(small)`
    "ceilings of the device": ceilings.measure,
    "folds side by side": folds.measure,
    "search of 6 stages": search.measure,
    "all devices": devices.measure,
}


def _measure(name: str) -> Callable:
    """Makes the function of a row: its name has the kind, the system and the sizes."""
    if name in WHOLE:
        return WHOLE[name]
    kind, case = name.split(": ")
    system, *sizes = case.split(", ")
    fields = {"T": "frames", "B": "batch"}
    options = {fields[size[0]]: int(size[2:]) for size in sizes}
    if kind in ("speed", "compiled mirror"):
        options["steps"] = STEPS[case]
    return functools.partial(KINDS[kind], system, **options)


MEASURES = {name: _measure(name) for name in LIMITS}
