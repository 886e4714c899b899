"""Times both networks of a `Pair`, ours and the mirror: forward passes, training steps, MC dropout.

Ours is the program of `run.py`: `parallel.scan_steps` around `program.make_train_step`, K steps per
call. The mirror takes K steps before the device is synchronised. One call that is not timed warms
up both and compiles.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import time
from collections.abc import Callable, Iterable

import jax
import numpy as np
import torch
from ml_collections import ConfigDict

from benchmarks import flops
from benchmarks.pairs import Pair
from benchmarks.torch_mirrors import st_bln
from fer_jax import uncertainty
from fer_jax.data.folds import Fold
from fer_jax.tasks import TASKS
from fer_jax.training import parallel, program

# The same for every system, so that only the networks differ.
OPTIMIZER = {
    "name": "sgd", "learning_rate": 1e-4, "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4,
    "decay": "all", "clip_norm": 0.0, "schedule": "constant", "warmup_epochs": 0.0,
    "freeze_graph_epochs": 0,
}  # fmt: skip
SAMPLES = 100  # of MC dropout
_FIRST = np.zeros(1, np.int32)


def side_by_side(compilers: Iterable[Callable]) -> list:
    """Compiles several programs in parallel: a single compilation does not use all cores."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        return [each.result() for each in [pool.submit(compiler) for compiler in compilers]]


def quick() -> dict | None:
    """Compiler options that skip the autotuning of kernels on a GPU."""
    return {**parallel.compiler_options(), "xla_gpu_autotune_level": 0} if on_gpu() else None


def on_gpu() -> bool:
    return jax.devices()[0].platform == "gpu"


class Ours:
    """Our network at one size, with `steps` steps per call.

    Args:
      pair, batch, steps: network, clips of a batch, steps of a call.
      dtype, remat: see `fer_jax.layers.build`.
      parts: microbatches of a batch.
    """

    def __init__(
        self, pair: Pair, batch: int, steps: int, dtype: str = "float32", remat: bool = False,
        parts: int = 1,
    ):  # fmt: skip
        self.pair, self.size, self.steps = pair, batch, steps
        self.keys = jax.random.split(jax.random.key(1), (1, steps))
        self.module = module = pair.make(dtype, remat)
        train = {"batch_size": batch, "microbatches": parts, "epochs": 1, "repeats_per_epoch": 1}
        train |= {"drop_last": True, "class_weights": "none"}
        config = ConfigDict({"train": train, "optimizer": OPTIMIZER})
        fold = Fold("all", np.arange(batch), np.arange(0))
        self.program = program.make_program(
            module, TASKS[pair.task], config, lambda b: b["inputs"], [fold]
        )
        self._make = functools.partial(
            program.create_train_states, module, self.program.optimizer, seeds=[0]
        )

    @functools.cached_property
    def states_shape(self):
        """Shapes of the training state; nothing is computed."""
        inputs, _ = jax.eval_shape(lambda: self.pair.batch(1))
        return jax.eval_shape(self._make, inputs)

    def compile_step(self, options: dict | None = None):
        """Compiles the training call with the options of the compiler."""
        call = self.program.train.lower(self.states_shape, self._shapes(), self.keys)
        return call.compile(parallel.compiler_options() if options is None else options)

    def compile_forward(self):
        """Compiles the evaluation call."""
        given = self.states_shape.variables, self._shapes(), self.keys[:, 0], _FIRST
        return self.program.logits.lower(*given).compile()

    def prepare(self, forward=None, step=None) -> Ours:
        """Takes the results of the methods above and puts weights and clips on the device."""
        self._logits, self._train = forward, step
        self.states = self._make(self.pair.batch(1)[0])
        self.variables = jax.tree.map(jax.numpy.copy, self.states.variables)  # states are donated
        self.batches = jax.device_put(self._batches())
        return self

    @property
    def bytes(self) -> dict[str, float]:
        """Bytes moved by one forward pass and one training step."""
        return {"forward": _bytes(self._logits), "step": _bytes(self._train)}

    @property
    def flops(self) -> dict[str, float]:
        """Operations in the products of one forward pass and one training step."""
        return _operations(self.pair, self.size, self.steps)

    def forward(self) -> float:
        """Seconds of one forward pass."""
        started = time.perf_counter()
        done = self._logits(self.variables, self.batches, self.keys[:, 0], _FIRST)
        jax.block_until_ready(done)
        return (time.perf_counter() - started) / self.steps

    def step(self) -> float:
        """Seconds of one training step."""
        started = time.perf_counter()
        self.states, metrics = self._train(self.states, self.batches, self.keys)
        jax.block_until_ready((self.states, metrics))
        return (time.perf_counter() - started) / self.steps

    def mc(self) -> float:
        """Seconds of all MC samples of one batch."""
        started = time.perf_counter()
        jax.block_until_ready(self._sample(jax.random.key(2)))
        return time.perf_counter() - started

    @functools.cached_property
    def _sample(self):
        variables = program.unstack(self.variables, 0)
        inputs = jax.device_put(self.pair.batch(self.size)[0])
        forward = uncertainty.stochastic(self.module)
        sample = functools.partial(uncertainty.mc_dropout, forward, mc_samples=SAMPLES)
        return functools.partial(jax.jit(sample), variables, inputs)

    def _batches(self):
        x, y = self.pair.batch(self.size)
        one = {"inputs": x, "label": y, "weight": np.ones(len(y), np.float32)}
        return parallel.shard(jax.tree.map(lambda leaf: np.stack([leaf] * self.steps)[None], one))

    def _shapes(self):
        local = (jax.local_device_count(), 1, self.steps, self.size // jax.device_count())
        inputs, labels = jax.eval_shape(lambda: self.pair.batch(1))
        weight = jax.ShapeDtypeStruct((1,), np.float32)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((*local, *leaf.shape[1:]), leaf.dtype),
            {"inputs": inputs, "label": labels, "weight": weight},
        )


@functools.cache
def _operations(pair: Pair, batch: int, steps: int) -> dict[str, float]:
    ours = Ours(pair, batch, steps)
    states, shapes, keys = ours.states_shape, ours._shapes(), ours.keys
    calls = {
        "forward": (ours.program.logits, states.variables, shapes, keys[:, 0], _FIRST),
        "step": (ours.program.train, states, shapes, keys),
    }
    return {name: flops.count(*call) / steps for name, call in calls.items()}


class Mirror:
    """The PyTorch network at one size, with `steps` steps before the device is synchronised.

    Args:
      pair, batch, steps: see `Ours`.
      dtype: "bfloat16" is PyTorch's autocast.
      layout: memory format of images and kernels.
      compiler: backend of `torch.compile`; "" for eager execution.
    """

    def __init__(
        self, pair: Pair, batch: int, steps: int, dtype: str = "float32",
        layout: torch.memory_format = torch.contiguous_format, compiler: str = "",
    ):  # fmt: skip
        self.pair, self.steps, self.dtype = pair, steps, dtype
        self.device = "cuda" if on_gpu() else "cpu"
        x, y = pair.batch(batch)
        self.x = [_laid_out(each, layout).to(self.device) for each in pair.to_mirror(x)]
        self.y = torch.from_numpy(y).to(self.device)
        network = pair.make_mirror().to(self.device, memory_format=layout)
        trained = [each for each in network.parameters() if each.requires_grad]
        self.optimizer = torch.optim.SGD(
            trained, OPTIMIZER["learning_rate"], momentum=OPTIMIZER["momentum"],
            weight_decay=OPTIMIZER["weight_decay"],
        )  # fmt: skip
        self.model = torch.compile(network, backend=compiler) if compiler else network

    def forward(self) -> float:
        """Seconds of one forward pass."""
        self.model.eval()
        with self._timed() as seconds, torch.no_grad():
            for _ in range(self.steps):
                with self._precision():
                    self.model(*self.x)
        return seconds[0] / self.steps

    def step(self) -> float:
        """Seconds of one training step."""
        self.model.train()
        with self._timed() as seconds:
            for _ in range(self.steps):
                self.optimizer.zero_grad()
                with self._precision():
                    outputs = self.model(*self.x)
                self.pair.mirror_loss(outputs.float(), self.y).backward()
                self.optimizer.step()
        return seconds[0] / self.steps

    def mc(self) -> float:
        """Seconds of all MC samples of one batch; ST-BLN only."""
        with self._timed() as seconds:
            st_bln.mc_dropout(self.model, *self.x, SAMPLES)
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


def in_turns(sides: dict, what: str, repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of each side's method, timed in turns after one untimed call."""
    for side in sides.values():
        getattr(side, what)()
    times = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            times[name].append(getattr(side, what)())
    return times


def allow_tf32(allowed: bool) -> None:
    """Sets whether PyTorch computes float32 products in TensorFloat-32, JAX's default on a GPU."""
    precision = "tf32" if allowed else "ieee"
    try:  # PyTorch 2.9 and newer
        torch.backends.cuda.matmul.fp32_precision = precision
        torch.backends.cudnn.conv.fp32_precision = precision
        torch.backends.cudnn.rnn.fp32_precision = precision
    except AttributeError:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def _laid_out(tensor: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """Converts a batch to a memory layout; clips `[B, T, C, H, W]` are converted image by image."""
    if layout == torch.channels_last and tensor.ndim == 5:
        images = tensor.flatten(0, 1).contiguous(memory_format=layout)
        return images.unflatten(0, tensor.shape[:2])
    if layout == torch.channels_last_3d and tensor.ndim != 5:
        return tensor
    return tensor.contiguous(memory_format=layout)


def _bytes(compiled) -> float:
    """Bytes moved by one step of a compiled call; NaN if XLA does not report them."""
    cost = compiled.cost_analysis() or {}
    return (cost[0] if isinstance(cost, list) else cost).get("bytes accessed", float("nan"))
