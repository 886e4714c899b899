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
      title: a file that the block is, or "Output" of the Python block before it; else empty.
      text: its lines.
    """

    language: str
    title: str
    text: str


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
    """Shell commands of a page, continued lines joined, in order."""
    text = "\n".join(block.text for block in blocks(page) if block.language == "bash")
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
