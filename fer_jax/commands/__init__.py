"""The program `fer-jax`: each of its commands is a module of this package with a `main`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import fer_jax
from fer_jax.commands import interrupts

COMMANDS = {
    "prepare": "finds the faces in the clips of a dataset and stores them for training",
    "train": "trains and evaluates the experiment of a config",
    "predict": "predicts videos, images or landmark files with a trained model",
    "live": "predicts a camera as it records: a page in the browser, or rows of a table",
    "compare": "runs several experiments and puts their results into one table",
    "reproduce": "makes the tables and figures of the papers again, ours beside theirs",
    "models": "lists the trained models that come with fer_jax, or shows the card of one",
    "export": "writes a trained model as an ONNX file, which predicts without JAX",
    "configs": "lists the configs that come with fer_jax",
}


def program() -> NoReturn:
    """The installed program `fer-jax`."""
    leave(main())


def main(arguments: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    return start(_run, arguments)


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code.

    After Ctrl-C it ends at once: a compiled call or a thread that is still at work may crash in an
    interpreter that is being taken down.
    """
    if code == interrupts.CODE:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            util._run_finalizers(0)  # removes semaphores, else their tracker warns of them
        os._exit(code)
    sys.exit(code)


def start(command: Callable, *arguments) -> int:
    """Runs a command; it ends without a traceback when its output is closed, as by `| head`.

    Ctrl-C ends it with one line, see `interrupts.bounded`.
    """
    try:
        with interrupts.bounded() as interrupted:
            return _ended(command, arguments, interrupted)
    except KeyboardInterrupt:
        return interrupts.say_interrupted()


def _ended(command: Callable, arguments: tuple, interrupted) -> int:
    """Runs a command to its end, whatever ends it."""
    try:
        try:
            return command(*arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes stdout again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell reports a process ended by SIGPIPE
    except Exception:
        if not interrupted.wait(0.2):  # the thread that learns of the signal may be behind
            raise
        # a compiled call that Ctrl-C fell into raises an error of its own
        return interrupts.say_interrupted()


def named(module: str) -> Callable[[], int]:
    """A command that is imported when it runs, so that Ctrl-C during the import is one line too."""
    return lambda: importlib.import_module(module).main()


def _run(arguments: list[str] | None) -> int:
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
