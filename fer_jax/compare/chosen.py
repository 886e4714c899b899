"""Finds the methods that are compared: configs with their fields changed, and finished runs."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from fer_jax.experiments import configs, schema
from fer_jax.experiments.workdir import Workdir
from fer_jax.machine import FileError
from fer_jax.tasks import TASKS

_LONGEST = 80  # characters of the name of a run


class ConfigError(ValueError):
    """A method cannot be found; the message names it, `known` lists the configs, or is ""."""

    def __init__(self, message: str, known: str = ""):
        super().__init__(message)
        self.known = known


class Method(NamedTuple):
    """A method to compare.

    Attributes:
      config: of its run.
      workdir: of its run.
      finished: it is read as it is, not run.
    """

    config: ConfigDict
    workdir: Workdir
    finished: bool


def load_config(name: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Loads `FILE.py` or `FILE.py:ARGUMENT` as `run.py --config` does.

    Args:
      name: see `configs.find`.
      overrides: "FIELD=VALUE".

    Raises:
      ConfigError: no such file, its `get_config` does not take the argument, or no such field.
    """
    try:
        return configs.load(name, overrides)
    except configs.ConfigNotFoundError as error:
        raise ConfigError(str(error), error.known) from error
    except configs.LoadError as error:
        raise ConfigError(str(error)) from error


def find(name: str, overrides: Sequence[str], runs: pathlib.Path) -> Method:
    """Finds a method of the command line.

    Args:
      name: a config, or the folder of a run that is finished, here or on another machine.
      overrides: "FIELD=VALUE" of a config; its run is called after those that change it.
      runs: folder of the work directories.

    Raises:
      ConfigError: see `load_config`; or the folder holds no finished run.
    """
    folder = Workdir(pathlib.Path(name))
    if folder.path.is_dir() and (folder.config.exists() or name not in configs.names()):
        if overrides:
            raise ConfigError(f"{name} is a run as it is: --config.{overrides[0]} is for configs")
        return _read(folder)
    if "/" in name and not name.partition(":")[0].endswith(".py"):
        raise ConfigError(f"there is no folder {name}: name that of a finished run, or a config")
    config, plain = load_config(name, overrides), load_config(name)
    changed = [text for text in overrides if load_config(name, [text]) != plain]
    if changed and config.name == plain.name:
        config.name = _named(config.name, changed)
    return Method(config, Workdir(runs / config.name), finished=False)


def _named(name: str, changed: Sequence[str]) -> str:
    """Name of a run whose config is changed, which can be that of a folder."""
    words = [re.sub(r"[^\w.=+-]+", "-", text).strip("-") for text in changed]
    return "_".join([name, *words])[:_LONGEST]


def _read(workdir: Workdir) -> Method:
    for file in (workdir.config, workdir.metrics, workdir.predictions):
        if not file.is_file():
            raise ConfigError(
                f"{workdir} is no finished run (it holds no {file.name}): name a folder such as "
                "runs/NAME, or a config"
            )
    try:
        content = schema.read_json(workdir.config)
        schema.check(schema.ConfigFields, content)
    except (FileError, ValueError) as error:
        raise ConfigError(f"{workdir.config} is damaged: {error}") from error
    return Method(ConfigDict(content), workdir, finished=True)


def check(methods: Sequence[Method]) -> None:
    """Refuses methods that no table can hold.

    Raises:
      ConfigError: tasks differ, or a run stands there twice.
    """
    tasks = {method.config.task for method in methods}
    if unknown := sorted(tasks - set(TASKS)):
        raise ConfigError(f"the task {unknown[0]!r} is unknown: use one of {sorted(TASKS)}")
    if len(tasks) > 1:
        kinds = ", ".join(f"{each.config.name} {TASKS[each.config.task].names}" for each in methods)
        raise ConfigError(f"these methods predict different things ({kinds}): compare one kind")
    seen = {}
    for method in methods:
        path = method.workdir.path.resolve()
        if path in seen:
            raise ConfigError(
                f"two methods are called {method.config.name} and share {method.workdir}: name "
                "every experiment differently"
            )
        seen[path] = method
