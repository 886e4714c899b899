"""Compares logits and gradients of the Flax landmark models with those of their PyTorch mirrors.

    python -m benchmarks.parity

Weights and clips are the same, dropout is off. The scale of the bilinear BatchNorm is near 1: at
its initial 1e-6 an error in U or W would not reach the logits. The graph baselines (ST-GCN, AGCN,
the original ST-GCN, DGNN) follow on the clean graph of the mean face. Each figure is the smallest
of three draws of clips: in about one of three, an input of a ReLU is so close to 0 that rounding
puts it on the other side, and its gradient differs by some 1e-3; an error of ours is in all.
"""

from __future__ import annotations

import jax
import numpy as np
import optax
import torch

from benchmarks.pairs import BASELINES, SYSTEMS, Pair
from benchmarks.torch_mirrors.weights import names_of
from fer_jax.faces import landmarks

# The published sizes: edges of the reference graph, classes.
REFERENCE = {"AFEW": (312, 7), "Oulu-CASIA": (309, 6), "CK+": (303, 7)}
DRAWS = (1, 2, 3)  # seeds of the clips


def compare(flax_model, variables, mirror, inputs, labels, *, train: bool) -> dict[str, float]:
    """Runs both on one batch.

    Args:
      flax_model, variables, mirror: with the same weights; `train` changes the mirror's statistics.
      inputs: `[B, T, E, 2]`, or nodes `[B, T, V, 2]`.
      labels: `[B]`.
      train: BatchNorm uses the statistics of the batch instead of the stored ones.

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
        pair = SYSTEMS["ST-BLN"](edges=edges, dropout=0.0, classes=classes)
        _print_rows(f"st_bln, {name}", edges, pair, classes)
    edges = len(landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE)).edges)
    for system, kind in BASELINES.items():
        _print_rows(kind, edges, SYSTEMS[system](), classes=7)


def _print_rows(name: str, edges: int, pair: Pair, classes: int) -> None:
    """Prints one model, with statistics of the batch and stored ones."""
    variables = pair.variables()
    model = pair.make("float32", False)
    points = pair.draw(np.random.default_rng(0), 1).shape[2]
    labels = np.arange(2) % classes
    for train in (False, True):
        rows = []
        for seed in DRAWS:
            inputs = np.random.default_rng(seed).normal(0, 1, (2, 4, points, 2))
            both = model, variables, pair.loaded_mirror(variables)  # training changes the mirror
            rows.append(compare(*both, inputs.astype(np.float32), labels, train=train))
        row = {key: min(one[key] for one in rows) for key in rows[0]}
        mode = "of batch" if train else "stored"
        print(f"{name:24s} {edges:5d} {mode:10s} {row['logits']:9.1e} {row['gradients']:9.1e} "
              f"{row['largest_gradient']:9.1e} {row['statistics']:10.1e}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
