"""Shapes of networks at their published sizes, without computing anything."""

import functools

import jax
import jax.numpy as jnp


@functools.cache
def variables_of(model, *shape):
    """Shapes of the variables of a network that takes arrays of a shape."""
    init = functools.partial(model.init, train=False)
    return jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def shape_of(model, method, *shape):
    """Shapes of what a method of a network returns."""

    def found(key, inputs):
        return model.apply(model.init(key, inputs, train=False), inputs, method=method)

    return jax.eval_shape(found, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def size(tree):
    """Number of parameters of a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
