"""Runs steps on all devices: the only file that uses pmap."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from fer_jax import hosts
from fer_jax.machine import usable_memory

AXIS = "batch"  # name of the mapped device axis


def own_examples(chosen):
    """Keeps the examples that this process computes: leaves `[R, K, B, ...] -> [R, K, B / P, ...]`.

    Devices take the examples of a batch in order, process after process, so any number of devices
    on any number of hosts sees the same batch. Each of P processes loads no others.

    Args:
      chosen: indices of the examples of K batches for each of R runs, or any tree of such arrays.

    Raises:
      ValueError: the devices cannot share a batch equally.
    """
    devices, local = jax.device_count(), jax.local_device_count()

    def part(leaf):
        batch = leaf.shape[2]
        if batch % devices:
            raise ValueError(
                f"a batch of {batch} clips cannot be shared by {devices} devices: "
                f"set --config.train.batch_size to a multiple of {devices}"
            )
        own = batch // devices * local
        return leaf[:, :, jax.process_index() * own :][:, :, :own]

    return jax.tree.map(part, chosen)


def shard(batches: dict) -> dict:
    """Splits batches over the local devices: leaves `[R, K, B, ...] -> [D, R, K, B / D, ...]`.

    Args:
      batches: the examples of `own_examples`.
    """
    local = jax.local_device_count()

    def part(leaf):
        leaf = np.asarray(leaf)
        runs, steps, batch = leaf.shape[:3]
        parts = leaf.reshape(runs, steps, local, batch // local, *leaf.shape[3:])
        return np.moveaxis(parts, 2, 0)

    return jax.tree.map(part, batches)


def unshard(outputs) -> np.ndarray:
    """Gathers mapped outputs from all processes: leaves `[D, R, K, B / D, ...] -> [R, K * B, ...]`.

    D counts the local devices, B the examples of all.
    """

    def whole(leaf):
        leaf = np.moveaxis(np.asarray(leaf), 0, 2)
        return leaf.reshape(leaf.shape[0], -1, *leaf.shape[4:])

    return jax.tree.map(whole, hosts.gathered(outputs))


def device_memory() -> int:
    """Memory of the smallest device, bytes: its own, or its share of this process's."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return min(hosts.everyone(limit or usable_memory() // jax.local_device_count()))


def compile_calls(mapped: Callable, states, batches: list, keys: list) -> tuple[Callable, int]:
    """Compiles what `scan_steps` returned for calls of several lengths.

    Args:
      mapped: the function.
      states: shapes of its first argument.
      batches, keys: of each length the shapes of the others.

    Returns:
      The same function, for calls of these lengths only, and the memory of the largest on each
      device, bytes.
    """
    compiled, memory = {}, 0
    for shapes, own in zip(batches, keys, strict=True):
        compiled[own.shape[1]], need = compile_steps(mapped, states, shapes, own)
        memory = max(memory, need)

    def call(states, batches, keys):
        return compiled[keys.shape[1]](states, batches, keys)

    return call, memory


def compile_steps(mapped: Callable, *arguments) -> tuple[Callable, int]:
    """Compiles what `scan_steps` returned ahead of its first call.

    Args:
      mapped: the function.
      arguments: shapes of its arguments.

    Returns:
      The same function, for these shapes only, and the memory of a call on each device, bytes.
    """
    if jax.process_count() == 1:
        compiled = mapped.lower(*arguments).compile(compiler_options())
        return compiled, memory_bytes(compiled)
    # with several processes pmap lowers arrays only, and leaves it to us to join their parts
    zeros = jax.tree.map(_zeros, arguments)
    compiled = mapped.lower(*zeros).compile(compiler_options())
    mesh = Mesh(jax.devices(), (AXIS,))

    def call(states, batches, keys):
        parts = (states, batches, keys), mesh, (P(), P(AXIS), P())
        outputs = compiled(*multihost_utils.host_local_array_to_global_array(*parts))
        return multihost_utils.global_array_to_host_local_array(outputs, mesh, P())

    return call, memory_bytes(compiled)


def _zeros(leaf):
    """An array of a shape that costs no memory of the host."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)
    return leaf


def memory_bytes(compiled) -> int:
    """Memory of a compiled call on each device: arguments, outputs and temporaries."""
    need = compiled.memory_analysis()
    given = need.argument_size_in_bytes - need.alias_size_in_bytes  # donated states are outputs too
    return given + need.output_size_in_bytes + need.temp_size_in_bytes


def compiler_options() -> dict | None:
    """Compiler options of training calls.

    On a GPU cuBLAS does the matrix products: XLA would spend most of the compile time on
    generating kernels and timing them against each other. The steps in the GPU table of
    docs/speed.md were compiled with these options; no command has timed them without.
    """
    return {"xla_gpu_enable_triton_gemm": False} if jax.default_backend() == "gpu" else None


def keep_compiled(folder: str | None) -> None:
    """Keeps compiled programs between runs.

    Args:
      folder: where; None: in the user's cache, "": nowhere.
    """
    default = pathlib.Path.home() / ".cache/fer_jax/xla"
    jax.config.update(
        "jax_compilation_cache_dir", str(default) if folder is None else folder or None
    )


def map_runs(function: Callable) -> Callable:
    """Maps a function over the leading axis R, the runs of an experiment, of all its arguments.

    An accelerator computes the runs as one batched program. A CPU loops over them inside the
    program: the products are the same, and small ones stay in its caches.
    """
    if jax.default_backend() == "cpu":
        return lambda *arguments: jax.lax.map(lambda each: function(*each), arguments)
    return jax.vmap(function)


def sum_over_devices(tree):
    """Sums a tree over the devices, inside a mapped step.

    On a single device it returns the tree: XLA would copy all of it for a `psum`.
    """
    return tree if jax.lax.axis_size(AXIS) == 1 else jax.lax.psum(tree, AXIS)


def scan_steps(step: Callable) -> Callable:
    """Compiles K training steps of R independent runs into one call on all devices.

    Args:
      step: `(state, batch, key) -> (state, metrics)`; may reduce over `AXIS`, and must return
        the same state and metrics on every device.

    Returns:
      `(states, batches, keys) -> (states, metrics)`: states with a leading axis R, keys `[R, K]`,
      batches from `shard`, metrics `[R, K]`; the old states are donated.
    """

    def steps(state, batches, keys):
        def body(state, inputs):
            return step(state, *inputs)

        return jax.lax.scan(body, state, (batches, keys))

    return jax.pmap(
        map_runs(steps),
        axis_name=AXIS,
        in_axes=(None, 0, None),
        out_axes=(None, None),
        donate_argnums=0,
    )


def map_batches(function: Callable) -> Callable:
    """Compiles a function of one batch over the K batches of R runs on all devices.

    Args:
      function: `(variables, batch, key) -> outputs`, leaves with leading axis B.

    Returns:
      `(variables, batches, keys, first) -> outputs`: variables, keys and the index of the first
      batch with a leading axis R, batches from `shard`; pass the outputs to `unshard`.
    """

    def mapped(variables, batches, key, first):
        def body(index, batch):
            return index + 1, function(variables, batch, jax.random.fold_in(key, index))

        return jax.lax.scan(body, first, batches)[1]

    return jax.pmap(map_runs(mapped), axis_name=AXIS, in_axes=(None, 0, None, None), out_axes=0)


def reduce_batch(function: Callable) -> Callable:
    """Compiles `(variables, batch, key) -> result` of one run, the batch split over all devices.

    Args:
      function: reduces over `AXIS`, so that every device has the same result.

    Returns:
      The same function, for the examples of a batch that are this process's own, leading axis B.
    """

    def reduced(variables, batch, key):
        return function(variables, jax.tree.map(lambda leaf: leaf[0, 0], batch), key)

    mapped = jax.pmap(reduced, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None)
    return lambda variables, batch, key: mapped(
        variables, shard(jax.tree.map(lambda leaf: np.asarray(leaf)[None, None], batch)), key
    )


def shard_shapes(batch: dict, runs: int, steps: int, size: int) -> dict:
    """Shapes that `shard` returns for `steps` batches of `size` clips like those of `batch`."""
    local = (jax.local_device_count(), runs, steps, size // jax.device_count())
    return {
        name: jax.ShapeDtypeStruct((*local, *leaf.shape[1:]), leaf.dtype)
        for name, leaf in batch.items()
    }


def example_keys(key: jax.Array, count: int) -> jax.Array:
    """Makes one key per example, the same on any number of devices, inside a mapped step."""
    first = jax.lax.axis_index(AXIS) * count
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jax.numpy.arange(count))
