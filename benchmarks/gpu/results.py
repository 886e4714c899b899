"""Results of the rows: written line by line, read, and formatted as a table."""

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
    "MC": "100 samples of Monte Carlo dropout, by the number computed side by side",
    "folds": "10 folds side by side and one after another",
    "memory": "Memory of a training step, bfloat16",
    "search": "A PST-BLN search of 6 stages",
    "all": "One device against all",
}


class Book:
    """The results in one folder.

    Args:
      folder: created if it is missing.
      kind: of the sizes, "full" or "small"; results of the other kind are refused.

    Attributes:
      rows: results of each row, in the order of arrival.
      statuses: outcome of each row, "done" or the reason of its failure.

    Raises:
      OSError: the folder cannot be written.
      ValueError: it holds results of another kind.
    """

    def __init__(self, folder: pathlib.Path, kind: str = "full"):
        self.folder, self.kind = folder, kind
        self.rows: dict[str, list[dict]] = {}
        self.statuses: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "results.jsonl"
        with self._path.open("a"):  # fails before the first row
            pass
        text = self._path.read_text(errors="replace")
        for line in text.splitlines():
            self._read(line)
        self._torn = bool(text) and not text.endswith("\n")  # a run was killed while it wrote

    def begin(self, row: str) -> None:
        """Discards the results of an earlier run of a row."""
        self._write({"row": row, "kind": self.kind, "begin": True})

    def add(self, row: str, result: dict) -> None:
        """Writes one result of a row."""
        self._write({"row": row, "result": result})

    def end(self, row: str, status: str, seconds: float) -> None:
        """Writes the outcome of a row."""
        self._write({"row": row, "status": status, "seconds": round(seconds, 1)})

    def table(self) -> str:
        """Returns Markdown: a table for each kind of row, and the rows that failed."""
        parts = []
        for word, heading in SECTIONS.items():
            rows = {row: results for row, results in self.rows.items() if row.startswith(word)}
            lines = [{"row": row, **result} for row, results in rows.items() for result in results]
            ended = {row: self.statuses.get(row, "cut short") for row in rows}
            failed = [f"- {row}: {status}" for row, status in ended.items() if status != "done"]
            if rows:
                parts.append(f"### {heading}")
            if lines:
                parts.append("\n".join(_markdown(lines)))
            if failed:
                parts.append("\n".join(failed))
        return "\n\n".join(parts) + "\n"

    def _write(self, entry: dict) -> None:
        with self._path.open("a") as file:
            file.write("\n" * self._torn + json.dumps(entry) + "\n")
        self._torn = False
        self._take(entry)
        (self.folder / "table.md").write_text(self.table())

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            return  # a run was killed while it wrote this line
        if not isinstance(entry, dict) or "row" not in entry:
            return
        if entry.get("kind", self.kind) != self.kind:
            raise ValueError(f"{self.folder} has results of {entry['kind']} sizes: name another")
        self._take(entry)

    def _take(self, entry: dict) -> None:
        row = entry["row"]
        if "begin" in entry:
            self.rows[row] = []
            self.statuses.pop(row, None)
        elif "status" in entry:
            self.statuses[row] = entry["status"]
        elif "result" in entry:
            self.rows.setdefault(row, []).append(entry["result"])


def line(result: dict) -> str:
    """Formats one result for a log."""
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
