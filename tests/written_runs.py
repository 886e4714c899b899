"""Work directories of runs whose answers are drawn at random: reports without training."""

import dataclasses
import json
import types

import numpy as np
import pytest

from configs import base
from fer_jax.data.folds import make_folds
from fer_jax.experiments import report
from fer_jax.experiments.workdir import Workdir, recorded
from fer_jax.plotting import style
from fer_jax.tasks import TASKS
from fer_jax.training.epoch_log import EpochLog

NAMES = {
    "classification": ("anger", "fear", "joy"),
    "action_units": ("AU01", "AU02", "AU12"),
    "dimensional": ("valence", "arousal"),
    "distribution": ("anger", "fear", "joy"),
}
MC_SAMPLES = 4
SAVE_PDF = style.save_pdf  # which the tests leave out otherwise


def labels_of(task, count, rng):
    if task == "classification":
        return np.arange(count, dtype=np.int32) % 3
    if task == "distribution":  # votes, and the class that most of them name
        chosen = np.eye(3, dtype=np.float32)[np.arange(count) % 3]
        return np.stack([0.6 * chosen + 0.4 / 3, chosen], 1)
    if task == "action_units":
        return np.where(rng.random((count, 3)) < 0.1, np.nan, rng.random((count, 3)) < 0.4)
    return rng.uniform(2, 8, (count, 2)).astype(np.float32)


def outputs_of(task, labels, skill, rng):
    """Outputs `[N, C]` that are right more often with more skill, 0 to 1."""
    if task == "distribution":
        labels = labels[:, 1].argmax(-1)
    if task in ("classification", "distribution"):
        logits = rng.normal(0, 1, (len(labels), 3)) + 2 * skill * np.eye(3)[labels]
        return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    noise = rng.normal(0, 2 * (1 - skill), labels.shape)
    known = np.nan_to_num(labels)
    if task == "action_units":
        return 1 / (1 + np.exp(-3 * (known - 0.5) - 3 * noise))
    return np.clip(known + noise, 1, 9)


def config_of(task, name, fields):
    config = base.get_config(model={"name": "st_bln", "widths": (4, 4), "dropout": 0.2})
    config.update_from_flattened_dict({
        "name": name, "method": f"Method {name}", "task": task, "data.dataset": "faces",
        "data.path": "data/faces", "train.epochs": 2, "protocol.folds": 3,
        "evaluation.mc_samples": MC_SAMPLES,
    } | fields)  # fmt: skip
    return config


def write_run(
    clips, folder, task="classification", skill=0.6, seed=0, dropout=0.2, figures=False, **fields
):
    """Writes metrics, predictions, tables, figures and report of a run on some clips.

    Args:
      clips: of `make_clips`; their labels are replaced where the task asks for others.
      folder: work directory; its name is that of the run.
      task: key of `NAMES`.
      skill, seed: of the answers.
      dropout: of the network; 0: no MC samples.
      figures: whether they are drawn, as PNG and PDF.
      fields: of the config.
    """
    labels = labels_of(task, len(clips), np.random.default_rng(0))
    clips = dataclasses.replace(clips, labels=labels, classes=NAMES[task])
    config = config_of(task, folder.name, fields)
    folds = make_folds(config.protocol, clips.subjects, clips.splits)
    workdir, rng = Workdir(folder), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    own = {**recorded(config), "data_fingerprint": "0123456789abcdef"}
    workdir.config.write_text(json.dumps(own, default=list))
    for fold in folds:
        log = EpochLog(workdir.log, folder / "tensorboard", fold.name, [])
        log.write({"epoch": 1, "seconds": 1.0, "train_loss": 1.0, "train_accuracy": 0.5})
        log.close()
        arrays = {"train_memory_bytes": np.array(2**20)}
        for part, chosen in (("evaluation", fold.evaluation), ("validation", fold.validation)):
            if chosen is None:
                continue
            drawn = [outputs_of(task, labels[chosen], skill, rng) for _ in range(2 + MC_SAMPLES)]
            samples = np.stack(drawn[2:]) if dropout else np.stack(drawn[:1])
            own = {"stored": drawn[0], "recalibrated": drawn[1], "samples": samples}
            arrays |= {f"{part}_{name}": values for name, values in own.items()}
        workdir.save_result(fold.name, arrays)
    module = types.SimpleNamespace(inputs="edges", dropout=dropout)
    with pytest.MonkeyPatch.context() as patch:
        if figures:
            patch.setattr(style, "save_pdf", SAVE_PDF)
        else:
            patch.setattr(report, "_figures", lambda *arguments: iter(()))
        metrics = report.write(workdir, config, clips, folds, (1234, 1000), module)
    assert TASKS[task].names in workdir.report.read_text()
    return workdir, metrics
