"""Damaged work directories: training is called again and must end with the same table."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from benchmarks.faults import bundles, judge
from benchmarks.faults.material import Material
from fer_jax import commands

_RESULTS = ("metrics.json", "report.md", "predictions.csv")


def damaged(material: Material, count: int, seed: int) -> Iterator[judge.Case]:
    """Damages one random file of a run that still has to be evaluated, and trains again."""
    expected, rng = table_of(material.workdir), np.random.default_rng(seed)
    copy = material.folder / "damaged_run"
    for index in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(material.workdir, copy)
        for name in _RESULTS:
            (copy / name).unlink()
        if rng.integers(2):
            shutil.rmtree(copy / "folds")  # a run cut short while it trained
        file = rng.choice(sorted(path for path in copy.rglob("*") if path.is_file()))
        kind = rng.choice(sorted(DAMAGES))
        DAMAGES[kind](file, rng)
        what = f"seed {seed}, case {index}: {kind} {file.relative_to(copy)}"
        yield judge.judge(
            what, lambda: trained(material, copy), lambda table: agree(table, expected), limit=120
        )


def trained(material: Material, workdir: pathlib.Path):
    """Trains in a work directory; returns its table, or the exit code if it was refused."""
    if code := commands.main(material.train_arguments(workdir)):
        return code
    return table_of(workdir)


def table_of(workdir: pathlib.Path) -> pd.DataFrame:
    return pd.read_csv(workdir / "predictions.csv")


def agree(table: pd.DataFrame, expected: pd.DataFrame) -> bool:
    """Whether two tables have the same words, and numbers that differ by rounding alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            pd.testing.assert_frame_equal(table, expected, rtol=1e-4, atol=1e-5)
        except AssertionError:
            return False
    return True


def _flip(file: pathlib.Path, rng) -> None:
    if file.stat().st_size:
        bundles.flip(file, rng)


def _garbage(file: pathlib.Path, rng) -> None:
    file.write_bytes(rng.bytes(100))


def _cut(file: pathlib.Path, rng) -> None:
    file.write_bytes(file.read_bytes()[: int(rng.integers(file.stat().st_size + 1))])


DAMAGES: dict[str, Callable] = {
    "flip": _flip,
    "garbage": _garbage,
    "cut": _cut,
    "empty": lambda file, rng: file.write_bytes(b""),
    "folder": lambda file, rng: (file.unlink(), file.mkdir()),
    "pipe": lambda file, rng: (file.unlink(), os.mkfifo(file)),
    "device": lambda file, rng: (file.unlink(), file.symlink_to("/dev/zero")),
    "delete": lambda file, rng: file.unlink(),
}
