"""The compiled programs of an experiment: state, optimiser, training step, scoring."""

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
from fer_jax.data.folds import Fold
from fer_jax.layers.build import GRAPH_LEAVES
from fer_jax.tasks.base import Task
from fer_jax.training import parallel
from fer_jax.training.optimizer import make_optimizer

MAX_CALL_BYTES = 2**28  # of the clips that one call hands to the devices


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to be trained.

    Attributes:
      fold: clips to train on and to score.
      seed: first weights, order of the clips and dropout; the same seed gives the same run.
    """

    fold: Fold
    seed: int


class TrainState(struct.PyTreeNode):
    """What a training step changes."""

    step: jax.Array
    params: dict
    batch_stats: dict
    opt_state: optax.OptState

    @property
    def variables(self) -> dict:
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_train_states(
    module: nn.Module, optimizer: optax.GradientTransformation, inputs, seeds
) -> TrainState:
    """Initialises R networks and their optimisers in one compiled call: leading axis R.

    Args:
      inputs: what the model takes of a batch, or its shapes; the size of the batch does not matter.
      seeds: R numbers; each gives the same network whatever the others are.
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


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled functions of one experiment; every fold calls the same ones.

    Attributes:
      module: the model, bound to no device axis.
      task: what its outputs mean.
      features: `batch -> model inputs`, pure.
      optimizer: makes the optimiser state.
      train: `(states, batches, keys) -> (states, metrics)`, see `parallel.scan_steps`.
      logits: `(variables, batches, keys, first) -> [D, R, K, B / D, C]`, dropout off.
      batch_size, steps: clips a step, steps an epoch.
      evaluated_size: clips of a batch that is scored.
      clip_bytes: size of a clip in memory.
      max_call_bytes: of the clips that one call hands to the devices.
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

    def steps_a_call(self, runs: int, steps: int, batch_size: int) -> int:
        """Steps of one compiled call, so that the clips of all runs stay under `max_call_bytes`."""
        limit = max(1, self.max_call_bytes // (runs * batch_size * self.clip_bytes))
        return max(n for n in range(1, min(steps, limit) + 1) if steps % n == 0)


def stack(trees: list):
    """Joins the states or variables of R runs: every leaf gets a leading axis R."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack(tree, run: int):
    """Takes one run out of what `stack` joined."""
    return jax.tree.map(lambda leaf: leaf[run], tree)


def make_train_step(
    module: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    features: Callable,
    augment: Callable | None = None,
    parts: int = 1,
) -> Callable:
    """Builds the pure step `(state, batch, key) -> (state, metrics)` for `parallel.scan_steps`.

    The loss is the mean over the clips of the whole batch (all devices), weight 0 left out.

    Args:
      module, task, optimizer: what is trained, on what, how.
      features: `batch -> model inputs`, pure.
      augment: `(key, clip) -> clip`, the leaves of a batch that belong to one clip, or None.
      parts: into which a device divides its clips, one after the other, to save memory: their
        gradients are summed, and BatchNorm sees each part by itself.
    """
    module = module.clone(axis_name=parallel.AXIS)

    def train_step(state: TrainState, batch: dict, key: jax.Array):
        count = parallel.total(batch["weight"].sum())
        dropout_key, augment_key = jax.random.split(key)
        if augment is not None:
            keys = parallel.example_keys(augment_key, len(batch["label"]))
            batch = jax.vmap(augment)(keys, batch)

        def local_loss(params, batch_stats, batch, key):
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

        def of_part(batch_stats, batch, key):
            (loss, (batch_stats, score)), gradient = jax.value_and_grad(local_loss, has_aux=True)(
                state.params, batch_stats, batch, key
            )
            return batch_stats, (gradient, loss, score)

        batch_stats, sums = _over_parts(of_part, parts, state.batch_stats, batch, dropout_key)
        gradient, loss, score = sums
        gradient, loss, score = parallel.total((gradient, loss, score))
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params, value=loss)
        state = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        return state, {"loss": loss, "accuracy": score}

    return train_step


def _over_parts(function: Callable, parts: int, carried, batch: dict, key: jax.Array):
    """Sums `function(carried, part, key) -> (carried, sums)` over the parts of a batch."""
    if parts == 1:
        return function(carried, batch, key)
    split = jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), batch)
    keys = jax.random.split(key, parts)
    first = jax.tree.map(lambda leaf: leaf[0], (split, keys))
    zeros = jax.eval_shape(lambda *each: function(carried, *each)[1], *first)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), zeros)

    def body(state, inputs):
        carried, total = state
        carried, more = function(carried, *inputs)
        return (carried, jax.tree.map(jnp.add, total, more)), None

    return jax.lax.scan(body, (carried, zeros), (split, keys))[0]


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
    """Compiles nothing yet, but fixes the shapes that all folds share.

    Args:
      module: the model; its `axis_name` is set here.
      task: loss and score.
      config: `config.train` and `config.optimizer` are read.
      features: `batch -> model inputs`, pure.
      folds: what will be run; the smallest sets the steps of an epoch.
      augment: see `make_train_step`.
      clip_bytes, max_call_bytes: size of a clip, and of the clips of one compiled call at most.

    Raises:
      ValueError: a batch cannot be shared by the devices, or there are too few clips.
    """
    devices = jax.device_count()
    if config.train.batch_size % devices:
        raise ValueError(
            f"--config.train.batch_size={config.train.batch_size} cannot be shared by {devices} "
            f"devices: use a multiple of {devices}"
        )
    smallest = min(len(fold.train) for fold in folds)
    batch_size = min(config.train.batch_size, smallest // devices * devices)
    if not batch_size:
        raise ValueError(f"{smallest} training clips are too few for {devices} devices")
    parts = config.train.microbatches
    if batch_size % (devices * parts):
        raise ValueError(
            f"--config.train.microbatches={parts} does not divide the {batch_size // devices} "
            f"clips of a batch on a device"
        )
    steps = smallest * config.train.repeats_per_epoch // batch_size
    largest = max(1, *(len(part) for fold in folds for part in fold.evaluated()))
    optimizer = make_optimizer(config.optimizer, steps, config.train.epochs)
    step = make_train_step(module, task, optimizer, features, augment, parts)

    spread = module.clone(axis_name=parallel.AXIS)

    def logits(variables, batch, key):
        del key
        return spread.apply(variables, features(batch), train=False)

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
    )


def compile_ahead(program: Program, states, clips: Clips) -> tuple[Program, int]:
    """Compiles the training call for as many runs as `states` holds, before the first epoch.

    Returns:
      The program, which now takes this number of runs only, and the memory that a call needs on
      each device, bytes.
    """
    count = len(states.step)
    hop = program.steps_a_call(count, program.steps, program.batch_size)
    one = take(clips, np.arange(1))
    batches = parallel.shard_shapes(one, count, hop, program.batch_size)
    keys = jax.random.split(jax.random.key(0), (count, hop))
    compiled = program.train.lower(states, batches, keys).compile(parallel.compiler_options())
    return dataclasses.replace(program, train=compiled), memory_bytes(compiled)


def memory_bytes(compiled) -> int:
    """Memory of a compiled call on each device: arguments, outputs and all between."""
    need = compiled.memory_analysis()
    given = need.argument_size_in_bytes - need.alias_size_in_bytes  # donated states are outputs too
    return given + need.output_size_in_bytes + need.temp_size_in_bytes


def count_parameters(params: dict) -> tuple[int, int]:
    """Returns the number of all parameters and without the learnable graph matrices."""
    total, graph = 0, 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        total += leaf.size
        graph += leaf.size if path[-1].key in GRAPH_LEAVES else 0
    return total, total - graph
