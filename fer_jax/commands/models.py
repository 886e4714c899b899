"""Lists the trained models that come with fer_jax: what they predict, their terms, their size.

    fer-jax models
    fer-jax models faces

With a name the card of the model: data, figures with intervals, where it fails. `fer-jax predict
faces CLIP` and `fer_jax.load_model("faces")` take the same names.
"""

from __future__ import annotations

import argparse
import pathlib

from fer_jax import shipped
from fer_jax.machine import printable
from fer_jax.zoo import ZOO


def main(arguments: list[str] | None = None, prog: str = "fer-jax models") -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", metavar="NAME")
    name = parser.parse_args(arguments).name
    if name is not None and (fault := _fault(name)):
        parser.error(fault)
    print(listing() if name is None else _card(name).read_text(encoding="utf-8"), end="")
    return 0


def _card(name: str) -> pathlib.Path:
    return shipped.FOLDER / name / shipped.CARD


def _fault(name: str) -> str:
    """Says why a name has no card; empty if it has one."""
    made = shipped.names()
    if name in made and _card(name).is_file():
        return ""
    if name in ZOO:
        what = f"has no {_card(name)}" if name in made else "is not made in this copy"
        return f"{name} {what}: make it by python -m fer_jax.zoo.make {name}"
    return f"there is no model {printable(name)!r}: fer-jax models lists all"


def listing() -> str:
    """One paragraph for each model that comes with this version, and one line for the others."""
    lines = []
    for name in shipped.names():
        size = sum(file.stat().st_size for file in (shipped.FOLDER / name).iterdir()) / 1e6
        lines.append(f"{name}  ({size:.1f} MB)")
        if entry := ZOO.get(name):  # a folder that was put there by hand has none
            lines += [f"  predicts {entry.what}", f"  trained on {entry.data}"]
            lines.append(f"  terms: {entry.terms}")
        lines.append("")
    if missing := [name for name in ZOO if name not in shipped.names()]:
        lines.append(
            f"Not made in this copy: {', '.join(missing)} (python -m fer_jax.zoo.make NAME)"
        )
    lines.append("A picture to try: portrait (Eileen Collins; NASA, public domain), the file")
    lines.append(f"  {printable(shipped.PORTRAIT)}")
    return "\n".join(lines) + "\n"
