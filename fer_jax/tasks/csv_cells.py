"""Tables as CSV files that a spreadsheet takes for text and numbers, never for formulas."""

from __future__ import annotations

import pathlib
import re
from typing import TYPE_CHECKING

from fer_jax.machine import printable, write_whole

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@")  # first characters that make a cell a formula
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def save_csv(table: pd.DataFrame, file: pathlib.Path) -> None:
    """Writes a table in one step; numbers keep all digits.

    Text that a spreadsheet would run as a formula, such as a clip called =A1.mp4, gets an
    apostrophe in front, and control characters are escaped; numbers stay as they are.

    Raises:
      OSError: the file cannot be written.
    """
    write_whole(file, csv_text(table))


def csv_text(table: pd.DataFrame) -> str:
    """The text of such a file."""
    safe = table.rename(columns=quoted)
    for name in safe.select_dtypes(exclude=["number", "bool"]).columns:
        safe[name] = safe[name].map(quoted)
    return safe.to_csv(index=False)


def quoted(cell):
    """A cell of such a file."""
    if not isinstance(cell, str):
        return cell
    cell = _CONTROL.sub(lambda found: printable(found[0]), cell)
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
