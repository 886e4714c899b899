"""From a config to a checked experiment: data, model, folds, compiled functions."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from fer_jax import assess as assessment
from fer_jax import (
    augment,
    crops,
    data,
    extract,
    landmarks,
    loading,
    pretrained,
    programs,
    protocols,
)
from fer_jax.models import MODELS, build
from fer_jax.tasks import TASKS
from fer_jax.workdir import claim

SEEN = 0.7  # share of a prepared crop's side that a model must see at least
_RANGES = (
    ("model.dropout", 0.0, 0.95),
    ("optimizer.learning_rate", 0.0, math.inf),
    ("optimizer.momentum", 0.0, 1.0),
    ("optimizer.weight_decay", 0.0, math.inf),
    ("optimizer.warmup_epochs", 0.0, math.inf),
    ("optimizer.clip_norm", 0.0, math.inf),
    ("optimizer.drop_factor", 0.0, 1.0),
    ("augment.noise", 0.0, math.inf),
    ("augment.degrees", 0.0, 180.0),
    ("augment.brightness", 0.0, 1.0),
    ("augment.contrast", 0.0, 1.0),
    ("data.frames_per_second", 0.0, math.inf),
    ("data.crop_size", 0, 4096),
    ("data.crops_in_memory_gb", 0.0, math.inf),
    ("model.modules", 0, 100),
    ("evaluation.target_accuracy", 0.0, 1.0),
    ("search.width_threshold", 1e-12, 1.0),
    ("search.depth_threshold", 1e-12, 1.0),
)
_COUNTS = (
    "data.frames", "model.subsets", "model.kernel_size", "train.batch_size", "train.copies",
    "train.epochs", "train.checkpoint_epochs", "evaluation.passes", "protocol.repeats",
    "model.features", "model.hidden", "model.growth", "model.initial", "search.epochs",
    "search.block_size", "search.max_layers", "search.max_blocks",
)  # fmt: skip
_LISTS = (
    ("model.widths", "the positive width of every layer", "(8, 16, 16)"),
    ("model.channels", "the positive width of every layer", "(64, 64, 64)"),
    ("model.blocks", "the number of layers of every block", "(6, 12)"),
)


class SetupError(ValueError):
    """The config does not fit itself or the data; the message names the field."""


@dataclasses.dataclass
class Experiment:
    """All that the folds of a run share."""

    config: ConfigDict
    workdir: pathlib.Path
    clips: data.Clips
    folds: list[protocols.Fold]
    program: programs.Program
    model: dict
    parameters: tuple[int, int]
    assess: object
    backbone: dict | None = None  # pretrained weights
    memory: int = 0  # of a training call on each device, bytes


def prepare(config: ConfigDict, workdir) -> Experiment:
    """Checks a config against the data and builds everything, compiling nothing yet.

    The work directory is claimed last: a config that fails here leaves nothing behind.

    Raises:
      loading.NotPreparedError: the data set is not there.
      WorkdirError: `workdir` holds a run of another config.
      ValueError: a field has a value that does not exist.
    """
    if config.task not in TASKS:
        raise ValueError(f"task {config.task!r} is unknown: use one of {sorted(TASKS)}")
    _check_values(config)
    clips = loading.load_clips(
        config.data.path,
        config.data.frames,
        config.data.frame_rule,
        config.data.dataset,
        config.data.crop_size if takes_crops(config.model.name) else None,
        frames_per_second=config.data.frames_per_second,
        classes=config.data.classes,
        target=TASKS[config.task].target,
    )
    if config.task == "classification" and len(clips.classes) < 2:
        raise ValueError(f"{config.data.path} has one class ({clips.classes[0]}): nothing to learn")
    if config.data.graph != clips.graph.mode:
        graph = landmarks.make_graph(clips.graph.reference_shape, config.data.graph)
        clips = dataclasses.replace(clips, graph=graph)
    folds = [
        protocols.thinned(fold, clips.positions, config.data.window_strides)
        for fold in protocols.make_folds(config.protocol, clips.subjects, clips.splits)
    ]
    model = config.model.to_dict()
    module = build(model, len(clips.classes), clips.graph, config.data.frames)
    _check_crops(config, clips)

    def features(batch):
        edges, size = clips.graph.edges, config.data.crop_size
        return extract.batch_inputs(batch, module, edges, config.data.features, size)

    features(data.take(clips, np.arange(1)))  # an unknown kind fails here, not while training
    program = programs.make_program(
        module,
        TASKS[config.task],
        config,
        features,
        folds,
        make_augmentation(config),
        clips.clip_bytes,
        programs.CALL_BYTES if clips.frames is None else crops.CALL_BYTES,
    )
    shapes = jax.eval_shape(functools.partial(fresh_states, program, clips, [0]))
    backbone = _load_backbone(config, shapes)
    return Experiment(
        config=config,
        workdir=claim(pathlib.Path(workdir), config, clips),
        clips=data.hold_crops(clips, int(config.data.crops_in_memory_gb * 2**30)),
        folds=folds,
        program=program,
        model=model,
        parameters=programs.count_parameters(shapes.params),
        assess=assessment.make_assess(program, TASKS[config.task], config.evaluation.passes),
        backbone=backbone,
    )


def _load_backbone(config: ConfigDict, shapes) -> dict | None:
    """Reads `config.pretrained`, None where it is empty."""
    if not config.pretrained:
        return None
    if "backbone" not in shapes.params:
        raise ValueError(
            f"--config.pretrained={config.pretrained}: {config.model.name} has no backbone"
        )
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), shapes)
    return pretrained.load_backbone(
        config.pretrained, {name: tree["backbone"] for name, tree in one.variables.items()}
    )


def _check_crops(config: ConfigDict, clips: data.Clips) -> None:
    """Refuses crops of which a model would see too little, or more than there is."""
    if clips.frames is None:
        return
    prepared, size = clips.frames.shape[2], config.data.crop_size
    for name, more in (("stages", 0), ("blocks", 1)):  # in front of its blocks DenseNet halves too
        count = len(config.model.get(name, ()))
        if count and (size or prepared) // 2 ** (count + more) < 1:
            raise ValueError(
                f"{count} {name} halve crops of {size or prepared} pixels to nothing: give fewer "
                f"--config.model.{name} or larger crops"
            )
    if size and not SEEN * prepared <= size <= prepared:
        raise ValueError(
            f"--config.data.crop_size={size} does not fit the crops of {prepared} pixels in "
            f"{config.data.path}: it must lie in {round(SEEN * prepared)} to {prepared}, or "
            f"prepare them with {loading.crops_flag(size)}"
        )


def _check_values(config: ConfigDict) -> None:
    """Refuses numbers that have the right type but no meaning."""
    for field in _COUNTS:
        section, name = field.split(".")
        if config[section].get(name, 1) < 1:
            raise ValueError(f"--config.{field}={config[section][name]}: it must be 1 or more")
    for field, low, high in _RANGES:
        section, name = field.split(".")
        if not low <= config[section].get(name, low) <= high:
            raise ValueError(
                f"--config.{field}={config[section][name]}: it must lie in {low} to {high}"
            )
    for field, what, example in _LISTS:
        section, name = field.split(".")
        _check_list(field, config[section].get(name, (1,)), what, example)
    if config.optimizer.schedule == "steps":
        what = f"each {config.optimizer.drop_unit} at which the learning rate falls"
        _check_list("optimizer.drop_at", config.optimizer.drop_at, what, "(300,)")
    angles = config.augment.get("angles", ())
    if not all(isinstance(angle, (int, float)) and abs(angle) <= 180 for angle in angles):
        raise ValueError(f"--config.augment.angles={tuple(angles)}: degrees lie in -180 to 180")
    if config.model.get("dtype", "float32") not in ("float32", "bfloat16"):
        raise ValueError(f"--config.model.dtype={config.model.dtype}: use 'float32' or 'bfloat16'")
    for stage in config.model.get("stages", ()):
        if not isinstance(stage, (tuple, list)) or len(stage) != 2 or min(stage) < 1:
            raise ValueError(
                f"--config.model.stages: {stage} is no (channels, convolutions) of a stage"
            )
    strides = config.data.window_strides
    if len(strides) != 2 or not all(isinstance(each, int) and each > 0 for each in strides):
        raise ValueError(
            f"--config.data.window_strides={tuple(strides)}: give the frames from one window to "
            f"the next of those learnt from and of those scored, e.g. '(9, 1)'"
        )
    if config.data.frame_rule == "windows" and config.task == "classification":
        raise ValueError(
            "--config.data.frame_rule=windows makes many clips of one: it is for tasks whose "
            "labels belong to frames (--config.task=action_units)"
        )
    if config.search.enabled and config.task != "classification":
        raise ValueError("--config.search.enabled=True grows classifiers: leave it off")
    if config.data.features == "motion" and config.data.frames < 2:
        raise ValueError("--config.data.features=motion needs --config.data.frames=2 or more")
    if config.task != "classification" and config.model.name == "densenet":
        raise ValueError(
            "--config.model.name=densenet takes the mean of its frames' class probabilities: use "
            "--config.task=classification"
        )
    if config.data.frame_rule == "windows" and config.protocol.name == "by_sequence":
        raise ValueError(
            "--config.protocol.name=by_sequence would score windows that overlap those learnt "
            "from: use 'subject_kfold' or 'holdout'"
        )
    if config.search.enabled and config.model.name != "st_bln":
        raise ValueError(
            f"--config.search.enabled=True grows st_bln, not {config.model.name}: leave it off"
        )


def _check_list(field: str, values, what: str, example: str) -> None:
    """Refuses what is not a list of positive whole numbers."""
    if not values or not all(isinstance(value, int) and value > 0 for value in values):
        raise ValueError(
            f"--config.{field}={tuple(values)}: give {what}, e.g. --config.{field}='{example}'"
        )


def takes_crops(model: str) -> bool:
    """Tells whether a model of `MODELS` looks at face crops."""
    return model in MODELS and MODELS[model].inputs == "frames"


def make_augmentation(config: ConfigDict):
    """Returns `(key, clip) -> clip` as `config.augment` says, None where it is off."""
    options = config.augment.to_dict()
    if not options.pop("enabled"):
        return None
    if takes_crops(config.model.name):

        def change_crops(key, clip):
            frames, landmarks = augment.augment_crops(
                key, clip["frames"], clip["crop_landmarks"], size=config.data.crop_size, **options
            )
            return {**clip, "frames": frames, "crop_landmarks": landmarks}

        return change_crops

    def change_landmarks(key, clip):
        return {**clip, "landmarks": augment.augment_clip(key, clip["landmarks"], **options)}

    return change_landmarks


def fresh_states(program: programs.Program, clips: data.Clips, seeds, backbone: dict | None = None):
    """States in which R runs begin, leading axis R; `backbone` replaces what was drawn."""
    inputs = jax.eval_shape(program.features, data.take(clips, np.arange(1)))
    states = programs.create_train_states(program.module, program.optimizer, inputs, seeds)
    if backbone is None:
        return states
    runs = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(seeds)), backbone)
    return states.replace(
        params={**states.params, "backbone": runs["params"]},
        batch_stats={**states.batch_stats, "backbone": runs["batch_stats"]},
    )
