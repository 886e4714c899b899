"""The published systems: `SYSTEMS` maps the model name of a config to each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import flax.linen as nn
    from ml_collections import ConfigDict
    from rich.console import Console

    from fer_jax.experiments.setup import Experiment


class System(NamedTuple):
    """A published system, whose parts are imported on first use.

    Attributes:
      network_path: its Flax module, below this package.
      figures_path: the function that draws its own figures; empty for none. It takes the module,
        the function `batch -> model inputs`, the work directory of a finished run, the dataset, the
        evaluated folds, and indices of evaluated clips, the best or most certain prediction first.
        It yields names, figures and captions.
    """

    network_path: str
    figures_path: str = ""

    @property
    def network(self) -> type[nn.Module]:
        """The class.

        Raises:
          ValueError: the row of the table names none.
        """
        import flax.linen as nn

        found = _import(self.network_path)
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise ValueError(f"{_row(self.network_path)}, which is no Flax module")
        return found

    @property
    def figures(self) -> Callable | None:
        """The function; its module, which needs matplotlib, is imported by the first call."""
        if not self.figures_path:
            return None
        return lambda *arguments: _import(self.figures_path)(*arguments)


def _import(path: str):
    """Imports what a row names.

    Raises:
      ValueError: it is not there; what its module itself cannot import stays an ImportError.
    """
    module, _, name = path.rpartition(".")
    module = f"{__name__}.{module}"
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"{_row(path)}, but there is no module {error.name}") from error
    except AttributeError as error:
        if getattr(error.obj, "__name__", "") != module:
            raise
        raise ValueError(f"{_row(path)}, but {module} has no {name}") from error


def _row(path: str) -> str:
    """The row that names a path, in words."""
    row = next((name for name, system in SYSTEMS.items() if path in system), "")
    return f"the row {row!r} of SYSTEMS in {__name__} names {path}"


SYSTEMS = {
    "st_bln": System("st_bln.network.STBLN"),
    "st_gcn": System("graph_baselines.st_gcn.STGCN"),
    "agcn": System("graph_baselines.agcn.AGCN"),
    "dgnn": System("graph_baselines.dgnn.DGNN"),
    "fer_gcn": System("fer_gcn.network.FERGCN", "fer_gcn.figures.figures"),
    "stc_nlstm": System("stc_nlstm.network.STCNLSTM", "stc_nlstm.figures.figures"),
    "densenet": System("stc_nlstm.densenet.DenseNet"),
    "inception_resnet_3d": System(
        "inception_resnet_3d.network.InceptionResNet3D", "inception_resnet_3d.figures.figures"
    ),
    "bilinear_cnn": System("bilinear_cnn.network.BilinearCNN", "bilinear_cnn.figures.figures"),
}


def find(name: str) -> System:
    """Returns a system by name.

    Raises:
      ValueError: the name is unknown.
    """
    if name not in SYSTEMS:
        raise ValueError(f"model {name!r} is unknown: use one of {sorted(SYSTEMS)}")
    return SYSTEMS[name]


def build(fields: dict, classes: int, graph, frames: int | None = None) -> nn.Module:
    """Makes a network for a dataset, see `layers.build.make_network`.

    Args:
      fields: `{"name": key of SYSTEMS, **constructor fields}`.
      classes, graph, frames: of the dataset.

    Raises:
      ValueError: the system or a field is unknown, or the number of classes differs.
    """
    from fer_jax.layers.build import make_network

    network = find(fields.get("name")).network
    return make_network(network, fields, classes, graph, frames)


def searches(config: ConfigDict) -> bool:
    """Whether a config grows its topology (PST-BLN) instead of training a given one."""
    return "search" in config and config.search.enabled


def prepare(config: ConfigDict, workdir) -> Experiment:
    """Checks a config and builds the experiment, see `experiments.setup.prepare`."""
    from fer_jax.experiments import setup

    try:
        network = find(config.model.name).network
        if searches(config):
            from fer_jax.systems.st_bln import growth

            growth.check(config)
    except ValueError as error:
        raise setup.SetupError(str(error)) from error
    return setup.prepare(config, workdir, network)


def run(
    config: ConfigDict,
    workdir,
    console: Console | None = None,
    on_epoch: Callable[[dict], object] | None = None,
) -> dict:
    """Runs an experiment, or resumes it.

    Args:
      config: see configs/base.py.
      workdir: folder of the results, see `experiments.workdir.Workdir`; an earlier run in it is
        resumed.
      console: shows progress.
      on_epoch: gets each row of metrics.jsonl, a dict with `fold`, `epoch` and numbers, when its
        epoch is done, e.g. to send it to W&B or MLflow; what it raises costs no training.

    Processes that `hosts.connection.connect` has joined train together: all call it alike, and
    process 0 alone reads and writes the work directory and calls `on_epoch`.

    Returns:
      The metrics of the report.

    Raises:
      SetupError, data.load.NotPreparedError, WorkdirError: before training.
      training.loop.NonFiniteLossError: while training.
      machine.StorageError, machine.FileError: a file cannot be read or written, or is damaged.
    """
    import dataclasses
    import functools
    import time

    from rich.console import Console

    from fer_jax.experiments.run import run_experiment, say_line
    from fer_jax.experiments.workdir import locked
    from fer_jax.machine import storage_error
    from fer_jax.training.epoch_log import Hook

    started, console = time.perf_counter(), console or Console()
    try:
        experiment = prepare(config, workdir)
        if on_epoch is not None:
            hook = Hook(on_epoch, functools.partial(say_line, console))
            experiment.workdir = dataclasses.replace(experiment.workdir, hook=hook)
        with locked(experiment.workdir):
            if searches(config):
                from fer_jax.systems.st_bln import search

                metrics = search.run_search(experiment, console)
            else:
                draw = find(config.model.name).figures
                metrics = run_experiment(experiment, draw, console, started)
        for line in metrics.get("failed_figures", ()):
            say_line(console, line)
        return metrics
    except BrokenPipeError:
        raise  # nobody reads the output any more
    except OSError as error:
        raise storage_error(error, "then start the same command again, which resumes") from error
