"""The optimiser that a config names, and its learning rate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from fer_jax.layers.build import GRAPH_LEAVES, is_kernel


def make_optimizer(
    config, steps_per_epoch: int, epochs: int, held_after: int | None = None
) -> optax.GradientTransformationExtraArgs:
    """Makes SGD or Adam; weight decay is added to the gradient before clipping, as an L2 penalty.

    Args:
      config: `config.optimizer`: name ("sgd" or "adam"), learning_rate, momentum (Adam: of the
        first moment), nesterov, weight_decay, decay ("all" parameters or "kernels"), clip_norm
        (largest norm of the whole gradient, 0: any), freeze_graph_epochs (how long the learnable
        graph matrices stay as they begin), and the fields that `_schedule` reads. With
        the schedule "plateau" an update takes the loss as `value`, and the learning rate is
        multiplied by lr_factor after `patience` epochs without a lower mean loss.
      steps_per_epoch, epochs: length of the schedule.
      held_after: epochs after which the learning rate stays as it is then, but for "plateau"; None:
        it follows the schedule to the end.

    Raises:
      ValueError: unknown optimiser, decay or schedule.

    What each paper says of its optimiser, and what it leaves open, is in docs/papers/.
    """
    schedule = _schedule(config, steps_per_epoch, epochs)
    if held_after is not None:
        schedule = _held(schedule, held_after * steps_per_epoch)
    if config.name == "sgd":
        rule = optax.sgd(schedule, config.momentum or None, nesterov=config.nesterov)
    elif config.name == "adam":
        rule = optax.adam(schedule, config.momentum, nesterov=config.nesterov)
    else:
        raise ValueError(f"optimiser {config.name!r} is unknown: use 'sgd' or 'adam'")
    if config.decay not in ("all", "kernels"):
        raise ValueError(f"decay {config.decay!r} is unknown: use 'all' or 'kernels'")
    mask = _kernels if config.decay == "kernels" else None
    clip = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    decay, shrink = [optax.add_decayed_weights(config.weight_decay, mask)], []
    if config.freeze_graph_epochs:
        decay.append(_freeze_graph(config.freeze_graph_epochs * steps_per_epoch))
    if config.schedule == "plateau":
        shrink = [
            optax.contrib.reduce_on_plateau(
                config.lr_factor, config.patience, accumulation_size=steps_per_epoch
            )
        ]
    return optax.with_extra_args_support(optax.chain(*decay, *clip, rule, *shrink))


def _held(schedule: optax.Schedule, last: int) -> optax.Schedule:
    """The schedule up to a step, whose learning rate stays."""
    return lambda step: schedule(jnp.minimum(step, last))


def _freeze_graph(steps: int) -> optax.GradientTransformation:
    """Takes the gradient of the learnable graph matrices as 0 in the first steps."""

    def update(updates, count, params=None):
        del params

        def held(path, leaf):
            graph = path[-1].key in GRAPH_LEAVES
            return jnp.where(count < steps, 0.0, leaf) if graph else leaf

        return jax.tree_util.tree_map_with_path(held, updates), count + 1

    return optax.GradientTransformation(lambda _: jnp.zeros((), jnp.int32), update)


def _kernels(params: dict) -> dict:
    """Marks the kernels among parameters: a tree of bool."""
    return jax.tree_util.tree_map_with_path(lambda path, _: is_kernel(path[-1].key), params)


def _schedule(config, steps_per_epoch: int, epochs: int) -> optax.Schedule:
    """Makes the learning rate of each step.

    Args:
      config: `config.optimizer`: learning_rate, warmup_epochs, schedule ("constant", "plateau",
        "cosine", or "steps": multiplied by lr_factor at each of lr_milestones, counted in
        lr_milestone_unit, "epoch" or "step").
      steps_per_epoch, epochs: length of the schedule.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    rest = max(epochs * steps_per_epoch - warmup, 1)
    if config.schedule in ("constant", "plateau"):
        schedule = optax.constant_schedule(config.learning_rate)
    elif config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(config.learning_rate, rest)
    elif config.schedule == "steps":
        units = {"epoch": steps_per_epoch, "step": 1}
        if config.lr_milestone_unit not in units:
            raise ValueError(
                f"lr_milestone_unit {config.lr_milestone_unit!r} is unknown: use 'epoch' or 'step'"
            )
        unit = units[config.lr_milestone_unit]
        drops = {at * unit - warmup: config.lr_factor for at in config.lr_milestones}
        schedule = optax.piecewise_constant_schedule(config.learning_rate, drops)
    else:
        raise ValueError(
            f"schedule {config.schedule!r} is unknown: use 'constant', 'cosine', 'steps' or "
            f"'plateau'"
        )
    if warmup:
        rising = optax.linear_schedule(0.0, config.learning_rate, warmup)
        schedule = optax.join_schedules([rising, schedule], [warmup])
    return schedule
