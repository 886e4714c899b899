"""Runs methods side by side and measures them, one row of the table each."""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax import uncertainty
from fer_jax.compare import paired, tables
from fer_jax.compare.answers import Answers, interval, read
from fer_jax.compare.chosen import ConfigError, Method, check, find, load_config
from fer_jax.experiments import report, schema
from fer_jax.experiments.run import FAILURES
from fer_jax.experiments.setup import SetupError
from fer_jax.experiments.workdir import Workdir
from fer_jax.layers.build import has_dropout
from fer_jax.machine import FileError, printable, storage_error
from fer_jax.predict.load import load_model
from fer_jax.predict.predictor import Predictor
from fer_jax.predict.windows import Face, stack_faces
from fer_jax.systems import run, searches
from fer_jax.systems.st_bln import search_report
from fer_jax.tasks import TASKS, published
from fer_jax.tasks.evaluation import INFERENCE_MODES, POSTERIORS, deciding_mode
from fer_jax.training.parallel import keep_compiled

REPEATS = 11  # timed calls, the median counts
_NO_COST = dict.fromkeys(("gflops", "ms", "ms_mcd"))  # of a run whose bundle is not there


class Finished(NamedTuple):
    """A finished run of a method.

    Attributes:
      config, workdir, metrics: of the run.
      widths: of the layers, () where there are none.
      search_seconds: of the search before it, None without any.
    """

    config: ConfigDict
    workdir: Workdir
    metrics: dict
    widths: tuple[int, ...] = ()
    search_seconds: float | None = None


class Result(NamedTuple):
    """A row of the table, and the answers that the row is about."""

    row: dict
    answers: Answers


def run_method(method: Method, runs: pathlib.Path, console: Console) -> Iterator[Finished]:
    """Runs an experiment to its end, or reads a finished run.

    A search that is run has two rows: the networks that it grew and fine-tuned, and the topology of
    its first fold trained from scratch.
    """
    config, workdir = method.config, method.workdir
    console.rule(printable(config.name))
    if method.finished:
        yield _finished(config, workdir, schema.read_json(workdir.metrics))
        return
    yield _finished(config, workdir, run(config, workdir.path, console))
    if searches(config):
        seconds = search_report.search_seconds(search_report.read_rows(workdir))
        config = load_config(str(workdir.found_config))
        workdir = Workdir(runs / config.name)
        metrics = run(config, workdir.path, console)
        yield Finished(config, workdir, metrics, tuple(config.model.widths), seconds)


def _finished(config: ConfigDict, workdir: Workdir, metrics: dict) -> Finished:
    """A run; of a search the widths that all its folds found, if they are the same."""
    if not searches(config):
        return Finished(config, workdir, metrics, tuple(config.model.get("widths", ())))
    seconds = search_report.search_seconds(search_report.read_rows(workdir))
    folds = metrics.get("search", {}).get("folds", {}).values()
    topologies = {tuple(own["topology"]) for own in folds}
    widths = topologies.pop() if len(topologies) == 1 else ()
    return Finished(config, workdir, metrics, widths, seconds)


def result(finished: Finished) -> Result:
    """Measures a finished run.

    Raises:
      FileError: its files are damaged, or those of an earlier version.
    """
    config, metrics, workdir = finished.config, finished.metrics, finished.workdir
    task = TASKS[config.task]
    try:
        modes = [mode for mode in INFERENCE_MODES if mode in metrics["inference_modes"]]
        row = {
            "method": _method(config),
            "config": config.name,
            "run": str(workdir),
            "dataset": _dataset(config),
            "protocol": published.protocol_of(config),
            "score": task.measures.TESTED[0],
            "features": config.data.features,
            "widths": list(finished.widths),
            "backbone": report.backbone_start(config),
            **task.report.compared(metrics),
            "params_total": metrics["params_total"],
            "params_without_graph": metrics["params_without_U"],
            "train_seconds": metrics["train_seconds"],
            "search_seconds": finished.search_seconds,
            "measured_on": metrics["environment"]["hardware"],
            **_published(config),
        }
    except (KeyError, AttributeError, TypeError) as error:
        raise FileError(
            f"{workdir} cannot be compared (there is no {error}): an earlier version of fer_jax "
            "wrote it; the command that trained it writes its report anew"
        ) from error
    row |= measure(load_model(workdir.model)) if workdir.model.is_dir() else _NO_COST
    answers = read(workdir, config.task, modes)
    for mode, own in answers.items():
        row |= dict(zip((f"{mode}_low", f"{mode}_high"), interval(task.measures, own), strict=True))
    mode = deciding_mode(modes)
    if mode in POSTERIORS:
        row |= {f"posterior{end}": row[f"{mode}{end}"] for end in ("", "_low", "_high")}
        row["posterior_name"] = INFERENCE_MODES[mode].partition(",")[0]
    return Result(row, answers[mode]._replace(dataset=row["dataset"]))


def told_apart(results: Sequence[Result]) -> list[Result]:
    """Adds the config or the folder of the run to methods that would be called the same."""
    found = list(results)
    for key in ("config", "run"):
        names = [(each.row["method"], each.row["dataset"]) for each in found]
        for index, each in enumerate(found):
            if names.count(names[index]) > 1:
                name = f"{results[index].row['method']} ({each.row[key]})"
                found[index] = Result(each.row | {"method": name}, each.answers)
    return [
        each._replace(answers=each.answers._replace(method=each.row["method"])) for each in found
    ]


def _method(config: ConfigDict) -> str:
    """The method, with the dimensions: errors over two and over three do not compare."""
    if config.task == "dimensional" and config.data.classes:
        return f"{config.method}, {''.join(name[0].upper() for name in config.data.classes)}"
    several = config.protocol.name in ("subject_kfold", "by_sequence")
    if several and searches(config) and config.search.get("folds") == "first":
        return f"{config.method} (first fold)"  # the others are means of all folds
    return config.method


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
        "gflops": predictor.members * cost["flops"] / 1e9,
        "ms": predictor.members * _median_ms(lambda: plain(predictor.recalibrated, inputs)),
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
    console = Console()
    try:
        methods = [find(*each, options.runs) for each in options.methods]
        check(methods)
    except ConfigError as error:
        known = f"{error.known}\n\n" if error.known else ""
        return _failed(f"{known}error: {error}", 2)
    results, failed, code, shown = [], [], 1, ""
    for method in methods:
        try:
            for finished in run_method(method, options.runs, console):
                results.append(result(finished))
                # so that finished rows can be read while the rest runs
                shown = _write(results, TASKS[method.config.task].measures, options.out)
        except FAILURES as error:
            failed.append(f"{method.config.name} is left out: {printable(error)}")
            console.print(failed[-1], markup=False, soft_wrap=True)
            code = 2 if isinstance(error, SetupError) else code
    if not results:
        return _failed("error: no experiment could be run", code)
    if shown:
        files = f"{options.out}/compare.md, .csv, .tex, .png, .pdf; tests.csv"
        console.print(f"{shown}\ntables and figure: {files}", soft_wrap=True, markup=False)
    if failed:
        return _failed("\n".join(["error: not everything could be compared", *failed]), code)
    return 0


def _write(results: Sequence[Result], measures: ModuleType, out: pathlib.Path) -> str:
    """Tests the methods and writes everything; returns the tables as Markdown."""
    results = told_apart(results)
    tests, notes = paired.compare(measures, [each.answers for each in results])
    try:
        return tables.write([each.row for each in results], tests, notes, out, REPEATS)
    except OSError as error:
        raise storage_error(error) from error


def _failed(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
