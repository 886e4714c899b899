"""The log of a run's epochs: a file of JSON lines, and TensorBoard."""

from __future__ import annotations

import json
import pathlib

from fer_jax.installation import needs
from fer_jax.machine import write_whole


class EpochLog:
    """Appends one row per epoch to a file and to TensorBoard; a resumed run repeats no row.

    Args:
      file: JSON lines, shared by all folds.
      tensorboard: folder, with one subfolder per fold.
      fold: name of the fold.
      history: rows of the epochs before the checkpoint.
    """

    def __init__(
        self, file: pathlib.Path, tensorboard: pathlib.Path, fold: str, history: list[dict]
    ):
        with needs("train"):
            from tensorboardX import SummaryWriter

        self._file, self._fold = file, fold
        kept = [row for row in read_history(file) if row["fold"] != fold]
        lines = [json.dumps(row) + "\n" for row in kept]
        lines += [json.dumps({"fold": fold, **row}) + "\n" for row in history]
        write_whole(self._file, "".join(lines))
        self._writer = SummaryWriter(str(tensorboard / fold), purge_step=len(history) + 1)

    def write(self, row: dict) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps({"fold": self._fold, **row}) + "\n")
        for name, value in row.items():
            if name not in ("epoch", "seconds"):
                self._writer.add_scalar(name, value, row["epoch"])

    def close(self) -> None:
        self._writer.close()


def read_history(file: pathlib.Path) -> list[dict]:
    """Reads the rows of an epoch log, skipping lines that a kill cut short."""
    rows = []
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
