"""Writes what a run leaves behind: metrics, tables, figures and the report."""

from __future__ import annotations

import itertools
import json
import os
import platform

import jax
import numpy as np

from fer_jax import __version__
from fer_jax.data.clips import Clips
from fer_jax.data.folds import Fold
from fer_jax.experiments.workdir import Workdir
from fer_jax.tasks import TASKS, evaluation
from fer_jax.training.epoch_log import read_history


def write(
    workdir: Workdir, config, clips: Clips, folds: list[Fold], parameters, own_figures=None
) -> dict:
    """Reads the folds' results and writes metrics, predictions, figures and the report.

    Args:
      workdir: of the run, with the results of its folds.
      config: of the run.
      clips: the dataset.
      folds: those that are scored.
      parameters: all, and without graph matrices.
      own_figures: those of the model: takes the numbers of the scored clips, the best or clearest
        first, the worst last, and yields names, figures and captions.

    Returns:
      The metrics, as in metrics.json.
    """
    import pandas as pd  # neither pandas nor Matplotlib is imported before a run is trained

    from fer_jax.plotting.curves import learning_curves

    task = TASKS[config.task]
    kind = task.report
    results = [dict(np.load(workdir.result(fold.name))) for fold in folds]
    history = pd.DataFrame(read_history(workdir.log))
    # A model without dropout has one pass, which is the stored reading.
    names = [
        n
        for n in evaluation.INFERENCE_MODES
        if n != "mc_dropout" or config.model.get("dropout", 0.0)
    ]
    evaluated = evaluation.join_folds(clips, folds, results, names, task.summarise)
    own, curves = kind.content(config, clips, folds, evaluated, history)
    content = {
        "name": config.name,
        "clips_evaluated": len(evaluated.indices),
        "left_out": {"faceless": clips.left_out.faceless, "short": clips.left_out.short},
        "params_total": parameters[0],
        "params_without_U": parameters[1],
        **own,
        "train_seconds": evaluation.train_seconds(history, folds),
        "train_memory_bytes": max(int(result["train_memory_bytes"]) for result in results),
        "environment": environment(),
    }
    # JSON knows no NaN (the interval of a single fold, say)
    valid = json.loads(json.dumps(content), parse_constant=lambda _: None)
    workdir.metrics.write_text(json.dumps(valid, indent=1) + "\n")
    kind.table(clips, folds, evaluated).to_csv(workdir.predictions, index=False)
    drawn = [
        ("learning", learning_curves(history[history["fold"] != "all"], loss=kind.LOSS),
         "Loss and accuracy over the epochs"),
    ]  # fmt: skip
    drawn = itertools.chain(kind.figures(clips, evaluated, content, curves), drawn)
    if own_figures is not None:
        # repeats of a cross-validation score a clip again
        indices = list(dict.fromkeys(evaluated.indices[kind.order(evaluated)].tolist()))
        drawn = itertools.chain(drawn, own_figures(indices))
    captions = {}
    for name, figure, caption in drawn:
        file = workdir.figure(name)
        figure.savefig(file)
        captions[file.relative_to(workdir.path).as_posix()] = caption
    text = _report(config, clips, content, kind.lines(content), captions)
    workdir.report.write_text(text)
    return valid


def left_out(config, clips: Clips) -> list[str]:
    """What of the dataset could not be used, for the terminal and the report."""
    lines = []
    if faceless := clips.left_out.faceless:
        lines.append(f"{faceless} labelled frames are left out: their window shows no face.")
    if short := clips.left_out.short:
        listed = ", ".join(f"{name} {count}" for name, count in short.items())
        lines.append(
            f"{sum(short.values())} recordings are left out ({listed}): fewer than "
            f"{config.data.frames} of their frames show a face."
        )
    return lines


def headline(task: str, metrics: dict) -> list[str]:
    """One line a reading, for the terminal."""
    say = TASKS[task].report.headline
    return [f"{name:13s} {say(row)}" for name, row in metrics["inference_modes"].items()]


def environment() -> dict:
    """Hardware class and versions that a figure was measured with."""
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{os.cpu_count()} CPU cores"
    return {
        "hardware": f"{jax.device_count()} x {kind}" if device.platform != "cpu" else kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "fer_jax": __version__,
    }


def backbone_start(config) -> str:
    """What a backbone was before training, empty for a model without one."""
    if "stages" not in config.model:
        return ""
    return f"from {config.pretrained}" if config.pretrained else "from random weights"


def _report(config, clips, content, lines, captions) -> str:
    text = [
        f"# {config.name}",
        "",
        f"{content['clips_evaluated']} predictions scored, {len(clips)} {clips.kind}, "
        f"{len(set(clips.subjects))} subjects, {TASKS[config.task].names}: "
        f"{', '.join(clips.classes)}.",
        f"Model {config.model.name}: {content['params_total']:,} parameters, "
        f"{content['params_without_U']:,} without the learnable graph matrices.",
        *([f"Backbone trained {start}."] if (start := backbone_start(config)) else []),
        *left_out(config, clips),
        f"A training call takes {content['train_memory_bytes'] / 2**30:.2f} GiB on each device.",
        "",
        *lines,
    ]
    for file, caption in captions.items():
        text += [f"![{caption}]({file})", "", f"{caption}.", ""]
    measured = ", ".join(f"{name} {value}" for name, value in content["environment"].items())
    return "\n".join([*text, f"Measured on: {measured}.", ""])
