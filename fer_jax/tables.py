"""A table for a document: as Markdown, as CSV and as LaTeX (booktabs)."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from fer_jax.machine import printable, write_whole
from fer_jax.tasks import report_lines

# Characters of a line of a page by size of the type in LaTeX; a wider table breaks its cells.
_SIZES = {"": 64, r"\footnotesize": 78, r"\scriptsize": 92, r"\tiny": 112}
_BROKEN = (r"\scriptsize", r"\tiny")  # sizes at which cells are broken
_GAP = 2  # characters between columns
_WIDE, _MARK = 1.25, 0.7  # characters: width of a capital, and of a digit of a footnote's mark
_NUMBER = re.compile(r"[-+−]?[\d.,]+\s?[%kmM]?(\s?(±|\+-)\s?[\d.,]+)?")
_SIGNED = re.compile(r"[-+]\d+(\.\d+)?")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "≤": r"$\leq$", "≥": r"$\geq$", "°": r"$^\circ$",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "–": "--", "—": "---", "‘": "`", "’": "'",
    "“": "``", "”": "''", "…": r"\ldots{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "œ": r"\oe{}", "ı": r"\i{}",
    "\u00a0": "~", "\x00": "{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip


class Cell(NamedTuple):
    """A cell with footnotes.

    Attributes:
      text: what it says.
      notes: texts of its footnotes, without a full stop; equal ones share a number.
      bold: whether it is set in bold.
    """

    text: str
    notes: tuple[str, ...] = ()
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      title: its caption, without a full stop.
      columns: headings.
      rows: a tuple of cells for each row; plain text is a cell without notes.
      remarks: sentences below the table.
      breaks: rows before which LaTeX draws a rule.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    remarks: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row of {self.title!r} has {len(row)} cells, but the table "
                    f"{len(self.columns)} columns: {row}"
                )

    def cells(self) -> Iterator[list[Cell]]:
        """Yields the rows with every cell as a `Cell`."""
        for row in self.rows:
            yield [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]

    def notes(self) -> dict[str, int]:
        """Texts of the footnotes in the order of their first cells -> their numbers."""
        texts = [note for row in self.cells() for cell in row for note in cell.notes]
        return {text: number for number, text in enumerate(dict.fromkeys(texts), 1)}


def write(table: Table, folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Writes a table as NAME.md, NAME.csv and NAME.tex; returns their paths."""
    import pandas as pd

    from fer_jax.tasks.csv_cells import save_csv

    files = [folder / f"{name}.{suffix}" for suffix in ("md", "csv", "tex")]
    write_whole(files[0], markdown(table))
    save_csv(pd.DataFrame(records(table), dtype=object).map(_of_csv), files[1])
    write_whole(files[2], latex(table, f"{folder.name}-{name}"))
    return files


def _of_csv(text: str) -> str | float:
    """A cell of a CSV: a signed number is a number, no formula, and "-" is an empty cell."""
    if text == "-":
        return ""
    return float(text) if _SIGNED.fullmatch(text) else text


def records(table: Table) -> list[dict[str, str]]:
    """Rows as mappings from heading to text; footnotes are in a last column `notes`.

    Headings that occur twice get a number.
    """
    names = []
    for column in table.columns:
        same = sum(name == column or name.startswith(f"{column} (") for name in names)
        names.append(f"{column} ({same + 1})" if same and column in names else column)
    rows = []
    for cells in table.cells():
        notes = dict.fromkeys(note for cell in cells for note in cell.notes)
        row = dict(zip(names, (cell.text for cell in cells), strict=True))
        rows.append(row | ({"notes": "; ".join(notes)} if table.notes() else {}))
    return rows


def markdown(table: Table) -> str:
    """The table with its title, numbered footnotes and remarks."""
    numbers = table.notes()

    def shown(cell: Cell) -> str:
        text = printable(cell.text).replace("|", "\\|")
        text = f"**{text}**" if cell.bold and text else text
        marks = sorted(numbers[note] for note in cell.notes)
        return text + (f"<sup>{','.join(map(str, marks))}</sup>" if marks else "")

    columns = " | ".join(printable(column).replace("|", "/") for column in table.columns)
    lines = report_lines.table(columns, ([shown(cell) for cell in row] for row in table.cells()))
    below = [f"<sup>{number}</sup> {printable(note)}.  " for note, number in numbers.items()]
    remarks = [line for remark in table.remarks for line in ("", printable(remark))]
    parts = [
        f"**{printable(table.title)}**",
        "",
        *lines,
        *([""] + below if below else []),
        *remarks,
    ]
    return "\n".join(parts) + "\n"


def latex(table: Table, label: str) -> str:
    """The table as a `table` environment, ASCII, which needs the package booktabs alone.

    Args:
      table: the table.
      label: of `\\ref{tab:LABEL}`; what a label may not hold becomes "-".
    """
    numbers = table.notes()
    label = re.sub(r"[^A-Za-z0-9:._-]+", "-", label).replace("_", "-")

    def shown(cell: Cell) -> str:
        text = escape(cell.text)
        if _NUMBER.fullmatch(cell.text):
            text = re.sub("^-", "$-$", text)
        text = rf"\textbf{{{text}}}" if cell.bold and text else text
        marks = ",".join(map(str, sorted(numbers[note] for note in cell.notes)))
        return text + (rf"\textsuperscript{{{marks}}}" if marks else "")

    size, widths = _layout(table)

    def line(cells: list[str]) -> str:
        broken = zip(cells, widths, strict=True)
        text = " & ".join(rf"\raggedright {cell}" if width else cell for cell, width in broken)
        # after the end of a row a bracket or a star would be an argument
        return ("{}" if text.startswith(("[", "*")) else "") + text + r" \tabularnewline"

    body = []
    for index, row in enumerate(table.cells()):
        body += [r"\midrule"] if index in table.breaks and index else []
        body.append(line([shown(cell) for cell in row]))
    below = [
        rf"\textsuperscript{{{number}}}~{escape(note)}." for note, number in numbers.items()
    ] + [escape(remark) for remark in table.remarks]
    return "\n".join([
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        *([size, r"\setlength{\tabcolsep}{3pt}"] if size else []),
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{''.join(_alignments(table, widths))}}}",
        r"\toprule",
        line([escape(column) for column in table.columns]),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *(["", r"\par\smallskip", r"{\scriptsize\raggedright"] if below else []),
        *(rf"{text}\par" for text in below),
        *(["}"] if below else []),
        r"\end{table}",
        "",
    ])  # fmt: skip


def _layout(table: Table) -> tuple[str, list[float]]:
    """Size of the type, and the share of the line of each column that is broken, 0 for others."""
    numbers = table.notes()
    rows = [[(text, 0) for text in table.columns]] + [
        [(cell.text, len(",".join(str(numbers[note]) for note in cell.notes))) for cell in row]
        for row in table.cells()
    ]
    columns = list(zip(*rows, strict=True))
    lengths = [
        math.ceil(max(_width(text) + _MARK * marks for text, marks in column)) + _GAP
        for column in columns
    ]
    words = [
        max(len(word) for text, _ in column for word in [*text.split(), ""]) for column in columns
    ]
    for size, room in _SIZES.items():
        if sum(lengths) <= room:
            return size, [0.0] * len(lengths)
        shares = _shares(lengths, room)
        fits = all(share >= word for share, word in zip(shares, words, strict=True) if share)
        if size == _BROKEN[-1] or (size in _BROKEN and fits):
            return size, [round(share / room, 2) for share in shares]
    raise AssertionError("the smallest size takes every table")


def _width(text: str) -> float:
    """Width of a text, in characters of a line of prose."""
    return sum(_WIDE if each.isupper() or each in "%&#" else 1 for each in text)


def _shares(lengths: list[int], room: int) -> list[float]:
    """Characters of each column that is broken so that all fit, 0 for those that are not."""
    shares, left = [0.0] * len(lengths), room
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for place, column in enumerate(by_length):  # short columns leave their rest to long ones
        share = left / (len(lengths) - place)
        if lengths[column] > share:
            for other in by_length[place:]:
                shares[other] = max(share - _GAP, 1.0)
            break
        left -= lengths[column]
    return shares


def _alignments(table: Table, widths: list[float]) -> list[str]:
    """Columns of numbers to the right, others to the left; broken ones with their width."""
    columns = zip(*(tuple(cell.text for cell in row) for row in table.cells()), strict=True)
    found = []
    for texts, width in zip(list(columns) or [()] * len(widths), widths, strict=True):
        filled = [text for text in texts if text not in ("", "-")]
        numbers = sum(bool(_NUMBER.fullmatch(text)) for text in filled)
        aligned = "r" if filled and numbers > len(filled) / 2 else "l"
        found.append(rf"p{{{width:.2f}\linewidth}}" if width else aligned)
    return found


def escape(text: str) -> str:
    """Text for LaTeX in ASCII; a character without a command becomes [U+XXXX]."""
    # two hyphens would become a dash, as in --out
    return "".join(map(_escape, printable(text).replace("--", "-\x00-").replace("--", "-\x00-")))


def _escape(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii():
        return character
    base, *marks = unicodedata.normalize("NFD", character)
    if len(marks) == 1 and marks[0] in _ACCENTS and base.isascii() and base.isalpha():
        return rf"\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"[U+{ord(character):04X}]"
