"""What the page says of the model: its name, terms, limits and card."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

from fer_jax import shipped
from fer_jax.zoo import ZOO

_NO_CARD = "This model has no card: ask whoever made it what it was trained and checked on."


class About(NamedTuple):
    """What to know of a model before its answers are used.

    Attributes:
      line: its name, what it predicts, its terms.
      limits: what it was not checked on, and where it fails.
      card: Markdown.
    """

    line: str
    limits: str
    card: str


def about(predictor, bundle=None) -> About:
    """Describes a model.

    Args:
      predictor: of `load_model`.
      bundle: what `load_model` was given; its folder may hold a card.
    """
    folder = pathlib.Path(str(shipped.locate(bundle))) if bundle is not None else None
    card = _card(folder)
    entry = ZOO.get(folder.name) if folder is not None and folder.parent == shipped.FOLDER else None
    if entry is not None:
        line = f"Model {folder.name}: predicts {entry.what}. Terms: {entry.terms}."
        return About(line, " ".join(entry.limits), card)
    names = ", ".join(predictor.classes)
    data = predictor.record.dataset.get("name", "a dataset that it does not name")
    line = f"Model {predictor.name}: predicts {names}. Trained on {data}, whose terms hold."
    return About(line, "It was checked on the people of that dataset alone.", card)


def _card(folder: pathlib.Path | None) -> str:
    try:
        return (folder / shipped.CARD).read_text(encoding="utf-8") if folder else _NO_CARD
    except (OSError, UnicodeDecodeError):
        return _NO_CARD
