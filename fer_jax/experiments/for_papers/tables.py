"""The tables of a report: as text in report.md, as CSV with all numbers, as LaTeX for a paper."""

from __future__ import annotations

import numbers

from fer_jax import tables
from fer_jax.experiments.workdir import Workdir
from fer_jax.machine import write_whole
from fer_jax.tables import Table
from fer_jax.tasks.csv_cells import save_csv
from fer_jax.tasks.grouped import Part
from fer_jax.tasks.report_lines import number

_MODE = "inference mode"
_LONGEST = 60  # rows of a table in report.md and in LaTeX


def write(workdir: Workdir, parts: list[Part], mode: str, name: str) -> list[str]:
    """Writes the tables and returns lines of report.md.

    Args:
      workdir: of the run.
      parts: the tables.
      mode: the inference mode that the report and LaTeX show; CSV files have all.
      name: of the run, for labels in LaTeX.
    """
    lines = []
    for part in parts:
        csv, tex = (workdir.table(part.name, suffix) for suffix in ("csv", "tex"))
        save_csv(part.rows, csv)
        table = make(part, mode)
        file = csv.relative_to(workdir.path)
        if len(table.rows) > _LONGEST:
            tex.unlink(missing_ok=True)
            lines += [f"{part.title}: {len(table.rows)} rows in [{file}]({file}).", ""]
            continue
        write_whole(tex, tables.latex(table, f"{name}-{part.name}"))
        if part.in_report:
            lines += [tables.markdown(table)]
    listed = ", ".join(f"{part.name}.csv" for part in parts)
    return [
        *lines,
        f"In tables/: {listed} with the numbers of all inference modes, and the same as LaTeX "
        f"(.tex, booktabs) of this one ({mode}).",
        "",
    ]


def make(part: Part, mode: str) -> Table:
    """The table of an inference mode as text."""
    shown = part.rows[part.rows[_MODE] == mode].drop(columns=_MODE)

    def text(value) -> str:
        if isinstance(value, numbers.Integral):
            return f"{value:,}"
        return number(value, part.digits) if isinstance(value, numbers.Real) else str(value)

    rows = tuple(tuple(map(text, row)) for row in shown.itertuples(index=False, name=None))
    return Table(f"{part.title}, {mode}", tuple(map(str, shown.columns)), rows)
