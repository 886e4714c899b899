"""The published systems: `SYSTEMS` has each under the name that a config gives its model."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

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

if TYPE_CHECKING:
    from ml_collections import ConfigDict
    from rich.console import Console

    from fer_jax.experiments.setup import Experiment


class System(NamedTuple):
    """A published system.

    Attributes:
      network: its Flax module.
      figures: draws what only this network shows, see `experiments.run.run`; None: nothing.
    """

    network: type[nn.Module]
    figures: Callable | None = None


def _figures(folder: str) -> Callable:
    """The function `figures` of a folder, imported when it is called: it brings matplotlib."""

    def figures(*arguments):
        return importlib.import_module(f"{__name__}.{folder}.figures").figures(*arguments)

    return figures


SYSTEMS = {
    "st_bln": System(STBLN),
    "st_gcn": System(STGCN),
    "agcn": System(AGCN),
    "dgnn": System(DGNN),
    "fer_gcn": System(FERGCN, _figures("fer_gcn")),
    "stc_nlstm": System(STCNLSTM),
    "densenet": System(DenseNet),
    "inception_resnet_3d": System(InceptionResNet3D, _figures("inception_resnet_3d")),
    "bilinear_cnn": System(BilinearCNN, _figures("bilinear_cnn")),
}


def find(name: str) -> System:
    """Looks a system up.

    Raises:
      ValueError: there is none of this name.
    """
    if name not in SYSTEMS:
        raise ValueError(f"model {name!r} is unknown: use one of {sorted(SYSTEMS)}")
    return SYSTEMS[name]


def build(fields: dict, classes: int, graph, frames: int | None = None) -> nn.Module:
    """Makes a network for a data set, see `layers.build.build`.

    Args:
      fields: `{"name": key of SYSTEMS, **constructor fields}`.
      classes, graph, frames: of the data set.

    Raises:
      ValueError: an unknown system, a field that it does not have, or another number of classes.
    """
    network = find(fields.get("name")).network
    return layers_build.build(network, fields, classes, graph, frames)


def prepare(config: ConfigDict, workdir) -> Experiment:
    """Checks a config and builds everything it needs, see `experiments.setup.prepare`."""
    from fer_jax.experiments import setup

    try:
        network = find(config.model.name).network
    except ValueError as error:
        raise setup.SetupError(str(error)) from error
    return setup.prepare(config, workdir, network)


def run(config: ConfigDict, workdir, console: Console | None = None) -> dict:
    """Runs an experiment to its end, or resumes it.

    Args:
      config: see configs/base.py.
      workdir: receives all results, see `experiments.run.run`. A run found there is continued.
      console: where progress is shown.

    Returns:
      The metrics of the report.

    Raises:
      SetupError, data.load.NotPreparedError, WorkdirError: before any work.
      training.loop.NonFiniteLossError: while training.
    """
    import time

    from rich.console import Console

    from fer_jax.experiments import run as experiments_run

    started, console = time.perf_counter(), console or Console()
    experiment = prepare(config, workdir)
    if config.search.enabled:
        from fer_jax.systems.st_bln import search

        return search.run(experiment, console)
    return experiments_run.run(experiment, find(config.model.name).figures, console, started)
