"""Small networks of every system, with random weights that let each part reach the output.

A toy is built from the fields of a config. `TOYS` has one of each system under the name of the
system, and its variants under the name and a word.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from fer_jax.faces import landmarks
from fer_jax.systems import build
from tests.quick import quick

CLASSES, CLIPS = 3, 3

# Six nodes; the graph networks see them, ST-BLN sees one feature an edge.
NODES, CENTRE = 6, 4
EDGES = ((0, 1), (0, 3), (1, 2), (1, 5), (2, 3), (0, 4), (5, 4), (3, 4))
GRAPH = landmarks.Graph(np.array(EDGES, np.int32), np.zeros((NODES, 2), np.float32))


@dataclasses.dataclass(frozen=True)
class Toy:
    """A network at a small size.

    Attributes:
      system: key of `SYSTEMS`.
      fields: of the model in a config.
      shape: `[T, ...]` of a clip; with landmarks beside it where the network takes faces.
      silent: ends of the names of parameters without a gradient: BatchNorm takes the mean away,
        and with it the bias in front of it.
    """

    system: str
    fields: dict
    shape: tuple[int, ...]
    silent: tuple[str, ...] = ()


_GRAPH = {"nodes": NODES, "widths": [4, 4, 8, 8, 8]}  # the fifth layer halves the time
_SHORT = {"nodes": NODES, "widths": [4, 8, 8]}
_GRAPH_SILENT = ("graph/bias", "theta_bias", "down/bias", "residual/bias", "temporal/bias")
_LINEAR = tuple(f"layer{n}/{name}_bias" for n in range(1, 6) for name in ("H_v", "H_e"))
_ST_BLN_SILENT = ("bilinear/bias", "r1/bias", "r2/bias", "temporal/bias")
_FER_GCN = {"features": 6, "stages": [[4, 1], [6, 2]]}
_VGG_SILENT = ("stage1/conv1/bias", "stage2/conv1/bias", "stage2/conv2/bias")
_STC = {"channels": [4, 3, 5, 3, 4], "hidden": 5}
_STC_SILENT = ("layer1/conv/bias", "layer2/conv/bias")
_IR3D = {"divisor": 16, "hidden": 5}
_VGG = {"trunk": "vgg16", "stages": [[4, 1], [8, 2]]}
_RESNET = {"trunk": "resnet50", "stages": [[3, 1], [8, 2]]}
_CROPS, _STC_CROPS, _IR3D_CROPS = (5, 13, 13, 3), (4, 16, 16, 3), (3, 99, 99, 3)


def _fer_gcn(**fields) -> Toy:
    return Toy("fer_gcn", {**_FER_GCN, **fields}, _CROPS, _VGG_SILENT)


def _stc(**fields) -> Toy:
    return Toy("stc_nlstm", {**_STC, **fields}, _STC_CROPS, _STC_SILENT)


def _ir3d(**fields) -> Toy:
    # sides 99, 50, 25, 13, 6, 2: paddings of either kind
    return Toy("inception_resnet_3d", {**_IR3D, **fields}, _IR3D_CROPS)


def _bilinear(**fields) -> Toy:
    return Toy("bilinear_cnn", fields, (2, 24, 24, 3))


TOYS = {
    # some layers are narrower than what they read
    "st_bln": Toy("st_bln", {"widths": [6, 4, 6, 4, 4]}, (16, 7, 2), _ST_BLN_SILENT),
    # of full size, as for Oulu-CASIA
    "st_bln before": Toy("st_bln", {"dropout_place": "before"}, (4, 309, 2), _ST_BLN_SILENT),
    "st_gcn": Toy("st_gcn", _GRAPH, (16, NODES, 2), _GRAPH_SILENT),
    "st_gcn original": Toy(
        "st_gcn", {**_SHORT, "original": True, "centre": CENTRE}, (5, NODES, 2), _GRAPH_SILENT
    ),
    "agcn": Toy("agcn", _SHORT, (4, NODES, 2), _GRAPH_SILENT),
    "dgnn": Toy("dgnn", _GRAPH, (5, NODES, 2), _GRAPH_SILENT + _LINEAR),
    "fer_gcn": _fer_gcn(),
    "fer_gcn cnn": _fer_gcn(modules=0, fusion=False),
    "fer_gcn mean": _fer_gcn(modules=3, fusion=False),
    "fer_gcn eq6": _fer_gcn(recurrence="eq6"),
    "stc_nlstm": _stc(),
    "stc_nlstm sum": _stc(nesting="sum", channels=[4] * 3),
    "stc_nlstm last": _stc(nesting="last", channels=[3, 4]),
    "stc_nlstm flat": _stc(nesting="last", channels=[3, 4], flat=True),
    "stc_nlstm none": _stc(nesting="none", channels=[4, 3, 5]),
    # odd numbers of channels to halve
    "densenet": Toy("densenet", {"blocks": [2, 3], "growth": 3, "initial": 5}, (3, 37, 37, 3)),
    "inception_resnet_3d": _ir3d(),
    "inception_resnet_3d still": _ir3d(still=True, version="v2", residual_scale=[0.2, 0.1, 0.3]),
    "inception_resnet_3d bare": _ir3d(batch_norm=False, factorised=1, landmarks=False),
    # 8 channels at the pooling, of both trunks and all that stands behind them
    "bilinear_cnn": _bilinear(**_VGG, features=5),
    "bilinear_cnn triangle": _bilinear(**_RESNET, features=0, compact="triangle"),
    "bilinear_cnn reduced": _bilinear(**_VGG, compact="reduced", reduced=3, features=5),
    "bilinear_cnn low_rank": _bilinear(**_VGG, compact="low_rank", rank=4),
    "bilinear_cnn global": _bilinear(**_RESNET, pooling="global"),
    "bilinear_cnn caffe": _bilinear(
        **_RESNET, features=5, channels="bgr", stride_in_1x1=True, ceil_pool=True
    ),
}


def make(name: str, **options) -> nn.Module:
    """Builds a toy with other fields, as a config does."""
    toy = TOYS[name]
    return build({"name": toy.system, **toy.fields, **options}, CLASSES, GRAPH, toy.shape[0])


def draw(name: str, clips: int = CLIPS, seed: int = 1):
    """Draws inputs of a toy: an array `[B, T, ...]`, or frames and landmarks."""
    rng, shape = np.random.default_rng(seed), (clips, *TOYS[name].shape)
    x = rng.normal(0, 2 if shape[-1] == 2 else 1, shape).astype(np.float32)
    if make(name).inputs != "faces":
        return x
    points = rng.uniform(0, shape[2], (*shape[:2], 68, 2)).astype(np.float32)
    return {"frames": np.clip(x, -1, 1), "landmarks": points}


@functools.cache
def variables(name: str) -> dict:
    """Random weights of a toy."""
    return random_variables(make(name), draw(name, 1))


def random_variables(module: nn.Module, inputs, seed: int = 0) -> dict:
    """Draws weights that keep the scale of activations, and statistics of some earlier batches."""
    init = functools.partial(module.init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), inputs)
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        name, shape = path[-1].key, leaf.shape
        if name in ("var", "scale", "M"):
            values = rng.uniform(0.5, 1.5, shape)
        elif name in ("mean", "bias") or name.endswith("_bias"):
            values = rng.normal(0.1, 0.2, shape)  # few units that never fire
        elif name == "A":
            values = np.eye(*shape) + rng.normal(0, 0.7, shape)
        elif name == "P":
            values = rng.normal(0, 0.1, shape)
        else:
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)


@functools.cache
def _scorer(module: nn.Module) -> Callable:
    return quick(functools.partial(module.apply, train=False))


def outputs(name: str, inputs, own: dict | None = None, **options) -> np.ndarray:
    """Outputs of a toy in inference mode, with its random weights or others."""
    return np.asarray(_scorer(make(name, **options))(own or variables(name), inputs))
