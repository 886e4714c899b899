"""Compares methods in one table and one figure.

    {prog} stbln_buhmap agcn:buhmap

Every experiment is run, or resumed, as by `fer-jax train --config CONFIG`; a finished one is only
read. A PST-BLN search counts as one method: the search is run, then the network that it
found is trained under the whole protocol.

Exit codes: 0; 1 if an experiment failed, the others are compared; 2 if the command or a config is
wrong; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import pathlib


def main(arguments: list[str] | None = None, prog: str = "python -m fer_jax.compare") -> int:
    """Runs the command line; returns the exit code, see its help."""
    options = _parser(prog).parse_args(arguments)
    from fer_jax.compare.compare import compare  # imports jax, which --help does without

    return compare(options)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add("configs", nargs="+", metavar="CONFIG", help="NAME or FILE.py, with a variant NAME:VARIANT")
    add("--out", type=path, default=path("runs/compare"), help="table and figure (runs/compare)")
    add("--runs", type=path, default=path("runs"), help="holds the work directories (runs)")
    return parser
