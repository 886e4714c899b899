"""The experiments behind a table: their configs, whether they are finished, how they are run."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from typing import NamedTuple

from ml_collections import ConfigDict

from fer_jax.data.how_to_prepare import not_prepared_message
from fer_jax.experiments import configs, schema
from fer_jax.experiments.workdir import Workdir, recorded
from fer_jax.hosts import differences
from fer_jax.papers.paper import Run

FINISHED, READY, MISSING, REFUSED = "finished", "can run", "data missing", "cannot run"


class UsageError(ValueError):
    """The command line asks for what is not there; the message says what is."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment of a paper on this machine.

    Attributes:
      run: as the paper has it.
      config: of ours.
      workdir: of the run.
      changed: fields that the command line changed, "train.epochs=2".
    """

    run: Run
    config: ConfigDict
    workdir: Workdir
    changed: tuple[str, ...] = ()

    @functools.cached_property
    def state(self) -> tuple[str, str]:
        """Its state, one of the words above, and what to do or why not."""
        if self.workdir.config.exists():
            if other := self._other_config():
                return REFUSED, f"{self.workdir} holds a run with another config ({other})"
            if self.workdir.metrics.exists():
                return FINISHED, ""
        return (MISSING, self.missing[0]) if self.missing else (READY, "")

    @functools.cached_property
    def missing(self) -> list[str]:
        """What of its data is not prepared, and how it is."""
        crops = self.config.data.crop_size or None  # networks of landmarks take none
        return [
            not_prepared_message(path, dataset, crops, self.config.data.framing)
            for dataset, path in self.datasets
            if not (pathlib.Path(path).expanduser() / "dataset_info.json").is_file()
        ]

    @property
    def datasets(self) -> list[tuple[str, str]]:
        """Names and paths of the datasets that it needs."""
        data = self.config.data
        return [(data.dataset, data.path), *((name, path) for name, path, _ in data.train_on)]

    def forget_state(self) -> None:
        """The experiment was run: its state is another one now."""
        vars(self).pop("state", None)

    def _other_config(self) -> str:
        """How the config in the work directory differs, "" if it does not."""
        try:
            old = schema.read_json(self.workdir.config)
        except ValueError as error:
            return str(error)
        old.pop("data_fingerprint", None)
        own = json.loads(json.dumps(recorded(self.config), default=list))
        return ", ".join(differences(old, own))

    @property
    def cost(self) -> str:
        """What the config says about its cost, "" if nothing."""
        file = pathlib.Path(configs.find(self.run.config).partition(":")[0])
        document = ast.get_docstring(ast.parse(file.read_text())) or ""
        found = re.search(r"^Cost: +(.*(?:\n +.*)*)", document, re.MULTILINE)
        return " ".join(found[1].split()) if found else ""


class Outcome(NamedTuple):
    """What became of an experiment.

    Attributes:
      experiment: the experiment.
      failure: why it could not be run, "" otherwise.
    """

    experiment: Experiment
    failure: str = ""

    @property
    def finished(self) -> bool:
        return self.experiment.state[0] == FINISHED

    @property
    def reason(self) -> str:
        """Why there is no result, for a footnote."""
        return (self.failure or self.experiment.state[1] or "not run yet").rstrip(".")


def find(run: Run, overrides: tuple[str, ...], runs: pathlib.Path) -> Experiment:
    """The experiment of a run.

    Args:
      run: of a paper.
      overrides: "FIELD=VALUE" of the command line; a config without the field stays as it is. One
        that they change gets a work directory of its own.
      runs: folder of the work directories.

    Raises:
      configs.LoadError: a value has another type.
    """
    config = configs.load(run.config, run.overrides)
    changed = tuple(text for text in overrides if _set(config, *text.split("=", 1)))
    name = "_".join(filter(None, [config.name, run.suffix]))
    if changed:
        digest = hashlib.sha256("\n".join(changed).encode()).hexdigest()
        name += f"_changed_{digest[:6]}"
    config.name = name
    return Experiment(run, config, Workdir(runs / name), changed)


def _set(config: ConfigDict, field: str, value: str) -> bool:
    """Sets a field if the config has it; tells whether its value changed."""
    if not configs.has_field(config, field):
        return False
    before = config.copy_and_resolve_references()
    configs.set_field(config, field, value)
    return config != before


def check_overrides(overrides: tuple[str, ...], runs: list[Run]) -> None:
    """Refuses fields that no config of some runs has, and words that set no field.

    Raises:
      UsageError: names the field.
    """
    for text in overrides:
        field, equals, _ = text.partition("=")
        if not equals:
            raise UsageError(f"--config.{text} sets nothing: write --config.FIELD=VALUE")
        loaded = (configs.load(run.config, run.overrides) for run in runs)
        if not any(configs.has_field(config, field) for config in loaded):
            raise UsageError(f"--config.{field}: none of these experiments has such a field")
