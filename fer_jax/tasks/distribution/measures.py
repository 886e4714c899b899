"""Measures of predicted distributions: those of a classifier, of clips whose votes have a class."""

from fer_jax.tasks.classification.measures import (
    OVER_FOLDS,
    TESTED,
    count,
    decide,
    measures,
    names_in,
    read,
    right,
    select,
    shared_names,
)

__all__ = [
    "OVER_FOLDS", "TESTED", "count", "decide", "measures", "names_in", "read", "right", "select",
    "shared_names",
]  # fmt: skip
