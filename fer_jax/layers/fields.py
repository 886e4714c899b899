"""Checks of a network's constructor fields, for its method `check` (contract: `layers.build`)."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn


class FieldError(ValueError):
    """A constructor field has an invalid value; the message begins with FIELD=VALUE.

    The reader of a config prepends the section: `--config.model.FIELD=VALUE`.
    """

    def __init__(self, module: nn.Module, field: str, problem: str):
        value = getattr(module, field)
        super().__init__(f"{field}={value}: {problem}")


def positive(module: nn.Module, *fields: str) -> None:
    """Refuses counts below 1."""
    for field in fields:
        if getattr(module, field) < 1:
            raise FieldError(module, field, "it must be 1 or more")


def odd(module: nn.Module, field: str) -> None:
    """Refuses even kernel sizes, which have no centre."""
    positive(module, field)
    if getattr(module, field) % 2 == 0:
        raise FieldError(module, field, "it must be odd")


def within(module: nn.Module, field: str, low: float, high: float) -> None:
    """Refuses values outside `low` to `high`."""
    if not low <= getattr(module, field) <= high:
        raise FieldError(module, field, f"it must lie in {low} to {high}")


def one_of(module: nn.Module, field: str, known: Sequence) -> None:
    """Refuses values other than the known ones."""
    if getattr(module, field) not in known:
        raise FieldError(module, field, f"use one of {tuple(known)}")


def positive_list(module: nn.Module, field: str, what: str, example: str) -> None:
    """Refuses anything but a list of positive integers.

    Args:
      what: meaning of the integers, e.g. "the width of every layer".
      example: a valid list.
    """
    values = getattr(module, field)
    if not values or not all(isinstance(value, int) and value > 0 for value in values):
        raise FieldError(module, field, f"give {what}, positive, e.g. {example}")


def stages(module: nn.Module) -> None:
    """Refuses `stages` of a backbone that are not pairs (channels, convolutions)."""
    for stage in module.stages:
        if not isinstance(stage, (tuple, list)) or len(stage) != 2 or min(stage) < 1:
            raise FieldError(module, "stages", f"{stage} is not a pair (channels, convolutions)")
