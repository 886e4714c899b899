"""From a config to a checked experiment: data, model, folds, compiled functions."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from fer_jax.data import augment, crops, cross_database, how_to_prepare, model_inputs
from fer_jax.data import load as data_load
from fer_jax.data.clips import Clips, hold_crops, take
from fer_jax.data.folds import Fold, make_folds, thinned
from fer_jax.experiments import validate
from fer_jax.experiments.workdir import claim
from fer_jax.faces.landmarks import make_graph
from fer_jax.layers.build import build
from fer_jax.tasks import TASKS
from fer_jax.training import evaluate, initial_weights, warm_start
from fer_jax.training import program as training_program

SEEN = 0.7  # share of a prepared crop's side that a model must see at least


class SetupError(ValueError):
    """The config does not fit itself or the data; the message names the field."""


@dataclasses.dataclass
class Experiment:
    """All that the folds of a run share."""

    config: ConfigDict
    workdir: pathlib.Path
    clips: Clips
    folds: list[Fold]
    program: training_program.Program
    model: dict
    parameters: tuple[int, int]
    assess: object
    start: dict | None = None  # a part of the variables that is not drawn
    start_note: str = ""
    memory: int = 0  # of a training call on each device, bytes


def prepare(config: ConfigDict, workdir, network: type[nn.Module]) -> Experiment:
    """Checks a config against the data and builds everything, compiling nothing yet.

    The work directory is claimed last: a config that fails here leaves nothing behind.

    Args:
      config: see configs/base.py.
      workdir: where results go.
      network: the class that `config.model` speaks of.

    Raises:
      data.load.NotPreparedError: the data set is not there.
      WorkdirError: `workdir` holds a run of another config.
      SetupError: a field has a value that does not exist or does not fit.
    """
    try:
        return _prepare(config, workdir, network)
    except ValueError as error:
        raise SetupError(str(error)) from error


def _prepare(config: ConfigDict, workdir, network: type[nn.Module]) -> Experiment:
    if config.task not in TASKS:
        raise ValueError(f"task {config.task!r} is unknown: use one of {sorted(TASKS)}")
    validate.check(config)
    clips = _load(config, model_inputs.takes_crops(network))
    if config.task == "classification" and len(clips.classes) < 2:
        raise ValueError(f"{config.data.path} has one class ({clips.classes[0]}): nothing to learn")
    if config.data.graph != clips.graph.mode:
        graph = make_graph(clips.graph.reference_shape, config.data.graph)
        clips = dataclasses.replace(clips, graph=graph)
    folds = _folds(config, clips)
    model = config.model.to_dict()
    module = build(network, model, len(clips.classes), clips.graph, config.data.frames)
    _check_crops(config, clips, getattr(network, "smallest", 1))

    def features(batch):
        edges, size = clips.graph.edges, config.data.crop_size
        return model_inputs.batch_inputs(batch, module, edges, config.data.features, size)

    features(take(clips, np.arange(1)))  # an unknown kind fails here, not while training
    program = training_program.make_program(
        module,
        TASKS[config.task],
        config,
        features,
        folds,
        make_augmentation(config, model_inputs.takes_crops(network)),
        clips.clip_bytes,
        training_program.CALL_BYTES if clips.frames is None else crops.CALL_BYTES,
    )
    shapes = jax.eval_shape(functools.partial(fresh_states, program, clips, [0]))
    start, start_note = _load_start(config, clips.classes, shapes)
    return Experiment(
        config=config,
        workdir=claim(pathlib.Path(workdir), config, clips),
        clips=hold_crops(clips, int(config.data.crops_in_memory_gb * 2**30)),
        folds=folds,
        program=program,
        model=model,
        parameters=training_program.count_parameters(shapes.params),
        assess=evaluate.make_assess(program, TASKS[config.task], config.evaluation.passes),
        start=start,
        start_note=start_note,
    )


def _load(config: ConfigDict, crops_too: bool) -> Clips:
    """Opens the data set, or the data sets of a cross-database experiment."""
    own = config.data

    def load(dataset: str, path: str, rule: str) -> Clips:
        return data_load.load_clips(
            path,
            own.frames,
            rule,
            dataset,
            own.crop_size if crops_too else None,
            frames_per_second=own.frames_per_second,
            classes=own.classes,
            target=TASKS[config.task].target,
            words=own.words,
            neutral_dominance=own.neutral_dominance or None,
        )

    tested = load(own.dataset, own.path, own.frame_rule)
    if not own.train_on:
        return tested
    learnt = {dataset: load(dataset, path, rule) for dataset, path, rule in own.train_on}
    return cross_database.join(learnt, (own.dataset, tested))


def _folds(config: ConfigDict, clips: Clips) -> list[Fold]:
    """The folds of the protocol, of windows only every so many."""
    strides = config.data.window_strides
    folds = [
        thinned(fold, clips.ranks, strides)
        for fold in make_folds(config.protocol, clips.subjects, clips.splits)
    ]
    for fold in folds:
        for part, chosen in (("learn from", fold.train), ("score", fold.evaluate)):
            if not len(chosen):
                raise ValueError(f"{fold.name} has no clip of {config.data.path} to {part}")
    return folds


def _load_start(config: ConfigDict, classes, shapes) -> tuple[dict | None, str]:
    """Reads `config.pretrained`, None where it is empty: a part of the variables, and a note."""
    if not config.pretrained:
        return None, ""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), shapes)
    if warm_start.is_bundle(config.pretrained):
        return warm_start.load_weights(config.pretrained, classes, one.variables)
    if "backbone" not in shapes.params:
        raise ValueError(
            f"--config.pretrained={config.pretrained}: {config.model.name} has no backbone; it can "
            f"begin with a bundle, the folder model/ of a run"
        )
    backbone = {name: tree.get("backbone", {}) for name, tree in one.variables.items()}
    backbone = initial_weights.load_backbone(config.pretrained, backbone)
    return {name: {"backbone": tree} for name, tree in backbone.items() if tree}, ""


def _check_crops(config: ConfigDict, clips: Clips, smallest: int) -> None:
    """Refuses crops of which a model would see too little, or more than there is.

    Args:
      smallest: side of a crop that the network needs, pixels.
    """
    if clips.frames is None:
        return
    prepared, size = clips.frames.shape[2], config.data.crop_size
    seen = config.model.get("size", 0) or size or prepared  # after enlarging
    for name, more in (("stages", 0), ("blocks", 1)):  # in front of its blocks DenseNet halves too
        count = len(config.model.get(name, ()))
        if count and seen // 2 ** (count + more) < 1:
            raise ValueError(
                f"{count} {name} halve crops of {seen} pixels to nothing: give fewer "
                f"--config.model.{name} or larger crops"
            )
    if (size or prepared) < smallest:
        raise ValueError(
            f"{config.model.name} sees crops of {size or prepared} pixels and needs at least "
            f"{smallest}: set --config.data.crop_size or prepare "
            f"{how_to_prepare.crops_flag(smallest)}"
        )
    if size and not SEEN * prepared <= size <= prepared:
        raise ValueError(
            f"--config.data.crop_size={size} does not fit the crops of {prepared} pixels in "
            f"{config.data.path}: it must lie in {round(SEEN * prepared)} to {prepared}, or "
            f"prepare them with {how_to_prepare.crops_flag(size)}"
        )


def make_augmentation(config: ConfigDict, of_crops: bool):
    """Returns `(key, clip) -> clip` as `config.augment` says, None where it is off.

    Args:
      of_crops: changes face crops instead of landmarks.
    """
    options = config.augment.to_dict()
    if not options.pop("enabled"):
        return None
    if of_crops:

        def change_crops(key, clip):
            frames, landmarks = augment.augment_crops(
                key, clip["frames"], clip["crop_landmarks"], size=config.data.crop_size, **options
            )
            return {**clip, "frames": frames, "crop_landmarks": landmarks}

        return change_crops

    def change_landmarks(key, clip):
        return {**clip, "landmarks": augment.augment_clip(key, clip["landmarks"], **options)}

    return change_landmarks


def fresh_states(program: training_program.Program, clips: Clips, seeds, start: dict | None = None):
    """States in which R runs begin, leading axis R; `start` replaces what was drawn."""
    inputs = jax.eval_shape(program.features, take(clips, np.arange(1)))
    states = training_program.create_train_states(program.module, program.optimizer, inputs, seeds)
    parts = {}
    for name, tree in (start or {}).items():
        given = {path: jnp.stack([leaf] * len(seeds)) for path, leaf in flatten_dict(tree).items()}
        parts[name] = unflatten_dict(flatten_dict(getattr(states, name)) | given)
    return states.replace(**parts)
