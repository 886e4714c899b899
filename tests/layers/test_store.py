"""Gradients that are stored on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.layers.cpu.store import store_gradient


def _loss(x, store):
    x = store(jnp.tanh(x))
    return (x * jnp.arange(x.size).reshape(x.shape)).sum() + jnp.square(x).sum()


@pytest.mark.parametrize("shape", [(1, 2), (3, 2, 4)])
def test_value_and_gradient_are_the_same(shape):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    value, gradient = jax.value_and_grad(_loss)(x, store_gradient)
    plain, expected = jax.value_and_grad(_loss)(x, lambda x: x)
    np.testing.assert_array_equal(value, plain)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_gradient_of_a_clip_without_elements():
    assert jax.grad(lambda x: store_gradient(x).sum())(jnp.zeros((0, 3))).shape == (0, 3)


def test_a_program_for_a_cpu_keeps_the_loop():
    x = jnp.ones((3, 8))
    program = jax.jit(jax.grad(_loss), static_argnums=1)
    assert "while(" in program.lower(x, store_gradient).compile().as_text()
    assert "while(" not in program.lower(x, lambda x: x).compile().as_text()
