"""Makes the tables and figures of the papers again, as printed, with ours below theirs.

    {prog}                     lists the tables and figures of the five papers, and their states
    {prog} st_bln table2       runs what is missing, then writes the table
    {prog} fer_gcn             all tables and figures of a paper

Experiments are those of `fer-jax train`, in runs/NAME: they resume, and a finished one is only
read. Tables are written as Markdown, CSV and LaTeX (booktabs), figures as PNG and PDF.
--config.FIELD=VALUE changes every experiment that has the field, e.g. --config.train.epochs=2 for a
trial; such runs have work directories of their own, and the tables say what was changed.
"""

from __future__ import annotations

import argparse
import pathlib


def main(arguments: list[str] | None = None, prog: str = "fer-jax reproduce") -> int:
    """Runs the command line; returns the exit code."""
    parser = _parser(prog)
    options, rest = parser.parse_known_args(arguments)
    prefix = "--config."
    if unknown := [text for text in rest if not text.startswith(prefix)]:
        parser.error(f"unknown argument {unknown[0]}")
    from fer_jax.reproduce.reproduce import reproduce  # imports jax, which --help does without

    return reproduce(options, tuple(text.removeprefix(prefix) for text in rest))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, path = parser.add_argument, pathlib.Path
    papers = "st_bln, fer_gcn, bilinear_cnn, stc_nlstm or inception_resnet_3d"
    add("paper", nargs="?", default="", metavar="PAPER", help=f"{papers}; none: lists all")
    add("item", nargs="?", default="", metavar="TABLE|FIGURE", help="table2, figure3; none: all")
    add("--dry-run", action="store_true", help="lists what would run, with its cost where known")
    add("--clip", default="", metavar="ID", help="clip that a figure of one clip shows")
    add("--runs", type=path, default=path("runs"), help="holds the work directories (runs)")
    add("--out", type=path, default=path("runs/reproduce"), help="results (runs/reproduce)")
    return parser
