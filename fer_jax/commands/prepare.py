"""Prepares a dataset: the command of the package `preprocess`."""

from __future__ import annotations

import importlib

from fer_jax import installation


def main(arguments: list[str] | None = None, prog: str = "fer-jax prepare") -> int:
    """Runs the command line; returns the exit code."""
    # a clone has it beside fer_jax, where `python -m preprocess` imports it by that name
    package = "fer_jax.preprocess" if installation.IS_WHEEL else "preprocess"
    return importlib.import_module(f"{package}.__main__").main(arguments, prog)
