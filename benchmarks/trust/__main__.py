"""Trains with every method and measures how far its predictions can be trusted.

    python -m benchmarks.trust                                   # every dataset, method and part
    python -m benchmarks.trust buhmap lse --methods none mc_dropout ensemble --seeds 5
    python -m benchmarks.trust ferplus --parts a d

Runs are in OUT/runs; a finished one is not repeated, an interrupted one resumes. Figures of each
dataset, method, seed and part are in OUT/figures (delete a file to measure again). OUT/trust.csv
has all of them, OUT/trust.md the tables with targets, OUT/trust_summary.md a page of the main ones.
Several commands with other datasets or methods may share OUT; leave part f to one that runs alone.
Methods of one run belong to one command: none and mc_dropout, ensemble and ensemble_mc.

Parts: a, entropy beside that of votes; b, areas under the ROC curve for damaged, unseen and held
clips; c, prediction sets and intervals; d, calibration and selective prediction; e, abstention;
f, cost: the epochs of training, one clip, the bundle. All are of people whom the network, the
calibrator and the rule were not fitted to.

Datasets must be prepared: `lse` as data/lse, `synthetic_studio` as data/synthetic_studio, with
crops as data/synthetic_studio_crops, and so on.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import sys
import time

import numpy as np
import pandas as pd
from rich.console import Console

from benchmarks.trust import saved, scores, sets, summary, tables, unfamiliar
from benchmarks.trust.measures import Figure
from benchmarks.trust.methods import DATASETS, METHODS, config_of, train
from benchmarks.trust.tables import PARTS
from fer_jax import systems
from fer_jax.compare.chosen import ConfigError
from fer_jax.experiments.run import FAILURES
from fer_jax.experiments.setup import Experiment
from fer_jax.machine import PARTIAL, write_whole
from fer_jax.predict.load import load_model
from fer_jax.storage import InUseError, lock
from fer_jax.training.parallel import keep_compiled

_OF_SAVED = {
    "a": scores.votes, "c": sets.coverage, "d": scores.quality, "e": sets.abstention,
}  # fmt: skip
_TIMED = 5  # calls, the median counts
_WAIT = 0.2  # seconds until another command has written its tables


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 1 if a run failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.datasets if name not in DATASETS]:
        parser.error(f"unknown dataset {unknown[0]!r}; there are {', '.join(DATASETS)}")
    keep_compiled(None)
    failed = 0
    for dataset in options.datasets or DATASETS:
        for seed in range(options.seeds):
            for method in options.methods:
                try:
                    one(dataset, method, seed, options.parts, options.out, Console())
                except (*FAILURES, ConfigError) as error:
                    failed += 1
                    _say(f"{dataset}, {method}, seed {seed}: {error}")
                write(options.out)
    shown = ("trust.md", "trust_summary.md") if write(options.out) else ()
    print("\n".join((options.out / name).read_text() for name in shown) or "nothing was measured")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trust",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "datasets", nargs="*", metavar="DATASET", help=f"{', '.join(DATASETS)}; default: all"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/trust"))
    return parser


def one(
    dataset: str, method: str, seed: int, parts, out: pathlib.Path, console: Console,
    fields: dict | None = None,
) -> None:  # fmt: skip
    """Trains and measures what is missing of a dataset, method and seed."""
    name = f"{dataset}_{method}_seed{seed}"
    files = {part: out / "figures" / f"{name}_{part}.csv" for part in parts}
    missing = [part for part, file in files.items() if not file.exists()]
    if not missing:
        return
    _say(f"{name}: training what is missing")
    config = config_of(dataset, method, seed, fields)
    workdir = train(config, dataset, method, out / "runs", console)
    experiment = systems.prepare(config, workdir.path)
    held = saved.read(experiment, METHODS[method].reads)
    for part in missing:
        started = time.perf_counter()
        figures = _measure(part, experiment, held, dataset, method, out / "bundles" / name)
        tables.save(files[part], tables.rows(dataset, method, seed, figures))
        _say(f"{name}: part {part}, {len(figures)} figures, {time.perf_counter() - started:.0f} s")


def _measure(part: str, experiment: Experiment, held, dataset, method, folder) -> list[Figure]:
    """The figures of a part."""
    if part in _OF_SAVED:
        return _OF_SAVED[part](held)
    if part == "f":
        return _cost(experiment, METHODS[method].reads)
    try:
        given = METHODS[method].reads, DATASETS[dataset].unseen, folder
        return unfamiliar.measure(experiment, *given, lambda line: _say(f"{folder.name}: {line}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cost(experiment: Experiment, reads: str) -> list[Figure]:
    """Part f: time of training all networks of the evaluated folds, of a clip, and the bundle.

    Args:
      experiment: of the run.
      reads: see `methods.Method`.
    """
    workdir, predictor = experiment.workdir, load_model(experiment.workdir.model)
    predict = predictor.deterministic if reads == "recalibrated" else predictor.predict
    metrics = pd.read_json(workdir.metrics, typ="series")
    size = sum(file.stat().st_size for file in workdir.model.rglob("*") if file.is_file())
    values, times = unfamiliar.values_of(experiment.clips, [0], predictor), []
    for _ in range(_TIMED + 1):  # the first compiles
        started = time.perf_counter()
        predict(values)
        times.append(time.perf_counter() - started)
    numbers = {
        "training, minutes": metrics["train_seconds"] / 60,
        "predict, ms": 1000 * float(np.median(times[1:])),
        "bundle, MB": size / 1e6,
    }
    return [Figure("f", "run", name, value) for name, value in numbers.items()]


def write(out: pathlib.Path) -> bool:
    """Writes all figures that there are, and their tables; tells whether there are any.

    One command at a time, so that the last to write has read the figures of all.
    """
    out.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            with lock(out):
                return _write(out)
        except InUseError:
            time.sleep(_WAIT)


def _write(out: pathlib.Path) -> bool:
    files = sorted((out / "figures").glob("*.csv"))
    whole = [file for file in files if not file.stem.endswith(PARTIAL)]
    found = [each for each in map(tables.load, whole) if len(each)]
    if not found:
        return False
    joined = pd.concat(found, ignore_index=True)
    tables.save(out / "trust.csv", joined)
    for name, page in (("trust.md", tables), ("trust_summary.md", summary)):
        write_whole(out / name, "\n".join(page.lines(joined)) + "\n")
    return True


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
