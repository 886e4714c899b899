"""Compares methods in one table and one figure.

    python -m fer_jax.compare configs/stbln_buhmap.py configs/agcn.py:buhmap

Every experiment is run first, or continued, as `python run.py --config CONFIG` would do it; a
finished one is only read. A PST-BLN search counts as one method: the search is run, then what it
found is trained under the whole protocol.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import pathlib
import statistics
import sys
import time

import jax
import numpy as np
import pandas as pd
from absl import logging
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax import (
    checkpoint,
    experiment,
    method_plots,
    published,
    report,
    search_report,
    uncertainty,
)
from fer_jax.predictor import Predictor
from fer_jax.windows import Face, gather

REPEATS = 11  # timed calls, the median counts


class ConfigError(ValueError):
    """A config cannot be loaded; the message names it."""


def load_config(name: str) -> ConfigDict:
    """Loads `FILE.py` or `FILE.py:ARGUMENT` as `run.py --config` does.

    Raises:
      ConfigError: no such file, or its `get_config` does not take the argument.
    """
    file, _, argument = name.partition(":")
    path = pathlib.Path(file)
    if not path.is_file():
        raise ConfigError(f"there is no config {file}")
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.get_config(argument) if argument else module.get_config()
    except Exception as error:
        raise ConfigError(f"the config {name} cannot be loaded: {error}") from error


def run_method(config: ConfigDict, runs: pathlib.Path, console: Console) -> dict:
    """Runs an experiment to its end and measures its model; returns a row of the table."""
    workdir, search_seconds = runs / config.name, None
    console.rule(config.name)
    metrics = experiment.run(config, workdir, console)
    if config.search.enabled:
        search_seconds = search_report.seconds(search_report.read_rows(workdir))
        config = load_config(str(workdir / "found.py"))
        workdir = runs / config.name
        metrics = experiment.run(config, workdir, console)
    return {
        "method": config.method,
        "config": config.name,
        "dataset": _dataset(config),
        "features": config.data.features,
        "widths": list(config.model.get("widths", ())),
        "backbone": report.backbone_start(config),
        **_scores(metrics),
        "params_total": metrics["params_total"],
        "params_without_graph": metrics["params_without_U"],
        "train_seconds": metrics["train_seconds"],
        "search_seconds": search_seconds,
        **measure(checkpoint.load_model(workdir / "model")),
        **dict(zip(PAPER, _published(config), strict=True)),
    }


PAPER = ("paper_with_mcd", "paper_without_mcd")


def _dataset(config: ConfigDict) -> str:
    """The data set that is scored, and whether it was learnt from."""
    return (
        published.CROSS.format(config.data.dataset) if config.data.train_on else config.data.dataset
    )


def _published(config: ConfigDict) -> tuple[float | None, float | None]:
    """The paper's figures, unless the input is not the paper's."""
    if config.data.features != "position":
        return None, None
    return published.accuracy(config.method, _dataset(config))


def _scores(metrics: dict) -> dict:
    """Accuracy of each reading, mean of folds, and its 95% interval (pooled for one fold)."""
    scores = {}
    for name, row in metrics["readings"].items():
        low, high = row["interval_95_folds"]
        if low is None:
            low, high = row["interval_95_pooled"]
        scores |= {
            name: row["accuracy_mean_of_folds"],
            f"{name}_low": low,
            f"{name}_high": high,
            f"{name}_ece": row["expected_calibration_error"],
        }
    return scores


def measure(predictor: Predictor, passes: int = 100) -> dict:
    """Cost of a trained model: `gflops` a clip, `ms` and `ms_mcd` a clip, one clip at a time.

    The operations are those of the compiled network (a multiplication and an addition are two).
    """
    points, size = np.zeros((68, 2), np.float32), predictor.prepared_size
    face = Face(points, np.zeros((size, size, 3), np.float32), points)
    inputs = predictor.features(gather([face] * predictor.frames, predictor.inputs))
    plain = jax.jit(functools.partial(predictor.module.apply, train=False))
    cost = plain.lower(predictor.recalibrated, inputs).cost_analysis()
    stochastic = jax.jit(functools.partial(uncertainty.sample, predictor.module, passes=passes))
    key = jax.random.key(0)
    has_dropout = bool(predictor.module.dropout)
    return {
        "gflops": cost["flops"] / 1e9,
        "ms": _median_ms(lambda: plain(predictor.recalibrated, inputs)),
        "ms_mcd": _median_ms(lambda: stochastic(predictor.variables, inputs, key))
        if has_dropout
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


def markdown(rows: list[dict]) -> str:
    """The table of one or several data sets as Markdown."""
    lines = [
        "| data set | method | with MCD, % | without, % | recalibrated, % | paper with / without | "
        "parameters | without graph matrices | GFLOPs a clip | training, s | ms a clip | "
        "ms with 100 passes |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        search = row["search_seconds"]
        training = f"{row['train_seconds']:.0f}"
        training += f" + search {search:.0f}" if search is not None else ""
        mcd = _percent(row, "mc_dropout") if row["ms_mcd"] is not None else "-"
        paper = " / ".join("-" if row[name] is None else f"{row[name]:.2f}" for name in PAPER)
        lines.append(
            f"| {row['dataset']} | {_name(row)} | "
            f"{mcd} | {_percent(row, 'stored')} | {_percent(row, 'recalibrated')} | {paper} | "
            f"{row['params_total']:,} | {row['params_without_graph']:,} | {row['gflops']:.3f} | "
            f"{training} | {row['ms']:.1f} | "
            f"{'-' if row['ms_mcd'] is None else format(row['ms_mcd'], '.0f')} |"
        )
    return "\n".join(lines) + "\n"


def _name(row: dict) -> str:
    """The method, its widths where it has such, and where its backbone comes from."""
    widths = f" {{{', '.join(map(str, row['widths']))}}}" if row["widths"] else ""
    return row["method"] + widths + (f" ({row['backbone']})" if row["backbone"] else "")


def _percent(row: dict, reading: str) -> str:
    value, low, high = (100 * row[f"{reading}{end}"] for end in ("", "_low", "_high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


_NOTES = """
MCD: Monte Carlo dropout. Accuracies are of the last epoch, means of the folds; in brackets the 95%
interval over the folds (of the clips, where there is one fold). Without: dropout off, BatchNorm
statistics as stored; recalibrated: re-estimated without dropout. Graph matrices: the learnable ones
over nodes or edges. Training: all folds that are scored. Milliseconds: the network alone, one clip
at a time, median of {repeats}. A PST-BLN topology was searched on the training clips of the first
fold. Measured on: {environment}.
"""


def write(rows: list[dict], out: pathlib.Path) -> None:
    """Writes compare.md, compare.csv and compare.png."""
    out.mkdir(parents=True, exist_ok=True)
    environment = ", ".join(f"{name} {value}" for name, value in report.environment().items())
    notes = _NOTES.format(repeats=REPEATS, environment=environment)
    (out / "compare.md").write_text(markdown(rows) + notes)
    pd.DataFrame(rows).to_csv(out / "compare.csv", index=False)
    method_plots.comparison(rows).savefig(out / "compare.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="FILE.py or FILE.py:ARGUMENT")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/compare"))
    parser.add_argument(
        "--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="holds the work directories"
    )
    options = parser.parse_args()
    sys.path.insert(0, os.getcwd())  # configs import each other
    logging.set_verbosity(logging.WARNING)
    experiment.keep_compiled(os.environ.get("JAX_COMPILATION_CACHE_DIR"))
    console, rows = Console(), []
    try:
        configs = [load_config(name) for name in options.configs]
        _check_names(configs)
    except ConfigError as error:
        sys.exit(f"error: {error}")
    failed = []
    for config in configs:
        try:
            rows.append(run_method(config, options.runs, console))
            write(rows, options.out)  # what is finished can be read while the rest runs
        except experiment.FAILURES as error:
            failed.append(f"{config.name} is left out: {error}")
            console.print(failed[-1], markup=False, soft_wrap=True)
        except KeyboardInterrupt:
            sys.exit("\ninterrupted: the same command continues from the last checkpoint")
    if not rows:
        sys.exit("error: no experiment could be run")
    console.print(markdown(rows), soft_wrap=True, markup=False)
    console.print(f"table and figure: {options.out}/compare.md, compare.csv, compare.png")
    if failed:
        sys.exit("\n".join(["error: not everything could be compared", *failed]))


def _check_names(configs: list[ConfigDict]) -> None:
    for config in configs:
        if config.task != "classification":
            raise ConfigError(
                f"{config.name} learns {config.task}: this table puts accuracies side by side; run "
                f"it with run.py, which writes its own report"
            )
    names = [config.name for config in configs]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(f"two configs are called {double[0]}: name every experiment differently")


if __name__ == "__main__":
    main()
