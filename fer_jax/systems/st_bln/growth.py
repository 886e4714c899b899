"""PST-BLN: growing a network with its weights, and the rule that stops the growth.

Source: Heidari & Iosifidis, MMSP 2021, section III.C. `decide` asks for the training loss of each
topology and yields its decision; `search.py` does the training.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.data.clips import Clips, take
from fer_jax.training.program import Program, TrainState

Topology = tuple[int, ...]  # width of every layer
_RUN_ONCE = {"xla_backend_optimization_level": 0}  # compiling takes longer than drawing weights
RESIDUALS = ("r1", "r1_norm", "r2", "r2_norm")  # identities between layers of equal width


def grow(old, new):
    """Copies every leaf of `old` into the leading corner of the same leaf of `new`.

    Args:
      old: weights of the smaller network, e.g. `{"params", "batch_stats"}`; every leaf must fit.
      new: freshly initialised weights of the larger network.

    Returns:
      A tree like `new`, with the values of `new` outside the leading corners.

    Raises:
      ValueError: a leaf of `old` is missing in `new`, has another number of axes or is larger.
    """
    found, structure = jax.tree_util.tree_flatten_with_path(new)
    leaves = {path: np.array(leaf) for path, leaf in found}
    for path, leaf in jax.tree_util.tree_leaves_with_path(old):
        name, shape = jax.tree_util.keystr(path), np.shape(leaf)
        if path not in leaves:
            raise ValueError(f"{name} {shape} of the old network is missing in the new one")
        room = leaves[path].shape
        if len(shape) != len(room) or any(a > b for a, b in zip(shape, room, strict=True)):
            raise ValueError(f"{name} {shape} of the old network does not fit {room} of the new")
        leaves[path][tuple(slice(size) for size in shape)] = leaf
    return jax.tree.unflatten(structure, leaves.values())


def shed(old: dict, new: dict, *, deeper: bool) -> dict:
    """Drops the parts of `old` that the larger network does not inherit, before `grow`.

    These are the head if a layer was added (its input is another layer then), and residual
    convolutions that became identities because a layer is now as wide as the one before.

    Args:
      old, new: `{"params", "batch_stats"}` of ST-BLN.
      deeper: a layer was added; otherwise the last layer was widened.

    The paper is silent on both: docs/papers/st_bln.md.
    """
    return {
        collection: {
            module: {
                name: leaf
                for name, leaf in leaves.items()
                if name not in RESIDUALS or name in new[collection][module]
            }
            for module, leaves in modules.items()
            if not (deeper and module == "head")
        }
        for collection, modules in old.items()
    }


def first_state(
    program: Program, clips: Clips, seed: int, parent: dict, *, deeper: bool
) -> TrainState:
    """Initial state of a stage: weights of the parent, the rest random, and a new optimiser state.

    Args:
      program: of the larger network.
      clips: give the shape of its inputs.
      seed: of the random weights.
      parent: `{"params", "batch_stats"}`, {} for none.
      deeper: the larger network has one more layer.
    """
    inputs = jax.eval_shape(program.features, take(clips, np.arange(1)))

    def init(key):
        return program.module.init(key, jnp.zeros(inputs.shape), train=False)

    shapes = jax.eval_shape(init, jax.random.key(seed))
    old = shed(parent, shapes, deeper=deeper)
    sizes = {name: leaf.shape for name, leaf in _named(shapes)}
    covered = frozenset(name for name, leaf in _named(old) if leaf.shape == sizes[name])
    drawn = _draw(program.module, inputs.shape, covered, jax.random.key(seed))
    new = [drawn.get(n, np.zeros(leaf.shape, leaf.dtype)) for n, leaf in _named(shapes)]
    new = jax.tree.unflatten(jax.tree.structure(shapes), new)
    grown = jax.tree.map(jnp.asarray, grow(old, new))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=grown["params"],
        batch_stats=grown["batch_stats"],
        opt_state=jax.jit(program.optimizer.init)(grown["params"]),
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2), compiler_options=_RUN_ONCE)
def _draw(module, inputs: tuple[int, ...], covered: frozenset[str], key: jax.Array) -> dict:
    """Draws the leaves that are not covered: the fewer, the faster it compiles."""
    variables = module.init(key, jnp.zeros(inputs), train=False)
    return {name: leaf for name, leaf in _named(variables) if name not in covered}


def _named(tree) -> list[tuple[str, jax.Array]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


@dataclasses.dataclass(frozen=True)
class Rule:
    """When to stop growing.

    Attributes:
      block_size: channels of a block.
      width_threshold, depth_threshold: smallest relative decrease of the loss by a block, by a
        layer; positive, so that a loss of zero ends the growth.
      max_layers, max_blocks: limits of the network and of a layer.
    """

    block_size: int = 5
    width_threshold: float = 1e-4
    depth_threshold: float = 1e-4
    max_layers: int = 10
    max_blocks: int = 50


def check(config) -> None:
    """Raises a ValueError if a field of section `search` of a config, see `Rule`, is invalid."""
    search = config.search
    for field in ("epochs", "block_size", "max_layers", "max_blocks"):
        if search[field] < 1:
            raise ValueError(f"--config.search.{field}={search[field]}: it must be 1 or more")
    for field in ("width_threshold", "depth_threshold"):
        if not 1e-12 <= search[field] <= 1.0:
            raise ValueError(
                f"--config.search.{field}={search[field]}: it must lie in 1e-12 to 1.0"
            )
    if search.folds not in ("all", "first"):
        raise ValueError(f"--config.search.folds={search.folds}: use 'all' or 'first'")
    if config.uncertainty.members != 1:
        raise ValueError(
            f"--config.uncertainty.members={config.uncertainty.members}: a search grows one "
            "network: train the topology it finds as an ensemble"
        )
    if config.uncertainty.posterior != "mc_dropout":
        raise ValueError(
            f"--config.uncertainty.posterior={config.uncertainty.posterior}: not while a topology "
            "is searched: train the one it finds"
        )
    if config.uncertainty.familiarity:
        raise ValueError("--config.uncertainty.familiarity=True: not while a topology is searched")
    if (config.task, config.model.name) != ("classification", "st_bln"):
        raise ValueError(
            f"--config.search.enabled=True grows st_bln for classification, not "
            f"{config.model.name} for {config.task}: leave it off"
        )


@dataclasses.dataclass(frozen=True)
class Decision:
    """The decision about one trained topology.

    Attributes:
      topology: the trained network.
      parent: the network whose weights it started from; () for the first.
      loss: its training cross-entropy, nats.
      alpha: relative decrease of the loss by the last block; None for the first block of a layer.
      decision: "new layer", "accepted" or "rejected".
      alpha_depth: relative decrease by the layer, if the layer ends here and is not the first.
      layer: "" while the layer grows, then "kept" or "dropped".
      kept: the network after this decision; the last one is the result.
      note: why the growth ended, if a limit or a loss of 0 ended it.
    """

    topology: Topology
    parent: Topology
    loss: float
    alpha: float | None
    decision: str
    alpha_depth: float | None
    layer: str
    kept: Topology
    note: str


def decide(loss: Callable[[Topology, Topology], float], rule: Rule) -> Iterator[Decision]:
    """Grows width, then depth; yields a decision for each trained topology.

    A layer gains blocks while each lowers the loss by at least `width_threshold`; the first block
    below it is removed. Layers are added while each lowers the loss by at least `depth_threshold`;
    the first layer below it is removed, unless it is the only one.

    Args:
      loss: `(topology, parent) -> training loss`, trains the topology from the parent's weights.
      rule: thresholds and limits.

    Raises:
      ValueError: a loss is negative or not finite.

    Source: Heidari & Iosifidis, MMSP 2021, section III-C; limits: docs/papers/st_bln.md.
    """
    finished, finished_loss = (), math.inf
    while len(finished) < rule.max_layers:
        best, best_loss = (), math.inf
        for block in range(1, rule.max_blocks + 1):
            topology = (*finished, block * rule.block_size)
            parent = best or finished
            value = _checked(loss(topology, parent), topology)
            alpha = relative_fall(best_loss, value) if best else None
            note = _why_none(best_loss)
            rejected = alpha is not None and alpha < rule.width_threshold
            decision = "rejected" if rejected else "accepted" if best else "new layer"
            if not rejected:
                best, best_loss = topology, value
            if rejected or block == rule.max_blocks:
                break
            yield Decision(topology, parent, value, alpha, decision, None, "", best, "")
        if not rejected:
            note = f"max_blocks={rule.max_blocks} reached"
        alpha_depth = relative_fall(finished_loss, best_loss) if finished else None
        dropped = alpha_depth is not None and alpha_depth < rule.depth_threshold
        if dropped:
            note = _why_none(finished_loss) or note
        elif len(best) == rule.max_layers:
            note = f"{note}; " * bool(note) + f"max_layers={rule.max_layers} reached"
        layer, kept = ("dropped", finished) if dropped else ("kept", best)
        yield Decision(topology, parent, value, alpha, decision, alpha_depth, layer, kept, note)
        if dropped:
            return
        finished, finished_loss = best, best_loss


def relative_fall(before: float, after: float) -> float:
    """`(before - after) / before`; 0 if `before` is 0."""
    return (before - after) / before if before > 0 else 0.0


def _why_none(loss: float) -> str:
    return "the loss was 0: nothing left to gain" if loss == 0 else ""


def _checked(loss: float, topology: Topology) -> float:
    loss = float(loss)
    if not (math.isfinite(loss) and loss >= 0):
        raise ValueError(
            f"the training loss of {show(topology)} is {loss}: no topology can be compared with "
            f"it; lower --config.optimizer.learning_rate"
        )
    return loss


def show(topology) -> str:
    """The paper's notation: `{10, 5}`."""
    return "{" + ", ".join(map(str, topology)) + "}"
