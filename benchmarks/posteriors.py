"""What each posterior over the weights costs: training, a prediction, the bundle, memory.

    python -m benchmarks.posteriors                                 # two small configs
    python -m benchmarks.posteriors stbln_buhmap --epochs 12

Each config trains a few epochs on a random share of its people, once with each posterior, and
evaluates; the numbers of its reports mean nothing. The columns:

- training: seconds of the epochs, over those with MC dropout;
- afterwards: seconds to find the posterior (statistics, draws, predictions for the evaluation
  clips), compiled before;
- ms a clip: median of predictions for one clip, as many samples as the config or the posterior has;
- bundle: its files, MB; in memory: what a loaded one predicts from, MB.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import jax
import numpy as np
from rich.console import Console

import fer_jax
from fer_jax import systems
from fer_jax.compare.chosen import load_config
from fer_jax.experiments.run import run_experiment
from fer_jax.predict.predictor import Predictor
from fer_jax.predict.windows import Face, stack_faces
from fer_jax.tasks.report_lines import table

METHODS = {
    "MC dropout": {},
    "ensemble of 5": {"members": 5},
    "SWA": {"posterior": "swa"},
    "SWAG": {"posterior": "swag"},
    "Laplace": {"posterior": "laplace"},
}
REPEATS = 11  # timed predictions, the median counts
_MB = 1e6


class Timed:
    """A function that finds a posterior, called twice: the second call, compiled, is timed."""

    def __init__(self, find: Callable):
        self._find, self.seconds = find, 0.0

    def __call__(self, *arguments):
        self._find(*arguments)
        started = time.perf_counter()
        found = self._find(*arguments)
        self.seconds = time.perf_counter() - started
        return found


def measure(name: str, fields: dict, epochs: int, workdir: pathlib.Path) -> dict[str, float]:
    """Trains a config with a posterior and measures its costs.

    Args:
      name: of the config.
      fields: of its section `uncertainty`.
      epochs: to train; evaluated after the last one.
      workdir: of the run.
    """
    config = load_config(name)
    config.uncertainty.update(fields)
    config.train.epochs = config.train.eval_every_epochs = epochs
    config.train.select_checkpoint = "last"
    config.protocol.name, config.protocol.repeats = "random_subjects", 1
    experiment = systems.prepare(config, workdir)
    timed = None
    if experiment.posterior is not None:
        experiment.posterior = timed = Timed(experiment.posterior)
    console = Console(quiet=True)
    metrics = run_experiment(experiment, None, console, time.perf_counter())
    model = fer_jax.load_model(workdir / "model")
    files = (workdir / "model").iterdir()
    return {
        "training": metrics["train_seconds"],
        "afterwards": timed.seconds if timed else 0.0,
        "ms": _ms_a_clip(model, config.evaluation.mc_samples),
        "bundle": sum(file.stat().st_size for file in files) / _MB,
        "memory": _bytes(model) / _MB,
    }


def _ms_a_clip(model: Predictor, mc_samples: int) -> float:
    size, points = model.spec.prepared_size, np.zeros((68, 2), np.float32)
    face = Face(points, np.zeros((size, size, 3), np.float32), points)
    clips, milliseconds = stack_faces([face] * model.spec.frames, model.module.inputs), []
    model.samples(clips, mc_samples=mc_samples)
    for _ in range(REPEATS):
        started = time.perf_counter()
        model.samples(clips, mc_samples=mc_samples)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    return statistics.median(milliseconds)


def _bytes(model: Predictor) -> int:
    """Bytes of the arrays of a predictor that has predicted, each counted once."""
    held = (model.variables, model.recalibrated, model.ensemble, vars(model))
    leaves = {id(leaf): leaf for leaf in jax.tree.leaves(held) if hasattr(leaf, "nbytes")}
    return sum(leaf.nbytes for leaf in leaves.values())


def rows(name: str, epochs: int, console: Console) -> list[list[str]]:
    """Makes the rows of a config."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for method, fields in METHODS.items():
            console.print(f"{name}: {method}")
            workdir = pathlib.Path(folder) / method.replace(" ", "_")
            found[method] = measure(name, fields, epochs, workdir)
            jax.clear_caches()
    least = found["MC dropout"]["training"]
    return [
        [
            name,
            method,
            f"{own['training'] / least:.2f} x",
            f"{own['afterwards']:.1f}" if own["afterwards"] else "-",
            f"{own['ms']:.1f}",
            f"{own['bundle']:.2f}",
            f"{own['memory']:.2f}",
        ]
        for method, own in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ["stbln_synthetic", "fergcn_synthetic:mcd"]
    parser.add_argument("configs", nargs="*", default=default, help="as fer-jax train takes them")
    parser.add_argument("--epochs", type=int, default=8, help="of each training (default: 8)")
    options = parser.parse_args()
    console, made = Console(), []
    for name in options.configs:
        made += rows(name, options.epochs, console)
    headings = (
        "config | posterior | training | afterwards, s | ms a clip | bundle, MB | in memory, MB"
    )
    console.print("\n".join(table(headings, made)), soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
