"""The tables of compared methods: compare.md and compare.csv, and the figure beside them."""

from __future__ import annotations

import pathlib

import pandas as pd

from fer_jax.compare import figure
from fer_jax.experiments.for_papers import provenance
from fer_jax.machine import whole_file, write_whole
from fer_jax.tasks import report_lines
from fer_jax.tasks.csv_cells import save_csv
from fer_jax.tasks.dimensions.scores import INTERVAL, TOLERANCE
from fer_jax.tasks.report_lines import number

_NOTES = """
MCD: Monte Carlo dropout. {evaluated} Without: dropout off, stored BatchNorm statistics;
recalibrated: statistics re-estimated without dropout. Graph matrices: the learnable ones over nodes
or edges. Training: all evaluated folds. Milliseconds: the network alone, one clip at a time,
median of {repeats}. {more} Measured on: {environment}.
"""
_CLASSIFIED = (
    "Accuracies are means over the folds, of the last epoch unless the config selects another; in "
    "brackets the 95% interval over the folds (over the clips if there is one fold)."
)
_MEASURED = (
    f"Accuracies are shares of images whose root mean square error over the dimensions is below "
    f"T = {TOLERANCE:g}; in brackets the 95% interval (bootstrap over people)."
)
_SEARCHED = (
    "PST-BLN: searched, fine-tuned and evaluated in every fold, or in the first one alone if its "
    "config says so; parameters are means over these folds. PST-BLN from scratch: the topology of "
    "the first fold, which its training clips chose, trained anew in all folds."
)
_ERRORS = (
    "Errors and intervals: with MCD where there is dropout, on the scale of the labels, 1 to 9. "
    "The papers evaluate the test images."
)


def write(rows: list[dict], out: pathlib.Path, repeats: int) -> None:
    """Writes compare.md, compare.csv and compare.png.

    Args:
      rows: one a method, see `fer_jax.compare.compare.run_method`.
      out: folder.
      repeats: how often calls were timed.
    """
    out.mkdir(parents=True, exist_ok=True)
    measured = any("errors" in row for row in rows)
    notes = _NOTES.format(
        evaluated=_MEASURED if measured else _CLASSIFIED,
        more=_ERRORS if measured else _SEARCHED,
        repeats=repeats,
        environment=provenance.shown_environment(),
    )
    for row in rows:
        notes += f"\n{_name(row)}: {row['paper_note']}.\n" if row["paper_note"] else ""
    write_whole(out / "compare.md", markdown(rows) + notes)
    save_csv(pd.json_normalize(rows, sep="_"), out / "compare.csv")
    with whole_file(out / "compare.png") as partial:
        figure.comparison(rows).savefig(partial)


def markdown(rows: list[dict]) -> str:
    """The table of one or several datasets, and one of the errors of dimensions."""
    headings = (
        "dataset | method | with MCD, % | without, % | recalibrated, % | "
        "paper with / without | parameters | without graph matrices | GFLOPs per clip | "
        "training, s | ms per clip | ms with 100 MC samples"
    )
    lines = report_lines.table(headings, map(_cells, rows))
    return "\n".join([*lines, *_error_lines(rows)]) + "\n"


def _cells(row: dict) -> list[str]:
    search, mcd = row["search_seconds"], row["ms_mcd"]
    training = f"{row['train_seconds']:.0f}"
    training += f" + search {search:.0f}" if search is not None else ""
    papers = (row["paper_with_mcd"], row["paper_without_mcd"])
    return [
        row["dataset"],
        _name(row),
        "-" if mcd is None else _percent(row, "mc_dropout"),
        _percent(row, "stored"),
        _percent(row, "recalibrated"),
        " / ".join(number(value, 2) for value in papers),
        f"{row['params_total']:,}",
        f"{row['params_without_graph']:,}",
        f"{row['gflops']:.3f}",
        training,
        f"{row['ms']:.1f}",
        number(mcd, 0),
    ]


def _error_lines(rows: list[dict]) -> list[str]:
    headings = (
        "method | dimension | RMSE | label std | MAE | r | CCC | "
        f"coverage of the {INTERVAL:.0%} interval | its width | paper RMSE / MAE / r"
    )
    cells = []
    for row in rows:
        for name, own in row.get("errors", {}).items():
            keys = ("paper_rmse", "paper_mae", "paper_pearson")
            paper = " / ".join(f"{own[key]:.3f}" for key in keys if key in own)
            errors = (own[key] for key in ("rmse", "label_deviation", "mae", "pearson", "ccc"))
            cells.append([
                _name(row), name, *(number(value, 3) for value in errors), f"{own['inside']:.1%}",
                f"{own['width']:.2f}", paper or "-",
            ])  # fmt: skip
    return ["", *report_lines.table(headings, cells)] if cells else []


def _name(row: dict) -> str:
    """The method, its widths if it has any, and the origin of its backbone."""
    widths = f" {{{', '.join(map(str, row['widths']))}}}" if row["widths"] else ""
    return row["method"] + widths + (f" ({row['backbone']})" if row["backbone"] else "")


def _percent(row: dict, inference_mode: str) -> str:
    ends = ("", "_low", "_high")
    value, low, high = (f"{100 * row[f'{inference_mode}{end}']:.1f}" for end in ends)
    return f"{value} ({low} to {high})" if low != high else f"{value} (-)"
