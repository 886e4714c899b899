"""BatchNorm, and for inference its folding into the layers before it."""

from __future__ import annotations

import collections
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core

_MOMENTUM, _EPSILON = 0.9, 1e-5  # as in PyTorch
_LAYER = "fer_jax layer "  # and its number, as the name of its output


def _moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of each channel, `[..., C] -> [C], [C]`.

    Both come from one pass over the array. Without the shift by the mean of a part, a variance far
    below the squared mean would be lost in rounding.
    """
    axes = tuple(range(x.ndim - 1))
    shift = jax.lax.stop_gradient(x[:1].mean(axes))
    shifted = x - shift
    mean = shifted.mean(axes)
    return shift + mean, jnp.maximum(jnp.square(shifted).mean(axes) - jnp.square(mean), 0.0)


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, synchronised over devices.

    Statistics are always float32. Unlike in `flax.linen.BatchNorm`, the running variance is the
    unbiased estimate, as in PyTorch, in which the published systems were trained. Without a scale
    among the parameters, only the bias is left of it, see `fold`.

    Attributes:
      axis_name: name of the mapped device axis over which statistics are averaged, if any.
    """

    axis_name: str | None = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = x.shape[-1]
        if self._is_folded() and not train:
            return x + self.get_variable("params", "bias").astype(x.dtype)
        scale = self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        mean_state = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        var_state = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if not train:
            mean, var = mean_state.value, var_state.value
        else:
            mean, var = _moments(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
            count = x.size // channels
            if self.axis_name is not None:
                means, within = jax.lax.all_gather((mean, var), self.axis_name)
                mean = means.mean(0)
                var = (within + jnp.square(means - mean)).mean(0)
                count *= len(means)
            if not self.is_initializing():
                unbiased = var * (count / max(count - 1, 1))
                mean_state.value = _MOMENTUM * mean_state.value + (1 - _MOMENTUM) * mean
                var_state.value = _MOMENTUM * var_state.value + (1 - _MOMENTUM) * unbiased
        factor = scale * jax.lax.rsqrt(var + _EPSILON)
        return ((x - mean) * factor + bias).astype(x.dtype)

    def _is_folded(self) -> bool:
        return self.has_variable("params", "bias") and not self.has_variable("params", "scale")


def find_folds(module: nn.Module, variables: dict, inputs) -> list[tuple[tuple, tuple]]:
    """Finds each `BatchNorm` that follows a layer with a kernel directly, and that layer.

    Args:
      module, variables, inputs: of one network; shapes suffice, nothing is computed.

    Returns:
      Paths of the layer and of the BatchNorm among the parameters. Left out are layers that are
      applied more than once and those whose output something else uses, too.
    """
    outputs, normed = [], []

    def watch(call, args, kwargs, context):
        made = call(*args, **kwargs)
        if context.method_name == "__call__":
            if isinstance(context.module, BatchNorm):
                normed.append((args[0], context.module.path))
            elif context.module.has_variable("params", "kernel"):
                made = checkpoint_name(made, f"{_LAYER}{len(outputs)}")
                outputs.append((made, context.module.path))
        return made

    with nn.intercept_methods(watch):
        traced = jax.make_jaxpr(lambda *given: module.apply(*given, train=False))(variables, inputs)
    uses = _uses(traced.jaxpr)
    layers, norms = ([path for _, path in each] for each in (outputs, normed))
    return [
        (layer, norm)
        for number, (made, layer) in enumerate(outputs)
        for taken, norm in normed
        if made is taken
        and layers.count(layer) == norms.count(norm) == uses[f"{_LAYER}{number}"] == 1
    ]


def _uses(program: core.Jaxpr) -> collections.Counter[str]:
    """Counts how often each array with a name is used, in inner programs too."""
    named = {each.outvars[0]: each.params["name"] for each in program.eqns
             if each.primitive.name == "name"}  # fmt: skip
    used = itertools.chain(*(each.invars for each in program.eqns), program.outvars)
    found = collections.Counter(
        named[each] for each in used if not isinstance(each, core.Literal) and each in named
    )
    for inner in jax.tree.leaves([each.params for each in program.eqns]):
        if isinstance(inner, core.ClosedJaxpr):
            inner = inner.jaxpr
        if isinstance(inner, core.Jaxpr):
            found += _uses(inner)
    return found


def fold(variables: dict, folds: list[tuple[tuple, tuple]]) -> dict:
    """Multiplies kernels by what BatchNorm would multiply their outputs by, dropout on or off.

    Args:
      variables: `{"params", "batch_stats"}` of one network or, with a leading axis, of several.
      folds: of `find_folds`.

    Returns:
      Variables for inference with the same outputs, up to rounding: of a folded BatchNorm only a
      bias is left. The layers must be linear in their kernel and bias.
    """
    params, stats = (flatten_dict(variables.get(name, {})) for name in ("params", "batch_stats"))
    for layer, norm in folds:
        factor = params.pop((*norm, "scale")) * jax.lax.rsqrt(stats.pop((*norm, "var")) + _EPSILON)
        params[*norm, "bias"] = params[*norm, "bias"] - stats.pop((*norm, "mean")) * factor
        for name in {"kernel", "bias"} & {path[-1] for path in params if path[:-1] == layer}:
            leaf = params[*layer, name]
            between = (1,) * (leaf.ndim - factor.ndim)
            params[*layer, name] = leaf * factor.reshape(
                *factor.shape[:-1], *between, factor.shape[-1]
            )
    return {
        **variables,
        "params": unflatten_dict(params),
        "batch_stats": unflatten_dict(stats),
    }
