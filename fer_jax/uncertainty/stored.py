"""What a bundle keeps of calibration and sets: plain numbers, checked when they are read.

A bundle comes from anywhere. A value is read only if it has exactly the fields of its dataclass,
of their types and finite; the dataclass itself checks what the numbers mean.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Self

_LARGEST = 1e9
_MOST = 10_000  # numbers in a list


class Stored:
    """A dataclass that a bundle keeps."""

    def to_json(self) -> dict:
        """Its fields, as JSON has them."""
        return write(self)

    @classmethod
    def from_json(cls, value) -> Self:
        """Reads what `to_json` wrote; raises a ValueError for anything else."""
        return read(cls, value)


def write(instance) -> dict:
    """Fields of a dataclass as JSON has them: lists for tuples."""
    return json.loads(json.dumps(dataclasses.asdict(instance), allow_nan=False))


def read(kind: type, value):
    """Makes a dataclass of what `write` returned.

    Raises:
      ValueError: something else; names the field.
    """
    fields = dataclasses.fields(kind)
    names = [field.name for field in fields]
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"{kind.__name__} has the fields {', '.join(names)}, no others")
    read_fields = {}
    for field in fields:
        try:
            read_fields[field.name] = _READERS[field.type](value[field.name])
        except ValueError as error:
            raise ValueError(f"{kind.__name__}: {field.name} {error}") from None
    return kind(**read_fields)


def _number(value) -> float:
    # bool is an int for Python; NaN fails every comparison
    if type(value) not in (int, float) or not abs(value) <= _LARGEST:
        raise ValueError("has no finite number")
    return float(value)


def _count(value) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ValueError("is no count")
    return value


def _of_type(kind: type):
    def check(value):
        if type(value) is not kind:
            raise ValueError(f"is no {kind.__name__}")
        return value

    return check


def _all(reader):
    def check(value):
        if type(value) not in (list, tuple) or len(value) > _MOST:
            raise ValueError(f"is no list of at most {_MOST} values")
        return tuple(reader(each) for each in value)

    return check


_READERS = {
    "str": _of_type(str),
    "bool": _of_type(bool),
    "int": _count,
    "float": _number,
    "tuple[float, ...]": _all(_number),
    "tuple[tuple[float, ...], ...]": _all(_all(_number)),
}


def require(holds, message: str) -> None:
    """Raises a ValueError with the message unless a condition holds."""
    if not holds:
        raise ValueError(message)


def percent(level: float) -> str:
    """Writes a level in percent, to its last digit: "90%", "99.9%"."""
    return f"{100 * level:g}%"


def is_level(value) -> bool:
    """Whether a value is a share strictly between 0 and 1."""
    return isinstance(value, (int, float)) and math.isfinite(value) and 0 < value < 1
