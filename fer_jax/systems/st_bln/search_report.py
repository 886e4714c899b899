"""Results of a search: one row per stage, its section of the report, and the found config."""

from __future__ import annotations

import json
import keyword
import math
import pathlib
import sys

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax.data.folds import Fold
from fer_jax.experiments import report, schema
from fer_jax.experiments.workdir import Workdir
from fer_jax.installation import train_command
from fer_jax.machine import FileError, printable, write_whole
from fer_jax.storage import read_regular, sha256
from fer_jax.systems.st_bln.figures import growth_curve
from fer_jax.systems.st_bln.growth import show
from fer_jax.tasks import report_lines
from fer_jax.tasks.csv_cells import save_csv
from fer_jax.tasks.report_lines import number


def read_rows(workdir: Workdir) -> list[dict]:
    """Returns the finished stages of a search.

    Raises:
      FileError: a line is no stage.
    """
    file, rows = workdir.search_rows, []
    for place, line in enumerate(read_regular(file).splitlines() if file.exists() else (), 1):
        try:
            row = json.loads(line)
            schema.check(schema.StageFields, row)
            if row.pop("sha256", None) not in (None, _sum(row)):  # older files have none
                raise ValueError("it is not as it was written")
            rows.append(row)
        except (ValueError, RecursionError) as error:
            raise FileError(
                f"{file} is damaged: line {place} is no stage of a search ({error}). Remove this "
                "line and those below it, and the same command trains their stages again"
            ) from error
    return rows


def write_rows(workdir: Workdir, rows: list[dict], drawn: list[dict], figure: str) -> None:
    """Writes the stages (in one step, so that a kill leaves whole rows), table and growth curve.

    Args:
      workdir: of the search.
      rows: one per stage, of all folds: `fold`, `stage`, the fields of `growth.Decision`,
        `params_total`, `params_without_U`, `seconds` of training, `compile_seconds`, and
        `compiled_before`: another stage or fold had compiled this topology.
      drawn: the rows of the fold whose growth is drawn.
      figure: its name.
    """
    lines = [json.dumps({**row, "sha256": _sum(row)}) for row in rows]
    write_whole(workdir.search_rows, "".join(f"{each}\n" for each in lines))
    table = pd.DataFrame(rows)
    for column in ("topology", "parent", "kept"):
        table[column] = ["-".join(map(str, cell)) for cell in table[column]]
    save_csv(table, workdir.search_table)
    failed: list[str] = []
    report.save_figures(workdir, ((n, growth_curve(drawn), "") for n in (figure,)), {}, failed)
    for text in failed:  # the search is worth more
        print(text, file=sys.stderr)


def _sum(row: dict) -> str:
    return sha256([json.dumps(row, sort_keys=True).encode()])


def line(row: dict) -> str:
    """Describes a stage in one line for the screen."""
    return (
        f"stage {row['stage']:2d}  {show(row['topology']):24s} loss {row['loss']:.5f}  "
        f"{outcome(row):42s} {row['params_without_U']:,} parameters without U, "
        f"{row['seconds']:.1f} s + {row['compile_seconds']:.1f} s compiling"
    )


def outcome(row: dict) -> str:
    """Describes the decision about a stage with its figures."""
    text = row["decision"]
    if row.get("alpha") is not None:
        text += f" (alpha_w {row['alpha']:.2g})"
    if row.get("layer"):
        depth = row["alpha_depth"]
        text += f", layer {row['layer']}" + (f" (alpha_d {depth:.2g})" if depth is not None else "")
    return text + (f"; {row['note']}" if row.get("note") else "")


def seconds(rows: list[dict]) -> float:
    """Seconds that the stages of a search took, with compiling."""
    return sum(row["seconds"] + row["compile_seconds"] for row in rows)


def search_seconds(rows: list[dict]) -> float:
    """Seconds of all stages but the fine-tuning."""
    return seconds([row for row in rows if row["decision"] != "fine-tuned"])


def compile_share(rows: list[dict]) -> float:
    """Share of the search's time spent on compiling, 0..1."""
    compiling = sum(row["compile_seconds"] for row in rows)
    return compiling / seconds(rows)


def summarise(rows: list[dict]) -> dict:
    """Describes the searches of all folds for metrics.json.

    Args:
      rows: of all folds; the last one of each is its fine-tuning.

    Returns:
      Mean and standard deviation over the folds of the parameters, `folds` with what each found,
      and how many stages found their program compiled.
    """
    folds = {row["fold"]: [each for each in rows if each["fold"] == row["fold"]] for row in rows}
    kinds = ("params_total", "params_without_U")
    spread = {
        kind: {
            "mean": float(np.mean([own[-1][kind] for own in folds.values()])),
            "std": float(np.std([own[-1][kind] for own in folds.values()])),
        }
        for kind in kinds
    }
    found = {
        name: {
            "topology": list(own[-1]["topology"]),
            **{kind: own[-1][kind] for kind in kinds},
            "stages": len(own),
            "seconds": seconds(own),
        }
        for name, own in folds.items()
    }
    reused = sum(row["compiled_before"] for row in rows)
    return {**spread, "folds": found, "stages": len(rows), "stages_compiled_before": reused}


def write(
    workdir: Workdir,
    config: ConfigDict,
    rows: list[dict],
    folds: list[Fold],
    metrics: dict,
    console: Console,
) -> None:
    """Writes the found config, prepends the search to the report and shows how to retrain.

    Args:
      workdir: of the search, with a report.
      config: of the search, with the widths found in the first fold.
      rows: all stages, the fine-tuning of each fold last.
      folds: those that were searched.
      metrics: of the report.
      console: shows the command to retrain.
    """
    found = workdir.found_config
    write_whole(found, found_config(config, found))
    title, rest = workdir.report.read_text().split("\n", 1)
    if len(folds) == 1:
        section = _one_fold(config, rows, folds[0], found)
    else:
        section = _all_folds(config, rows, folds, metrics, found)
    heading = "## The fine-tuned network" + "s" * (len(folds) > 1)
    write_whole(workdir.report, "\n".join([title, "", *section, "", heading, rest]))
    console.print(
        f"found {show(config.model.widths)}{_where(folds)}; to train it from scratch under the "
        f"full protocol:\n{train_command()} --config {found}",
        soft_wrap=True,
    )


def _where(folds: list[Fold]) -> str:
    """The fold of the network in the bundle and in `found.py`, if there are several."""
    return f" in {folds[0].name}" if len(folds) > 1 else ""


def _all_folds(config, rows, folds, metrics: dict, found) -> list[str]:
    """Text for a search in every fold: what each found, and the mean."""
    summary, modes = metrics["search"], metrics["inference_modes"]
    spread = "; ".join(
        f"{summary[kind]['mean']:,.0f} +- {summary[kind]['std']:,.0f} {name}"
        for kind, name in (("params_total", "parameters"), ("params_without_U", "without U"))
    )
    lines = [
        f"The search ran in each of the {len(folds)} folds, on its training clips alone; the "
        f"network that it grew there was fine-tuned and evaluated on the evaluation clips of that "
        f"fold. Mean +- standard deviation over the folds: {spread}. The bundle has the network of "
        f"{folds[0].name}.",
        "",
        f"To train the topology of {folds[0].name} from scratch under the full protocol: "
        f"`{train_command()} --config {found}` (the training clips of {folds[0].name}, which chose "
        "it, include the evaluation clips of the other folds).",
        "",
    ]
    cells = []
    for name, own in summary["folds"].items():
        accuracies = [number(row["accuracy_folds"][name]) for row in modes.values()]
        cells.append([
            name, show(own["topology"]), f"{own['params_total']:,}", f"{own['params_without_U']:,}",
            *accuracies, str(own["stages"]), f"{own['seconds']:.0f}",
        ])  # fmt: skip
    names = " | ".join(f"accuracy, {name}" for name in modes)
    headings = f"fold | topology | parameters | without U | {names} | stages | seconds"
    lines += report_lines.table(headings, cells)
    return [
        *lines,
        "",
        "U: the learnable graph matrices. Every stage of every fold is in search.csv, the growth "
        "of each fold in figures/FOLD_growth.png.",
        "",
        f"{seconds(rows):.0f} s in all, {compile_share(rows):.1%} of it compiling; "
        f"{summary['stages_compiled_before']} of {summary['stages']} stages found their program "
        "compiled by an earlier one.",
    ]


def _one_fold(config, rows, fold, found) -> list[str]:
    lines = [
        f"The search found the topology **{show(config.model.widths)}** (width of every layer). "
        f"It used only the {len(fold.train)} training clips of {fold.name}; the figures below are "
        f"for the {len(fold.evaluation)} evaluation clips of this fold.",
        *_warning(config),
        "",
        f"To train it from scratch under the full protocol: `{train_command()} --config {found}`",
        "",
        "| stage | topology | from | loss | alpha_w | alpha_d | decision | parameters | without U "
        "| seconds | compiling |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        layer = f", layer {row['layer']}" if row.get("layer") else ""
        note = f"; {row['note']}" if row.get("note") else ""
        lines.append(
            f"| {row['stage']} | {show(row['topology'])} | "
            f"{show(row['parent']) if row['parent'] else '-'} | "
            f"{row['loss']:.5f} | {_alpha(row.get('alpha'))} | {_alpha(row.get('alpha_depth'))} | "
            f"{row['decision']}{layer}{note} | {row['params_total']:,} | "
            f"{row['params_without_U']:,} | {row['seconds']:.1f} | {row['compile_seconds']:.1f} |"
        )
    return [
        *lines,
        "",
        "loss: mean training cross-entropy of the stage's last epoch, nats. alpha_w, alpha_d: "
        "relative decrease of the loss by the block, by the layer; below "
        f"{config.search.width_threshold:g}, {config.search.depth_threshold:g} it is removed. "
        "U: the learnable graph matrices.",
        "",
        f"{seconds(rows):.0f} s in all, {compile_share(rows):.1%} of it compiling.",
        "",
        "![Growth of the network](figures/growth.png)",
    ]


def _warning(config) -> list[str]:
    if config.protocol.name == "holdout":
        return []
    return [
        "Its training clips include the evaluation clips of the other folds: under the full "
        "protocol only this fold is independent of the topology."
    ]


def _alpha(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"


def found_config(config: ConfigDict, file: pathlib.Path) -> str:
    """Text of a config file that trains the found topology from scratch.

    It sets every field, so that changes of defaults do not affect it.
    """
    config = config.copy_and_resolve_references()
    name = config.name
    config.name, config.method = f"{name}_found", f"{config.method} from scratch"
    config.search.enabled = False
    lines = [
        f'"""The topology {show(config.model.widths)} that the search {_quoted(name)} found, from '
        "scratch.",
        "",
        f"Run: {train_command()} --config {_quoted(file)}",
        '"""',
        "",
        "from configs.recipes import st_bln",
        "",
        "",
        "def get_config():",
        f"    config = st_bln.get_config({_literal(config.data.dataset)})",
        *(f"    config{path} = {_literal(value)}" for path, value in _flat(config.to_dict())),
        "    return config",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text) -> str:
    """Text for a docstring: nothing in it ends the docstring or is an escape."""
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')


def _literal(value) -> str:
    """Python's text of a value, which gives the same value when it is run."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, (tuple, list)):
        items = ", ".join(map(_literal, value))
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"[{items}]" if isinstance(value, list) else f"({items}{comma})"
    return ascii(value)


def _flat(fields: dict, prefix: str = ""):
    """Yields the path of every field, as it follows a name in Python, and its value."""
    for name, value in fields.items():
        simple = name.isidentifier() and not keyword.iskeyword(name)
        path = f"{prefix}.{name}" if simple else f"{prefix}[{ascii(name)}]"
        if isinstance(value, dict):
            yield from _flat(value, path)
        else:
            yield path, value
