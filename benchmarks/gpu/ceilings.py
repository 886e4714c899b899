"""Peak rates of the device: a large copy, a large matrix product."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import torch

PRECISIONS = {  # name -> dtype, precision of the product
    "float32": ("float32", "highest"),
    "TF32": ("float32", "tensorfloat32"),
    "bfloat16": ("bfloat16", "default"),
}
_LOOPS = 8  # in one call, so that the overhead of a call is negligible


def measure(small: bool) -> Iterator[dict]:
    """Yields the rates of a copy and of products."""
    device = jax.devices()[0]
    yield {
        "what": "device", "value": device.device_kind, "unit": f"{jax.device_count()} of them",
    }  # fmt: skip
    yield {"what": "jax, torch", "value": jax.__version__, "unit": torch.__version__}
    yield {"what": "copy", "value": copy_rate(small) / 1e9, "unit": "GB/s, read and written"}
    for name in PRECISIONS:
        value = product_rate(name, small) / 1e12
        yield {"what": f"product, {name}", "value": value, "unit": "Tflop/s"}


@functools.cache
def copy_rate(small: bool) -> float:
    """Returns bytes per second, read and written."""
    x = jnp.ones(2**20 if small else 2**28)  # 1 GiB
    shift = jax.jit(lambda x: x + 1, donate_argnums=0)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        for _ in range(_LOOPS):
            x = shift(x)
        jax.block_until_ready(x)
        seconds.append((time.perf_counter() - started) / _LOOPS)
    return 2 * x.nbytes / statistics.median(seconds[1:])


@functools.cache
def product_rate(name: str, small: bool) -> float:
    """Returns operations per second of a product of square matrices in a key of `PRECISIONS`."""
    side = 256 if small else 8192
    dtype, precision = PRECISIONS[name]
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.standard_normal((side, side)), dtype) for _ in range(2))

    @jax.jit
    def products(x, w):
        def body(x, _):
            return jnp.matmul(x, w, precision=precision) / side, None

        return jax.lax.scan(body, x, length=_LOOPS)[0]

    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        jax.block_until_ready(products(x, w))
        seconds.append((time.perf_counter() - started) / _LOOPS)
    return 2 * side**3 / statistics.median(seconds[1:])
