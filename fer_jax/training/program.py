"""The compiled program of an experiment: state, optimiser, training step, evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from fer_jax.data.clips import Clips, take
from fer_jax.data.folds import Fold, member_names
from fer_jax.layers.build import GRAPH_LEAVES
from fer_jax.tasks.base import Task
from fer_jax.training import parallel
from fer_jax.training.averaging import average_after
from fer_jax.training.optimizer import make_optimizer

MAX_CALL_BYTES = 2**28  # size of the clips passed to the devices in one call
_SHORTER = 4  # times that calls may be shorter before a second program is compiled


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train.

    Attributes:
      fold: clips to train and evaluate on.
      seed: of initial weights, shuffling and dropout; the same seed gives the same run.
      member: its index in the deep ensemble of the fold.
    """

    fold: Fold
    seed: int
    member: int = 0

    @property
    def name(self) -> str:
        """Name of its files and its rows in the log."""
        return member_names(self.fold.name, self.member + 1)[-1]


class TrainState(struct.PyTreeNode):
    """What a training step changes."""

    step: jax.Array
    params: dict
    batch_stats: dict
    opt_state: optax.OptState
    average: tuple | None = None  # `uncertainty.WeightAverage`; no training step changes it

    @property
    def variables(self) -> dict:
        return {"params": self.params, "batch_stats": self.batch_stats}


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled functions of an experiment, shared by all its folds.

    Attributes:
      module: the model, not bound to a device axis.
      task: what its outputs mean.
      features: `batch -> model inputs`, pure.
      optimizer: makes the optimiser state.
      train: `(states, batches, keys) -> (states, metrics)`, see `parallel.scan_steps`.
      logits: `(variables, batches, keys, first) -> [D, R, K, B / D, C]`, dropout off.
      augment: `(key, clip) -> clip` of training, or None.
      fixed_copies: each clip has a fixed set of augmented copies, see `augment.fixed_copy`.
      batch_size, steps: clips per step, steps per epoch.
      repeats: times each clip is repeated per epoch.
      evaluated_size: clips per batch in evaluation.
      clip_bytes: size of a clip in memory.
      max_call_bytes: largest size of the clips passed to the devices in one call.
      balanced: the classes of the training clips count alike in the loss.
    """

    module: nn.Module
    task: Task
    features: Callable
    optimizer: optax.GradientTransformation
    train: Callable
    logits: Callable
    batch_size: int
    steps: int
    evaluated_size: int
    clip_bytes: int
    max_call_bytes: int
    augment: Callable | None = None
    fixed_copies: bool = False
    repeats: int = 1
    balanced: bool = False

    def clips_an_epoch(self, run: Run) -> int:
        """Clips that a run trains on in an epoch, repeats counted."""
        return min(len(run.fold.train) * self.repeats, self.steps * self.batch_size)

    def steps_a_call(self, runs: int, steps: int, batch_size: int) -> int:
        """Steps per compiled call that keep the clips of all runs under `max_call_bytes`.

        They divide all steps, so that one program serves all calls. Where that would make the calls
        much shorter than they may be, as for a prime number, only the last call is shorter.
        """
        limit = min(steps, max(1, self.max_call_bytes // (runs * batch_size * self.clip_bytes)))
        divisor = max(n for n in range(1, limit + 1) if steps % n == 0)
        return divisor if limit <= _SHORTER * divisor else limit


def make_program(
    module: nn.Module,
    task: Task,
    config,
    features: Callable,
    folds: list[Fold],
    augment: Callable | None = None,
    clip_bytes: int = 1,
    max_call_bytes: int = MAX_CALL_BYTES,
) -> Program:
    """Fixes the shapes that all folds share; compiles nothing yet.

    Args:
      module: the model; its `axis_name` is set here.
      task: loss and score.
      config: reads sections `train`, `optimizer`, `augment` and `uncertainty`.
      features: `batch -> model inputs`, pure.
      folds: all folds of the experiment.
      augment: see `make_train_step`.
      clip_bytes: size of a clip.
      max_call_bytes: largest size of the clips passed to the devices in one call.

    Raises:
      ValueError: the devices cannot share a batch equally, or there are too few clips.
    """
    batch_size, steps = epoch_sizes(config.train, folds)
    devices = jax.device_count()
    largest = max(1, *(len(part) for fold in folds for part in fold.evaluation_parts()))
    optimizer = make_optimizer(config.optimizer, steps, config.train.epochs, average_after(config))
    step = make_train_step(module, task, optimizer, features, augment, config.train.microbatches)
    mapped = module.clone(axis_name=parallel.AXIS)

    def logits(variables, batch, key):
        del key
        return mapped.apply(variables, features(batch), train=False)

    return Program(
        module=module,
        task=task,
        features=features,
        optimizer=optimizer,
        train=parallel.scan_steps(step),
        logits=parallel.map_batches(logits),
        batch_size=batch_size,
        steps=steps,
        evaluated_size=min(batch_size, -(-largest // devices) * devices),
        clip_bytes=clip_bytes,
        max_call_bytes=max_call_bytes,
        augment=augment,
        fixed_copies=augment is not None and config.augment.get("fixed", False),
        repeats=config.train.repeats_per_epoch,
        balanced=config.train.class_weights == "balanced",
    )


def epoch_sizes(config, folds: list[Fold]) -> tuple[int, int]:
    """Clips per step and steps per epoch, set by the smallest training set of the folds.

    With `drop_last=False` the largest sets them, and the batches of the others are padded.

    Args:
      config: `config.train`.
      folds: all folds of the experiment.
    """
    devices = jax.device_count()
    if config.batch_size % devices:
        raise ValueError(
            f"--config.train.batch_size={config.batch_size} cannot be shared by {devices} "
            f"devices: use a multiple of {devices}"
        )
    sizes = [len(fold.train) for fold in folds]
    smallest, largest = min(sizes), max(sizes)
    whole = smallest // devices if config.drop_last else -(-largest // devices)
    batch_size = min(config.batch_size, whole * devices)
    if smallest < devices:
        raise ValueError(f"{smallest} training clips are too few for {devices} devices")
    if batch_size % (devices * config.microbatches):
        raise ValueError(
            f"--config.train.microbatches={config.microbatches} does not divide the "
            f"{batch_size // devices} clips of a batch on a device"
        )
    if config.drop_last:
        return batch_size, smallest * config.repeats_per_epoch // batch_size
    return batch_size, -(-largest * config.repeats_per_epoch // batch_size)


def make_train_step(
    module: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    features: Callable,
    augment: Callable | None = None,
    microbatches: int = 1,
) -> Callable:
    """Makes the pure step `(state, batch, key) -> (state, metrics)` for `parallel.scan_steps`.

    The loss is the weighted mean over the clips of the whole batch, on all devices.

    Args:
      module, task, optimizer: what is trained, on what, how.
      features: `batch -> model inputs`, pure.
      augment: `(key, clip) -> clip` of one clip's leaves of a batch, or None.
      microbatches: number of microbatches that a device processes in turn, to save memory; it sums
        their gradients, and BatchNorm normalises each microbatch by itself.
    """
    module = module.clone(axis_name=parallel.AXIS)

    def local_loss(params, batch_stats, batch, count, key):
        outputs, updates = module.apply(
            {"params": params, "batch_stats": batch_stats},
            features(batch),
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        weight = batch["weight"] / count
        loss = (task.loss(outputs, batch) * weight).sum()
        score = (task.score(outputs, batch) * weight).sum()
        return loss, (updates.get("batch_stats", {}), score)

    def train_step(state: TrainState, batch: dict, key: jax.Array):
        count = parallel.sum_over_devices(batch["weight"].sum())
        dropout_key, _ = jax.random.split(key)
        batch = augmented(augment, batch, key)

        def of_microbatch(batch_stats, batch, key):
            (loss, (batch_stats, score)), gradient = jax.value_and_grad(local_loss, has_aux=True)(
                state.params, batch_stats, batch, count, key
            )
            return batch_stats, (gradient, loss, score)

        batch_stats, sums = _sum_microbatches(
            of_microbatch, microbatches, state.batch_stats, batch, dropout_key
        )
        gradient, loss, score = parallel.sum_over_devices(sums)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params, value=loss)
        state = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        return state, {"loss": loss, "accuracy": score}

    return train_step


def epoch_keys(seed: int, epoch: int, steps: int) -> jax.Array:
    """Keys of the steps of an epoch, `[steps]`; they do not depend on the steps per call."""
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(steps))


def augmented(augment: Callable | None, batch: dict, key: jax.Array) -> dict:
    """Augments the clips of one device with the key of a step, inside it; see `make_train_step`."""
    if augment is None:
        return batch
    _, augment_key = jax.random.split(key)
    keys = parallel.example_keys(augment_key, len(batch["label"]))
    return jax.vmap(augment)(keys, batch)


def _sum_microbatches(function: Callable, count: int, carried, batch: dict, key: jax.Array):
    """Sums `function(carried, microbatch, key) -> (carried, sums)` over a batch."""
    if count == 1:
        return function(carried, batch, key)
    split = jax.tree.map(lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), batch)
    keys = jax.random.split(key, count)
    first = jax.tree.map(lambda leaf: leaf[0], (split, keys))
    zeros = jax.eval_shape(lambda *each: function(carried, *each)[1], *first)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), zeros)

    def body(state, inputs):
        carried, total = state
        carried, more = function(carried, *inputs)
        return (carried, jax.tree.map(jnp.add, total, more)), None

    return jax.lax.scan(body, (carried, zeros), (split, keys))[0]


def create_train_states(
    module: nn.Module, optimizer: optax.GradientTransformation, inputs, seeds
) -> TrainState:
    """Initialises R networks and their optimisers in one compiled call: leading axis R.

    Args:
      inputs: model inputs of a batch of any size, or their shapes.
      seeds: R seeds; the network from a seed does not depend on the other seeds.
    """

    def init(key):
        one = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:])), inputs)
        variables = module.init(key, one, train=False)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            opt_state=optimizer.init(variables["params"]),
        )

    return jax.jit(jax.vmap(init))(jnp.stack([jax.random.key(seed) for seed in seeds]))


def stack(trees: list):
    """Stacks the states or variables of R runs: every leaf gets a leading axis R."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack(tree, run: int):
    """Takes one run out of what `stack` stacked."""
    return jax.tree.map(lambda leaf: leaf[run], tree)


def compile_ahead(program: Program, states, clips: Clips) -> tuple[Program, int]:
    """Compiles the training call for the runs in `states`, before the first epoch.

    Returns:
      The program, which now takes this number of runs only, and the memory that a call needs on
      each device, bytes.
    """
    count = len(states.step)
    hop = program.steps_a_call(count, program.steps, program.batch_size)
    sizes = dict.fromkeys((hop, program.steps % hop or hop))
    one = take(clips, np.arange(1), copies=np.zeros(1, int) if program.fixed_copies else None)
    batches = [parallel.shard_shapes(one, count, steps, program.batch_size) for steps in sizes]
    keys = [jax.random.split(jax.random.key(0), (count, steps)) for steps in sizes]
    train, memory = parallel.compile_calls(program.train, states, batches, keys)
    return dataclasses.replace(program, train=train), memory


def count_parameters(params: dict) -> tuple[int, int]:
    """Counts all parameters, and those without the learnable graph matrices."""
    total, graph = 0, 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        total += leaf.size
        graph += leaf.size if path[-1].key in GRAPH_LEAVES else 0
    return total, total - graph
