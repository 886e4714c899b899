"""Prepares a dataset: the command of the package `preprocess`, and the same from Python."""

from __future__ import annotations

import importlib

from fer_jax import installation


def main(arguments: list[str] | None = None, prog: str = "fer-jax prepare") -> int:
    """Runs the command line; returns the exit code."""
    return _command().main(arguments, prog)


def prepare(dataset: str, source=None, *, out, **options) -> dict:
    """Prepares a dataset as the command `fer-jax prepare` does, showing the same progress.

    The same call resumes a preparation that was stopped. It may be used from threads, and in
    scripts without `if __name__ == "__main__"`.

    Args:
      dataset: name of a dataset, such as "manifest" or "synthetic".
      source: where the recordings are; for "manifest" a CSV.
      out: directory of the prepared dataset.
      options: further options of the command, with underscores: `crops=64`, `workers=2`,
        `overwrite=True`, `landmark_model=FILE`, and those of the dataset such as `render=True`.

    Returns:
      The content of `report.json`: clips kept and dropped, with the reason of each.

    Raises:
      TypeError: the dataset is no text, or a path is none.
      ValueError: an option does not exist, or cannot have its value.
      RuntimeError: nothing could be prepared, another process writes into `out`, or a landmark
        model is missing.
      OSError: `out` cannot be written.
    """
    return _command().prepare_dataset(dataset, {"source": source, "out": out, **options})


def _command():
    # a clone has it beside fer_jax, where `python -m preprocess` imports it by that name
    package = "fer_jax.preprocess" if installation.IS_WHEEL else "preprocess"
    return importlib.import_module(f"{package}.__main__")
