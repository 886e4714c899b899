"""Shows that the Flax models and their PyTorch mirrors are one function: logits and gradients.

    python -m benchmarks.parity

The same weights, the same clips, dropout off. The scale of the bilinear BatchNorm is set to 1: at
its initial 1e-6 an error in U or W would not reach the logits. The graph baselines (ST-GCN, AGCN,
the original ST-GCN, DGNN) follow on the clean graph of the mean face.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks.torch_mirrors import graph_baselines, st_bln
from benchmarks.torch_mirrors.weights import load, names_of
from fer_jax.faces import landmarks
from fer_jax.systems import build
from fer_jax.systems.st_bln.network import STBLN

# The published sizes: edges of the reference graph, classes.
REFERENCE = {"AFEW": (312, 7), "Oulu-CASIA": (309, 6), "CK+": (303, 7)}
# Name of the mirror and fields of the Flax model.
BASELINES = {
    "st_gcn": {"name": "st_gcn"},
    "agcn": {"name": "agcn"},
    "original": {"name": "st_gcn", "original": True},
    "dgnn": {"name": "dgnn"},
}


def make_pair(edges: int, classes: int, frames: int, widths=st_bln.WIDTHS, seed: int = 0):
    """Makes a Flax model, its variables and the mirror that holds the same ones.

    Every BatchNorm gets a random scale near 1, and random bias and statistics.
    """
    flax_model = STBLN(classes=classes, widths=widths, dropout=0.0)
    inputs = jnp.zeros((1, frames, edges, 2))
    variables = stirred_variables(flax_model, inputs, seed)
    mirror = st_bln.STBLN(edges, classes, widths=widths, dropout=0.0)
    return flax_model, variables, load(variables, mirror)


def make_baseline_pair(
    kind: str, graph: landmarks.Graph, classes: int, frames: int, seed: int = 0, **options
):
    """Makes a graph baseline, its variables and the mirror that holds the same ones.

    Args:
      kind: key of `BASELINES`.
      graph: landmark graph.
      classes, frames: sizes.
      seed: of the weights.
      options: `widths` and, for the original ST-GCN, `centre`.
    """
    nodes = len(graph.reference_shape)
    flax_model = build({**BASELINES[kind], "nodes": nodes, **options}, classes, graph)
    variables = stirred_variables(flax_model, jnp.zeros((1, frames, nodes, 2)), seed)
    mirror = graph_baselines.make_mirror(kind, graph.edges, nodes, classes, **options)
    return flax_model, variables, load(variables, mirror)


def stirred_variables(model, inputs, seed: int) -> dict:
    """Initialises a model; what starts constant gets random values, so that a swap would show."""
    variables = jax.jit(lambda key: model.init(key, inputs, train=False))(jax.random.key(seed))
    variables = jax.tree.map(np.asarray, dict(variables))
    rng = np.random.default_rng(seed)

    def stir(path, leaf):
        name = path[-1].key
        if name in ("scale", "var", "M"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        if name in ("mean", "P") or name.endswith("bias"):
            return rng.normal(0, 0.1, leaf.shape).astype(np.float32)
        return leaf

    return jax.tree_util.tree_map_with_path(stir, variables)


def compare(flax_model, variables, mirror, inputs, labels, *, train: bool) -> dict[str, float]:
    """Runs both on one batch.

    Args:
      flax_model, variables, mirror: see `make_pair`; the mirror's statistics change in training.
      inputs: `[B, T, E, 2]`, or nodes `[B, T, V, 2]`.
      labels: `[B]`.
      train: BatchNorm uses the batch instead of the stored statistics.

    Returns:
      Largest absolute differences of `logits`, `gradients` (of the mean cross-entropy, all
      parameters) and `statistics` (stored afterwards), and the `largest_gradient`.
    """
    logits, gradients, stats = _flax_side(flax_model, variables, inputs, labels, train)
    mirror.train(train)
    mirror.zero_grad()
    outputs = mirror(torch.from_numpy(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))))
    targets = torch.from_numpy(np.asarray(labels, np.int64))
    torch.nn.functional.cross_entropy(outputs, targets).backward()
    theirs = {name: parameter.grad.numpy() for name, parameter in mirror.named_parameters()}
    buffers = {name: buffer.numpy() for name, buffer in mirror.named_buffers()}
    names = names_of(mirror)
    ours = names(gradients)
    if ours.keys() != theirs.keys():
        raise ValueError(f"parameters differ: {sorted(ours.keys() ^ theirs.keys())}")
    return {
        "logits": float(np.abs(logits - outputs.detach().numpy()).max()),
        "gradients": max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours),
        "statistics": max(
            float(np.abs(value - buffers[name]).max()) for name, value in names(stats).items()
        ),
        "largest_gradient": max(float(np.abs(value).max()) for value in theirs.values()),
    }


def _flax_side(model, variables, inputs, labels, train: bool):
    @jax.jit
    def run(params):
        def loss(params):
            logits, updates = model.apply(
                {**variables, "params": params}, inputs, train=train, mutable=["batch_stats"]
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), (logits, updates["batch_stats"])

        (_, (logits, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return logits, gradient, stats

    return jax.tree.map(np.asarray, run(variables["params"]))


def main() -> None:
    """Prints the differences for the published sizes."""
    print(f"{'model':24s} {'edges':>5s} {'BatchNorm':10s} {'logits':>9s} {'gradients':>9s} "
          f"{'(largest)':>9s} {'statistics':>10s}")  # fmt: skip
    for name, (edges, classes) in REFERENCE.items():
        _print_rows(f"st_bln, {name}", edges, edges, make_pair(edges, classes, frames=4), classes)
    graph = landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE))
    for kind in BASELINES:
        pair = make_baseline_pair(kind, graph, classes=7, frames=4)
        _print_rows(kind, len(graph.edges), len(graph.reference_shape), pair, 7)


def _print_rows(name: str, edges: int, places: int, pair, classes: int) -> None:
    """Prints one model; `places` is the length of axis 2 of its inputs."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(0, 1, (2, 4, places, 2)).astype(np.float32)
    labels = np.arange(2) % classes
    for train in (False, True):
        row = compare(*pair, inputs, labels, train=train)
        mode = "of batch" if train else "stored"
        print(f"{name:24s} {edges:5d} {mode:10s} {row['logits']:9.1e} {row['gradients']:9.1e} "
              f"{row['largest_gradient']:9.1e} {row['statistics']:10.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
