"""The program `fer-jax`: each of its commands is a module of this package with a `main`."""

from __future__ import annotations

import argparse
import importlib
import sys

import fer_jax

COMMANDS = {
    "prepare": "finds the faces in the clips of a dataset and stores them for training",
    "train": "trains and evaluates the experiment of a config",
    "predict": "predicts videos, images or landmark files with a trained model",
    "compare": "runs several experiments and puts their results into one table",
    "configs": "lists the configs that come with fer_jax",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one of the commands; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # The first argument names the command, which parses the others: `--help` imports none of them.
    name = _parser().parse_args(arguments[:1]).command
    command = importlib.import_module(f"{__name__}.{name}")
    return command.main(arguments[1:], prog=f"fer-jax {name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fer-jax", description=fer_jax.__doc__)
    parser.add_argument("--version", action="version", version=fer_jax.__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what, add_help=False)
    return parser
