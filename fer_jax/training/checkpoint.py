"""What training saves: checkpoints to resume from (Orbax), and files of weights."""

from __future__ import annotations

import hashlib
import pathlib

import jax
import numpy as np
from flax import serialization

from fer_jax.machine import write_whole


class WeightsError(ValueError):
    """Weights that are no weights; the message names the file and the leaf."""


class Checkpoints:
    """The last checkpoint of one fold, from which training resumes.

    Args:
      directory: created when missing; each checkpoint replaces the one before.
    """

    def __init__(self, directory):
        import orbax.checkpoint as ocp  # slow to import, and prediction does without

        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(pathlib.Path(directory).absolute(), options=options)

    def save(self, epoch: int, state, history: list[dict]) -> None:
        """Saves a state (any pytree) and the history that led to it."""
        args = self._ocp.args
        items = args.Composite(state=args.StandardSave(state), history=args.JsonSave(history))
        self._manager.save(epoch, args=items)

    def restore(self, state) -> tuple[object, list[dict]]:
        """Returns the saved state and history, or `(state, [])` when there is none.

        Args:
          state: a fresh state of the same structure.
        """
        epoch = self._manager.latest_step()
        if epoch is None:
            return state, []
        args = self._ocp.args
        abstract = jax.tree.map(self._ocp.utils.to_shape_dtype_struct, state)
        items = args.Composite(state=args.StandardRestore(abstract), history=args.JsonRestore())
        saved = self._manager.restore(epoch, args=items)
        return saved["state"], list(saved["history"])

    def close(self) -> None:
        self._manager.close()


def save_weights(file, variables: dict, recalibrated_stats: dict) -> None:
    """Writes `{"params", "batch_stats"}` and the recalibrated statistics as one msgpack file.

    Raises:
      WeightsError: a leaf holds NaN or infinity.
    """
    data = serialise_weights(variables, recalibrated_stats, file)
    write_whole(pathlib.Path(file), data)


def serialise_weights(variables: dict, recalibrated_stats: dict, file) -> bytes:
    """Makes the content of a file of weights, with a checksum; errors name `file`."""
    weights = {**variables, "recalibrated_stats": recalibrated_stats}
    weights = serialization.to_state_dict(jax.tree.map(np.asarray, weights))
    check_weights(weights, file)
    return serialization.msgpack_serialize({**weights, "sha256": _digest(weights)})


def load_weights(file) -> tuple[dict, dict]:
    """Reads a file of `save_weights`: `(variables, recalibrated_stats)`.

    Raises:
      OSError, WeightsError: the file is missing or damaged, see `parse_weights`.
    """
    return parse_weights(pathlib.Path(file).read_bytes(), file)


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
    return {name: weights[name] for name in ("params", "batch_stats")}, weights[
        "recalibrated_stats"
    ]


def _digest(weights) -> str:
    """SHA-256 of the names, shapes and values of all leaves."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(weights):
        name = f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}"
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


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
        if not jax.numpy.issubdtype(dtype, np.floating):
            raise WeightsError(f"{file}: the weights {name} are {dtype}, not floats")
        bad = int(leaf.size - np.isfinite(leaf).sum())
        if bad:
            raise WeightsError(
                f"{file}: {bad} of the {leaf.size} weights {name} are NaN or infinite"
            )
