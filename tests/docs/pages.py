"""The pages of the documentation and their blocks of code."""

from __future__ import annotations

import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block.

    Attributes:
      language: behind the opening fence.
      title: a file that the block is, `FILE: TABLE` if it is rows of a table in this file, or
        "Output" of the Python block before it; else empty.
      text: its lines.
    """

    language: str
    title: str
    text: str

    @property
    def table(self) -> tuple[str, str] | None:
        """File and name of the table whose rows it is."""
        file, colon, name = self.title.partition(": ")
        return (file, name) if colon else None

    @property
    def imports_and_rows(self) -> tuple[str, str]:
        """Of rows of a table: the imports in front of them, and the rows."""
        rows = re.search(r'^ *"', self.text, re.MULTILINE).start()
        return self.text[:rows].strip(), self.text[rows:]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [
        Block(language, "".join(re.findall(r'title="(.*?)"', rest)), text)
        for language, rest, text in _FENCE.findall(read(page))
    ]


def prose(page: str) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", read(page))


def commands(page: str) -> list[str]:
    """Shell commands of a page, continued lines joined, in order; those of titled scripts not."""
    untitled = [block for block in blocks(page) if block.language == "bash" and not block.title]
    text = "\n".join(block.text for block in untitled)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
