"""Lists the configs that come with fer_jax, with their titles and variants.

    fer-jax configs

`fer-jax train --config` takes a name, such as stbln_afew, or the path of a file.
"""

from __future__ import annotations

import argparse

from fer_jax.experiments import configs


def main(arguments: list[str] | None = None, prog: str = "fer-jax configs") -> int:
    """Runs the command line; returns the exit code."""
    argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    print(configs.listing())
    return 0
