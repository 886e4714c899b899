"""What is trained, and how the predictions of each method are read from the runs."""

from __future__ import annotations

import pathlib
import shutil
from typing import NamedTuple

from ml_collections import ConfigDict
from rich.console import Console

from fer_jax import systems
from fer_jax.compare.chosen import load_config
from fer_jax.experiments.workdir import Workdir
from fer_jax.training.averaging import AVERAGED


class Dataset(NamedTuple):
    """What a method is trained on.

    Attributes:
      config: as `fer-jax train --config` takes it.
      unseen: name -> prepared dataset of other people, cameras or drawing.
    """

    config: str
    unseen: dict[str, str]


class Method(NamedTuple):
    """A way to predict with uncertainty.

    Attributes:
      fields: of the config, beside `FIELDS`.
      reads: whose outputs are its samples, of each member: "recalibrated" (dropout off), "samples"
        (MC dropout) or "posterior_samples".
      begins: run whose training it shares; it is copied instead of repeated.
    """

    fields: dict
    reads: str
    begins: str = ""

    @property
    def run(self) -> str:
        """Name of its run; methods of the same fields share one."""
        words = [f"{name.split('.')[-1]}-{value}" for name, value in self.fields.items()]
        return "_".join(words) or _SINGLE


_SINGLE = "single"
_DRAWN = {f"synthetic_{name}": f"data/synthetic_{name}" for name in ("studio", "film", "cartoon")}
_DRAWN_CROPS = {name: f"{path}_crops" for name, path in _DRAWN.items()}
DATASETS = {
    "buhmap": Dataset("stbln_buhmap", {"lse": "data/lse"}),
    "lse": Dataset("stbln_lse", {"buhmap": "data/buhmap"}),
    "synthetic": Dataset("stbln_synthetic", _DRAWN),
    "synthetic_crops": Dataset("fergcn_synthetic:mcd", _DRAWN_CROPS),
    "ferplus": Dataset("faces_ferplus", {}),
    "ferplus_dimensions": Dataset("bilinear_ferplus:small", {}),
}
_ENSEMBLE = {"uncertainty.members": 5}
METHODS = {
    "none": Method({}, "recalibrated"),
    "mc_dropout": Method({}, "samples"),
    "ensemble": Method(_ENSEMBLE, "recalibrated"),
    "ensemble_mc": Method(_ENSEMBLE, "samples"),
    "swa": Method({"uncertainty.posterior": "swa"}, "posterior_samples"),
    "swag": Method({"uncertainty.posterior": "swag"}, "posterior_samples", "posterior-swa"),
    "laplace": Method({"uncertainty.posterior": "laplace"}, "posterior_samples", _SINGLE),
}
FIELDS = {"uncertainty.familiarity": True}  # of every run


def config_of(dataset: str, method: str, seed: int, fields: dict | None = None) -> ConfigDict:
    """The config of a run.

    Args:
      dataset, method: keys of `DATASETS` and `METHODS`.
      seed: of the run.
      fields: further fields, which come last.
    """
    own = METHODS[method]
    changed = FIELDS | own.fields
    if own.fields.get("uncertainty.posterior") in AVERAGED:  # of late epochs: refused with "best"
        changed |= {"train.select_checkpoint": "last"}
    changed |= fields or {}
    config = load_config(
        DATASETS[dataset].config, [f"{name}={value}" for name, value in changed.items()]
    )
    config.name, config.seed = run_name(dataset, own.run, seed), seed
    return config


def run_name(dataset: str, run: str, seed: int) -> str:
    return f"{dataset}_{run}_seed{seed}"


def train(config: ConfigDict, dataset: str, method: str, out: pathlib.Path, console: Console):
    """Trains what is missing: the work directory of a finished run.

    Args:
      config: of `config_of`.
      dataset, method: see `config_of`.
      out: folder of the work directories.
      console: shows the progress.
    """
    workdir = Workdir(out / config.name)
    if workdir.metrics.exists() and workdir.model.exists():
        return workdir
    begins = METHODS[method].begins
    if begins and not workdir.config.exists():
        _share_training(Workdir(out / run_name(dataset, begins, config.seed)), workdir)
    systems.run(config, workdir.path, console)
    return workdir


def _share_training(source: Workdir, target: Workdir) -> None:
    """Copies the checkpoints and the log of a finished run: another resumes at its end.

    Laplace approximations begin with the trained network, SWAG with the average of SWA.
    """
    checkpoints = source.path / "checkpoints"
    if source.metrics.exists() and checkpoints.exists():
        shutil.copytree(checkpoints, target.path / "checkpoints", dirs_exist_ok=True)
        shutil.copy(source.log, target.log)
