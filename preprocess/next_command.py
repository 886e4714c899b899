"""The command that trains on what was prepared: the dataset's own config, or that of own clips."""

from __future__ import annotations

import argparse
import itertools
import pathlib
import shlex

from fer_jax.installation import CONFIGS, train_command

# The configs say the same of crops and folds. Preparation does without ml_collections and cannot
# load them; tests/preprocess/test_next_command.py compares.
# Side of the crops that a system's configs expect, pixels, and that of its small configs.
_CROPS = {"stcnlstm": 64, "fergcn": 256, "ir3d": 299}
_SMALL_CROPS = {"stcnlstm": 64, "fergcn": 64, "ir3d": 96}
_SMALL = ("synthetic", "manifest", "buhmap", "lse")  # datasets with small configs
_FOLDS = {"stbln": 0, "stcnlstm": 3, "fergcn": 3, "ir3d": 5}  # of SYSTEM_manifest


def next_command(options: argparse.Namespace, dataset, summary: dict, coded: bool) -> str:
    """Returns the command that trains on a prepared dataset.

    Args:
      options: of the preparation.
      dataset: its module, see `datasets`.
      summary: of `report.make_report`.
      coded: whether the clips have codes of action units.
    """
    path = f"--config.data.path={shlex.quote(str(options.out))}"
    if config := getattr(dataset, "CONFIG", ""):
        return f"{train_command()} --config {config} {path}"
    own = _own_config(options, dataset)
    system, known = own or (_systems(options)[0], "manifest")
    expected = _SMALL_CROPS if known in _SMALL else _CROPS
    size = ["--config.data.crop_size=0"] if options.crops not in (0, expected.get(system)) else []
    if own:
        flags = getattr(dataset, "config_flags", lambda options, system: [])(options, system)
        parts = ["_".join(own), path, *flags, *size]
    else:
        name = options.out.resolve().name.replace(",", "_")  # a comma would begin a variant
        if options.out.absolute() == pathlib.Path("data", name).absolute():  # as of --cluster
            path = ""
        config = shlex.quote(f"{system}_manifest:{name}")
        parts = [config, path, *size, *_task_flags(options, system, summary, coded)]
    return " ".join([train_command(), "--config", *filter(None, parts)])


def _systems(options: argparse.Namespace) -> tuple[str, ...]:
    """Returns the systems that take what was prepared; the nearest crop size comes first."""
    if not options.crops:
        return ("stbln",)
    systems = ("fergcn", "stcnlstm") if options.crops >= 128 else ("stcnlstm", "fergcn")
    small = 80 <= options.crops < 128 and options.dataset in _SMALL
    return ("ir3d", *systems) if small or options.crops > 280 else (*systems, "ir3d")


def _own_config(options, dataset) -> tuple[str, str] | None:
    """Returns system and dataset of the config named after the dataset or its folder, if any."""
    if not getattr(dataset, "has_own_configs", lambda options: True)(options):
        return None
    # a manifest in data/ckplus is trained on with the configs of CK+
    known = [n for n in (options.dataset, options.out.resolve().name) if n != "manifest"]
    pairs = ((s, k) for k, s in itertools.product(known, _systems(options)))
    return next((pair for pair in pairs if (CONFIGS / f"{'_'.join(pair)}.py").is_file()), None)


def _task_flags(options, system: str, summary: dict, coded: bool) -> list[str]:
    """Returns the flags that a config of own clips needs: its task and how to divide subjects."""
    flags = []
    if coded:
        flags = ["--config.task=action_units", "--config.data.frame_rule=windows"]
        # motion does not show a unit that is held throughout a window
        flags += [] if options.crops else ["--config.data.features=position"]
    if "train" in summary["splits"] and len(summary["splits"]) > 1:
        return [*flags, "--config.protocol.name=holdout"]
    few = summary["subjects"] < _FOLDS[system]  # then leave one subject out
    return [*flags, "--config.protocol.folds=0"] if few else flags
