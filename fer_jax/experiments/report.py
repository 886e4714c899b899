"""Writes the results of a run: metrics, predictions, figures and the report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

import numpy as np

from fer_jax.data.clips import Clips
from fer_jax.data.folds import Fold, member_names
from fer_jax.experiments.for_papers import methods, provenance
from fer_jax.experiments.for_papers import tables as own_tables
from fer_jax.experiments.workdir import Workdir
from fer_jax.faces.landmarks import FRAMINGS
from fer_jax.layers.build import has_dropout
from fer_jax.machine import FileError, json_text, printable, write_whole
from fer_jax.tasks import TASKS, doubts, evaluation
from fer_jax.tasks.csv_cells import save_csv
from fer_jax.training.averaging import AVERAGED
from fer_jax.training.epoch_log import read_history


def write(
    workdir: Workdir,
    config,
    clips: Clips,
    folds: list[Fold],
    parameters,
    module,
    own_figures=None,
    more: dict | None = None,
    save_bundle: Callable | None = None,
) -> dict:
    """Reads the results of the folds and writes metrics, predictions, figures and the report.

    Figures come after all else that a run is for: one that fails is a line of the report.

    Args:
      workdir: of the run, with the results of its folds.
      config: of the run.
      clips: the dataset.
      folds: those that were evaluated.
      parameters: number of all, and without graph matrices.
      module: the network.
      own_figures: draws the figures of this network only, from the indices of the evaluated clips,
        the best or clearest first; yields names, figures and captions. None: there are none.
      more: numbers of this kind of run only, for metrics.json.
      save_bundle: writes the bundle, from the metrics, before anything is drawn.

    Returns:
      The metrics, as in metrics.json; `failed_figures` has a line for each figure that failed.
    """
    import pandas as pd  # slow to import: not before a run is trained

    task = TASKS[config.task]
    members = config.uncertainty.members
    results = [
        evaluation.join_members(map(workdir.load_result, member_names(fold.name, members)))
        for fold in folds
    ]
    history = pd.DataFrame(_history(workdir, folds))
    # without dropout the one sample is the stored mode again
    sampled = ["mc_dropout"] if has_dropout(module) else []
    modes = ["stored", "recalibrated", *sampled]
    if config.uncertainty.posterior != "mc_dropout":
        averaged = ["average"] if config.uncertainty.posterior in AVERAGED else []
        modes += [*averaged, config.uncertainty.posterior]
    evaluated = evaluation.join_folds(clips, folds, results, modes, task.summarise)
    evaluated = dataclasses.replace(evaluated, trust=task.trust(config, evaluated))
    familiar = config.uncertainty.familiarity
    own, curves = task.report.content(config, clips, folds, evaluated, history)
    content = {
        "name": config.name,
        "clips_evaluated": len(evaluated.indices),
        "subjects_evaluated": len({clips.subjects[index] for index in evaluated.indices}),
        "left_out": {
            "faceless": clips.left_out.faceless,
            "short": clips.left_out.short,
            "undecided": clips.left_out.undecided,
        },
        "framing": framing_of(clips),
        "params_total": parameters[0],
        "params_without_U": parameters[1],
        **({"members": members} if members > 1 else {}),
        **_laplace(results),
        **({"familiarity": doubts.summary(clips, folds, results)} if familiar else {}),
        **own,
        "train_seconds": evaluation.train_seconds(history, folds),
        "train_memory_bytes": max(int(result["train_memory_bytes"]) for result in results),
        "environment": provenance.environment(),
        "run": provenance.of_run(workdir, config),
        **(more or {}),
    }
    content["methods"] = methods.paragraph(config, clips, folds, module, content)
    valid = json_text(content, indent=1)  # e.g. the interval of a single fold is null
    write_whole(workdir.metrics, valid + "\n")
    save_csv(task.report.table(clips, folds, evaluated), workdir.predictions)
    metrics = json.loads(valid)
    if save_bundle is not None:
        save_bundle(metrics)
    parts = task.report.parts(clips, folds, evaluated, content)
    shown = evaluation.INFERENCE_MODES[evaluated.mode]
    lines = task.report.lines(content)
    lines += doubts.lines(content["familiarity"], clips.kind) if familiar else []
    lines += own_tables.write(workdir, parts, shown, config.name)
    captions, failed = {}, []
    shared = (task.report, clips, evaluated)
    of_doubts = _doubts(*shared, folds, results) if familiar else iter(())
    for figures in _figures(*shared, content, curves, history, own_figures, of_doubts):
        save_figures(workdir, figures, captions, failed)
    if failed:
        metrics["failed_figures"] = failed
        write_whole(workdir.metrics, json_text(metrics, indent=1) + "\n")
    found = f"{len(np.unique(evaluated.indices))} of {len(clips)} {clips.kind} evaluated"
    lines += [f"{line}.\n" for line in failed]
    write_whole(workdir.report, _report(config, clips, content, found, lines, captions))
    return metrics


def _laplace(results: list[dict]) -> dict:
    """What the prior of a Laplace approximation rests on; {}: there is none."""
    if "laplace_log_precision" not in results[0]:
        return {}
    return {
        "laplace": {
            "precision": [float(np.exp(each["laplace_log_precision"])) for each in results],
            "chosen_by": "validation" if results[0]["laplace_tuned"] else "evidence",
        }
    }


def _history(workdir: Workdir, folds: list[Fold]) -> list[dict]:
    """Rows of the log of epochs.

    Raises:
      FileError: a fold has none.
    """
    rows = read_history(workdir.log)
    for fold in folds:
        if not any(row["fold"] == fold.name for row in rows):
            raise FileError(
                f"{workdir.log} has no epochs of {fold.name}: restore it from a copy, or delete "
                f"{workdir.result(fold.name)}, and the same command makes both again"
            )
    return rows


def _figures(
    report, clips, evaluated, content, curves, history, own_figures, of_doubts
) -> list[Iterator]:
    """Names, figures and captions: of the task, of doubts, the learning curves, of the network."""

    def learning():
        from fer_jax.plotting.curves import learning_curves

        fold = evaluation.fold_of(history)
        shown = history[(fold != "all") & (fold == history["fold"])]  # of ensembles the first
        curve = learning_curves(shown, loss=report.LOSS)
        yield "learning", curve, "Loss and accuracy over the epochs"

    def of_network():
        if own_figures is not None:
            # repeats of a cross-validation evaluate a clip again
            order = evaluated.indices[report.order(evaluated)].tolist()
            yield from own_figures(list(dict.fromkeys(order)))

    of_task = report.figures(clips, evaluated, content, curves)
    return [of_task, of_doubts, learning(), of_network()]


def _doubts(report, clips, evaluated, folds, results) -> Iterator[tuple]:
    """Ambiguous against unfamiliar clips; nothing is computed before it is drawn."""
    ambiguity = report.ambiguity(clips.classes, evaluated)
    yield from doubts.figures(ambiguity, clips, folds, results)


def save_figures(workdir: Workdir, figures: Iterator, captions: dict, failed: list) -> None:
    """Saves figures one by one, as PNG and PDF; those that fail to be drawn are left out.

    Args:
      workdir: of the run.
      figures: yields names, figures and captions.
      captions: path in the work directory -> caption; receives those that were saved.
      failed: receives a line for each figure that failed.

    Raises:
      OSError: of the storage, on which the rest of the report would fail as well.
    """
    from fer_jax.plotting.style import save

    name, last = "", ""
    while True:
        try:
            name, last = "", name
            name, figure, caption = next(figures)
            file = workdir.figure(name)
            save(figure, file)
            captions[file.relative_to(workdir.path).as_posix()] = caption
        except StopIteration:
            return
        except Exception as error:  # whatever drawing raises, the run is worth more
            if isinstance(error, OSError) and error.errno is not None:
                raise
            which = f"the figure {name}" if name else f"a figure{last and f' after {last}'}"
            reason = printable(f"{type(error).__name__}: {error}")
            failed.append(f"{which} could not be drawn ({reason}); all else is complete")


def left_out(config, clips: Clips) -> list[str]:
    """Counts the clips and frames that could not be used, for the terminal and the report."""
    lines = []
    if faceless := clips.left_out.faceless:
        lines.append(f"{faceless} labelled frames are left out: their window shows no face.")
    if undecided := clips.left_out.undecided:
        rule = config.data.vote_rule
        lines.append(f"{undecided} clips are left out: their votes have no class (rule {rule}).")
    if short := clips.left_out.short:
        listed = ", ".join(f"{name} {count}" for name, count in short.items())
        lines.append(
            f"{sum(short.values())} recordings are left out ({listed}): fewer than "
            f"{config.data.frames} of their frames show a face."
        )
    return lines


def framing_of(clips: Clips) -> str | None:
    """Name of the framing of the face crops; None without crops."""
    if clips.crops is None:
        return None
    own = clips.crops.framing
    return next((name for name, each in FRAMINGS.items() if each == own), "the dataset's own")


def framing(config, clips: Clips) -> list[str]:
    """Says how faces lie in the crops, and if the config asks for another framing."""
    if clips.crops is None:
        return []
    name = framing_of(clips)
    lines = [f"Framing of the face crops: {name}."]
    if config.data.framing not in ("", name):
        lines = [
            f"Framing of the face crops: {name}, not {config.data.framing} as the config says: "
            f"prepare {config.data.dataset} with --framing {config.data.framing} to have the crops "
            "of the paper."
        ]
    return lines


def headline(task: str, metrics: dict) -> list[str]:
    """One line per inference mode, for the terminal."""
    say = TASKS[task].report.headline
    return [f"{name:13s} {say(row)}" for name, row in metrics["inference_modes"].items()]


def backbone_start(config) -> str:
    """Initial weights of the backbone, in words; empty for a model without one."""
    if "stages" not in config.model:
        return ""
    return f"from {config.pretrained}" if config.pretrained else "from random weights"


def _report(config, clips, content, found: str, lines, captions) -> str:
    members = config.uncertainty.members
    text = [
        f"# {config.name}",
        "",
        f"{found}, {content['subjects_evaluated']} of {len(set(clips.subjects))} subjects; "
        f"protocol {config.protocol.name}; {TASKS[config.task].names}: "
        f"{', '.join(clips.classes)}.",
        f"Model {config.model.name}: {content['params_total']:,} parameters, "
        f"{content['params_without_U']:,} without the learnable graph matrices"
        + f", in each of the {members} networks of the ensemble" * (members > 1)
        + ".",
        *([f"Backbone trained {start}."] if (start := backbone_start(config)) else []),
        *left_out(config, clips),
        *framing(config, clips),
        f"The compiled training program takes {content['train_memory_bytes'] / 2**30:.2f} GiB "
        "on each device.",
        "",
        *lines,
    ]
    for file, caption in captions.items():
        name = file.rpartition("/")[2].removesuffix(".png").replace("_", " ")
        pdf = file.removesuffix("png") + "pdf"
        text += [f"![{name}]({file})", "", f"{caption} ([PDF]({pdf})).", ""]
    return "\n".join([
        *text, "## Methods", "", content["methods"], "",
        "## Origin", "", *provenance.lines(content),
    ])  # fmt: skip
