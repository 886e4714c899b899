"""Training in several processes, on one host or many: who writes, and what they share.

All processes run the same program on the same config and data, so that they take the same decisions
in the same order. Process 0 alone reads and writes the work directory. What only it knows it shares
here; what must be known of all is gathered here. A process alone is process 0 of one.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization
from jax.experimental import multihost_utils

_POLL_MS = 1000
_calls = itertools.count()


class HostsError(RuntimeError):
    """The processes cannot work together; the message says why and what to do."""


def is_writer() -> bool:
    """Whether this process reads and writes the work directory, and shows progress."""
    return jax.process_index() == 0


def everyone(value) -> list:
    """Returns the values of all processes, in their order; all must call it alike.

    Args:
      value: what MessagePack can hold, with lists for tuples; arrays come back as NumPy.
    """
    # asked first: it starts no device where none is needed
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return [value]
    service, call, own = client(), next(_calls), jax.process_index()
    data = serialization.msgpack_serialize({"value": value})
    service.key_value_set_bytes(f"fer_jax/{call}/{own}", data)
    found = [wait_for(service, f"fer_jax/{call}/{each}") for each in range(jax.process_count())]
    if call:  # whoever is here has read what was said the time before
        service.key_value_delete(f"fer_jax/{call - 1}/{own}")
    return [serialization.msgpack_restore(each)["value"] for each in found]


def place_among_alike(value) -> tuple[int, int]:
    """Returns the place of this process among those with the same value, and their number.

    All must call it alike.

    Args:
      value: see `everyone`.
    """
    values = everyone(value)
    own = jax.process_index() if len(values) > 1 else 0
    alike = [index for index, other in enumerate(values) if other == values[own]]
    return alike.index(own), len(alike)


def from_writer(make: Callable):
    """Returns in every process what `make` returns in process 0; see `everyone` for the types."""
    made = make() if is_writer() else None
    found = everyone(made)
    return made if is_writer() else found[0]


def arrays_from_writer(make: Callable, like):
    """The same for a large tree of arrays, sent from device to device.

    Args:
      make: called in process 0 only.
      like: a tree of arrays of the same structure, shapes and types.
    """
    if jax.process_count() == 1:
        return make()
    sent = multihost_utils.broadcast_one_to_all(make() if is_writer() else like)
    return jax.tree.map(jnp.asarray, sent)


def gathered(outputs):
    """Puts the parts of all processes one behind the other along axis 0, in every process."""
    if jax.process_count() == 1:
        return outputs
    return multihost_utils.process_allgather(jax.tree.map(np.asarray, outputs), tiled=True)


def check_same(what: str, own: dict) -> None:
    """Refuses processes that differ in something that they must have in common.

    Args:
      what: it is, in words.
      own: of this process: name -> value, as JSON has them.

    Raises:
      HostsError: names the first process that differs from process 0, and in what.
    """
    rows = [(each["host"], each["own"]) for each in everyone({"host": own_host(), "own": own})]
    for index, (host, theirs) in enumerate(rows):
        if found := differences(rows[0][1], theirs):
            raise HostsError(
                f"process {index} on {host} has another {what} than process 0 on {rows[0][0]} "
                f"({', '.join(found)}): start all with the same command, data and versions"
            )


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Names the fields in which two nested dicts differ, with both values."""
    rows = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            rows += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            rows.append(f"{prefix}{name}: {before} there, {after} here")
    return rows


def client():
    """JAX's client of the service that connects the processes; it has no public name."""
    from jax._src import distributed

    return distributed.global_state.client


def wait_for(service, key: str) -> bytes:
    """Waits for a value; a signal is handled meanwhile, and a dead process ends this one."""
    while True:
        try:
            return service.blocking_key_value_get_bytes(key, _POLL_MS)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def own_host() -> str:
    """Name of the host of this process."""
    return socket.gethostname()
