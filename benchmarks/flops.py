"""Counts the multiplications and additions of a program's products and convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from jax.extend import core


def count(function: Callable, *arguments) -> int:
    """Operations of the matrix products and convolutions of a function, loops unrolled.

    Both branches of a condition and padding count too, although a compiler may omit them.

    Args:
      function: is traced, not run.
      arguments: its arguments, or their shapes.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        times = equation.params["length"] if equation.primitive.name == "scan" else 1
        inner = sum(_count(each) for value in equation.params.values() for each in _jaxprs(value))
        total += times * inner + _product(equation)
    return total


def _jaxprs(value) -> list:
    """Returns the inner programs of a parameter of an equation."""
    if isinstance(value, core.ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, core.Jaxpr):
        return [value]
    if isinstance(value, (tuple, list)):
        return [each for one in value for each in _jaxprs(one)]
    return []


def _product(equation) -> int:
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        features = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2 * equation.outvars[0].aval.size * kernel.size // features
    return 0
