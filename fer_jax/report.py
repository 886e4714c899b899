"""Writes what a run leaves behind: metrics, tables, figures and the report."""

from __future__ import annotations

import json
import os
import pathlib
import platform

import jax
import numpy as np
import pandas as pd
from tensorboardX import SummaryWriter

from fer_jax import __version__, data, metrics, plots, protocols, scores, uncertainty
from fer_jax.assess import READINGS


class EpochLog:
    """Appends one row an epoch to metrics.jsonl and TensorBoard, without doubles on resuming.

    Args:
      workdir: of the run.
      fold: name of the fold.
      history: rows of the epochs that were restored.
    """

    def __init__(self, workdir: pathlib.Path, fold: str, history: list[dict]):
        self._file, self._fold = workdir / "metrics.jsonl", fold
        kept = [row for row in read_history(workdir) if row["fold"] != fold]
        lines = [json.dumps(row) + "\n" for row in kept]
        lines += [json.dumps({"fold": fold, **row}) + "\n" for row in history]
        partial = self._file.with_suffix(".partial")
        partial.write_text("".join(lines))
        partial.replace(self._file)
        self._writer = SummaryWriter(
            str(workdir / "tensorboard" / fold), purge_step=len(history) + 1
        )

    def write(self, row: dict) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps({"fold": self._fold, **row}) + "\n")
        for name, value in row.items():
            if name not in ("epoch", "seconds"):
                self._writer.add_scalar(name, value, row["epoch"])

    def close(self) -> None:
        self._writer.close()


def read_history(workdir: pathlib.Path) -> list[dict]:
    """Returns the rows of metrics.jsonl; a line that a kill cut short is left out."""
    file = workdir / "metrics.jsonl"
    rows = []
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def write(
    workdir, config, clips: data.Clips, folds: list[protocols.Fold], parameters, own_figures=None
) -> dict:
    """Reads the folds' results and writes predictions.csv, figures/ and report.md.

    Args:
      workdir: of the run; `folds/*.npz` hold the results.
      config: of the run.
      clips: the data set.
      folds: those that are scored.
      parameters: all, and without graph matrices.
      own_figures: those of the model: takes the number of a clip, the most certain one, and yields
        names, figures and captions.

    Returns:
      The metrics, as in metrics.json.
    """
    results = [dict(np.load(workdir / "folds" / f"{fold.name}.npz")) for fold in folds]
    scored = {
        name: np.concatenate([result[f"evaluate_{name}"] for result in results], axis=axis)
        for name, axis in (("stored", 0), ("recalibrated", 0), ("samples", 1))
    }
    numbers = np.concatenate([fold.evaluate for fold in folds])
    labels = clips.labels[numbers]
    summary = uncertainty.summarise(scored["samples"])
    history = pd.DataFrame(read_history(workdir))
    # A model without dropout has one pass, which is the stored reading.
    names = [n for n in READINGS if n != "mc_dropout" or config.model.get("dropout", 0.0)]
    content = {
        "name": config.name,
        "clips_scored": len(numbers),
        "params_total": parameters[0],
        "params_without_U": parameters[1],
        "readings": scores.score_readings(folds, results, clips, names),
        "train_seconds": scores.train_seconds(history, folds),
        "train_memory_bytes": max(int(result["train_memory_bytes"]) for result in results),
        "best_epoch": scores.best_epoch(history, folds),
        "single_pass": scores.single_pass(scored["samples"], labels, summary)
        if "mc_dropout" in names
        else None,
        "selective": scores.selective(config, folds, results, clips, summary, numbers),
        "environment": environment(),
    }
    # JSON knows no NaN (the interval of a single fold, say)
    valid = json.loads(json.dumps(content), parse_constant=lambda _: None)
    (workdir / "metrics.json").write_text(json.dumps(valid, indent=1) + "\n")
    table = scores.predictions(clips, folds, numbers, scored, summary)
    if "mc_dropout" not in names:
        table = table.drop(columns="predicted_mc_dropout")
    table.to_csv(workdir / "predictions.csv", index=False)
    figures = _figures(workdir, clips, numbers, scored, summary, content, history)
    if own_figures is not None:
        place = _telling_clips(summary, summary.mean.argmax(-1) == labels)
        for name, figure, caption in own_figures(
            int(numbers[place.get("most_certain", place["least_certain"])])
        ):
            figure.savefig(workdir / "figures" / f"{name}.png")
            figures[f"figures/{name}.png"] = caption
    (workdir / "report.md").write_text(_report(config, clips, content, figures))
    return valid


def _figures(workdir, clips, numbers, scored, summary, content, history) -> dict[str, str]:
    """Draws every figure of the run; returns file name -> caption."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    labels = clips.labels[numbers]
    correct = summary.mean.argmax(-1) == labels
    table, has_dropout = content["readings"], content["single_pass"] is not None
    source = "MC dropout" if has_dropout else "dropout off"
    captions = {}

    def save(name, figure, caption):
        figure.savefig(folder / f"{name}.png")
        captions[f"figures/{name}.png"] = caption

    matrix = metrics.confusion_matrix(summary.mean, labels)
    save("confusion", plots.confusion_matrix(matrix, clips.classes), f"Confusion, {source}")
    scored_history = history[history["fold"] != "all"]
    save("learning", plots.learning_curves(scored_history), "Loss and accuracy over the epochs")
    if has_dropout:
        save(
            "passes",
            plots.pass_accuracies(
                (scored["samples"].argmax(-1) == labels).mean(-1),
                metrics.accuracy(summary.mean, labels),
                table["stored"]["accuracy_pooled"],
                table["recalibrated"]["accuracy_pooled"],
            ),
            "Accuracies of the single passes and of their ensemble (paper's figure 2)",
        )
    bins = uncertainty.reliability_bins(summary.mean, labels)
    error = uncertainty.expected_calibration_error(summary.mean, labels)
    save("reliability", plots.reliability(*bins, error), f"Confidence against accuracy, {source}")
    curves, doubts = {}, {f"entropy ({source})": summary.entropy}
    if has_dropout:
        doubts["mutual information (MC dropout)"] = summary.mutual_information
        doubts["1 - agreement (MC dropout)"] = 1 - summary.agreement
    for name, doubt in doubts.items():
        area = uncertainty.area_under_risk_coverage(doubt, correct)
        curves[name] = (*uncertainty.risk_coverage(doubt, correct), area)
    right = scored["recalibrated"].argmax(-1) == labels
    doubt = uncertainty.entropy(scored["recalibrated"])
    area = uncertainty.area_under_risk_coverage(doubt, right)
    curves["entropy (recalibrated)"] = (*uncertainty.risk_coverage(doubt, right), area)
    save("risk_coverage", plots.risk_coverage(curves), "Error among the clips answered")
    for kind, place in _telling_clips(summary, correct).items() if has_dropout else ():
        number = numbers[place]
        figure = plots.class_distributions(
            scored["samples"][:, place],
            clips.classes,
            clips.classes[labels[place]],
            clips.landmarks[number],
            f"{clips.clip_ids[number]} ({kind.replace('_', ' ')})",
        )
        caption = f"Predictions of the passes for one clip: {kind.replace('_', ' ')} (figure 3)"
        save(f"clip_{kind}", figure, caption)
    return captions


def _telling_clips(summary, correct) -> dict[str, int]:
    """One clip each: surely right, unsure, surely wrong (where there is one)."""
    order = np.argsort(summary.entropy, kind="stable")
    chosen = {"least_certain": int(order[-1])}
    if correct.any():
        chosen["most_certain"] = int(order[correct[order]][0])
    if not correct.all():
        chosen["most_certain_error"] = int(order[~correct[order]][0])
    return chosen


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


def _report(config, clips, content, figures) -> str:
    lines = [
        f"# {config.name}",
        "",
        f"{content['clips_scored']} predictions scored, {len(clips)} clips, "
        f"{len(set(clips.subjects))} subjects, classes: {', '.join(clips.classes)}.",
        f"Model {config.model.name}: {content['params_total']:,} parameters, "
        f"{content['params_without_U']:,} without the learnable graph matrices.",
        *([f"Backbone trained {start}."] if (start := backbone_start(config)) else []),
        f"A training call takes {content['train_memory_bytes'] / 2**30:.2f} GiB on each device.",
        "",
        "| reading | accuracy, mean of folds | 95% interval | accuracy, pooled | 95% interval | "
        "ECE | NLL | AURC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in content["readings"].items():
        lines.append(
            f"| {READINGS[name]} | {row['accuracy_mean_of_folds']:.4f} | "
            f"{_interval(row['interval_95_folds'])} | {row['accuracy_pooled']:.4f} | "
            f"{_interval(row['interval_95_pooled'])} | {row['expected_calibration_error']:.4f} | "
            f"{row['negative_log_likelihood']:.4f} | {row['area_under_risk_coverage']:.4f} |"
        )
    single, selective = content["single_pass"], content["selective"]
    lines += [
        "",
        "ECE: expected calibration error (15 bins). NLL: negative log likelihood, nats. "
        "AURC: area under the risk-coverage curve of the entropy, 0 is perfect.",
        "",
        *_repeat_lines(content["readings"]),
        f"Last epoch throughout. {_best_line(content['best_epoch'])}",
        "",
        _pass_line(single),
        "",
        _selective_line(selective),
        "",
    ]
    for file, caption in figures.items():
        lines += [f"![{caption}]({file})", "", f"{caption}.", ""]
    measured = ", ".join(f"{name} {value}" for name, value in content["environment"].items())
    lines += [f"Measured on: {measured}.", ""]
    return "\n".join(lines)


def _repeat_lines(table: dict) -> list[str]:
    """Mean and deviation over the repeats, where there are several."""
    lines = []
    for name, row in table.items():
        values = row["accuracy_repeats"]
        if len(values) > 1:
            lines.append(
                f"- {READINGS[name]}, {len(values)} repeats: {np.mean(values):.4f} +- "
                f"{np.std(values, ddof=1):.4f} (mean of folds, mean and deviation over repeats)"
            )
    return [*lines, ""] if lines else []


def _pass_line(single: dict | None) -> str:
    if single is None:
        return "The model has no dropout: there is one pass."
    return (
        f"Single passes with dropout ({single['passes']}): {single['accuracy_mean']:.4f} +- "
        f"{single['accuracy_std']:.4f}; ensemble of probabilities "
        f"{single['ensemble_of_probabilities']:.4f}, of log probabilities "
        f"{single['ensemble_of_log_probabilities']:.4f}."
    )


def _interval(bounds) -> str:
    low, high = bounds
    return "-" if np.isnan(low) else f"{low:.4f} to {high:.4f}"


def _best_line(best: dict | None) -> str:
    if best is None:
        return "No epoch was scored in between."
    return (
        f"Best epoch of each fold (chosen on the clips it is scored on, hence optimistic; "
        f"dropout off, stored statistics): {best['accuracy_mean_of_folds']:.4f}."
    )


def _selective_line(selective: dict) -> str:
    if selective["threshold"] is None:
        return (
            f"Selective prediction: no threshold on the entropy reaches the target accuracy "
            f"{selective['target_accuracy']:.2f}; the bundle never abstains."
        )
    reached = "none" if selective["accuracy"] is None else f"{selective['accuracy']:.4f}"
    return (
        f"Selective prediction: abstaining above an entropy of {selective['threshold']:.3f} nats "
        f"(threshold for {selective['target_accuracy']:.2f} accuracy, chosen on "
        f"{selective['chosen_on']}) answers {selective['coverage']:.1%} of the clips, "
        f"accuracy on them {reached}."
    )
