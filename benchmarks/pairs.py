"""Our networks and their PyTorch mirrors at any size, with inputs for both.

A `Pair` builds both networks and draws their batches. `SYSTEMS` maps a system to the function that
makes a pair of a given size.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np
import torch

from benchmarks import bilinear_head
from benchmarks.torch_mirrors import (
    bilinear_cnn,
    fer_gcn,
    graph_baselines,
    inception_resnet_3d,
    st_bln,
    stc_nlstm,
)
from benchmarks.torch_mirrors.weights import channels_first, load
from fer_jax.faces import landmarks
from fer_jax.layers.backbones import VGG16_STAGES
from fer_jax.systems import build
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.systems.fer_gcn.network import FERGCN
from fer_jax.systems.inception_resnet_3d.landmark_filters import shortcut_filters
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.systems.stc_nlstm.network import STCNLSTM
from fer_jax.tasks import TASKS

CLASSES, DIMENSIONS = 7, 3
PST_BLN_WIDTHS = (15, 10, 15, 5, 5, 10)  # found for AFEW (ST-BLN, table I)


# Kinds of mirrors, and the fields of those models that are not called like their mirror.
BASELINES = {"ST-GCN": "st_gcn", "AGCN": "agcn", "original ST-GCN": "original", "DGNN": "dgnn"}
ORIGINAL = {"name": "st_gcn", "original": True}


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


@dataclasses.dataclass(frozen=True)
class Pair:
    """One system at one size.

    Attributes:
      make: `(dtype, remat) -> module`, ours.
      make_mirror: makes the same network in PyTorch, with random weights.
      draw: `(generator, batch) -> inputs` of ours, NumPy arrays with leading axis B.
      to_mirror: converts these inputs to the mirror's tensors.
      task: key of `TASKS`.
      channels_last: the faster memory layout of the mirror's convolutions on a GPU.
    """

    make: Callable[[str, bool], nn.Module]
    make_mirror: Callable[[], torch.nn.Module]
    draw: Callable[[np.random.Generator, int], object]
    to_mirror: Callable[[object], tuple[torch.Tensor, ...]]
    task: str = "classification"
    channels_last: torch.memory_format = torch.contiguous_format

    def labels(self, rng: np.random.Generator, batch: int) -> np.ndarray:
        if self.task == "classification":
            return rng.integers(0, CLASSES, batch).astype(np.int32)
        return rng.uniform(1, 9, (batch, DIMENSIONS)).astype(np.float32)

    def batch(self, size: int, seed: int = 0) -> tuple[object, np.ndarray]:
        """Draws inputs and labels."""
        rng = np.random.default_rng(seed)
        return self.draw(rng, size), self.labels(rng, size)

    def variables(self, seed: int = 0) -> dict:
        """Draws weights of ours on the CPU; scales, biases and statistics are random too."""
        one = jax.tree.map(np.asarray, self.draw(np.random.default_rng(seed), 1))
        with jax.default_device(jax.devices("cpu")[0]):
            return stirred_variables(self.make("float32", False), one, seed)

    def loaded_mirror(self, variables: dict) -> torch.nn.Module:
        """Makes the mirror with given weights of ours."""
        return load(variables, self.make_mirror())

    def loss(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return TASKS[self.task].loss(outputs, {"label": labels}).mean()

    def mirror_loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.task == "classification":
            return torch.nn.functional.cross_entropy(outputs, labels.long())
        error = outputs - labels[:, None]  # of every frame
        return (error**2 + 2 * error.abs()).mean()


@functools.cache
def _st_bln(frames=4, edges=309, widths=st_bln.WIDTHS, dropout=0.2, classes=CLASSES) -> Pair:
    def make(dtype, remat):
        del remat
        return STBLN(classes, widths=widths, dropout=dropout, dtype=dtype)

    return Pair(
        make,
        lambda: st_bln.STBLN(edges, classes, widths=widths, dropout=dropout),
        lambda rng, batch: 10 * rng.standard_normal((batch, frames, edges, 2), np.float32),
        lambda x: (channels_first(x),),
    )


def _baseline(kind: str) -> Callable[..., Pair]:
    @functools.cache
    def make_pair(frames: int = 4, widths=graph_baselines.WIDTHS) -> Pair:
        graph = landmarks.make_graph(landmarks.inner(landmarks.MEAN_FACE))
        nodes = len(graph.reference_shape)

        def make(dtype, remat):
            del remat
            fields = ORIGINAL if kind == "original" else {"name": kind}
            fields = {**fields, "nodes": nodes, "widths": widths, "dtype": dtype}
            return build(fields, CLASSES, graph)

        return Pair(
            make,
            lambda: graph_baselines.make_mirror(kind, graph.edges, nodes, CLASSES, widths=widths),
            lambda rng, batch: 10 * rng.standard_normal((batch, frames, nodes, 2), np.float32),
            lambda x: (channels_first(x),),
        )

    return make_pair


@functools.cache
def _fer_gcn(stages=VGG16_STAGES, features: int = 256, side: int = 224, frames: int = 16) -> Pair:
    def make(dtype, remat):
        return FERGCN(CLASSES, frames, features=features, stages=stages, dtype=dtype, remat=remat)

    return Pair(
        make,
        lambda: fer_gcn.FERGCN(CLASSES, frames, features, stages=stages),
        lambda rng, batch: rng.standard_normal((batch, frames, side, side, 3), np.float32),
        lambda x: (fer_gcn.channels_first(x),),
        channels_last=torch.channels_last,
    )


@functools.cache
def _stc_nlstm(channels=stc_nlstm.WIDTHS, hidden=128, frames=18, side=64) -> Pair:
    def make(dtype, remat):
        return STCNLSTM(CLASSES, channels, hidden, dtype=dtype, remat=remat)

    return Pair(
        make,
        lambda: stc_nlstm.STCNLSTM(CLASSES, channels, hidden),
        lambda rng, batch: rng.uniform(-1, 1, (batch, frames, side, side, 3)).astype(np.float32),
        lambda x: (channels_first(x),),
        channels_last=torch.channels_last_3d,
    )


@functools.cache
def _inception_resnet_3d(divisor=1, hidden=200, side=299, frames=10, batch_norm=True) -> Pair:
    options = {"divisor": divisor, "hidden": hidden, "batch_norm": batch_norm}

    def make(dtype, remat):
        return InceptionResNet3D(CLASSES, dropout=0.0, dtype=dtype, remat=remat, **options)

    def draw(rng, batch):
        points = rng.uniform(0, side, (batch, frames, 68, 2)).astype(np.float32)
        x = rng.uniform(-1, 1, (batch, frames, side, side, 3)).astype(np.float32)
        return {"frames": x, "landmarks": points}

    def to_mirror(x):
        cells = -(-side // 8)
        weights = [shortcut_filters(x["landmarks"], side, n) for n in (cells, (cells - 1) // 2)]
        return tuple(map(channels_first, (x["frames"], *weights)))

    return Pair(
        make,
        lambda: inception_resnet_3d.InceptionResNet3D(CLASSES, **options),
        draw,
        to_mirror,
        channels_last=torch.channels_last_3d,
    )


@functools.cache
def _bilinear_cnn(stages=VGG16_STAGES, side=224, features=512, dropout=0.3) -> Pair:
    def make(dtype, remat):
        return BilinearCNN(
            DIMENSIONS, features=features, stages=stages, dropout=dropout, dtype=dtype, remat=remat
        )

    return Pair(
        make,
        lambda: bilinear_cnn.BilinearCNN(
            DIMENSIONS, stages=stages, features=features, dropout=dropout
        ),
        lambda rng, batch: rng.standard_normal((batch, 1, side, side, 3), np.float32),
        lambda x: (fer_gcn.channels_first(x),),
        task="dimensional",
        channels_last=torch.channels_last,
    )


@functools.cache
def _bilinear_head(compact="full", side=14) -> Pair:
    """The head after VGG16, on maps of `side` x `side` positions."""

    def make(dtype, remat):
        model = BilinearCNN(DIMENSIONS, compact=compact, stages=(), dtype=dtype, remat=remat)
        return bilinear_head.Head(model)

    def draw(rng, batch):
        maps = rng.standard_normal((batch, side**2, bilinear_head.CHANNELS), np.float32)
        return np.maximum(maps, 0)

    return Pair(
        make,
        lambda: bilinear_head.MirrorHead(DIMENSIONS, compact),
        draw,
        lambda x: (channels_first(x.reshape(len(x), side, side, -1)),),
        task="dimensional",
        channels_last=torch.channels_last,
    )


SYSTEMS: dict[str, Callable[..., Pair]] = {
    "ST-BLN": _st_bln,
    "PST-BLN": functools.partial(_st_bln, widths=PST_BLN_WIDTHS),
    **{system: _baseline(kind) for system, kind in BASELINES.items()},
    "FER-GCN": _fer_gcn,
    "STC-NLSTM": _stc_nlstm,
    "3D Inception-ResNet": _inception_resnet_3d,
    "bilinear CNN": _bilinear_cnn,
    "bilinear head": _bilinear_head,
}
