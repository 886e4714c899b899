"""What a paper prints, as data: tables and figures, and the experiments that make them again."""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


@dataclasses.dataclass(frozen=True)
class Run:
    """An experiment of a paper.

    Attributes:
      config: name of a config, with its variant.
      method, dataset: as in the config.
      protocol: of the paper, as `tasks.published.protocol_of` says it; "" if it does not say it.
      clips, people: that the paper evaluates; 0 if it does not say it.
      overrides: fields that differ from the config, "protocol.name=by_sequence".
      suffix: of the name of the work directory of an experiment with overrides.
      note: how the input of ours differs from the paper's, for a footnote.
    """

    config: str
    method: str
    dataset: str
    protocol: str
    clips: int = 0
    people: int = 0
    overrides: tuple[str, ...] = ()
    suffix: str = ""
    note: str = ""


class Ours(NamedTuple):
    """What fills a cell.

    Attributes:
      run: the experiment.
      measure: its result, see `reproduce.measures`, e.g. "accuracy stored".
    """

    run: Run
    measure: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table as printed.

    Attributes:
      texts: its cells.
      ours: column -> what we have for it; a quoted row has nothing.
    """

    texts: tuple[str, ...]
    ours: dict[int, Ours] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table of a paper.

    Attributes:
      key: "table2".
      title: its caption.
      columns: headings, as printed.
      rows: in the paper's order.
      breaks: rows before which there is a rule.
      remark: what a reader of our numbers must know.
      reason: why it has no rows of ours, if it has none.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    breaks: tuple[int, ...] = ()
    remark: str = ""
    reason: str = ""

    @property
    def runs(self) -> tuple[Run, ...]:
        """The experiments that fill it, each once."""
        return tuple(dict.fromkeys(ours.run for row in self.rows for ours in row.ours.values()))


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper.

    Attributes:
      key: "figure3".
      title: what it shows.
      drawing: key of `reproduce.figures.DRAWINGS`; "" if it cannot be drawn.
      shown: the experiments that it shows, each with its label.
      reason: why it cannot be drawn.
      remark: how ours differs from the printed one.
      shown_class: true class of the one clip that it shows, "" for any.
    """

    key: str
    title: str
    drawing: str = ""
    shown: tuple[tuple[str, Run], ...] = ()
    reason: str = ""
    remark: str = ""
    shown_class: str = ""

    @property
    def runs(self) -> tuple[Run, ...]:
        """The experiments that it shows, each once."""
        return tuple(dict.fromkeys(run for _, run in self.shown))


@dataclasses.dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
      key: of the command line.
      name: in words, "STC-NLSTM paper".
      citation: authors, title, venue.
      items: its tables and figures.
    """

    key: str
    name: str
    citation: str
    items: tuple[PaperTable | PaperFigure, ...]

    def item(self, key: str) -> PaperTable | PaperFigure:
        """The table or figure of a key.

        Raises:
          KeyError: there is none.
        """
        return {item.key: item for item in self.items}[key]


def quoted(lines: str) -> tuple[Row, ...]:
    """Rows of text, one a line, their cells separated by " | "."""
    return tuple(
        Row(tuple(cell.strip() for cell in line.split("|"))) for line in lines.strip().splitlines()
    )


def number(text: str) -> float | None:
    """The first number of a printed cell; thousands are "k", a decimal comma is a point.

    >>> number("535,7k")
    535700.0
    """
    found = _NUMBER.search(text)
    if not found:
        return None
    value = float(found[0].replace(",", "."))
    return value * 1000 if text[found.end() : found.end() + 1] == "k" else value


def confusion(run: Run, classes: dict[str, str], lines: str, sign: str = "") -> tuple[Row, ...]:
    """Rows of a confusion matrix in percent.

    Args:
      run: the experiment.
      classes: heading -> name of the class, in the matrix's order.
      lines: the numbers of each row.
      sign: behind each number.
    """
    names = list(classes.values())
    return tuple(
        Row(
            (heading, *(f"{cell}{sign}" for cell in line.split())),
            {
                column: Ours(run, f"confusion {names[index]}>{name}")
                for column, name in enumerate(names, 1)
            },
        )
        for index, (heading, line) in enumerate(
            zip(classes, lines.strip().splitlines(), strict=True)
        )
    )
