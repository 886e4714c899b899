"""What training saves: checkpoints to resume from, and files of weights."""

from __future__ import annotations

import functools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from fer_jax.machine import PARTIAL, printable, write_whole
from fer_jax.storage import read_regular, sha256

CHECKPOINT_SECONDS = 60.0  # from one checkpoint to the next, if saving one takes no longer
_SAVING_SHARE = 0.05  # of the time, at most, that checkpoints by time may take


class WeightsError(ValueError):
    """Weights that are no weights; the message names the file and the leaf."""


class Checkpoints:
    """The last two checkpoints of one fold, from which training resumes.

    A checkpoint is one file, `EPOCH.msgpack`: the SHA-256 of the rest, then state and history.

    Args:
      directory: of the files.
      say: takes each message, one line; default: prints to stderr.
    """

    def __init__(self, directory, say: Callable[[str], None] | None = None):
        self._directory = pathlib.Path(directory)
        self._say = say or functools.partial(print, file=sys.stderr)
        self._saved, self._took = time.monotonic(), 0.0
        self.missing = not self._epochs()  # there was none when it was opened

    def is_overdue(self) -> bool:
        """Whether a minute has passed since the last checkpoint, or more where saving is slow."""
        apart = max(CHECKPOINT_SECONDS, self._took / _SAVING_SHARE)
        return time.monotonic() - self._saved >= apart

    def save(self, epoch: int, state, history: list[dict]) -> None:
        """Saves a state (any pytree) and the history that led to it.

        Raises:
          OSError: it cannot be written; the checkpoints before stay.
        """
        started = time.monotonic()
        state = serialization.to_state_dict(jax.tree.map(np.asarray, state))
        content = {"state": state, "history": json.dumps(history)}
        data = serialization.msgpack_serialize(content)
        write_whole(self._file(epoch), bytes.fromhex(sha256([data])) + data)
        for old in self._epochs()[2:]:
            self._file(old).unlink()
        for torn in self._directory.glob(f"*{PARTIAL}.msgpack"):  # of a kill while it was written
            torn.unlink()
        self._saved = time.monotonic()
        self._took = self._saved - started

    def restore(self, state) -> tuple[object, list[dict]]:
        """Returns the last state and history that are whole, or `(state, [])` when there are none.

        Args:
          state: a fresh state of the same structure.
        """
        epochs = self._epochs()
        for epoch in epochs:
            file = self._file(epoch)
            try:
                return _parse_checkpoint(read_regular(file), state)
            except OSError:
                raise
            except Exception as error:  # of msgpack and Flax, many kinds
                reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])
                self._say(f"the checkpoint {file} is damaged ({reason[:200]}) and is removed")
                file.unlink()
        if epochs:
            self._say(f"{self._directory} has no other checkpoint: training begins anew")
        return state, []

    def _file(self, epoch: int) -> pathlib.Path:
        return self._directory / f"{epoch}.msgpack"

    def _epochs(self) -> list[int]:
        """Epochs of the checkpoints, the last one first."""
        names = [file.stem for file in self._directory.glob("*.msgpack") if file.is_file()]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _parse_checkpoint(data: bytes, state) -> tuple[object, list[dict]]:
    """Reads the content of a checkpoint: state, of the structure of `state`, and history."""
    if sha256([data[32:]]) != data[:32].hex():
        raise ValueError("it is not as it was written")
    content = serialization.msgpack_restore(data[32:])
    restored = serialization.from_state_dict(state, content["state"])
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (state, restored)]
    if shapes[0] != shapes[1]:
        raise ValueError("it is of another network")
    return jax.tree.map(jnp.asarray, restored), json.loads(content["history"])


def save_tree(file, tree) -> None:
    """Writes a tree of arrays as one msgpack file, behind its SHA-256."""
    data = serialization.msgpack_serialize(jax.tree.map(np.asarray, tree))
    write_whole(pathlib.Path(file), bytes.fromhex(sha256([data])) + data)


def load_tree(file) -> dict:
    """Reads a file of `save_tree`.

    Raises:
      OSError: it is missing.
      WeightsError: it is damaged.
    """
    data = read_regular(file)
    if sha256([data[32:]]) != data[:32].hex():
        raise WeightsError(f"{file} is damaged: it is not as it was written")
    return serialization.msgpack_restore(data[32:])


def save_weights(file, variables: dict, recalibrated_stats: dict) -> None:
    """Writes `{"params", "batch_stats"}` and the recalibrated statistics as one msgpack file.

    Raises:
      WeightsError: a leaf holds NaN or infinity.
    """
    data = serialise_weights(variables, recalibrated_stats, file)
    write_whole(pathlib.Path(file), data)


def serialise_weights(variables: dict, recalibrated_stats: dict, file, half=False) -> bytes:
    """Makes the content of a file of weights, with a checksum; errors name `file`.

    With `half` float32 is stored as float16; what float16 cannot hold is an error.
    """
    weights = {**variables, "recalibrated_stats": recalibrated_stats}
    weights = serialization.to_state_dict(jax.tree.map(np.asarray, weights))
    if half:
        weights = jax.tree.map(_halved, weights)
    check_weights(weights, file)
    return serialization.msgpack_serialize({**weights, "sha256": _digest(weights)})


def load_weights(file) -> tuple[dict, dict]:
    """Reads a file of `save_weights`: `(variables, recalibrated_stats)`.

    Raises:
      OSError, WeightsError: the file is missing or damaged, see `parse_weights`.
    """
    return parse_weights(read_regular(file), file)


def parse_weights(data: bytes, file) -> tuple[dict, dict]:
    """Reads the content of a file of weights: `(variables, recalibrated_stats)`.

    Raises:
      WeightsError: it is damaged, or a leaf is no array of finite floats; the message names `file`.
    """
    try:
        weights = serialization.msgpack_restore(data)
        found = weights.pop("sha256", None)  # older files have none
        names = sorted(weights)
    except Exception as error:  # of msgpack and NumPy, many kinds
        raise WeightsError(f"{file} is damaged: it is no file of weights ({error})") from error
    if names != ["batch_stats", "params", "recalibrated_stats"]:
        raise WeightsError(f"{file} is damaged: it holds {', '.join(map(repr, names[:5]))}")
    check_weights(weights, file)
    if found is not None and found != _digest(weights):
        raise WeightsError(f"{file} is damaged: its weights are not as they were written")
    weights = jax.tree.map(_whole, weights)
    stats = weights.pop("recalibrated_stats")
    return {name: weights[name] for name in ("params", "batch_stats")}, stats


def _halved(leaf: np.ndarray) -> np.ndarray:
    if leaf.dtype != np.float32:
        return leaf
    with np.errstate(over="ignore"):  # `check_weights` refuses what is infinite
        return leaf.astype(np.float16)


def _whole(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.float32) if leaf.dtype == np.float16 else leaf


def _digest(weights) -> str:
    """SHA-256 of the names, shapes and values of all leaves."""

    def parts() -> Iterator[bytes]:
        for path, leaf in jax.tree_util.tree_leaves_with_path(weights):
            leaf = np.asarray(leaf)
            yield f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode()
            yield np.ascontiguousarray(leaf).tobytes()

    return sha256(parts())


def check_weights(weights, file) -> None:
    """Refuses weights (any tree) that are no finite floats.

    Args:
      weights: leaves are arrays.
      file: where they lie, for the message.

    Raises:
      WeightsError: names the file and the first such leaf.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(weights):
        name, dtype = jax.tree_util.keystr(path), getattr(leaf, "dtype", type(leaf).__name__)
        if not jnp.issubdtype(dtype, np.floating):
            raise WeightsError(f"{file}: the weights {name} are {dtype}, not floats")
        bad = int(leaf.size - np.isfinite(leaf).sum())
        if bad:
            raise WeightsError(
                f"{file}: {bad} of the {leaf.size} weights {name} are NaN or infinite"
            )
        if name.endswith("['var']") and (leaf < 0).any():
            raise WeightsError(f"{file}: variances {name} are negative")
