"""Turns a config into a checked experiment: data, folds, model, compiled functions."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from fer_jax.data import augment, crops, cross_database, load, model_inputs
from fer_jax.data.clips import Clips, hold_crops, take
from fer_jax.data.folds import Fold, make_folds, thinned
from fer_jax.experiments import validate
from fer_jax.experiments.bundle import is_bundle, read_bundle
from fer_jax.experiments.pixels import with_pixels
from fer_jax.experiments.workdir import Workdir, claim
from fer_jax.faces.landmarks import make_graph
from fer_jax.layers.build import check_fields, make_network
from fer_jax.layers.fields import FieldError
from fer_jax.tasks import TASKS
from fer_jax.training import initial_weights
from fer_jax.training.evaluate import make_evaluate, make_recalibrate
from fer_jax.training.familiarity import make_familiarity
from fer_jax.training.posteriors import make_posterior
from fer_jax.training.program import (
    MAX_CALL_BYTES,
    Program,
    count_parameters,
    create_train_states,
    make_program,
)


class SetupError(ValueError):
    """The config contradicts itself or the data; the message names the field."""


class Start(NamedTuple):
    """Initial weights that are read instead of drawn: a subtree of the variables, and a note."""

    variables: dict
    note: str = ""


@dataclasses.dataclass
class Experiment:
    """What the folds of a run share.

    Attributes:
      config: of the run.
      workdir: paths of its files.
      clips, folds: the data, and how they are divided.
      program: compiled functions.
      model: `{"name": of the system, **constructor fields}`.
      parameters: number of all, and without graph matrices.
      evaluate: see `training.evaluate.make_evaluate`.
      start: initial weights.
      posterior: see `training.posteriors.make_posterior`; None: MC dropout.
      familiarity: see `training.familiarity.make_familiarity`; None: it is not asked for.
      memory: of a training call on each device, bytes.
    """

    config: ConfigDict
    workdir: Workdir
    clips: Clips
    folds: list[Fold]
    program: Program
    model: dict
    parameters: tuple[int, int]
    evaluate: Callable
    start: Start
    posterior: Callable | None = None
    familiarity: Callable | None = None
    memory: int = 0


def prepare(config: ConfigDict, workdir, network: type[nn.Module]) -> Experiment:
    """Checks a config against the data and builds the experiment, compiling nothing yet.

    It claims the work directory last: a config that fails here leaves nothing behind.

    Args:
      config: see configs/base.py.
      workdir: folder of the results.
      network: the class that `config.model` names.

    Raises:
      data.load.NotPreparedError: the dataset is not there.
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
    check_network(config, network)
    clips = _load_clips(config, model_inputs.takes_crops(network))
    folds = _make_folds(config, clips)
    _check_figure_clips(config, clips, folds)
    own = Workdir(pathlib.Path(workdir))
    claim(own, config, clips, write=False)  # refused before the work of building
    model = with_pixels(config, network)
    module = make_network(network, model, len(clips.classes), clips.graph, config.data.frames)
    program = _make_program(config, module, clips, folds)
    shapes = jax.eval_shape(functools.partial(fresh_states, program, clips, [0]))
    _check_outputs(config.model.name, program, clips, shapes)
    start = _load_start(config, program, clips, shapes)
    mc_samples = -(-config.evaluation.mc_samples // config.uncertainty.members)
    recalibrate = make_recalibrate(program)
    example = _resized(shapes.variables), _input_shapes(program, clips), clips.labels[:1]
    evaluate = make_evaluate(program, mc_samples, recalibrate)
    experiment = Experiment(
        config=config,
        workdir=own,
        clips=hold_crops(clips, config.data.in_memory_gb * 2**30),
        folds=folds,
        program=program,
        model=model,
        parameters=count_parameters(shapes.params),
        evaluate=evaluate,
        start=start,
        posterior=make_posterior(
            program, config.uncertainty, mc_samples, evaluate, recalibrate, example
        ),
        familiarity=make_familiarity(program) if config.uncertainty.familiarity else None,
    )
    claim(own, config, clips, write=True)
    return experiment


def check_network(config: ConfigDict, network: type[nn.Module]) -> None:
    """Refuses a network class, or fields of `config.model`, that cannot be trained.

    Raises:
      ValueError: names the field, or what the class lacks.
    """
    try:
        module = check_fields(network, config.model.to_dict())
    except FieldError as error:
        raise ValueError(f"--config.model.{error}") from error
    tasks = getattr(module, "tasks", ())
    if tasks and config.task not in tasks:
        raise ValueError(
            f"--config.task={config.task} is not for {config.model.name} as --config.model sets "
            f"it: use --config.task={tasks[0]}"
        )


def _load_clips(config: ConfigDict, with_crops: bool) -> Clips:
    """Opens the dataset, or joins the datasets of a cross-database experiment."""
    data = config.data

    def opened(dataset: str, path: str, rule: str) -> Clips:
        crop_size = data.crop_size if with_crops else None
        which = (path, data.frames, rule, dataset, crop_size)
        return load.load_clips(
            *which,
            frames_per_second=data.frames_per_second,
            classes=data.classes,
            target=TASKS[config.task].target,
            vote_rule=data.vote_rule,
            words=data.words,
            neutral_dominance=data.neutral_dominance or None,
            framing=data.framing,
            most=data.in_memory_gb * 2**30,
        )

    clips = opened(data.dataset, data.path, data.frame_rule)
    if data.train_on:
        trained_on = {name: opened(name, path, rule) for name, path, rule in data.train_on}
        clips = cross_database.join(trained_on, (data.dataset, clips))
    if len(clips.classes) < TASKS[config.task].least:
        raise ValueError(f"{data.path} has one class only ({clips.classes[0]}): training needs two")
    if data.graph == clips.graph.mode:
        return clips
    return dataclasses.replace(clips, graph=make_graph(clips.graph.reference_shape, data.graph))


def _make_folds(config: ConfigDict, clips: Clips) -> list[Fold]:
    """Makes the folds of the protocol, with windows subsampled."""
    folds = [
        thinned(fold, clips.ranks, config.data.window_strides)
        for fold in make_folds(config.protocol, clips.subjects, clips.splits)
    ]
    for fold in folds:
        for part, chosen in (("train", fold.train), ("evaluate", fold.evaluation)):
            if not len(chosen):
                raise ValueError(f"{fold.name} has no clip of {config.data.path} to {part} on")
        for chosen in fold.evaluation_parts():
            TASKS[config.task].check_labels(clips.labels[chosen], fold.name)
    return folds


def _check_figure_clips(config: ConfigDict, clips: Clips, folds: list[Fold]) -> None:
    """Refuses clips for the report that are not evaluated."""
    evaluated = {clips.clip_ids[index] for fold in folds for index in fold.evaluation}
    if missing := [name for name in config.evaluation.figure_clips if name not in evaluated]:
        raise ValueError(
            f"--config.evaluation.figure_clips: {missing[0]} is no evaluated clip of "
            f"{config.data.path}; they are called e.g. {min(evaluated)}"
        )


def _make_program(config: ConfigDict, module: nn.Module, clips: Clips, folds) -> Program:
    """Makes the program for a network, its clips and its folds."""
    if clips.crops is not None:
        validate.check_crops(config, clips.crops.size, getattr(module, "smallest_crop", 1))

    def features(batch):
        edges, size = clips.graph.edges, config.data.crop_size
        return model_inputs.batch_inputs(batch, module, edges, config.data.features, size)

    features(take(clips, np.arange(1)))  # an unknown kind of features fails here
    held = clips.crops is None and not clips.read_from_disk
    return make_program(
        module,
        TASKS[config.task].configured(config),
        config,
        features,
        folds,
        make_augmentation(config, model_inputs.takes_crops(module)),
        clips.clip_bytes,
        MAX_CALL_BYTES if held else crops.STREAMED_CALL_BYTES,
    )


def _resized(tree, *first: int):
    """Shapes with other axes in the place of the first."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*first, *leaf.shape[1:]), leaf.dtype), tree
    )


def _check_outputs(name: str, program: Program, clips: Clips, shapes) -> None:
    """Refuses a network whose outputs are not one number a clip and class.

    Args:
      name: of the network in the config.
      shapes: of the states of one run.
    """
    variables = _resized(shapes.variables)
    two = _resized(_input_shapes(program, clips), 2)  # one would hide a mean over clips
    outputs = jax.eval_shape(functools.partial(program.module.apply, train=False), variables, two)
    found = jax.tree.map(lambda leaf: leaf.shape, outputs)
    wanted = (2, len(clips.classes))
    if found != wanted:
        raise ValueError(
            f"the network {name} makes outputs of shape {found} from two clips, not {wanted}: "
            f"__call__ of {type(program.module).__name__} must return logits [B, classes]"
        )


def make_augmentation(config: ConfigDict, of_crops: bool):
    """Makes `(key, clip) -> clip` from `config.augment`; None if it is disabled.

    Args:
      config: of the experiment.
      of_crops: augments face crops instead of landmarks.
    """
    options = config.augment.to_dict()
    cut, warp = (options.pop(name, 0.0) for name in ("cut", "warp"))
    if not options.pop("enabled"):
        return None
    if config.data.frame_rule == "windows":  # the label is that of the last frame
        cut = warp = 0.0
    head = config.data.features == "normalised_motion"

    def augment_crops(key, clip):
        frames, landmarks = augment.augment_crops(
            key, clip["frames"], clip["crop_landmarks"], size=config.data.crop_size, **options
        )
        return {**clip, "frames": frames, "crop_landmarks": landmarks}

    def augment_landmarks(key, clip):
        return augment.augment_landmarks(
            key, clip, seed=config.seed, cut=cut, warp=warp, head=head, **options
        )

    return augment_crops if of_crops else augment_landmarks


def _load_start(config: ConfigDict, program: Program, clips: Clips, shapes) -> Start:
    """Reads the weights that `config.pretrained` names."""
    if not config.pretrained:
        return Start({})
    path = pathlib.Path(config.pretrained).expanduser()
    if is_bundle(path):
        return _from_bundle(path, program, clips)
    if "backbone" not in shapes.params:
        raise ValueError(
            f"--config.pretrained={config.pretrained}: {config.model.name} has no backbone; it can "
            f"begin with a bundle, the folder model/ of a run"
        )
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), shapes)
    backbone = {name: tree.get("backbone", {}) for name, tree in one.variables.items()}
    backbone = initial_weights.load_backbone(config.pretrained, backbone)
    return Start({name: {"backbone": tree} for name, tree in backbone.items() if tree})


def _from_bundle(path: pathlib.Path, program: Program, clips: Clips) -> Start:
    """Takes the weights that the network has in common with that of a bundle."""
    try:
        bundle = read_bundle(path)
    except FileNotFoundError as error:
        raise ValueError(f"the bundle {path} cannot be read: {error}") from error
    inputs = _input_shapes(program, clips)

    def shapes(outputs: int) -> dict:
        module = program.module.clone(classes=outputs)
        init = functools.partial(module.init, train=False)
        variables = jax.eval_shape(init, jax.random.key(0), inputs)
        return {name: variables.get(name, {}) for name in ("params", "batch_stats")}

    taken, new = initial_weights.take_over(bundle.variables, bundle.classes, shapes, clips.classes)
    if not taken:
        raise ValueError(f"no weights of {path} have the name and shape of the network's own")
    count = len(jax.tree.leaves(taken))
    listed = f"; new are {', '.join(new)}" if new else ""
    return Start(taken, f"begins with {count} of {count + len(new)} arrays of {path}{listed}")


def fresh_states(program: Program, clips: Clips, seeds, start: dict | None = None):
    """Initial states of R runs, leading axis R; `start` replaces weights that were drawn."""
    inputs = _input_shapes(program, clips)
    states = create_train_states(program.module, program.optimizer, inputs, seeds)
    parts = {}
    for name, tree in (start or {}).items():
        given = {path: jnp.stack([leaf] * len(seeds)) for path, leaf in flatten_dict(tree).items()}
        parts[name] = unflatten_dict(flatten_dict(getattr(states, name)) | given)
    return states.replace(**parts)


def _input_shapes(program: Program, clips: Clips):
    """Shapes of the model inputs of one clip."""
    return jax.eval_shape(program.features, take(clips, np.arange(1)))
