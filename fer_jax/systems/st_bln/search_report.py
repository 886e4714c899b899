"""What a search leaves behind: a row a stage, its part of the report, and the found config."""

from __future__ import annotations

import json
import pathlib

import pandas as pd
from ml_collections import ConfigDict
from rich.console import Console

from fer_jax.data.folds import Fold
from fer_jax.experiments.workdir import Workdir
from fer_jax.installation import train_command
from fer_jax.systems.st_bln.figures import growth_curve
from fer_jax.systems.st_bln.growth import show


def read_rows(workdir: Workdir) -> list[dict]:
    """Returns the finished stages of a search."""
    file = workdir.search_rows
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def write_rows(workdir: Workdir, rows: list[dict]) -> None:
    """Writes the stages (at once, so that a kill leaves whole rows), their table and growth curve.

    Args:
      workdir: of the search.
      rows: one a stage: `stage`, the fields of `growth.Decision`, `params_total`,
        `params_without_U`, `seconds` of training and `compile_seconds`.
    """
    partial = workdir.search_rows.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
    partial.replace(workdir.search_rows)
    table = pd.DataFrame(rows)
    for column in ("topology", "parent", "kept"):
        table[column] = ["-".join(map(str, cell)) for cell in table[column]]
    table.to_csv(workdir.search_table, index=False)
    growth_curve(rows).savefig(workdir.figure("growth"))


def line(row: dict) -> str:
    """One line a stage for the screen."""
    return (
        f"stage {row['stage']:2d}  {show(row['topology']):24s} loss {row['loss']:.5f}  "
        f"{outcome(row):42s} {row['params_without_U']:,} parameters without U, "
        f"{row['seconds']:.1f} s + {row['compile_seconds']:.1f} s compiling"
    )


def outcome(row: dict) -> str:
    """What a stage led to, with the figures it rests on."""
    text = row["decision"]
    if row.get("alpha") is not None:
        text += f" (alpha_w {row['alpha']:.2g})"
    if row.get("layer"):
        depth = row["alpha_depth"]
        text += f", layer {row['layer']}" + (f" (alpha_d {depth:.2g})" if depth is not None else "")
    return text + (f"; {row['note']}" if row.get("note") else "")


def compile_share(rows: list[dict]) -> float:
    """Share of the search's time that went into compiling, 0..1."""
    return sum(row["compile_seconds"] for row in rows) / seconds(rows)


def seconds(rows: list[dict]) -> float:
    """Time of all stages, compiling included."""
    return sum(row["seconds"] + row["compile_seconds"] for row in rows)


def command(file: pathlib.Path) -> str:
    """How the config in `file` is run."""
    return f"{train_command()} --config {file}"


def write(
    workdir: Workdir, config: ConfigDict, rows: list[dict], fold: Fold, console: Console
) -> None:
    """Writes the found config, puts the search in front of the report and shows how to retrain.

    Args:
      workdir: of the search; its report is there.
      config: of the search, with the found widths.
      rows: all stages, the fine-tuning last.
      fold: the one that was searched on.
      console: where the command to retrain is shown.
    """
    found = workdir.found_config
    found.write_text(found_config(config, found))
    title, rest = workdir.report.read_text().split("\n", 1)
    lines = [title, "", *_section(config, rows, fold, found), "", "## The fine-tuned network", rest]
    workdir.report.write_text("\n".join(lines))
    console.print(
        f"found {show(config.model.widths)}; to train it from scratch under the full protocol:\n"
        f"{command(found)}",
        soft_wrap=True,
    )


def _section(config, rows, fold, found) -> list[str]:
    lines = [
        f"The search found the topology **{show(config.model.widths)}** (width of every layer). "
        f"It learnt from the {len(fold.train)} training clips of {fold.name} alone; the figures "
        f"below are of the {len(fold.evaluate)} clips held out there.",
        *_warning(config),
        "",
        f"To train it from scratch under the full protocol: `{command(found)}`",
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
        "relative fall of the loss by the block, by the layer; below "
        f"{config.search.width_threshold:g}, {config.search.depth_threshold:g} it is taken back. "
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
        "The people held out in the other folds are among them: under the full protocol only this "
        "fold scores people whom the topology owes nothing to."
    ]


def _alpha(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"


def found_config(config: ConfigDict, file: pathlib.Path) -> str:
    """Text of a config file that trains the found topology from scratch.

    It states every field, so it stays what it is when a default changes.
    """
    config = config.copy_and_resolve_references()
    name = config.name
    config.name = f"{name}_found"
    config.search.enabled = False
    lines = [
        f'"""The topology {show(config.model.widths)} that the search {name} found, from scratch.',
        "",
        f"Run: {command(file)}",
        '"""',
        "",
        "from configs.recipes import st_bln",
        "",
        "",
        "def get_config():",
        f"    config = st_bln.get_config({config.data.dataset!r})",
        *(f"    config.{field} = {value!r}" for field, value in _flat(config.to_dict())),
        "    return config",
    ]
    return "\n".join(lines) + "\n"


def _flat(fields: dict, prefix: str = ""):
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
