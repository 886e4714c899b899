"""The command that trains on what was prepared: the dataset's own config, or one that fits any."""

from __future__ import annotations

import argparse
import itertools
import shlex

from fer_jax.installation import train_command

# Pixels of the crops that a system's configs expect, and those of its small ones.
_CROPS = {"stcnlstm": 64, "fergcn": 256, "ir3d": 299}
_SMALL_CROPS = {"stcnlstm": 64, "fergcn": 64, "ir3d": 96}
# Datasets with small configs; of a manifest these are BUHMAP's, which take any of its kind.
_SMALL = ("synthetic", "manifest", "buhmap")
_ANY = "buhmap"


def next_command(
    options: argparse.Namespace, dataset, summary: dict, coded: bool, configs: list[str]
) -> str:
    """Returns the command that trains.

    Args:
      options: of the preparation.
      dataset: its module, see `datasets`.
      summary: of `report.make_report`.
      coded: the clips have codes of action units.
      configs: names of the configs there are.
    """
    path = f" --config.data.path={shlex.quote(str(options.out))}"
    if config := getattr(dataset, "CONFIG", ""):
        return f"{train_command()} --config {config}{path}"
    own = _own_config(options, dataset, configs)
    system, known = own or (_systems(options)[0], _ANY)
    command = f"{train_command()} --config {system}_{known}"
    if not own:
        command += f" --config.name={shlex.quote(options.out.resolve().name)}"
    command += path
    if own and hasattr(dataset, "config_flags"):
        command += "".join(f" {flag}" for flag in dataset.config_flags(options, system))
    expected = _SMALL_CROPS if known in _SMALL else _CROPS
    if options.crops and options.crops != expected[system]:
        command += " --config.data.crop_size=0"
    return command if own else command + _task_flags(options, summary, coded)


def _systems(options: argparse.Namespace) -> tuple[str, ...]:
    """Systems that take what was prepared, the one whose own size of crops is nearest first."""
    if not options.crops:
        return ("stbln",)
    systems = ("fergcn", "stcnlstm") if options.crops >= 128 else ("stcnlstm", "fergcn")
    small = 80 <= options.crops < 128 and options.dataset in _SMALL
    return ("ir3d", *systems) if small or options.crops > 280 else (*systems, "ir3d")


def _own_config(options, dataset, configs: list[str]) -> tuple[str, str] | None:
    """System and dataset of the config that is called as the dataset or as its folder."""
    if not getattr(dataset, "has_own_configs", lambda options: True)(options):
        return None
    # the configs of any manifest are named with its folder
    known = [n for n in (options.dataset, options.out.resolve().name) if n != "manifest"]
    pairs = ((s, k) for k, s in itertools.product(known, _systems(options)))
    return next((pair for pair in pairs if "_".join(pair) in configs), None)


def _task_flags(options: argparse.Namespace, summary: dict, coded: bool) -> str:
    """What a config of BUHMAP is told of other data: its labels and how to divide its people."""
    flags = ""
    if coded:
        flags = " --config.task=action_units --config.data.frame_rule=windows"
        # its motion input does not see what is held throughout a window
        flags += "" if options.crops else " --config.data.features=position"
    if "train" in summary["splits"] and len(summary["splits"]) > 1:
        return f"{flags} --config.protocol.name=holdout"
    # else people are left out in turn: of crops in 3 parts, which two people do not make
    few = options.crops and summary["subjects"] < 3
    return f"{flags} --config.protocol.folds=0" if few else flags
