"""Labels from the votes of several people for the class of a clip."""

from __future__ import annotations

import numpy as np

RULES = ("majority", "argmax")


def read_votes(votes, classes: int, rule: str) -> np.ndarray:
    """Reads votes as a distribution over the classes, and as one class if they agree enough.

    With "majority" votes of one person for a class are dropped. The class is that with more than
    half of the remaining votes, those for no class included. With "argmax" votes for no class are
    ignored and the class is that with most votes, of several the first.

    Args:
      votes: `[N, C + O]` counts, for the C classes and for O answers that are no class.
      classes: C.
      rule: one of `RULES`.

    Returns:
      `[N, 2, C]` float32: the distribution, which adds up to 1, and the class, one-hot; it is 0
      throughout where there is none. NaN where no vote for a class is left.

    Raises:
      ValueError: unknown rule.

    Source: Barsoum, Zhang, Canton Ferrer & Zhang, ICMI 2016 (majority voting), and the authors'
    published labels of FER+.
    """
    if rule not in RULES:
        raise ValueError(f"vote rule {rule!r} is unknown: use one of {RULES}")
    votes = np.asarray(votes, np.float64)
    majority = rule == "majority"
    votes = np.where(votes > 1, votes, 0.0) if majority else votes[:, :classes]
    own = votes[:, :classes]
    total = own.sum(1, keepdims=True)
    known = np.where(total > 0, 1.0, np.nan)
    chosen = np.eye(classes)[own.argmax(1)]
    if majority:
        chosen *= own.max(1, keepdims=True) > votes.sum(1, keepdims=True) / 2
    read = np.stack([own / np.maximum(total, 1.0), chosen], 1) * known[..., None]
    return read.astype(np.float32)


def of_classes(labels: np.ndarray, kept: list[int]) -> np.ndarray:
    """Restricts labels of `read_votes` to some classes; NaN where none of them has a vote."""
    labels = labels[..., kept]
    total = labels[:, :1].sum(-1, keepdims=True)
    scale = np.concatenate([total, np.ones_like(total)], 1)
    return labels / np.where(total > 0, scale, np.nan)
