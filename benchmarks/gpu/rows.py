"""What each row of `worker.LIMITS` measures: `MEASURES[name](small)` yields results."""

from __future__ import annotations

import functools
import gc
import os
import pathlib
import tempfile

import jax
import torch

from benchmarks import sides
from benchmarks.gpu import ceilings, correctness, devices, folds, mc_dropout, memory, search, speed


def set_up(small: bool) -> None:
    """Sets both libraries up in a new process; of `small` it shall be as on a GPU."""
    sides.allow_tf32(True)
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(os.cpu_count())
    if small:
        jax.default_backend = lambda: "gpu"  # networks take a GPU's paths on a CPU too
        # rows share toys, and compiling takes most of the time
        cache = pathlib.Path(tempfile.gettempdir()) / f"fer_jax-gpu-{os.getuid()}"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def clean_up(small: bool) -> None:
    """Frees the memory of the device after a row; toys may stay, as other rows have the same."""
    if small:
        return
    speed.forget()
    gc.collect()
    jax.clear_caches()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _speed_rows() -> dict:
    return {
        f"speed: {name}": functools.partial(speed.against_mirror, system, **options)
        for name, system, options in (
            ("ST-BLN, T=4, B=128", "ST-BLN", {"batch": 128, "steps": 16}),
            ("ST-BLN, T=150, B=64", "ST-BLN", {"batch": 64, "steps": 4, "frames": 150}),
            ("ST-BLN, T=4, B=2048", "ST-BLN", {"batch": 2048, "steps": 4}),
            ("PST-BLN, T=4, B=128", "PST-BLN", {"batch": 128, "steps": 16}),
            ("PST-BLN, T=150, B=64", "PST-BLN", {"batch": 64, "steps": 4, "frames": 150}),
            ("AGCN, T=4, B=128", "AGCN", {"batch": 128, "steps": 16}),
            ("ST-GCN, T=4, B=128", "ST-GCN", {"batch": 128, "steps": 16}),
            ("DGNN, T=4, B=128", "DGNN", {"batch": 128, "steps": 16}),
            ("FER-GCN, B=4", "FER-GCN", {"batch": 4, "steps": 4}),
            ("FER-GCN, B=32", "FER-GCN", {"batch": 32, "steps": 1}),
            ("STC-NLSTM, B=64", "STC-NLSTM", {"batch": 64, "steps": 2}),
            ("STC-NLSTM, B=256", "STC-NLSTM", {"batch": 256, "steps": 1}),
            ("3D Inception-ResNet, B=8", "3D Inception-ResNet", {"batch": 8, "steps": 2}),
            ("3D Inception-ResNet, B=32", "3D Inception-ResNet", {"batch": 32, "steps": 1}),
            ("bilinear CNN, B=50", "bilinear CNN", {"batch": 50, "steps": 4}),
            ("bilinear CNN, B=200", "bilinear CNN", {"batch": 200, "steps": 1}),
        )
    }


def _compiled_rows() -> dict:
    return {
        f"compiled mirror: {name}": functools.partial(speed.against_compiled, system, **options)
        for name, system, options in (
            ("ST-BLN, T=4, B=128", "ST-BLN", {"batch": 128, "steps": 16}),
            ("PST-BLN, T=4, B=128", "PST-BLN", {"batch": 128, "steps": 16}),
            ("FER-GCN, B=32", "FER-GCN", {"batch": 32, "steps": 1}),
            ("STC-NLSTM, B=64", "STC-NLSTM", {"batch": 64, "steps": 2}),
            ("3D Inception-ResNet, B=8", "3D Inception-ResNet", {"batch": 8, "steps": 2}),
            ("bilinear CNN, B=50", "bilinear CNN", {"batch": 50, "steps": 4}),
        )
    }


MEASURES = {
    "ceilings of the device": ceilings.measure,
    **{
        f"correct: {system}": functools.partial(correctness.measure, system)
        for system in correctness.SIZES
    },
    **_speed_rows(),
    **_compiled_rows(),
    "MC dropout: ST-BLN, T=4, B=32": functools.partial(mc_dropout.by_chunk, "ST-BLN", 32, 4),
    "MC dropout: ST-BLN, T=150, B=16": functools.partial(mc_dropout.by_chunk, "ST-BLN", 16, 150),
    "MC dropout: PST-BLN, T=4, B=32": functools.partial(mc_dropout.by_chunk, "PST-BLN", 32, 4),
    "folds side by side": folds.measure,
    **{f"memory: {system}": functools.partial(memory.measure, system) for system in memory.BATCHES},
    "search of 6 stages": search.measure,
    "all devices": devices.measure,
}
