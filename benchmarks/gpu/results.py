"""Results of the rows: written line by line, read again, and drawn up as a table."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Iterator

SECTIONS = {  # first word of a row's name -> heading
    "ceilings": "Ceilings of the device",
    "correct": "Correctness: relative error |x - y| / |y| against the mirror in float64 on the CPU",
    "speed": "Speed against the PyTorch mirror",
    "compiled": "Speed against the mirror under torch.compile",
    "MC": "100 passes of Monte Carlo dropout, by the passes that run side by side",
    "folds": "10 folds side by side and one after another",
    "memory": "Memory of a training step, bfloat16",
    "search": "A PST-BLN search of 6 stages",
    "all": "One device against all",
}


class Book:
    """The results in one folder.

    Attributes:
      rows: results of each row, in the order in which they came.
      statuses: how each row ended, "done" or why it did not.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.rows: dict[str, list[dict]] = {}
        self.statuses: dict[str, str] = {}
        path = folder / "results.jsonl"
        for text in path.read_text().splitlines() if path.exists() else ():
            try:
                self._take(json.loads(text))
            except json.JSONDecodeError:
                continue  # the last line of a run that was killed

    def add(self, row: str, result: dict) -> None:
        """Writes one result of a row."""
        self._write({"row": row, "result": result})

    def end(self, row: str, status: str, seconds: float) -> None:
        """Writes how a row ended."""
        self._write({"row": row, "status": status, "seconds": round(seconds, 1)})

    def table(self) -> str:
        """Markdown: a table for each kind of row."""
        parts = []
        for word, heading in SECTIONS.items():
            rows = {row: results for row, results in self.rows.items() if row.startswith(word)}
            if not rows:
                continue
            lines = [{"row": row, **result} for row, results in rows.items() for result in results]
            parts.append(f"### {heading}\n\n" + "\n".join(_markdown(lines)))
            failed = [f"- {row}: {self.statuses.get(row, 'cut short')}" for row in rows]
            failed = [each for each in failed if not each.endswith(": done")]
            parts += ["\n".join(failed)] if failed else []
        return "\n\n".join(parts) + "\n"

    def write_table(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "table.md").write_text(self.table())

    def _write(self, entry: dict) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        self._take(entry)
        self.write_table()

    def _take(self, entry: dict) -> None:
        results = self.rows.setdefault(entry["row"], [])
        if "status" in entry:
            self.statuses[entry["row"]] = entry["status"]
            return
        if self.statuses.pop(entry["row"], None) is not None:
            results.clear()  # the row is run again
        results.append(entry["result"])


def line(result: dict) -> str:
    """One result in words, for a log."""
    return ", ".join(f"{name} {_text(value)}" for name, value in result.items())


def _markdown(lines: list[dict]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for each in lines for name in each))
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for each in lines:
        yield "| " + " | ".join(_text(each.get(name, "")) for name in columns) + " |"


def _text(value) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
