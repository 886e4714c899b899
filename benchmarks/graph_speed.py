"""Speed of the graph baselines against their PyTorch mirrors: one training step, B=128, T=4.

    python -m benchmarks.graph_speed
    python -m benchmarks.graph_speed --only dgnn

Both sides use all cores of the same machine (or its GPU), see the same clean graph of 181 edges,
and are timed in turns: forward pass, backward pass and SGD. Four steps of ours are one compiled
call, as in training, where an epoch is one.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time

import jax
import numpy as np
import optax
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.parity import BASELINES
from benchmarks.torch_mirrors import graph_baselines, st_bln
from fer_jax.faces import landmarks
from fer_jax.systems import build

BATCH, FRAMES, CLASSES, STEPS = 128, 4, 6, 4


def _inputs(nodes: int):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, FRAMES, nodes, 2), dtype=np.float32)
    return x, rng.integers(0, CLASSES, BATCH).astype(np.int32)


def our_step(kind: str, graph: landmarks.Graph):
    """Returns a function that trains the Flax model and returns the seconds of one step."""
    x, y = map(jax.device_put, _inputs(len(graph.reference_shape)))
    module = build(BASELINES[kind], CLASSES, graph)
    optimizer = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.01, 0.9))
    variables = jax.jit(lambda key: module.init(key, x, train=False))(jax.random.key(0))
    state = (variables["params"], variables["batch_stats"], optimizer.init(variables["params"]))

    def train_step(state, _):
        params, stats, opt_state = state

        def loss(params):
            variables = {"params": params, "batch_stats": stats}
            logits, updates = module.apply(variables, x, train=True, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), updates["batch_stats"]

        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), stats, opt_state), value

    @functools.partial(jax.jit, donate_argnums=0)
    def train_steps(state):
        return jax.lax.scan(train_step, state, length=STEPS)

    def step() -> float:
        nonlocal state
        started = time.perf_counter()
        state, values = train_steps(state)
        jax.block_until_ready((state, values))
        return (time.perf_counter() - started) / STEPS

    return step


def mirror_step(kind: str, graph: landmarks.Graph):
    """Returns a function that trains the mirror and returns the seconds of one step."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, y = _inputs(len(graph.reference_shape))
    x = torch.tensor(x).permute(0, 3, 1, 2).contiguous().to(device)
    y = torch.tensor(y).long().to(device)
    mirror = graph_baselines.make_mirror(kind, graph.edges, len(graph.reference_shape), CLASSES).to(
        device
    )
    optimizer = st_bln.make_optimizer(mirror, 0.01)

    def step() -> float:
        started = time.perf_counter()
        float(st_bln.train_step(mirror, optimizer, x, y))
        return time.perf_counter() - started

    return step


def measure(kind: str, repeats: int = 5) -> tuple[float, float]:
    """Returns the median seconds of a step of the mirror and of ours, after one not timed."""
    graph = landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE))
    sides = [mirror_step(kind, graph), our_step(kind, graph)]
    for side in sides:
        side()
    times = np.array([[side() for side in sides] for _ in range(repeats)])
    return tuple(statistics.median(column) for column in times.T.tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help=f"one of {', '.join(BASELINES)}")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    table = Table("model", "mirror, ms", "ours, ms", "ratio")
    for kind in BASELINES:
        if options.only in kind:
            mirror, ours = measure(kind)
            table.add_row(kind, f"{1e3 * mirror:.0f}", f"{1e3 * ours:.0f}", f"{mirror / ours:.2f}")
    Console(width=110).print(table)
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{os.cpu_count()} CPU cores"
    print(f"{kind}, jax {jax.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
