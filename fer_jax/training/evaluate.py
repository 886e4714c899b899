"""Evaluates trained models in three inference modes.

Dropout before BatchNorm changes the statistics that BatchNorm stores, so a single accuracy is not
enough (docs/uncertainty.md). The inference modes are

- stored: dropout off, BatchNorm statistics as stored in training;
- recalibrated: dropout off, statistics re-estimated on the training clips, augmented as in
  training, without dropout;
- mc_dropout: mean of S MC samples, drawn with dropout on and stored statistics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np

from fer_jax import uncertainty
from fer_jax.data.augment import COPIES
from fer_jax.data.clips import Clips, batches, padded_parts
from fer_jax.layers.build import has_dropout
from fer_jax.tasks.base import NonFiniteOutputError, Task, check_finite
from fer_jax.training import parallel
from fer_jax.training.program import Program, Run, augmented, epoch_keys, stack, unstack


def predict_logits(program: Program, variables: dict, clips: Clips, parts) -> list[np.ndarray]:
    """Computes the logits `[N, C]` of R runs, dropout off, BatchNorm statistics of `variables`.

    Args:
      variables: of R runs, leading axis R.
      parts: R arrays of clip indices.
    """
    logits, _, _ = _padded_logits(program, variables, clips, parts)
    return [own[: len(part)] for own, part in zip(logits, parts, strict=True)]


def mean_scores(program: Program, variables: dict, clips: Clips, parts) -> list[dict]:
    """Computes the mean loss and score of the logits of `predict_logits`.

    Returns:
      `{"loss", "accuracy"}` of each run, means over its clips; {} for a run without clips.
    """
    if not any(map(len, parts)):
        return [{} for _ in parts]
    logits, chosen, weight = _padded_logits(program, variables, clips, parts)
    losses, scores = _losses_and_scores(program.task, logits, clips.labels[chosen])
    sums = {
        "loss": (np.asarray(losses) * weight).sum(-1),
        "accuracy": (np.asarray(scores) * weight).sum(-1),
    }
    return [
        {name: float(values[run] / len(part)) for name, values in sums.items()} if len(part) else {}
        for run, part in enumerate(parts)
    ]


@functools.partial(jax.jit, static_argnums=0)
def _losses_and_scores(task: Task, logits, labels):
    def score(logits, labels):
        batch = {"label": labels}
        return task.loss(logits, batch), task.score(logits, batch)

    return jax.vmap(score)(logits, labels)


def _padded_logits(program: Program, variables, clips: Clips, parts):
    """Logits `[R, N, C]`, their clips and weights `[R, N]`, padded to the same N for all runs."""
    chosen, weight = padded_parts(parts, program.evaluated_size)
    keys = jax.random.split(jax.random.key(0), len(parts))
    logits = map_clips(program, program.logits, variables, clips, chosen, weight, keys)
    return logits, chosen.reshape(len(parts), -1), weight.reshape(len(parts), -1)


def map_clips(
    program: Program, function, variables, clips: Clips, chosen, weight, keys, *, advance=None
):
    """Applies a function of `parallel.map_batches` to clips; memory limits the clips per call.

    Args:
      variables, keys: of R runs, leading axis R.
      chosen, weight: `[R, K, B]` clip indices, and weights that are 0 for padding.
      advance: called with the number of clips after each batch, for slow functions: batches are
        then calls of their own, which changes no number. None: it is not.

    Returns:
      `[R, K * B, ...]`.
    """
    runs, count, size = chosen.shape
    hop = program.steps_a_call(runs, count, size) if advance is None else 1
    parts = []
    for index, batch in enumerate(batches(clips, *parallel.own_examples((chosen, weight)), hop)):
        first = np.full(runs, index * hop, np.int32)
        parts.append(parallel.unshard(function(variables, parallel.shard(batch), keys, first)))
        if advance is not None:
            advance(int((weight[:, index] > 0).sum()))
    return np.concatenate(parts, 1)


def count_clips(parts: dict) -> int:
    """Number of clips in parts of R arrays of indices each."""
    return sum(len(own) for part in parts.values() for own in part)


def counted(
    show: Callable[[str], None] | None, total: int, what: str = "clips"
) -> Callable[[int], None] | None:
    """Makes `advance(count)`, which shows how much of an evaluation is done; None shows nothing.

    Args:
      show: called with the progress, in words.
      total: how many there are.
      what: is counted.
    """
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        show(f"evaluating {done:,}/{total:,} {what}")

    return show and advance


def make_evaluate(
    program: Program, mc_samples: int, recalibrate: Callable | None = None
) -> Callable:
    """Compiles the evaluation once for all runs.

    Args:
      program: the compiled functions of training.
      mc_samples: number S of MC samples; a model without dropout gets one.
      recalibrate: of `make_recalibrate`, if that is there already.

    Returns:
      `evaluate(variables, clips, runs, parts, advance) -> (results, recalibrated)`. It takes the
      variables of R runs and a dict of parts, each R arrays of clip indices; `advance`, if any, is
      called with the number of clips whose samples were drawn. For each part, results has
      probabilities of every run: `stored [N, C]`, `recalibrated [N, C]` and `samples [S, N, C]`.
    """
    task, recalibrate = program.task, recalibrate or make_recalibrate(program)
    draw_samples = _make_draw_samples(program, mc_samples)

    def evaluate(variables, clips: Clips, runs: list[Run], parts: dict, advance=None):
        # a model without BatchNorm has nothing to re-estimate
        recalibrated = (
            recalibrate(variables, clips, runs) if variables["batch_stats"] else variables
        )
        results = {
            name: evaluate_part(variables, recalibrated, clips, runs, part, advance)
            for name, part in parts.items()
        }
        return results, recalibrated

    def evaluate_part(variables, recalibrated, clips: Clips, runs: list[Run], part, advance):
        if not any(map(len, part)):
            return [{} for _ in runs]
        stored = again = predict_logits(program, variables, clips, part)
        if recalibrated is not variables:
            again = predict_logits(program, recalibrated, clips, part)
        results = [
            {
                "stored": np.asarray(task.probabilities(stored[index])),
                "recalibrated": np.asarray(task.probabilities(again[index])),
                "samples": draw_samples(
                    unstack(variables, index), clips, own, runs[index].seed, advance
                ),
            }
            if len(own)
            else {}
            for index, own in enumerate(part)
        ]
        for result, run, own in zip(results, runs, part, strict=True):
            check_result(result, run, [clips.clip_ids[index] for index in own])
        return results

    return evaluate


def check_result(result: dict, run: Run, names: list[str]) -> None:
    """Raises `NonFiniteOutputError` that names the fold, the inference mode and the clips."""
    for mode, outputs in result.items():
        try:
            check_finite(outputs, names)
        except NonFiniteOutputError as error:
            raise NonFiniteOutputError(
                f"{run.name}, inference mode {mode}: {error}. Train again with a lower "
                f"--config.optimizer.learning_rate and another --workdir"
            ) from error


def _make_draw_samples(program: Program, mc_samples: int) -> Callable:
    """Makes `draw_samples(variables, clips, part, seed, advance) -> [S, N, C]` of one run."""
    mc_samples = mc_samples if has_dropout(program.module) else 1
    mapped = program.module.clone(axis_name=parallel.AXIS)

    def sampled(variables, batch, key):
        samples = uncertainty.sample(
            mapped,
            variables,
            program.features(batch),
            key,
            mc_samples=mc_samples,
            probabilities=program.task.probabilities,
        )
        return samples.swapaxes(0, 1)

    draw = parallel.map_batches(sampled)

    def draw_samples(variables, clips: Clips, part, seed: int, advance) -> np.ndarray:
        # one run at a time: its samples fill a device already
        chosen, weight = padded_parts([part], program.evaluated_size)
        own, key = stack([variables]), jax.random.key(seed)[None]
        drawn = map_clips(program, draw, own, clips, chosen, weight, key, advance=advance)
        return drawn[0, : len(part)].swapaxes(0, 1)

    return draw_samples


def make_recalibrate(program: Program, *, dropout: bool = False) -> Callable:
    """Makes `recalibrate(variables, clips, runs)`, which uses each run's own training clips.

    With `dropout` the statistics are those that training stores, of weights that it has not seen.
    """
    mapped = program.module.clone(axis_name=parallel.AXIS)

    def one_batch(variables, batch, key):
        rngs = {"dropout": jax.random.split(key)[0]} if dropout else None
        inputs = program.features(augmented(program.augment, batch, key))
        _, updates = mapped.apply(
            variables, inputs, train=True, dropout=dropout, rngs=rngs, mutable=["batch_stats"]
        )
        return updates.get("batch_stats", {})

    statistics = parallel.reduce_batch(one_batch)

    def one_run(variables, clips: Clips, run: Run):
        chosen, copies = _recalibration_clips(program, run)
        own, copies = parallel.own_examples(
            (chosen[None], None if copies is None else copies[None])
        )
        calls = batches(clips, own, copies=copies)
        one_by_one = ({name: leaf[0, 0] for name, leaf in call.items()} for call in calls)
        keys = epoch_keys(run.seed, 0, len(chosen))  # training begins with epoch 1
        return uncertainty.recalibrate_batch_norm(
            lambda variables, inputs: statistics(variables, *inputs),
            variables,
            zip(one_by_one, keys, strict=True),
        )

    def recalibrate(variables, clips: Clips, runs: list[Run]):
        stats = [one_run(unstack(variables, index), clips, run) for index, run in enumerate(runs)]
        return {**variables, "batch_stats": stack(stats)}

    return recalibrate


def _recalibration_clips(program: Program, run: Run):
    """Training clips of a run, `[K, batch_size]`, and which fixed copies, or None.

    Clips are visited once, or as often as an epoch repeats them if each visit augments them anew.
    """
    train = run.fold.train
    repeats = program.repeats if program.augment is not None else 1
    repeats = COPIES if program.fixed_copies else repeats
    # Clips are sorted: without a shuffle a batch would hold one subject or class only.
    order = np.random.default_rng(run.seed).permutation(len(train) * repeats)
    size = program.batch_size
    places = np.resize(order, max(len(order) // size, 1) * size).reshape(-1, size)
    copies = (places // len(train)) % COPIES if program.fixed_copies else None
    return train[places % len(train)], copies
