"""Correctness of outputs and gradients of each system on the device.

The reference is the PyTorch mirror with the same weights in float64 on the CPU. Ours on the CPU, in
a separate process, is compared with it too. Inputs differ in every run, but those of toys. The
error of the mirror in the same precision on the same device limits the error of ours.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import unittest.mock
from collections.abc import Callable, Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks import pairs, sides
from benchmarks.gpu.toys import TOYS
from benchmarks.torch_mirrors.weights import names_of
from fer_jax.layers import common, conv2d, conv3d

SIZES = {  # options of the pair, batch
    "ST-BLN": ({"frames": 16, "edges": 181}, 8),
    "PST-BLN": ({"frames": 16, "edges": 181}, 8),
    "AGCN": ({"frames": 16}, 8),
    "FER-GCN": ({"side": 64}, 4),
    "STC-NLSTM": ({}, 4),
    "3D Inception-ResNet": ({"side": 99}, 2),
    "bilinear CNN": ({"side": 96, "features": 64}, 8),
}
PRECISIONS = {  # of our module, of JAX's products; TF32 allowed in the mirror
    "float32": ("float32", "highest", False),
    "TF32": ("float32", "tensorfloat32", True),
    "bfloat16": ("bfloat16", "tensorfloat32", True),
}
PARTS = ("inference", "training", "gradients")
# The error of ours is limited to `TIMES` the mirror's in the same precision, or to `FLOOR`. Above
# `CAP` it is limited to `ABOUT` the mirror's: zeros instead of gradients have an error of 1.
TIMES, CAP, ABOUT = 3.0, 0.75, 1.5
FLOOR = {"float32": 5e-3, "TF32": 1e-2, "bfloat16": 1e-1}
# Functions for CPUs only.
CPU_PATHS = (
    (common.TemporalConv, "_strided"),
    (conv2d, "_strided"),
    (conv3d, "convolve_3d_on_cpu"),
)


def measure(system: str, small: bool) -> Iterator[dict]:
    """Yields the relative errors of outputs and gradients in every precision."""
    options, batch = (TOYS[system], 2) if small else SIZES[system]
    pair = pairs.SYSTEMS[system](**options)
    # two clips of a toy in bfloat16 may pass a limit by chance
    seed = 0 if small else int.from_bytes(os.urandom(2), "little")
    inputs, labels = pair.batch(batch, seed)
    variables = pair.variables(seed)
    with _Elsewhere(system, options, (variables, inputs, labels)) as elsewhere, _no_cpu_paths():
        names = [name for name in PRECISIONS if sides.on_gpu() or name != "TF32"]  # as float32
        programs = sides.side_by_side(
            functools.partial(_compile, pair, name, variables, inputs, labels) for name in names
        )
        mirror = pair.loaded_mirror(variables).double()
        true = mirror_outputs_and_gradients(pair, mirror, inputs, labels)
        for name, program in zip(names, programs, strict=True):
            *outputs, gradients = jax.tree.map(np.asarray, program(variables, inputs, labels))
            own = _errors((*outputs, names_of(mirror)(gradients)), true)
            mirror = pair.loaded_mirror(variables)
            theirs = _errors(_mirrors(pair, mirror, name, inputs, labels), true)
            limits = {part: _limit(theirs[part], FLOOR[name]) for part in PARTS}
            right = all(own[part] <= limits[part] for part in PARTS)
            yield {
                "precision": name,
                **own,
                **{f"{part}, mirror": theirs[part] for part in PARTS},
                "verdict": "right" if right else "WRONG",
            }
        if elsewhere.wanted:
            *outputs, gradients = elsewhere.result()
            own = _errors((*outputs, names_of(mirror)(gradients)), true)
            yield {"precision": "float32 on the CPU", **own}


def outputs_and_gradients(pair: pairs.Pair, module: nn.Module) -> Callable:
    """Makes `(variables, inputs, labels) -> (inference, training, gradients)` of ours.

    These are outputs in inference, and outputs and gradients in training, with statistics of the
    batch. Dropout is off in both.
    """

    def run(variables, inputs, labels):
        def loss(params):
            outputs, _ = module.apply(
                {**variables, "params": params}, inputs, train=True, dropout=False,
                mutable=["batch_stats"],
            )  # fmt: skip
            return pair.loss(outputs.astype(jnp.float32), labels), outputs

        (_, training), gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        return module.apply(variables, inputs, train=False), training, gradients

    return run


def mirror_outputs_and_gradients(
    pair: pairs.Pair, mirror: torch.nn.Module, inputs, labels, autocast=None
):
    """Returns the same of a mirror; gradients have PyTorch's names.

    Args:
      mirror: on its device; inputs are moved there and cast to its precision.
      autocast: a context, see `torch.autocast`, or None.
    """
    autocast = autocast or contextlib.nullcontext()
    own = next(mirror.parameters())
    tensors = [each.to(own.device, own.dtype) for each in pair.to_mirror(inputs)]
    labels = torch.from_numpy(labels).to(own.device)
    mirror.eval()
    with torch.no_grad(), autocast:
        inference = mirror(*tensors)
    mirror.train()
    for part in mirror.modules():
        if isinstance(part, torch.nn.Dropout):
            part.eval()
    with autocast:
        training = mirror(*tensors)
    wide = training if own.dtype == torch.float64 else training.float()
    pair.mirror_loss(wide, labels).backward()
    if pair.task == "dimensional":  # of clips, as ours in inference
        inference = inference.mean(1)
    gradients = {
        name: parameter.grad.double().cpu().numpy()
        for name, parameter in mirror.named_parameters()
        if parameter.requires_grad
    }
    return (*(each.detach().double().cpu().numpy() for each in (inference, training)), gradients)


def _limit(theirs: float, floor: float) -> float:
    """Largest error of ours, given that of the mirror."""
    return min(max(TIMES * theirs, floor), max(CAP, ABOUT * theirs))


def _compile(pair, name: str, *given):
    """Compiles ours in one precision for this device."""
    dtype, precision, _ = PRECISIONS[name]
    with jax.default_matmul_precision(precision):
        run = jax.jit(outputs_and_gradients(pair, pair.make(dtype, False)))
        return run.lower(*given).compile(sides.quick())


def _mirrors(pair, mirror, name: str, inputs, labels):
    """Runs the mirror on this device."""
    device = "cuda" if sides.on_gpu() else "cpu"
    context = contextlib.nullcontext()
    if name == "bfloat16":
        context = torch.autocast(device, torch.bfloat16)
    sides.allow_tf32(PRECISIONS[name][2])
    try:
        return mirror_outputs_and_gradients(pair, mirror.to(device), inputs, labels, context)
    finally:
        sides.allow_tf32(True)


def _errors(values, true) -> dict[str, float]:
    """Returns |x - y| / |y| of each part; gradients of all parameters count together."""
    errors = {}
    for part, own, other in zip(PARTS, values, true, strict=True):
        if part != "gradients":
            own, other = {"": own}, {"": other}
        if own.keys() != other.keys():
            raise ValueError(f"parameters differ: {sorted(own.keys() ^ other.keys())}")
        away = sum(float(np.square(np.float64(own[name]) - other[name]).sum()) for name in own)
        errors[part] = (away / sum(float(np.square(each).sum()) for each in other.values())) ** 0.5
    return errors


@contextlib.contextmanager
def _no_cpu_paths():
    """Makes functions for CPUs raise."""
    with contextlib.ExitStack() as stack:
        for owner, name in CPU_PATHS:
            wrong = AssertionError(f"{name} is for CPUs and was taken on a GPU")
            stack.enter_context(unittest.mock.patch.object(owner, name, side_effect=wrong))
        yield


class _Elsewhere:
    """Ours on the CPU, in a separate process that runs meanwhile."""

    def __init__(self, system: str, options: dict, given):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        (self.path / "given").write_bytes(pickle.dumps((system, options, given)))
        self.wanted = sides.on_gpu() or system == "ST-BLN"  # a CPU need not be compared with itself

    def __enter__(self) -> _Elsewhere:
        self.process = None
        if not self.wanted:
            return self
        command = [sys.executable, "-m", "benchmarks.gpu.correctness", str(self.path)]
        self.process = subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"})
        return self

    def __exit__(self, *_) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def result(self):
        if self.process.wait():
            raise RuntimeError("the process that computes on the CPU failed")
        return pickle.loads((self.path / "found").read_bytes())


def main() -> None:
    """Runs the case in the file of a folder on the CPU."""
    folder = pathlib.Path(sys.argv[1])
    system, options, given = pickle.loads((folder / "given").read_bytes())
    pair = pairs.SYSTEMS[system](**options)
    run = jax.jit(outputs_and_gradients(pair, pair.make("float32", False)))
    found = jax.tree.map(np.asarray, run(*given))
    (folder / "found").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
