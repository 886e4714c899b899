"""What random seeds change: trains configs with seeds 0, 1, ... and tabulates their scores.

    python -m benchmarks.seeds stbln_lse stgcn:lse
    python -m benchmarks.seeds pstbln_buhmap --seeds 3 --out runs/seeds

A finished run is not repeated, an interrupted one resumes. PST-BLN searches with each seed. What is
scored are the networks that its folds grew and fine-tuned (`search.folds=all`), or the topology of
the first fold, trained from scratch in all (`first`; people of the others had a part in choosing
it). Of every score: mean over the seeds [95% interval over people, mean over
the seeds] (least to most of the seeds).
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
from rich.console import Console

from fer_jax.compare.chosen import load_config
from fer_jax.experiments.workdir import Workdir
from fer_jax.machine import write_whole
from fer_jax.systems import run, searches
from fer_jax.tasks.evaluation import INFERENCE_MODES
from fer_jax.tasks.report_lines import table

# Keys of the metrics of an inference mode: the score, its interval over people, name in the table.
SCORES = (
    ("accuracy_pooled", "interval_95_subjects", "accuracy, all clips"),
    ("balanced_accuracy", "balanced_accuracy_interval_95", "balanced accuracy"),
    ("expected_calibration_error", None, "ECE"),
    ("area_under_generalised_risk", None, "AUGRC"),
)


def score(name: str, seed: int, out: pathlib.Path, console: Console) -> dict:
    """Runs a config with a seed; returns the scores of each inference mode."""
    config = load_config(name)
    config.name, config.seed = f"{config.name}_seed{seed}", seed
    workdir = Workdir(out / config.name)
    metrics = run(config, workdir.path, console)
    if searches(config) and config.search.folds == "first":
        found = load_config(str(workdir.found_config))
        metrics = run(found, out / found.name, console)
    return metrics["inference_modes"]


def lines(name: str, runs: list[dict]) -> list[list[str]]:
    """Makes the rows of a config, one per inference mode, from its runs."""
    rows = []
    for mode in runs[0]:
        rows.append([name, INFERENCE_MODES[mode], *(_cell(runs, mode, *own) for own in SCORES)])
    return rows


def _cell(runs: list[dict], mode: str, key: str, interval: str | None, _name: str) -> str:
    """A score over the seeds."""
    values = np.array([run[mode][key] for run in runs])
    text = f"{values.mean():.3f}"
    if interval:
        low, high = np.mean([run[mode][interval] for run in runs], axis=0)
        text += f" [{low:.3f}, {high:.3f}]"
    return f"{text} ({values.min():.3f} to {values.max():.3f})" if len(runs) > 1 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", help="as fer-jax train --config takes them")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/seeds"))
    options = parser.parse_args()
    rows, console = [], Console()
    for name in options.configs:
        runs = [score(name, seed, options.out, console) for seed in range(options.seeds)]
        rows += lines(name, runs)
        text = "\n".join(
            table(" | ".join(["config", "inference mode", *(name for *_, name in SCORES)]), rows)
        )
        write_whole(options.out / "seeds.md", text + "\n")
        console.print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
