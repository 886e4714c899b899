"""Writes the bundle of a finished run."""

from __future__ import annotations

import json

import numpy as np
from ml_collections import ConfigDict

from fer_jax.data import frame_selection
from fer_jax.data.clips import Clips
from fer_jax.data.folds import member_names
from fer_jax.experiments.bundle import Bundle, InputSpec, Record
from fer_jax.experiments.setup import Experiment
from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.faces.landmarks import ALIGNED
from fer_jax.faces.sequence import UNKNOWN_FPS
from fer_jax.tasks.doubts import familiarity_of
from fer_jax.training.averaging import AVERAGED
from fer_jax.training.checkpoint import load_tree, load_weights
from fer_jax.uncertainty import Familiarity, LayerDraws, WeightDraws

STILL_SECONDS = 0.2  # of a video, represented by one frame to a model of still images


def write_bundle(experiment: Experiment, fold: str, metrics: dict) -> None:
    """Writes the bundle of a run.

    Args:
      experiment: the finished run.
      fold: name of the fold whose weights it takes.
      metrics: of the report.
    """
    config, clips = experiment.config, experiment.clips
    names = member_names(fold, config.uncertainty.members)
    (variables, stats), *others = [_network(experiment, each) for each in names]
    dataset = {
        "name": " + ".join(name for name, _, _ in config.data.train_on) or config.data.dataset,
        "clips": int(_trained_on(config, clips).sum()),
        "scaled": clips.preparation.scaled,
        "preprocess_version": clips.preparation.version,
    }
    familiar = _familiarity(experiment, fold)
    bundle = Bundle(
        name=config.name,
        task=config.task,
        model=experiment.model,
        classes=clips.classes,
        spec=_input_spec(config, clips),
        variables=variables,
        recalibrated_stats=stats,
        other_members=tuple(others),
        threshold=metrics["selective"]["threshold"],
        trust=StoredTrust.from_metrics(config.task, metrics),
        familiarity=familiar.get("activations"),
        turns=familiar.get("turns"),
        posterior=config.uncertainty.posterior,
        draws=_draws(experiment, names),
        record=Record(metrics, dataset, json.loads(json.dumps(config.to_dict(), default=list))),
    )
    bundle.write(experiment.workdir.model)


def _network(experiment: Experiment, name: str) -> tuple[dict, dict]:
    """Variables and recalibrated statistics of a run: of its averaged weights, if it has them."""
    if experiment.config.uncertainty.posterior in AVERAGED:
        network = load_tree(experiment.workdir.posterior(name))["network"]
        stats = network.pop("recalibrated_stats")
        return network, stats
    return load_weights(experiment.workdir.weights(name))


def _draws(experiment: Experiment, names: list[str]) -> tuple[WeightDraws | LayerDraws, ...]:
    """The draws of each run from its posterior, if that has any."""
    kind = {"swag": WeightDraws, "laplace": LayerDraws}.get(experiment.config.uncertainty.posterior)
    if kind is None:
        return ()
    kept = (load_tree(experiment.workdir.posterior(name)) for name in names)
    return tuple(kind.from_arrays(each["draws"]) for each in kept)


def _familiarity(experiment: Experiment, fold: str) -> dict[str, Familiarity]:
    """The fits of a fold by kind; none if the config does not ask for them."""
    if not experiment.config.uncertainty.familiarity:
        return {}
    load, folds = experiment.workdir.load_result, experiment.folds
    results = [load(each.name) for each in folds]
    return familiarity_of(load(fold), experiment.clips, folds, results)


def _input_spec(config: ConfigDict, clips: Clips) -> InputSpec:
    prepared = 0 if clips.crops is None else clips.crops.size
    return InputSpec(
        frames=config.data.frames,
        frame_rule=_video_rule(config),
        features=config.data.features,
        graph=clips.graph,
        window_seconds=_window_seconds(config, clips),
        frames_per_second=config.data.frames_per_second,
        crop_size=min(config.data.crop_size or prepared, prepared),
        prepared_size=prepared,
        framing=ALIGNED if clips.crops is None else clips.crops.framing,
    )


def _video_rule(config: ConfigDict) -> str:
    """The frame rule for video; of several datasets' rules one with consecutive frames."""
    rules = [rule for _, _, rule in config.data.train_on] or [config.data.frame_rule]
    return next((rule for rule in rules if rule in frame_selection.CUT), rules[0])


def _trained_on(config: ConfigDict, clips: Clips) -> np.ndarray:
    """Clips of the training datasets, `[N]` bool."""
    if not config.data.train_on:
        return np.ones(len(clips), bool)
    return np.asarray(clips.splits) == "train"


def _window_seconds(config: ConfigDict, clips: Clips) -> float:
    """Median length of the training clips, or a default if no source states its frame rate."""
    rule, seconds = _video_rule(config), clips.seconds[_trained_on(config, clips)]
    seconds = seconds[np.isfinite(seconds)]
    if len(seconds):
        return float(np.median(seconds))
    if config.data.frames == 1 and rule not in frame_selection.CUT:
        return STILL_SECONDS  # trained on still images
    return config.data.frames / UNKNOWN_FPS if rule in frame_selection.CUT else 2.0
