"""Posteriors over the weights of trained runs: what they predict, and what a bundle keeps of them.

- swa: the network of the averaged weights, predicting by MC dropout if it has any;
- swag: networks drawn around that average, dropout off, each with BatchNorm statistics of its own;
- laplace: last layers drawn around that of the trained network, dropout off.

Statistics come from each run's own training clips.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fer_jax import uncertainty
from fer_jax.data.clips import Clips, padded_parts, take
from fer_jax.training import parallel
from fer_jax.training.evaluate import (
    check_result,
    count_clips,
    counted,
    make_recalibrate,
    map_clips,
    predict_logits,
)
from fer_jax.training.program import Program, Run, TrainState, stack, unstack

DRAWS = 20  # networks of SWAG: each costs a pass over the training clips
MOST_CLIPS = 20_000  # training clips of a Laplace approximation; from more, these are drawn


class Found(NamedTuple):
    """The posterior of a run.

    Attributes:
      samples: part of the clips -> `[S, N, C]`.
      average: part of the clips -> `[N, C]` of the averaged weights, dropout off, if there are any.
      numbers: for the report.
      kept: what a bundle needs, a tree of arrays: `network` with `params`, `batch_stats` and
        `recalibrated_stats`, if it is another one than the trained; `draws`, see
        `uncertainty.WeightDraws` and `uncertainty.LayerDraws`, if there are any.
    """

    samples: dict[str, np.ndarray]
    average: dict[str, np.ndarray]
    kept: dict
    numbers: dict[str, np.ndarray] = {}

    @property
    def recalibrated(self) -> dict | None:
        """Variables of its own network, dropout off; None: it is the trained one."""
        network = self.kept.get("network")
        return network and {
            "params": network["params"],
            "batch_stats": network["recalibrated_stats"],
        }


def make_posterior(
    program: Program, config, mc_samples: int, evaluate: Callable, recalibrate: Callable, example
) -> Callable | None:
    """Makes `find(states, recalibrated, clips, runs, parts, show) -> [Found of each run]`.

    It takes the trained states of R runs, their recalibrated variables, and a dict of parts, each R
    arrays of clip indices; `show`, if any, is called with the progress, in words. None: the
    posterior is MC dropout, which `evaluate` draws.

    Args:
      program: of the runs.
      config: `config.uncertainty`. The members of an ensemble share the `DRAWS` networks of SWAG.
      mc_samples: S of a run.
      evaluate, recalibrate: of `evaluate.make_evaluate` and `evaluate.make_recalibrate`.
      example: shapes of the variables of a run and of model inputs, and labels of some clips.

    Raises:
      ValueError: the network ends in no layer that can have a Laplace approximation.
    """
    if config.posterior == "swa":
        return _make_swa(program, evaluate)
    if config.posterior == "swag":
        return _make_swag(program, recalibrate, min(mc_samples, -(-DRAWS // config.members)))
    if config.posterior != "laplace":
        return None
    try:
        return _make_laplace(program, _find_layer(program, *example), mc_samples)
    except ValueError as error:
        raise ValueError(f"--config.uncertainty.posterior=laplace: {error}") from error


def _find_layer(program: Program, variables, inputs, labels) -> uncertainty.LastLayer:
    layer = uncertainty.locate_last_layer(program.module, variables, inputs)
    joint = program.task.likelihood(labels)[0] == "softmax"
    uncertainty.check_size(*layer.kernel.shape, joint=joint)
    return layer


def _make_swa(program: Program, evaluate: Callable) -> Callable:
    with_dropout = make_recalibrate(program, dropout=True)

    def find(states: TrainState, recalibrated, clips: Clips, runs: list[Run], parts, show=None):
        del recalibrated
        averaged = _averaged(states)
        if averaged["batch_stats"]:  # as training would have stored them
            averaged = with_dropout(averaged, clips, runs)
        advance = counted(show, count_clips(parts), "clips by SWA")
        results, again = evaluate(averaged, clips, runs, parts, advance)
        return [
            Found(
                {part: own[index]["samples"] for part, own in results.items() if own[index]},
                {part: own[index]["recalibrated"] for part, own in results.items() if own[index]},
                {"network": _network(unstack(averaged, index), unstack(again, index))},
            )
            for index in range(len(runs))
        ]

    return find


def _make_swag(program: Program, recalibrate: Callable, count: int) -> Callable:
    def find(states: TrainState, recalibrated, clips: Clips, runs: list[Run], parts, show=None):
        del recalibrated
        advance = counted(show, count * len(runs), "networks of SWAG")
        mean = _fitted(recalibrate, _averaged(states), clips, runs)
        found = []
        for index, run in enumerate(runs):
            average = unstack(states.average, index)
            draws = uncertainty.WeightDraws.of_average(average, count, run.seed)
            own = {part: chosen[index] for part, chosen in parts.items() if len(chosen[index])}
            samples, statistics = {part: [] for part in own}, []
            for params in draws.weights(unstack(mean, index)["params"]):
                drawn = {"params": params, "batch_stats": unstack(mean, index)["batch_stats"]}
                drawn = _fitted(recalibrate, stack([drawn]), clips, [run])
                statistics.append(unstack(drawn["batch_stats"], 0))
                for part, chosen in own.items():
                    samples[part].append(_predict(program, drawn, clips, chosen))
                if advance is not None:  # each takes a pass over the training clips
                    advance(1)
            kept = {
                "network": _network(unstack(mean, index), unstack(mean, index)),
                "draws": draws._replace(batch_stats=stack(statistics)).to_arrays(),
            }
            samples = {part: np.stack(values) for part, values in samples.items()}
            mean_alone = stack([unstack(mean, index)])
            average = {
                part: _predict(program, mean_alone, clips, chosen) for part, chosen in own.items()
            }
            for part, chosen in own.items():
                outputs = {"swag": samples[part], "average": average[part]}
                check_result(outputs, run, [clips.clip_ids[n] for n in chosen])
            found.append(Found(samples, average, kept))
        return found

    return find


def _predict(program: Program, variables: dict, clips: Clips, part) -> np.ndarray:
    """Probabilities `[N, C]` of one run, dropout off."""
    logits = predict_logits(program, variables, clips, [part])[0]
    return np.asarray(program.task.probabilities(logits))


def _averaged(states: TrainState) -> dict:
    """Variables of the averaged weights, with statistics that do not fit them yet."""
    mean = jax.tree.map(lambda new, old: new.astype(old.dtype), states.average.mean, states.params)
    return {"params": mean, "batch_stats": states.batch_stats}


def _fitted(recalibrate: Callable, variables: dict, clips: Clips, runs: list[Run]) -> dict:
    return recalibrate(variables, clips, runs) if variables["batch_stats"] else variables


def _network(variables: dict, recalibrated: dict) -> dict:
    return {**variables, "recalibrated_stats": recalibrated["batch_stats"]}


def _make_laplace(program: Program, layer: uncertainty.LastLayer, mc_samples: int) -> Callable:
    module, task = program.module, program.task
    mapped = module.clone(axis_name=parallel.AXIS)

    def enter(variables, batch, key):
        del key
        inputs = program.features(batch)
        return uncertainty.last_layer_inputs(mapped, variables, inputs, pooled=False)

    def sampled(given, batch, key):
        del key
        variables, heads = given
        samples = uncertainty.predict_by_layers(
            mapped, variables, program.features(batch), layer, heads,
            probabilities=task.probabilities,
        )  # fmt: skip
        return samples.swapaxes(0, 1)

    features, draw = parallel.map_batches(enter), parallel.map_batches(sampled)

    def over(function, given, clips: Clips, part, advance) -> np.ndarray:
        chosen, weight = padded_parts([part], program.evaluated_size)
        own, keys = stack([given]), jax.random.split(jax.random.key(0), 1)
        found = map_clips(program, function, own, clips, chosen, weight, keys, advance=advance)
        return found[0, : len(part)]

    def fit(variables, clips: Clips, run: Run, advance) -> uncertainty.Laplace:
        """The precision is that of the validation people, else of the evidence."""
        inputs = program.features(take(clips, run.fold.train[:2]))
        own = uncertainty.find_last_layer(module, variables, inputs)
        some = _fitted_to(run)
        entered = [over(features, variables, clips, part, advance) for part in some]
        likelihood, labels = task.likelihood(clips.labels[some[0]])
        laplace = uncertainty.fit_laplace(own, entered[0], labels, likelihood=likelihood)
        if run.fold.validation is None:
            return laplace
        return uncertainty.tune_precision(
            laplace, entered[1], task.likelihood(clips.labels[some[1]])[1],
            jax.random.key(run.seed), mc_samples=mc_samples,
            join=_join(module, variables, inputs, own),
        )  # fmt: skip

    def find(states: TrainState, recalibrated, clips: Clips, runs: list[Run], parts, show=None):
        del states
        total = count_clips(parts) + count_clips({run.name: _fitted_to(run) for run in runs})
        advance, found = counted(show, total, "clips by Laplace"), []
        for index, run in enumerate(runs):
            variables = unstack(recalibrated, index)
            laplace = fit(variables, clips, run, advance)
            heads = laplace.draw(jax.random.key(run.seed), mc_samples)
            samples = {
                part: over(draw, (variables, heads), clips, chosen[index], advance).swapaxes(0, 1)
                for part, chosen in parts.items()
                if len(chosen[index])
            }
            for part, values in samples.items():
                names = [clips.clip_ids[n] for n in parts[part][index]]
                check_result({"laplace": values}, run, names)
            numbers = {
                "laplace_log_precision": np.log(laplace.precision),
                "laplace_tuned": np.array(run.fold.validation is not None),
            }
            kept = {"draws": uncertainty.LayerDraws(heads).to_arrays()}
            found.append(Found(samples, {}, kept, numbers))
        return found

    return find


def _fitted_to(run: Run) -> list[np.ndarray]:
    """Training clips and, if there are any, validation clips that a Laplace approximation sees."""
    parts = [part for part in (run.fold.train, run.fold.validation) if part is not None]
    return [np.random.default_rng(run.seed).permutation(part)[:MOST_CLIPS] for part in parts]


def _join(module, variables, inputs, layer: uncertainty.LastLayer) -> Callable:
    """Makes `outputs of the layer [N, ..., C] -> outputs of the model [N, C]`."""

    def join(outputs):
        # only their shape counts: nothing in front of the layer is computed
        like = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf[:1], (len(outputs), *leaf.shape[1:])), inputs
        )
        return uncertainty.outputs_from_last_layer(module, variables, like, layer, outputs)

    return join
