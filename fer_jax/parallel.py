"""Spreads a step over devices: the only file that says pmap."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

AXIS = "batch"  # name of the mapped device axis


def split(batches: dict) -> dict:
    """Gives every local device its part: leaves `[K, B, ...] -> [D, K, B / D, ...]`.

    With several processes each keeps the part of its own devices; the order of the devices is the
    order of the examples, so any number of devices sees the same batch.

    Raises:
      ValueError: the batch cannot be shared equally.
    """
    devices, local = jax.device_count(), jax.local_device_count()
    first = jax.process_index() * local

    def part(leaf):
        leaf = np.asarray(leaf)
        steps, batch = leaf.shape[:2]
        if batch % devices:
            raise ValueError(
                f"a batch of {batch} clips cannot be shared by {devices} devices: "
                f"set --config.train.batch_size to a multiple of {devices}"
            )
        parts = leaf.reshape(steps, devices, batch // devices, *leaf.shape[2:]).swapaxes(0, 1)
        return parts[first : first + local]

    return jax.tree.map(part, batches)


def join(outputs) -> np.ndarray:
    """Undoes `split` on mapped outputs: leaves `[D, K, B / D, ...] -> [K * B, ...]`."""

    def whole(leaf):
        leaf = np.asarray(leaf).swapaxes(0, 1)
        return leaf.reshape(-1, *leaf.shape[3:])

    return jax.tree.map(whole, outputs)


def scan_steps(step: Callable) -> Callable:
    """Compiles K training steps into one call on all devices.

    Args:
      step: `(state, batch, key) -> (state, metrics)`; may reduce over `AXIS`, and must return
        the same state and metrics on every device.

    Returns:
      `(state, batches, key) -> (state, metrics)` with batches from `split` and stacked metrics
      `[K]`; the old state is donated.
    """

    def steps(state, batches, key):
        def body(carry, batch):
            state, number = carry
            state, metrics = step(state, batch, jax.random.fold_in(key, number))
            return (state, number + 1), metrics

        (state, _), metrics = jax.lax.scan(body, (state, 0), batches)
        return state, metrics

    return jax.pmap(
        steps, axis_name=AXIS, in_axes=(None, 0, None), out_axes=(None, None), donate_argnums=0
    )


def map_batches(function: Callable) -> Callable:
    """Compiles a function of one batch over K batches on all devices.

    Args:
      function: `(variables, batch, key) -> outputs`, leaves with leading axis B.

    Returns:
      `(variables, batches, key) -> outputs` with batches from `split`; pass it to `join`.
    """

    def mapped(variables, batches, key):
        def body(number, batch):
            return number + 1, function(variables, batch, jax.random.fold_in(key, number))

        return jax.lax.scan(body, 0, batches)[1]

    return jax.pmap(mapped, axis_name=AXIS, in_axes=(None, 0, None), out_axes=0)


def example_keys(key: jax.Array, count: int) -> jax.Array:
    """One key an example, the same for any number of devices; call it inside a mapped step."""
    first = jax.lax.axis_index(AXIS) * count
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jax.numpy.arange(count))
