"""The trained models and the portrait that come with the package, by name: `faces`, `portrait`."""

from __future__ import annotations

import pathlib

FOLDER = pathlib.Path(__file__).parent / "zoo"
MODEL, CARD = "model.json", "CARD.md"
PORTRAIT = FOLDER / "portrait.jpg"  # Eileen Collins, by NASA, public domain: docs/licences.md


def names() -> list[str]:
    """Names of the models, in the order of the alphabet."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{MODEL}"))


def locate(given):
    """Returns the folder of a model that comes with the package, or the path as it was given.

    A folder of the same name in the working directory comes first.
    """
    name = str(given)
    return FOLDER / name if name in names() and not pathlib.Path(name).is_dir() else given


def picture(given):
    """Returns the file of the portrait that comes with the package, or the path as it was given.

    A file of the name `portrait` in the working directory comes first.
    """
    return PORTRAIT if str(given) == PORTRAIT.stem and not pathlib.Path(given).exists() else given
