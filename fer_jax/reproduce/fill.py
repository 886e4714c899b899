"""Fills a paper's table: below each row that we can make, ours and the difference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fer_jax.experiments import report
from fer_jax.papers.paper import Paper, PaperTable, Row, Run, number
from fer_jax.reproduce.experiments import Outcome
from fer_jax.reproduce.measures import Result, Value, by_fold, measure, needs_training
from fer_jax.tables import Cell, Table
from fer_jax.tasks import published

OURS, DIFFERENCE, WHERE = "ours", "difference", "evaluated on"
PARAMETERS = "parameters"  # the measure that is the same whatever is evaluated
_MISSING = "-"


def fill(paper: Paper, table: PaperTable, outcomes: Mapping[Run, Outcome]) -> Table:
    """The table as the paper prints it, with ours.

    Args:
      paper: it belongs to.
      table: as data.
      outcomes: of its experiments.
    """
    results = {run: Result(outcome.experiment) for run, outcome in outcomes.items()}
    rows, breaks = [], []
    trained = any(needs_training(ours.measure) for row in table.rows for ours in row.ours.values())
    columns = (*table.columns, WHERE) if trained else table.columns
    for index, row in enumerate(table.rows):
        breaks += [len(rows)] if index in table.breaks else []
        rows.append((*row.texts, "")[: len(columns)])
        if row.ours:
            own = _own_rows(row, outcomes, results, digits(table, row))
            rows += [each[: len(columns)] for each in own]
    number_of = table.key.removeprefix("table")
    return Table(
        f"{table.title} ({paper.name}, table {number_of})",
        columns,
        tuple(rows),
        tuple(_remarks(paper, table, outcomes)),
        tuple(breaks),
    )


def _remarks(paper: Paper, table: PaperTable, outcomes) -> list[str]:
    used = [o.experiment.workdir for o in outcomes.values() if o.finished]
    names = ", ".join(dict.fromkeys(map(str, used)))
    quoted = any(re.search(r"\[\d+\]", text) for row in table.rows for text in row.texts)
    return [
        f"Source: {paper.citation}." + " [..] are its references." * quoted,
        *([table.remark] if table.remark else []),
        *([f"{table.reason[0].upper()}{table.reason[1:]}."] if table.reason else []),
        *([f"Difference: ours minus the paper's. Ours: {names}."] if names else []),
    ]


def digits(table: PaperTable, row: Row) -> dict[int, int]:
    """Decimals of each cell of ours: as the paper's cell has, in a matrix as its finest cell."""

    def decimals(text: str) -> int:
        found = re.search(r"\d+[.,](\d+)", text)
        return len(found[1]) if found else 0

    matrix = any(ours.measure.startswith("confusion") for ours in row.ours.values())
    rows = table.rows if matrix else (row,)
    most = max(decimals(each.texts[column]) for each in rows for column in row.ours)
    return {
        column: most if matrix or number(row.texts[column]) is None else decimals(row.texts[column])
        for column in row.ours
    }


def _own_rows(row: Row, outcomes, results, decimals: dict[int, int]) -> list[tuple]:
    """The rows `ours` and `difference` below a row of the paper."""
    ours: list[Cell | str] = ["" for _ in row.texts] + [""]
    gaps, found = list(ours), {}
    ours[0], gaps[0] = OURS, DIFFERENCE
    for column, (run, name) in row.ours.items():
        outcome, places = outcomes[run], decimals[column]
        value, notes = _measured(outcome, results[run], name)
        if value is None:
            ours[column] = Cell(_MISSING, notes)
            continue
        text, printed = row.texts[column], number(row.texts[column])
        ours[column] = Cell(show(value, text, places), notes)
        if printed is not None:
            gaps[column] = difference(value.number - printed, text, places)
        if name != PARAMETERS:
            found[run] = outcome
    _join_notes(ours, row.ours)
    trained = {r: o for r, o in found.items() if o.finished}
    ours[-1] = _where(trained, results)
    return [tuple(ours)] + ([tuple(gaps)] if any(gaps[1:]) else [])


def _join_notes(ours: list, columns: Iterable[int]) -> None:
    """Moves the footnotes that all of several cells of a row have to the row's first cell."""
    cells = [ours[column] for column in columns]
    if len(cells) < 2:
        return
    common = [note for note in cells[0].notes if all(note in cell.notes for cell in cells)]
    ours[0] = Cell(ours[0], tuple(common))
    for column in columns:
        left = tuple(note for note in ours[column].notes if note not in common)
        ours[column] = Cell(ours[column].text, left)


def _measured(outcome: Outcome, result: Result, name: str) -> tuple[Value | None, tuple[str, ...]]:
    """A result and its footnotes; None and the reason where there is none."""
    if needs_training(name) and not outcome.finished:
        return None, (outcome.reason,)
    workdir = outcome.experiment.workdir
    try:
        value = measure(result, name)
        if value is not None:
            return value, tuple(_notes(outcome, result, name))
    except KeyError as error:
        return None, (f"{workdir} is damaged or of an earlier version: it has no {error}",)
    except (OSError, ValueError, RuntimeError) as error:
        return None, (f"{str(error).strip() or type(error).__name__}".rstrip("."),)
    return None, (f"{workdir} has no {name}",)


def show(value: Value, text: str, places: int) -> str:
    """A value in the form of a printed cell: its decimals, "%", "k" and "±"."""
    scale, unit = (1000, "k") if re.search(r"\dk", text) else (1, "%" if "%" in text else "")
    shown = f"{value.number / scale:.{places}f}{unit}"
    if value.deviation is None or value.deviation != value.deviation:  # NaN: of one fold
        return shown
    sign = " ± " if " ± " in text else "±"
    return f"{shown}{sign}{value.deviation:.{places}f}"


def difference(gap: float, text: str, places: int) -> str:
    """A difference with its sign, in the form of a printed cell."""
    scale, unit = (1000, "k") if re.search(r"\dk", text) else (1, "")
    shown = f"{gap / scale:+.{places}f}"
    return (f"{0:.{places}f}" if float(shown) == 0 else shown) + unit


def _notes(outcome: Outcome, result: Result, name: str) -> list[str]:
    """Footnotes: how protocol, input, number of clips and config differ from the paper's."""
    run, experiment = outcome.experiment.run, outcome.experiment
    notes = [f"changed: {', '.join(experiment.changed)}"] if experiment.changed else []
    if not needs_training(name):
        return []
    if name == PARAMETERS:
        return notes + [text for text in [by_fold(result, name)] if text]
    own = published.protocol_of(experiment.config)
    if not run.protocol:
        notes.append(f"protocol: {own}; the paper does not say its own")
    elif own != run.protocol:
        notes.append(f"another protocol: {own}; the paper: {run.protocol}")
    clips, people = _counts(outcome, result)
    if run.clips and clips != run.clips:
        notes.append(f"{clips} clips here, {run.clips} in the paper")
    if run.people and people != run.people:
        notes.append(f"{people} people here, {run.people} in the paper")
    notes += [note for note in (run.note, by_fold(result, name)) if note]
    wanted, framed = experiment.config.data.framing, result.metrics.get("framing")
    if framed and wanted not in ("", framed):
        notes.append(f"framing of the face crops: {framed} here, {wanted} in the paper")
    start = report.backbone_start(experiment.config)
    if start and not experiment.config.pretrained:
        notes.append(f"the backbone is trained {start}")
    return notes


def _counts(outcome: Outcome, result: Result) -> tuple[int, int]:
    """Clips and people evaluated; repeats evaluate a clip again."""
    repeats = outcome.experiment.config.protocol.repeats
    metrics = result.metrics
    return metrics["clips_evaluated"] // repeats, metrics["subjects_evaluated"]


def _where(trained: Mapping[Run, Outcome], results: Mapping[Run, Result]) -> str:
    """What ours was evaluated on, and how; several experiments by dataset, else by method."""
    if len(trained) == 1:
        return next(_evaluated(outcome, results[run]) for run, outcome in trained.items())
    by_dataset = len({run.dataset for run in trained}) == len(trained)
    return "; ".join(
        f"{run.dataset if by_dataset else run.method}: {_evaluated(outcome, results[run])}"
        for run, outcome in trained.items()
    )


def _evaluated(outcome: Outcome, result: Result) -> str:
    config = outcome.experiment.config
    clips, people = _counts(outcome, result)
    times = f", {config.protocol.repeats} times" if config.protocol.repeats > 1 else ""
    examples = "windows" if config.data.frame_rule == "windows" else "clips"
    who = " of 1 person" if people == 1 else f" of {people} people"
    if people == clips > 1:  # the dataset does not tell people apart
        who, examples = "", "images" if config.data.frames == 1 else examples
    return f"{clips} {examples}{who}, {published.protocol_of(config)}{times}"
