"""The published systems: `MODELS` maps the config's name to the class."""

from __future__ import annotations

import flax.linen as nn

from fer_jax.layers import build as layers_build
from fer_jax.systems.bilinear_cnn.network import BilinearCNN
from fer_jax.systems.fer_gcn.network import FERGCN
from fer_jax.systems.graph_baselines.agcn import AGCN
from fer_jax.systems.graph_baselines.dgnn import DGNN
from fer_jax.systems.graph_baselines.st_gcn import STGCN
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.systems.stc_nlstm.densenet import DenseNet
from fer_jax.systems.stc_nlstm.network import STCNLSTM

MODELS = {
    "st_bln": STBLN,
    "st_gcn": STGCN,
    "agcn": AGCN,
    "dgnn": DGNN,
    "fer_gcn": FERGCN,
    "stc_nlstm": STCNLSTM,
    "densenet": DenseNet,
    "inception_resnet_3d": InceptionResNet3D,
    "bilinear_cnn": BilinearCNN,
}


def build(fields: dict, classes: int, graph, frames: int | None = None) -> nn.Module:
    """Makes a model for a data set.

    Args:
      fields: `{"name": key of MODELS, **constructor fields}`; lists stand for tuples.
      classes: number of classes of the data set.
      graph: its `landmarks.Graph`; models with a field `edges` get the edges.
      frames: T of a clip, for models that are tied to it.

    Returns:
      The module, bound to no device axis.

    Raises:
      ValueError: an unknown model, a field that it does not have, or another number of classes.
    """
    fields = dict(fields)
    name = fields.pop("name", None)
    if name not in MODELS:
        raise ValueError(f"model {name!r} is unknown: use one of {sorted(MODELS)}")
    return layers_build.build(MODELS[name], {"name": name, **fields}, classes, graph, frames)
