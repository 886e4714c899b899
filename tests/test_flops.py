"""Operations of products and convolutions, as they are counted for the GPU's table."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import flops


def test_products_convolutions_and_loops_are_counted():
    x, w = jnp.ones((5, 7)), jnp.ones((7, 3))
    assert flops.count(jnp.matmul, x, w) == 2 * 5 * 7 * 3
    assert flops.count(jax.jit(jax.vmap(jnp.matmul)), x[None], w[None]) == 2 * 5 * 7 * 3

    def loop(x, w):
        return jax.lax.scan(lambda x, _: (x @ w @ w.T, None), x, length=4)[0]

    assert flops.count(loop, x, w) == 4 * 2 * 2 * 5 * 7 * 3


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(groups):
    x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4 // groups, 6))

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )  # fmt: skip

    assert flops.count(convolve, x, kernel) == 2 * (2 * 8 * 8) * 6 * 9 * (4 // groups)
