"""The last dense layer of any Flax model: what enters it, its weights, what comes after it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

_DENSE = ({"kernel"}, {"kernel", "bias"})  # parameters of a dense layer


class LastLayer(NamedTuple):
    """The dense layer that computes the outputs of a model.

    Attributes:
      path: names of the modules down to it.
      kernel: `[D, C]`.
      bias: `[C]`; zeros if it has none.
      direct: its outputs are the outputs of the model; else it has outputs at several positions of
        an example, its frames say, which the model joins.
    """

    path: tuple[str, ...]
    kernel: jax.Array
    bias: jax.Array
    direct: bool


class _Call(NamedTuple):
    """A call of a module that has parameters of its own."""

    module: nn.Module
    arguments: tuple
    output: jax.Array
    own: dict


def last_layer_inputs(model, variables, inputs, *, pooled: bool = True) -> jax.Array:
    """Computes the features that enter the last dense layer, dropout off.

    Args:
      model: any Flax module with outputs `[B, C]`; if it takes `train`, that is off. Or a function
        `(variables, inputs) -> outputs` that applies one.
      variables, inputs: of the model.
      pooled: averages the features of an example with several positions (frames of a clip).

    Returns:
      `[B, D]`; if not pooled `[B, ..., D]`. May be jitted, but not around `model` alone.

    Raises:
      ValueError: the last layer with parameters is no dense layer with the outputs of the model.
    """
    call, _ = _last_call(model, variables, inputs)
    features = call.arguments[0]
    return features.mean(tuple(range(1, features.ndim - 1))) if pooled else features


def find_last_layer(model, variables, inputs) -> LastLayer:
    """Finds the last dense layer of a model, by one forward pass.

    Args:
      model, variables, inputs: see `last_layer_inputs`; a few examples will do.

    Raises:
      ValueError: see `last_layer_inputs`, or the model changes the outputs of the layer.
    """
    call, outputs = _last_call(model, variables, inputs)
    kernel = call.own["kernel"]
    direct = call.output.shape == outputs.shape
    if direct and not np.allclose(call.output, outputs, rtol=1e-3, atol=1e-4):
        raise ValueError(
            f"the outputs are not those of the last dense layer, {_name(call)}: something is "
            "applied to them, so its weights alone do not tell how the outputs vary"
        )
    bias = call.own.get("bias", jnp.zeros(kernel.shape[1]))
    return LastLayer(call.module.path, kernel, bias, direct)


def locate_last_layer(model, variables, inputs) -> LastLayer:
    """Finds the last dense layer of a model and computes nothing: its kernel and bias are shapes.

    Args:
      model, variables, inputs: see `last_layer_inputs`; arrays or their shapes.

    Raises:
      ValueError: see `last_layer_inputs`.
    """
    found = {}

    def trace(variables, inputs):
        call, outputs = _last_call(model, variables, inputs)
        found.update(path=call.module.path, direct=call.output.shape == outputs.shape)
        return call.own["kernel"]

    kernel = jax.eval_shape(trace, variables, inputs)
    bias = jax.ShapeDtypeStruct(kernel.shape[1:], kernel.dtype)
    return LastLayer(kernel=kernel, bias=bias, **found)


def outputs_from_last_layer(model, variables, inputs, layer: LastLayer, outputs) -> jax.Array:
    """Computes the outputs of a model from given outputs of its last dense layer.

    Args:
      model, variables, inputs: see `last_layer_inputs`. Jitted, all in front of the layer is left
        out of the program.
      layer: of `find_last_layer`.
      outputs: `[B, ..., C]`.
    """

    def given(call, args, kwargs, context):
        if context.method_name == "__call__" and context.module.path == layer.path:
            return outputs
        return call(*args, **kwargs)

    if layer.direct:
        return outputs
    with nn.intercept_methods(given):
        return _forward(model)(variables, inputs)


def call_options(module: nn.Module) -> dict:
    """What a module is called with for inference: `train=False`, if it takes that."""
    return {"train": False} if "train" in inspect.signature(module.__call__).parameters else {}


def _forward(model) -> Callable:
    if isinstance(model, nn.Module):
        return functools.partial(model.apply, **call_options(model))
    # once compiled, a jitted function calls no methods
    return model.__wrapped__ if isinstance(model, jax.stages.Wrapped) else model


def _last_call(model, variables, inputs) -> tuple[_Call, jax.Array]:
    """The call of the last dense layer, and the outputs of the model."""
    calls: list[_Call] = []

    def record(call, args, kwargs, context):
        output = call(*args, **kwargs)
        if context.method_name == "__call__":
            own = _own_parameters(context.module)
            calls.extend([_Call(context.module, args, output, own)] if own else [])
        return output

    with nn.intercept_methods(record):
        outputs = _forward(model)(variables, inputs)
    last = _innermost_last(calls)
    if last is None or not _is_dense(last):
        what = f"the last layer with parameters is {_name(last)}" if last else "it has none"
        raise ValueError(f"the model ends in no dense layer: {what}")
    if sum(call.module.path == last.module.path for call in calls) > 1:
        raise ValueError(f"the last dense layer, {_name(last)}, is called more than once")
    shape, own = getattr(outputs, "shape", ()), last.output.shape
    if len(shape) != 2 or shape != (own[0], own[-1]):
        found = list(shape) or type(outputs).__name__
        raise ValueError(
            f"the last dense layer, {_name(last)}, has outputs {list(own)}, but the model {found}"
        )
    return last, outputs


def _own_parameters(module: nn.Module) -> dict:
    parameters = module.variables.get("params", {})
    return {name: leaf for name, leaf in parameters.items() if not isinstance(leaf, Mapping)}


def _innermost_last(calls: list[_Call]) -> _Call | None:
    """The last call that is no call of a module around another one, as those return later."""
    paths = {call.module.path for call in calls}
    around = {path[:count] for path in paths for count in range(len(path))}
    inner = [call for call in calls if call.module.path not in around]
    return inner[-1] if inner else None


def _is_dense(call: _Call) -> bool:
    kernel = call.own.get("kernel")
    if set(call.own) not in _DENSE or kernel.ndim != 2 or len(call.arguments) != 1:
        return False
    shape = getattr(call.arguments[0], "shape", ())
    return len(shape) > 1 and (*shape[:-1], shape[-1]) == (*call.output.shape[:-1], len(kernel))


def _name(call: _Call) -> str:
    return f"{'/'.join(call.module.path) or 'the model itself'} ({type(call.module).__name__})"
