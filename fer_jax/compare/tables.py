"""The tables of compared methods, and the figure beside them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from fer_jax import tables
from fer_jax.compare import figure, significance
from fer_jax.experiments.for_papers import provenance
from fer_jax.machine import printable, write_whole
from fer_jax.plotting import style
from fer_jax.tables import Table
from fer_jax.tasks.csv_cells import save_csv
from fer_jax.tasks.dimensions.scores import INTERVAL, TOLERANCE
from fer_jax.tasks.report_lines import LEAST_SUBJECTS, number

_NOTES = """
MCD: Monte Carlo dropout. {evaluated} In brackets the 95% interval (bootstrap over people, over
clips where the dataset does not identify people). Without: dropout off, stored BatchNorm
statistics; recalibrated: statistics re-estimated without dropout. {posterior}In braces: widths of
the layers. Graph matrices: the learnable ones over nodes or edges. GFLOPs: a multiplication and an
addition are two operations. Training: all evaluated folds. Milliseconds: the network alone, one
clip at a time, median of {repeats}. {more}Measured on: {environment}.

Runs: {runs}.
"""
_PAPER = "paper with / without"
_EVALUATED = {
    "accuracy": "Accuracies are means over the folds, of the last epoch unless the config selects "
    "another.",
    "mean F1": "Mean F1 of the action units over all windows.",
}
_MEASURED = (
    f"Accuracies are shares of images whose root mean square error over the dimensions is below "
    f"T = {TOLERANCE:g}."
)
_SEARCHED = (
    "PST-BLN: searched, fine-tuned and evaluated in every fold, or in the first one alone if its "
    "config says so; parameters are means over these folds. PST-BLN from scratch: the topology of "
    "the first fold, which its training clips chose, trained anew in all folds. "
)
_POSTERIOR = (
    "Posterior: the other one that a method predicts by; errors and tests are of it, where there "
    "is one. "
)
_ERRORS = (
    "Errors and intervals: with MCD where there is dropout, on the scale of the labels, 1 to 9. "
    "The papers evaluate the test images. "
)
_BRACKETS = (
    "MCD: Monte Carlo dropout; without: dropout off; recalibrated: off, BatchNorm statistics "
    "re-estimated. In brackets: 95% interval, a bootstrap over people. In braces: widths of the "
    "layers."
)
_BRACKETS_OF_COSTS = (
    "Graph matrices: the learnable ones. A multiplication and an addition are two operations. "
    "Training of all folds; milliseconds of the network alone, one clip at a time."
)
_BRACKETS_OF_TESTS = (
    "Difference: first less second over all clips, with its 95% interval, a bootstrap over people. "
    "P-values are two-sided, in brackets corrected over the pairs (Holm); permutation and Wilcoxon "
    "by person, McNemar by clip. Only one right: clips that the first / second alone gets right."
)
_OF_FOLDS = "The accuracies above are means over the folds, so they may differ by another number. "
_TESTED = """
Tests of each pair of methods on the clips that both evaluated, with MCD where there is dropout:
difference of the first less the second over all these clips ({scale}), with its
interval, a bootstrap over people. {of_folds}P-values are two-sided, in
brackets corrected over the pairs (Holm). Permutation: the results of each person are exchanged
between the methods, in all ways for up to {exact} people, else in {drawn:,} random ways. Wilcoxon:
signed ranks of the measure of each person. McNemar: exact, of the clips about which only the first
or only the second method is right, in the first repeat; clips of a person are not independent, so
trust the tests by person first.
"""


def write(
    rows: Sequence[dict], tests: Sequence[dict], notes: Sequence[str], out: pathlib.Path,
    repeats: int,
) -> str:  # fmt: skip
    """Writes compare.md, .csv, .tex, .png and .pdf, and tests.csv.

    Args:
      rows: one a method, see `fer_jax.compare.compare.result`.
      tests, notes: of `fer_jax.compare.paired.compare`.
      out: folder.
      repeats: how often calls were timed.

    Returns:
      The tables as Markdown.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = markdown(rows, tests)
    write_whole(out / "compare.md", text + "\n".join(_notes(rows, tests, notes, repeats)))
    narrow = [part for each in made(rows, tests) for part in _of_latex(each)]
    latex = (tables.latex(each, f"compare-{n}") for n, each in enumerate(narrow, 1))
    write_whole(out / "compare.tex", "\n".join(latex))
    save_csv(pd.json_normalize(list(rows), sep="_"), out / "compare.csv")
    if tests:
        save_csv(pd.DataFrame(tests), out / "tests.csv")
    else:
        (out / "tests.csv").unlink(missing_ok=True)
    style.save(figure.comparison(rows), out / "compare.png")
    return text


def markdown(rows: Sequence[dict], tests: Sequence[dict] = ()) -> str:
    """The tables of one or several datasets, of the errors of dimensions, and of the tests."""
    return "\n".join(map(tables.markdown, made(rows, tests)))


def made(rows: Sequence[dict], tests: Sequence[dict] = ()) -> Iterator[Table]:
    """The same tables, to be rendered."""
    columns = (
        "dataset", "method", "with MCD, %", "without, %", "recalibrated, %", _PAPER,
        "parameters", "without graph matrices", "GFLOPs per clip", "training, s", "ms per clip",
        "ms with 100 MC samples",
    )  # fmt: skip
    cells = [_cells(row) for row in rows]
    place = columns.index(_PAPER)
    if any("posterior" in row for row in rows):
        columns = (*columns[:place], "posterior, %", *columns[place:])
    else:
        cells = [own[:place] + own[place + 1 :] for own in cells]
    if all(row["paper_with_mcd"] is row["paper_without_mcd"] is None for row in rows):
        cut = columns.index(_PAPER)
        columns = columns[:cut] + columns[cut + 1 :]
        cells = [own[:cut] + own[cut + 1 :] for own in cells]
    if len({row["protocol"] for row in rows}) > 1:
        columns = (*columns[:2], "protocol", *columns[2:])
        cells = [
            [*own[:2], row["protocol"], *own[2:]] for own, row in zip(cells, rows, strict=True)
        ]
    yield Table(f"Methods compared: {rows[0]['score']}", columns, tuple(map(tuple, cells)))
    if errors := [cells for row in rows for cells in _error_cells(row)]:
        columns = (
            "method", "dimension", "RMSE", "label std", "MAE", "r", "CCC",
            f"coverage of the {INTERVAL:.0%} interval", "its width", "paper RMSE / MAE / r",
        )  # fmt: skip
        yield Table("Errors of each dimension", columns, tuple(errors))
    if tests:
        columns = (
            "methods", "measure", "clips", "people", "difference", "95% interval", "permutation",
            "Wilcoxon", "only one right", "McNemar",
        )  # fmt: skip
        yield Table("Differences of the methods", columns, tuple(map(_test_cells, tests)))


def _of_latex(table: Table) -> Iterator[Table]:
    """Tables with what their brackets mean; scores and costs apart: a page lacks room for both."""
    if "permutation" in table.columns:
        yield dataclasses.replace(table, remarks=(_BRACKETS_OF_TESTS,))
        return
    if "parameters" not in table.columns:
        yield table
        return
    cut = table.columns.index("parameters")
    rows = tuple(row[:cut] for row in table.rows)
    yield Table(table.title, table.columns[:cut], rows, (_BRACKETS,))
    columns = (*table.columns[:2], *table.columns[cut:])
    rows = tuple((*row[:2], *row[cut:]) for row in table.rows)
    yield Table("Costs of the methods", columns, rows, (_BRACKETS_OF_COSTS,))


def _cells(row: dict) -> list[str]:
    search, mcd = row["search_seconds"], row["ms_mcd"]
    training = f"{row['train_seconds']:.0f}"
    training += f" + search {search:.0f}" if search is not None else ""
    papers = (row["paper_with_mcd"], row["paper_without_mcd"])
    return [
        row["dataset"],
        _name(row),
        _percent(row, "mc_dropout"),
        _percent(row, "stored"),
        _percent(row, "recalibrated"),
        " ".join(filter(None, [row.get("posterior_name"), _percent(row, "posterior")])),
        " / ".join(number(value, 2) for value in papers),
        f"{row['params_total']:,.0f}",
        f"{row['params_without_graph']:,.0f}",
        number(row["gflops"], 3),
        training,
        number(row["ms"], 1),
        number(mcd, 0),
    ]


def _error_cells(row: dict) -> Iterator[tuple[str, ...]]:
    for name, own in row.get("errors", {}).items():
        keys = ("paper_rmse", "paper_mae", "paper_pearson")
        paper = " / ".join(f"{own[key]:.3f}" for key in keys if key in own)
        errors = (own[key] for key in ("rmse", "label_deviation", "mae", "pearson", "ccc"))
        yield (
            _name(row), name, *(number(value, 3) for value in errors), f"{own['inside']:.1%}",
            f"{own['width']:.2f}", paper or "-",
        )  # fmt: skip


def _test_cells(test: dict) -> tuple[str, ...]:
    scale, digits = (1, 3) if test["measure"].startswith("RMSE") else (100, 1)
    difference, low, high = (
        number(scale * test[f"difference{end}"], digits) for end in ("", "_low", "_high")
    )
    only = (test["only_first_right"], test["only_second_right"])
    few = test["people"] < LEAST_SUBJECTS
    return (
        f"{test['first']} - {test['second']}", test["measure"], str(test["clips"]),
        str(test["people"]), difference, "-" if few else f"{low} to {high}",
        *(_p(test, name) for name in ("p_permutation", "p_wilcoxon")),
        "-" if None in only else f"{only[0]} / {only[1]}", _p(test, "p_mcnemar"),
    )  # fmt: skip


def _p(test: dict, name: str) -> str:
    """A p-value, and the corrected one in brackets."""

    def shown(value: float) -> str:
        return "<0.001" if value < 0.001 else f"{value:.3f}"

    if not np.isfinite(test[name]):
        return "-"
    return f"{shown(test[name])} ({shown(test[f'{name}_holm'])})"


def _name(row: dict) -> str:
    """The method, its widths if it has any, and the origin of its backbone."""
    widths = f" {{{', '.join(map(str, row['widths']))}}}" if row["widths"] else ""
    return row["method"] + widths + (f" ({row['backbone']})" if row["backbone"] else "")


def _percent(row: dict, inference_mode: str) -> str:
    if row.get(inference_mode) is None:
        return "-"
    bounds = [row[f"{inference_mode}{end}"] for end in ("_low", "_high")]
    low, high = (number(None if value is None else 100 * value, 1) for value in bounds)
    value = f"{100 * row[inference_mode]:.1f}"
    return f"{value} ({low} to {high})" if low != high else f"{value} (-)"


def _notes(rows, tests, notes, repeats: int) -> Iterator[str]:
    """What stands below the tables."""
    here, score = provenance.environment()["hardware"], rows[0]["score"]
    measured = any("errors" in row for row in rows)
    searched = any(row["method"].startswith("PST-BLN") for row in rows)
    yield _NOTES.format(
        evaluated=_EVALUATED.get(score, _MEASURED),
        more=_ERRORS if measured else _SEARCHED if searched else "",
        runs="; ".join(f"{printable(_name(row))} in {printable(row['run'])}" for row in rows),
        repeats=repeats,
        posterior=_POSTERIOR if any("posterior" in row for row in rows) else "",
        environment=provenance.shown_environment(),
    )
    if tests:
        exact = significance.PERMUTATIONS.bit_length() - 1
        yield _TESTED.format(
            scale="in percentage points" + ", an RMSE on the scale of the labels" * measured,
            of_folds=_OF_FOLDS if score == "accuracy" else "",
            exact=exact,
            drawn=significance.PERMUTATIONS,
        )
        if (people := min(test["people"] for test in tests)) <= 5:  # 2 / 2^5 is above 0.05
            yield (
                f"With so few people ({people}) no permutation test can give a p-value below "
                f"{significance.least_p(people):.3g}.\n"
            )
    yield from (f"{printable(note)}.\n" for note in notes)
    for row in rows:
        if row["paper_note"]:
            yield f"{printable(_name(row))}: {row['paper_note']}.\n"
        if row["measured_on"] != here:
            where = printable(row["measured_on"])
            yield f"{printable(_name(row))}: the time of training was measured on {where}.\n"
