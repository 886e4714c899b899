"""Compares methods in one table and one figure, and tests whether they differ.

    {prog} stbln_buhmap agcn:buhmap
    {prog} ir3d_ckplus --config.protocol.name=by_sequence ir3d_ckplus:plain
    {prog} runs/stbln_buhmap /mnt/other/runs/agcn_buhmap

Every experiment is run, or resumed, as by `fer-jax train --config CONFIG`; a finished one is only
read. --config.FIELD=VALUE changes a field of the config in front of it, and of no other; that run
is called after its changes. The folder of a finished run, also of another machine, is read as it
is and needs no data. A PST-BLN search has two rows: the networks that it grew and fine-tuned, and
the topology of its first fold, trained from scratch under the whole protocol.

Exit codes: 0; 1 if an experiment failed, the others are compared; 2 if the command or a config is
wrong; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

_FIELD = "--config."
_WITH_VALUE = ("--out", "--runs")


def main(arguments: list[str] | None = None, prog: str = "python -m fer_jax.compare") -> int:
    """Runs the command line; returns the exit code, see its help."""
    parser = _parser(prog)
    rest, overrides = _overrides(parser, sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_intermixed_args(rest)
    options.methods = [
        (name, tuple(overrides.get(index, ()))) for index, name in enumerate(options.methods)
    ]
    from fer_jax.compare.compare import compare  # imports jax, which --help does without

    return compare(options)


def _overrides(parser, arguments: list[str]) -> tuple[list[str], dict[int, list[str]]]:
    """Takes `--config.FIELD=VALUE` out of a command line.

    Returns:
      The other arguments, and the position of a method -> "FIELD=VALUE" of those behind it.
    """
    rest, overrides, methods, after = [], {}, 0, False
    for argument in arguments:
        if argument.startswith(_FIELD):
            if not after:
                parser.error(f"{argument} stands behind no config: write CONFIG {argument}")
            overrides.setdefault(methods - 1, []).append(argument.removeprefix(_FIELD))
            continue
        is_value = bool(rest) and rest[-1] in _WITH_VALUE
        after = not argument.startswith("-") and not is_value
        methods += after
        rest.append(argument)
    return rest, overrides


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [-h] [--out DIR] [--runs DIR] CONFIG [--config.FIELD=VALUE ...] | RUN ...",
        description=__doc__.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, path = parser.add_argument, pathlib.Path
    add(
        "methods", nargs="+", metavar="CONFIG | RUN",
        help="NAME or FILE.py, with a variant NAME:VARIANT; or the folder of a finished run",
    )  # fmt: skip
    add("--out", type=path, default=path("runs/compare"), help="tables and figure (runs/compare)")
    add("--runs", type=path, default=path("runs"), help="holds the work directories (runs)")
    return parser
