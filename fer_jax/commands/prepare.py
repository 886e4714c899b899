"""Prepares a dataset with the package `preprocess`, see there."""

from __future__ import annotations

import importlib

from fer_jax import installation


def main(arguments: list[str] | None = None, prog: str = "fer-jax prepare") -> int:
    """Runs the command line; returns the exit code."""
    # In a clone it lies beside fer_jax, and `python -m preprocess` imports it by that name.
    package = "fer_jax.preprocess" if installation.IS_WHEEL else "preprocess"
    return importlib.import_module(f"{package}.__main__").main(arguments, prog)
