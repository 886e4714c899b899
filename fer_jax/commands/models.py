"""Lists the trained models that come with fer_jax: what they predict, their terms, their size.

    fer-jax models
    fer-jax models faces

With a name the card of the model: data, figures with intervals, where it fails. `fer-jax predict
faces CLIP` and `fer_jax.load_model("faces")` take the same names.
"""

from __future__ import annotations

import argparse

from fer_jax import shipped
from fer_jax.zoo import ZOO


def main(arguments: list[str] | None = None, prog: str = "fer-jax models") -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=shipped.names() or None, metavar="NAME")
    name = parser.parse_args(arguments).name
    print((shipped.FOLDER / name / shipped.CARD).read_text() if name else listing(), end="")
    return 0


def listing() -> str:
    """One paragraph for each model that comes with this version, and one line for the others."""
    lines = []
    for name in shipped.names():
        size = sum(file.stat().st_size for file in (shipped.FOLDER / name).iterdir()) / 1e6
        lines += [f"{name}  ({size:.1f} MB)", f"  predicts {ZOO[name].what}"]
        lines += [f"  trained on {ZOO[name].data}", f"  terms: {ZOO[name].terms}", ""]
    if missing := [name for name in ZOO if name not in shipped.names()]:
        lines.append(
            f"Not made in this copy: {', '.join(missing)} (python -m fer_jax.zoo.make NAME)"
        )
    return "\n".join(lines) + "\n"
