"""What the rows share: the data, a model, a scratch folder, and commands that tell their output."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import pathlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import pandas as pd

import fer_jax
from benchmarks.faults import material
from fer_jax import commands

SAMPLES = 4  # of MC dropout: rows are compared, not judged


class Answer(NamedTuple):
    """What came out, and whether it is right."""

    said: str
    right: bool


class Row(NamedTuple):
    """One row of a table.

    Attributes:
      name: by which it is called.
      kind: of input or fault.
      given: the input.
      run: makes the answer.
      slow: whether it trains, or starts processes.
    """

    name: str
    kind: str
    given: str
    run: Callable[[Inputs], Answer]
    slow: bool = False


@dataclasses.dataclass
class Inputs:
    """What the rows read.

    Attributes:
      data: folder of the inputs.
      folder: for what the rows write.
      out: for the small dataset and run, which are made once.
      model: a bundle, or None for that of the small run.
    """

    data: pathlib.Path
    folder: pathlib.Path
    out: pathlib.Path
    model: pathlib.Path | None = None

    @functools.cached_property
    def small(self) -> material.Material:
        """A small dataset and run."""
        with redirect_stdout(io.StringIO()):
            return material.make(self.out)

    @functools.cached_property
    def bundle(self) -> pathlib.Path:
        return self.model or self.small.bundle

    @functools.cached_property
    def predictor(self):
        return fer_jax.load_model(self.bundle)

    def predict(self, *paths, **options) -> tuple[pd.DataFrame, str]:
        """The table of `predict_clips`, and its notes."""
        said: list[str] = []
        table = fer_jax.predict_clips(
            self.predictor, paths, mc_samples=SAMPLES, say=said.append, **options
        )
        return table, "\n".join(said)

    def scratch(self, name: str) -> pathlib.Path:
        """An empty folder."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path


def same_rows(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables say the same of their clips, whatever the clips are called."""
    with contextlib.suppress(AssertionError):
        pd.testing.assert_frame_equal(one.drop(columns="clip"), other.drop(columns="clip"))
        return True
    return False


def command(*arguments) -> tuple[int, str]:
    """Runs `fer-jax` in this process; returns its exit code and all that it printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            code = commands.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return code, printed.getvalue()


def python(*arguments) -> subprocess.CompletedProcess:
    """Runs Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300,
    )  # fmt: skip


def line_with(text: str, words: str) -> str:
    """The first line that has some words, without the folders of its paths; "" if none has."""
    line = next((line for line in text.splitlines() if words in line), "")
    parts = (part.rpartition("/")[2] if part.startswith("/") else part for part in line.split())
    return " ".join(parts)
