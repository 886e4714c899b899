"""What training saves: checkpoints to resume from (Orbax), and files of weights."""

from __future__ import annotations

import pathlib

import jax
import numpy as np
from etils import epath
from flax import serialization


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
    weights = {**variables, "recalibrated_stats": recalibrated_stats}
    weights = serialization.to_state_dict(jax.tree.map(np.asarray, weights))
    check_weights(weights, file)
    file = epath.Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(serialization.msgpack_serialize(weights))


def load_weights(file) -> tuple[dict, dict]:
    """Reads a file of `save_weights`: `(variables, recalibrated_stats)`.

    Raises:
      WeightsError: a leaf is no array of floats, or holds NaN or infinity.
    """
    weights = serialization.msgpack_restore(epath.Path(file).read_bytes())
    check_weights(weights, file)
    variables = {name: weights[name] for name in ("params", "batch_stats")}
    return variables, weights["recalibrated_stats"]


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
