"""Runs methods side by side and measures them, one row of the table each."""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax import uncertainty
from fer_jax.compare import tables
from fer_jax.experiments import configs, report
from fer_jax.experiments.run import FAILURES, keep_compiled
from fer_jax.experiments.setup import SetupError
from fer_jax.experiments.workdir import Workdir
from fer_jax.installation import train_command
from fer_jax.layers.build import has_dropout
from fer_jax.machine import printable, storage_error
from fer_jax.predict.load import load_model
from fer_jax.predict.predictor import Predictor
from fer_jax.predict.windows import Face, stack_faces
from fer_jax.systems import run, searches
from fer_jax.systems.st_bln import search_report
from fer_jax.tasks import TASKS, published

REPEATS = 11  # timed calls, the median counts


class ConfigError(ValueError):
    """A config cannot be loaded; the message names it, `known` lists those there are, or is ""."""

    def __init__(self, message: str, known: str = ""):
        super().__init__(message)
        self.known = known


def load_config(name: str) -> ConfigDict:
    """Loads `FILE.py` or `FILE.py:ARGUMENT` as `run.py --config` does.

    Raises:
      ConfigError: no such file, or its `get_config` does not take the argument.
    """
    try:
        return configs.load(name)
    except configs.ConfigNotFoundError as error:
        raise ConfigError(str(error), error.known) from error
    except configs.LoadError as error:
        raise ConfigError(str(error)) from error


def run_method(config: ConfigDict, runs: pathlib.Path, console: Console) -> Iterator[dict]:
    """Runs an experiment to its end and measures its model; yields its rows of the table.

    A search has two: the networks that it grew and fine-tuned, and the topology of its first fold
    trained from scratch.
    """
    workdir = Workdir(runs / config.name)
    console.rule(config.name)
    metrics = run(config, workdir.path, console)
    if not searches(config):
        yield _row(config, workdir, metrics, config.model.get("widths", ()), None)
        return
    seconds = search_report.search_seconds(search_report.read_rows(workdir))
    topologies = {tuple(own["topology"]) for own in metrics["search"]["folds"].values()}
    widths = topologies.pop() if len(topologies) == 1 else ()
    row = _row(config, workdir, metrics, widths, seconds)
    if config.search.folds == "first" and config.protocol.name in ("subject_kfold", "by_sequence"):
        row["method"] += " (first fold)"  # the others are means of all folds
    yield row
    config = load_config(str(workdir.found_config))
    workdir = Workdir(runs / config.name)
    metrics = run(config, workdir.path, console)
    yield _row(config, workdir, metrics, config.model.widths, seconds)


def _row(config, workdir: Workdir, metrics: dict, widths, search_seconds: float | None) -> dict:
    """A row of the table.

    Args:
      config, workdir, metrics: of a finished run.
      widths: of the layers; () where there are none or folds differ.
      search_seconds: of the search before it, None without any.
    """
    return {
        "method": _method(config),
        "config": config.name,
        "dataset": _dataset(config),
        "features": config.data.features,
        "widths": list(widths),
        "backbone": report.backbone_start(config),
        **TASKS[config.task].report.compared(metrics),
        "params_total": metrics["params_total"],
        "params_without_graph": metrics["params_without_U"],
        "train_seconds": metrics["train_seconds"],
        "search_seconds": search_seconds,
        **measure(load_model(workdir.model)),
        **_published(config),
    }


def _method(config: ConfigDict) -> str:
    """The method, with the dimensions: errors over two and over three do not compare."""
    if config.task != "dimensional" or not config.data.classes:
        return config.method
    return f"{config.method}, {''.join(name[0].upper() for name in config.data.classes)}"


def _dataset(config: ConfigDict) -> str:
    """The evaluation dataset, and whether the training datasets are others."""
    return (
        published.CROSS.format(config.data.dataset) if config.data.train_on else config.data.dataset
    )


def _published(config: ConfigDict) -> dict:
    """The accuracies of the paper in percent, None if its input or protocol differs; a footnote."""
    with_mcd, without, note = None, None, ""
    data, protocol = config.data, published.protocol_of(config)
    if config.task == "dimensional":
        found = published.errors(config.method, data.dataset, data.classes, protocol)
        without = found and 100 * found["accuracy"]
    elif data.features == "position":
        with_mcd, without = published.accuracy(config.method, data.dataset, protocol)
        if with_mcd is without is None:
            note = published.other_protocols(config.method, data.dataset, protocol)
    return {"paper_with_mcd": with_mcd, "paper_without_mcd": without, "paper_note": note}


def measure(predictor: Predictor, mc_samples: int = 100) -> dict:
    """Cost of a trained model per clip, one clip at a time: `gflops`, `ms` and `ms_mcd`.

    The operations are those of the compiled network (a multiplication and an addition are two).
    """
    points, size = np.zeros((68, 2), np.float32), predictor.spec.prepared_size
    face = Face(points, np.zeros((size, size, 3), np.float32), points)
    faces = [face] * predictor.spec.frames
    inputs = predictor.features(stack_faces(faces, predictor.module.inputs))
    plain = jax.jit(functools.partial(predictor.module.apply, train=False))
    cost = plain.lower(predictor.recalibrated, inputs).cost_analysis()
    stochastic = jax.jit(
        functools.partial(uncertainty.sample, predictor.module, mc_samples=mc_samples)
    )
    key = jax.random.key(0)
    return {
        "gflops": cost["flops"] / 1e9,
        "ms": _median_ms(lambda: plain(predictor.recalibrated, inputs)),
        "ms_mcd": _median_ms(lambda: stochastic(predictor.variables, inputs, key))
        if has_dropout(predictor.module)
        else None,
    }


def _median_ms(work) -> float:
    jax.block_until_ready(work())
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        jax.block_until_ready(work())
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e3


def compare(options: argparse.Namespace) -> int:
    """Runs a command line, see `fer_jax.commands.compare`; returns the exit code."""
    logging.set_verbosity(logging.WARNING)
    keep_compiled(os.environ.get("JAX_COMPILATION_CACHE_DIR"))
    console, rows = Console(), []
    try:
        chosen = [load_config(name) for name in options.configs]
        _check_names(chosen)
    except ConfigError as error:
        known = f"{error.known}\n\n" if error.known else ""
        return _failed(f"{known}error: {error}", 2)
    failed, code = [], 1
    for config in chosen:
        try:
            for row in run_method(config, options.runs, console):
                rows.append(row)
                # so that finished rows can be read while the rest runs
                _write(rows, options.out)
        except FAILURES as error:
            failed.append(f"{config.name} is left out: {printable(error)}")
            console.print(failed[-1], markup=False, soft_wrap=True)
            code = 2 if isinstance(error, SetupError) else code
    if not rows:
        return _failed("error: no experiment could be run", code)
    console.print(tables.markdown(rows), soft_wrap=True, markup=False)
    console.print(f"table and figure: {options.out}/compare.md, compare.csv, compare.png")
    if failed:
        return _failed("\n".join(["error: not everything could be compared", *failed]), code)
    return 0


def _write(rows: list[dict], out: pathlib.Path) -> None:
    try:
        tables.write(rows, out, REPEATS)
    except OSError as error:
        raise storage_error(error) from error


def _failed(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _check_names(configs: list[ConfigDict]) -> None:
    for config in configs:
        if not hasattr(TASKS[config.task].report, "compared"):
            raise ConfigError(
                f"{config.name} has the task {config.task}, but this table compares accuracies; "
                f"run it with {train_command()}, which writes its own report"
            )
    if len({config.task for config in configs}) > 1:
        raise ConfigError("some configs classify, others predict dimensions: compare one kind")
    names = [config.name for config in configs]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(f"two configs are called {double[0]}: name every experiment differently")
