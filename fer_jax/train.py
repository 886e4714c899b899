"""State, training step and `fit`, the loop over epochs."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from fer_jax import data, parallel
from fer_jax.tasks import Task

CALL_BYTES = 2**28  # clips that are handed to the devices at once


class TrainState(struct.PyTreeNode):
    """What a training step changes."""

    step: jax.Array
    params: dict
    batch_stats: dict
    opt_state: optax.OptState

    @property
    def variables(self) -> dict:
        return {"params": self.params, "batch_stats": self.batch_stats}


class NonFiniteLossError(RuntimeError):
    """The loss stopped being a number; the message names step and batch."""


def make_optimizer(config, steps_per_epoch: int, epochs: int) -> optax.GradientTransformation:
    """SGD as in the published code: weight decay is added to the gradient of every parameter.

    Args:
      config: `config.optimizer`: learning_rate, momentum, nesterov, weight_decay, schedule
        ("constant" or "cosine"), warmup_epochs.
      steps_per_epoch, epochs: length of the schedule.

    Raises:
      ValueError: unknown schedule.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    rest = max(epochs * steps_per_epoch - warmup, 1)
    if config.schedule == "constant":
        schedule = optax.constant_schedule(config.learning_rate)
    elif config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(config.learning_rate, rest)
    else:
        raise ValueError(f"schedule {config.schedule!r} is unknown: use 'constant' or 'cosine'")
    if warmup:
        rising = optax.linear_schedule(0.0, config.learning_rate, warmup)
        schedule = optax.join_schedules([rising, schedule], [warmup])
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.sgd(schedule, config.momentum or None, nesterov=config.nesterov),
    )


def create_train_state(
    module: nn.Module, optimizer: optax.GradientTransformation, inputs, key: jax.Array
) -> TrainState:
    """Initialises a model (one compiled call) and its optimiser."""
    inputs = jax.ShapeDtypeStruct((1, *np.shape(inputs)[1:]), jnp.float32)

    def init(key):
        variables = module.init(key, jnp.zeros(inputs.shape), train=False)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            opt_state=optimizer.init(variables["params"]),
        )

    return jax.jit(init)(key)


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled functions of one experiment; every fold calls the same ones.

    Attributes:
      module: the model, bound to no device axis.
      features: `batch -> model inputs`, pure.
      optimizer: makes the optimiser state.
      train: `(state, batches, key) -> (state, metrics)`, see `parallel.scan_steps`.
      logits: `(variables, batches, key) -> [D, K, B / D, C]`, dropout off.
      batch_size, steps, steps_a_call: clips a step, steps an epoch and in one compiled call.
    """

    module: nn.Module
    features: Callable
    optimizer: optax.GradientTransformation
    train: Callable
    logits: Callable
    batch_size: int
    steps: int
    steps_a_call: int


def make_train_step(
    module: nn.Module,
    task: Task,
    optimizer: optax.GradientTransformation,
    features: Callable,
    augment: Callable | None = None,
) -> Callable:
    """Builds the pure step `(state, batch, key) -> (state, metrics)` for `parallel.scan_steps`.

    The loss is the mean over the clips of the whole batch (all devices), weight 0 left out.

    Args:
      module, task, optimizer: what is trained, on what, how.
      features: `batch -> model inputs`, pure.
      augment: `(key, landmarks [T, 68, 2]) -> landmarks` of one clip, or None.
    """
    module = module.clone(axis_name=parallel.AXIS)

    def train_step(state: TrainState, batch: dict, key: jax.Array):
        count = jax.lax.psum(batch["weight"].sum(), parallel.AXIS)
        dropout_key, augment_key = jax.random.split(key)
        if augment is not None:
            keys = parallel.example_keys(augment_key, len(batch["label"]))
            batch = {**batch, "landmarks": jax.vmap(augment)(keys, batch["landmarks"])}

        def local_loss(params):
            outputs, updates = module.apply(
                {"params": params, "batch_stats": state.batch_stats},
                features(batch),
                train=True,
                rngs={"dropout": dropout_key},
                mutable=["batch_stats"],
            )
            weight = batch["weight"] / count
            sums = (task.loss(outputs, batch) * weight).sum()
            return sums, (updates["batch_stats"], (task.score(outputs, batch) * weight).sum())

        (loss, (batch_stats, score)), gradient = jax.value_and_grad(local_loss, has_aux=True)(
            state.params
        )
        gradient, loss, score = jax.lax.psum((gradient, loss, score), parallel.AXIS)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        state = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        return state, {"loss": loss, "accuracy": score}

    return train_step


def make_program(
    module: nn.Module,
    task: Task,
    config,
    features: Callable,
    smallest_train: int,
    augment: Callable | None = None,
    clip_bytes: int = 1,
) -> Program:
    """Compiles nothing yet, but fixes the shapes that all folds share.

    Args:
      module: the model; its `axis_name` is set here.
      task: loss and score.
      config: `config.train` and `config.optimizer` are read.
      features: `batch -> model inputs`, pure.
      smallest_train: clips of the smallest training fold.
      augment: see `make_train_step`.
      clip_bytes: size of a clip in memory; bounds the steps of one compiled call.

    Raises:
      ValueError: a batch cannot be shared by the devices, or there are too few clips.
    """
    devices = jax.device_count()
    if config.train.batch_size % devices:
        raise ValueError(
            f"--config.train.batch_size={config.train.batch_size} cannot be shared by {devices} "
            f"devices: use a multiple of {devices}"
        )
    batch_size = min(config.train.batch_size, smallest_train // devices * devices)
    if not batch_size:
        raise ValueError(f"{smallest_train} training clips are too few for {devices} devices")
    steps = smallest_train * config.train.copies // batch_size
    limit = max(1, CALL_BYTES // (batch_size * clip_bytes))
    optimizer = make_optimizer(config.optimizer, steps, config.train.epochs)
    step = make_train_step(module, task, optimizer, features, augment)

    spread = module.clone(axis_name=parallel.AXIS)

    def logits(variables, batch, key):
        del key
        return spread.apply(variables, features(batch), train=False)

    return Program(
        module=module,
        features=features,
        optimizer=optimizer,
        train=parallel.scan_steps(step),
        logits=parallel.map_batches(logits),
        batch_size=batch_size,
        steps=steps,
        steps_a_call=max(n for n in range(1, min(steps, limit) + 1) if steps % n == 0),
    )


def count_parameters(params: dict) -> tuple[int, int]:
    """Returns the number of all parameters and without the learnable graph matrices U."""
    total, graph = 0, 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        total += leaf.size
        graph += leaf.size if path[-1].key == "U" else 0
    return total, total - graph


def evaluate(program: Program, variables: dict, clips: data.Clips, numbers) -> np.ndarray:
    """Returns the logits `[N, C]` of clips, dropout off, stored BatchNorm statistics."""
    chosen, weight = data.padded_numbers(numbers, program.batch_size)
    batches = parallel.split(data.take(clips, chosen, weight))
    logits = program.logits(variables, batches, jax.random.key(0))
    return parallel.join(logits)[: len(numbers)]


def check_finite(losses, epoch: int, chosen, clips: data.Clips, steps: int) -> None:
    """Raises `NonFiniteLossError` that names the first step and the clips of its batch."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if not len(bad):
        return
    first = int(bad[0])
    names = ", ".join(clips.clip_ids[number] for number in chosen[first][:5])
    raise NonFiniteLossError(
        f"the loss is {losses[first]} at step {(epoch - 1) * steps + first + 1} "
        f"(epoch {epoch}, batch {first + 1} of {steps}; its first clips: {names}). "
        f"Lower --config.optimizer.learning_rate or set --config.optimizer.warmup_epochs=5.0, "
        f"with another --workdir; this one keeps its last checkpoint"
    )


def train_epoch(program: Program, state, clips: data.Clips, train, seed: int, epoch: int):
    """Runs one epoch, in one compiled call unless its clips would fill the memory.

    Returns:
      The new state and `{"loss", "accuracy"}`, means over the steps.

    Raises:
      NonFiniteLossError: see `check_finite`.
    """
    copies = -(-program.steps * program.batch_size // len(train))
    chosen = data.epoch_numbers(
        np.tile(train, copies), program.steps, program.batch_size, (seed, epoch)
    )
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    parts = []
    for first in range(0, program.steps, program.steps_a_call):
        batches = data.take(clips, chosen[first : first + program.steps_a_call])
        part_key = jax.random.fold_in(key, first) if first else key
        state, part = program.train(state, parallel.split(batches), part_key)
        parts.append(jax.tree.map(np.asarray, part))
    metrics = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    check_finite(metrics["loss"], epoch, chosen, clips, program.steps)
    return state, {name: float(values.mean()) for name, values in metrics.items()}


@functools.partial(jax.jit, static_argnums=0)
def _scored(task: Task, logits, batch):
    return task.loss(logits, batch).mean(), task.score(logits, batch).mean()


def fit(
    program: Program,
    task: Task,
    state: TrainState,
    clips: data.Clips,
    train: np.ndarray,
    evaluate_on: np.ndarray,
    *,
    epochs: int,
    seed: int,
    history: list[dict],
    after_epoch: Callable[[TrainState, list[dict]], None],
) -> TrainState:
    """Trains from where `history` ends to the last epoch.

    Args:
      program: compiled functions.
      task: scores the evaluation.
      state: fresh, or restored together with `history`.
      clips: the data set; `train` and `evaluate_on` are clip numbers (the latter may be empty).
      epochs: last epoch, counted from 1.
      seed: order of the clips and dropout; the same seed gives the same run.
      history: one row an epoch; this function appends to it.
      after_epoch: called with the new state and the history; saves, logs, draws.

    Returns:
      The last state.
    """
    for epoch in range(len(history) + 1, epochs + 1):
        started = time.perf_counter()
        state, metrics = train_epoch(program, state, clips, train, seed, epoch)
        row = {"epoch": epoch, "train_loss": metrics["loss"], "train_accuracy": metrics["accuracy"]}
        row["clips_per_second"] = (
            program.steps * program.batch_size / (time.perf_counter() - started)
        )
        if len(evaluate_on):
            logits = evaluate(program, state.variables, clips, evaluate_on)
            loss, score = _scored(task, logits, {"label": clips.labels[evaluate_on]})
            row |= {"evaluation_loss": float(loss), "evaluation_accuracy": float(score)}
        history.append(row)
        after_epoch(state, history)
    return state
