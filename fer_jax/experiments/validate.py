"""Refuses config values that make no sense, before any work.

The network checks section `model`, see `layers.build.check_fields`.
"""

from __future__ import annotations

import math
import pathlib
from typing import get_args

from ml_collections import ConfigDict

from fer_jax.data import how_to_prepare
from fer_jax.data.frame_selection import CUT
from fer_jax.data.model_inputs import MOTION
from fer_jax.experiments.schema import MOST_MEMBERS, Posterior
from fer_jax.faces.emotion_ratings import SCALE, VOTE_RULES
from fer_jax.faces.landmarks import FRAMINGS
from fer_jax.training.averaging import AVERAGED, LEAST_OF_SWAG, average_after
from fer_jax.uncertainty.calibrators import AUTO, METHODS

SEEN = 0.7  # share of a prepared crop's side that a model must see at least

_RANGES = (
    ("optimizer.learning_rate", 0.0, math.inf),
    ("optimizer.momentum", 0.0, 1.0),
    ("optimizer.weight_decay", 0.0, math.inf),
    ("optimizer.warmup_epochs", 0.0, math.inf),
    ("optimizer.freeze_graph_epochs", 0, math.inf),
    ("optimizer.clip_norm", 0.0, math.inf),
    ("optimizer.lr_factor", 0.0, 1.0),
    ("augment.noise", 0.0, math.inf),
    ("augment.degrees", 0.0, 180.0),
    ("augment.zoom", 0.0, 0.9),
    ("augment.erase", 0.0, 1.0),
    ("augment.cut", 0.0, 0.45),
    ("augment.warp", 0.0, 2.0),
    ("augment.brightness", 0.0, 1.0),
    ("augment.contrast", 0.0, 1.0),
    ("data.frames_per_second", 0.0, math.inf),
    ("data.crop_size", 0, 4096),
    ("data.in_memory_gb", 0.0, math.inf),
    ("evaluation.target_accuracy", 0.0, 1.0),
    ("evaluation.confidence", 0.5, 0.999),
    ("uncertainty.sets", 0.0, 0.999),
    ("uncertainty.members", 1, MOST_MEMBERS),
    ("loss.absolute", 0.0, math.inf),
    ("protocol.share", 0.0, 1.0),
)
_COUNTS = (
    "data.frames", "train.batch_size", "train.microbatches", "train.repeats_per_epoch",
    "train.epochs",
    "train.checkpoint_every_epochs", "train.eval_every_epochs", "optimizer.patience",
    "evaluation.mc_samples", "protocol.repeats", "uncertainty.members",
)  # fmt: skip


def check(config: ConfigDict) -> None:
    """Checks the values of a config and their combinations.

    Raises:
      ValueError: names the field, the fault and valid values.
    """
    _check_values(config)
    _check_combinations(config)


def _check_values(config: ConfigDict) -> None:
    """Refuses values of the right type that make no sense."""
    for field in _COUNTS:
        section, name = field.split(".")
        if config[section][name] < 1:
            raise ValueError(f"--config.{field}={config[section][name]}: it must be 1 or more")
    for field, low, high in _RANGES:
        section, name = field.split(".")
        if not low <= config.get(section, {}).get(name, low) <= high:
            raise ValueError(
                f"--config.{field}={config[section][name]}: it must lie in {low} to {high}"
            )
    milestones = config.optimizer.lr_milestones
    if config.optimizer.schedule == "steps" and not (
        milestones and all(map(_is_count, milestones))
    ):
        raise ValueError(
            f"--config.optimizer.lr_milestones={tuple(milestones)}: give each "
            f"{config.optimizer.lr_milestone_unit} at which the learning rate falls, e.g. "
            f"--config.optimizer.lr_milestones='(300,)'"
        )
    if config.data.vote_rule not in VOTE_RULES:
        raise ValueError(
            f"--config.data.vote_rule={config.data.vote_rule}: use one of {VOTE_RULES}"
        )
    angles = config.augment.get("angles", ())
    if not all(isinstance(angle, (int, float)) and abs(angle) <= 180 for angle in angles):
        raise ValueError(f"--config.augment.angles={tuple(angles)}: degrees lie in -180 to 180")
    if config.train.select_checkpoint not in ("last", "best"):
        raise ValueError(
            f"--config.train.select_checkpoint={config.train.select_checkpoint}: use "
            f"'last' or 'best'"
        )
    if config.train.class_weights not in ("none", "balanced"):
        raise ValueError(
            f"--config.train.class_weights={config.train.class_weights}: use 'none' or 'balanced'"
        )
    if config.uncertainty.calibration not in (AUTO, *METHODS):
        raise ValueError(
            f"--config.uncertainty.calibration={config.uncertainty.calibration}: use one of "
            f"{[AUTO, *METHODS]}"
        )
    if config.data.framing not in ("", *FRAMINGS):
        raise ValueError(f"--config.data.framing={config.data.framing}: use one of {[*FRAMINGS]}")
    strides = config.data.window_strides
    if len(strides) != 2 or not all(map(_is_count, strides)):
        raise ValueError(
            f"--config.data.window_strides={tuple(strides)}: give the strides of the windows in "
            f"training and in evaluation, e.g. '(9, 1)'"
        )


def _is_count(value) -> bool:
    return isinstance(value, int) and value > 0


def _check_words(config: ConfigDict) -> None:
    """Refuses malformed words for emotions and ratings outside the scale."""
    for pair in config.data.words:
        if not isinstance(pair, (tuple, list)) or [type(each) for each in pair] != [str, str]:
            raise ValueError(
                f"--config.data.words={tuple(config.data.words)}: give pairs of an emotion and its "
                """word, e.g. --config.data.words='(("anger", "anger"),)'"""
            )
    low, high = SCALE
    rating = config.data.neutral_dominance
    if rating and not low <= rating <= high:
        raise ValueError(
            f"--config.data.neutral_dominance={rating}: ratings lie in {low:g} to {high:g}; 0 "
            f"takes the rating of the word"
        )


def _check_databases(config: ConfigDict) -> None:
    """Refuses cross-database experiments that cannot be trained or evaluated."""
    train_on, crossed = config.data.train_on, config.protocol.name == "cross_database"
    if crossed != bool(train_on):
        raise ValueError(
            "--config.protocol.name=cross_database and --config.data.train_on, the training "
            "datasets, need each other: give both or neither"
        )
    if not crossed:
        return
    for entry in train_on:
        if not isinstance(entry, (tuple, list)) or [type(each) for each in entry] != [str] * 3:
            raise ValueError(
                "--config.data.train_on: give (dataset, path, frame_rule) of each training "
                """dataset, e.g. '(("ckplus", "data/ckplus_crops", "last"),)'"""
            )
    names = [config.data.dataset, *(name for name, _, _ in train_on)]
    for name in names:
        if names.count(name) > 1 or "/" in name:
            raise ValueError(
                f"--config.data.train_on: {name} is there twice, or its name holds a slash: every "
                f"dataset needs a name of its own"
            )
    paths = [config.data.path, *(path for _, path, _ in train_on)]
    folders = [pathlib.Path(path).expanduser().resolve() for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if folders.count(folder) > 1:
            raise ValueError(
                f"--config.data.train_on: {path} is there twice: training and evaluation would "
                f"share subjects"
            )
    if config.task != "classification" or config.data.classes or config.protocol.repeats != 1:
        raise ValueError(
            "--config.protocol.name=cross_database is for --config.task=classification, all "
            "classes (--config.data.classes='()') and one division (--config.protocol.repeats=1)"
        )


def _check_combinations(config: ConfigDict) -> None:
    """Refuses values that contradict each other."""
    _check_databases(config)
    _check_words(config)
    _check_posterior(config)
    calibration = config.uncertainty.calibration
    if config.task == "dimensional" and calibration not in (AUTO, "none"):
        raise ValueError(
            f"--config.uncertainty.calibration={calibration} is for probabilities, which "
            f"--config.task=dimensional has none of: leave it {AUTO!r}"
        )
    motion = config.data.features in MOTION
    if motion and config.data.frames < 2:
        raise ValueError(
            f"--config.data.features={config.data.features} needs --config.data.frames=2 or more"
        )
    for rule in dict.fromkeys((config.data.frame_rule, *(r for _, _, r in config.data.train_on))):
        _check_rule(config, rule, motion)


def _check_posterior(config: ConfigDict) -> None:
    """Refuses a posterior that does not exist, or that this training cannot give."""
    posterior, epochs = config.uncertainty.posterior, config.train.epochs
    field = f"--config.uncertainty.posterior={posterior}"
    if posterior not in get_args(Posterior):
        raise ValueError(f"{field}: use one of {[*get_args(Posterior)]}")
    if posterior not in AVERAGED:
        return
    if config.train.select_checkpoint == "best":
        raise ValueError(
            f"{field} averages the last epochs, and --config.train.select_checkpoint=best takes "
            f"one: use 'last', or another posterior"
        )
    if posterior == "swag" and epochs - average_after(config) < LEAST_OF_SWAG:
        raise ValueError(
            f"{field} needs {LEAST_OF_SWAG} epochs to average or more, and takes the last "
            f"quarter: --config.train.epochs={epochs} is too short"
        )


def _check_rule(config: ConfigDict, rule: str, motion: bool) -> None:
    """Refuses values that contradict a frame rule."""
    if rule not in CUT:
        return
    if config.data.frames_per_second:
        raise ValueError(
            f"--config.data.frames_per_second thins clips, not {rule}, whose frames are "
            f"consecutive: leave it 0 with --config.data.frame_rule={rule}"
        )
    if config.protocol.name == "by_sequence":
        what = "windows that overlap those" if rule == "windows" else "pieces of recordings"
        raise ValueError(
            f"--config.protocol.name=by_sequence would evaluate on {what} trained on: use "
            f"'subject_kfold' or 'holdout'"
        )
    if rule != "windows":
        return
    if config.task != "action_units":
        raise ValueError(
            "--config.data.frame_rule=windows cuts a recording into many clips: it is for tasks "
            "whose labels belong to frames (--config.task=action_units)"
        )
    if motion:
        raise ValueError(
            f"--config.data.features={config.data.features} removes what stays the same throughout "
            f"a window: use --config.data.features=position with --config.data.frame_rule=windows"
        )


def check_crops(config: ConfigDict, prepared: int, smallest: int) -> None:
    """Refuses crops smaller than the network needs, or a crop size that the dataset cannot give.

    Args:
      config: of the experiment.
      prepared: side of the prepared crops, pixels.
      smallest: side of the smallest crop that the network takes, pixels.
    """
    size = config.data.crop_size
    if (size or prepared) < smallest:
        raise ValueError(
            f"{config.model.name} sees crops of {size or prepared} pixels and needs at least "
            f"{smallest}: set --config.data.crop_size, prepare "
            f"{how_to_prepare.crops_flag(smallest)}, or give it fewer layers that halve its maps"
        )
    if size and not SEEN * prepared <= size <= prepared:
        raise ValueError(
            f"--config.data.crop_size={size} does not fit the crops of {prepared} pixels in "
            f"{config.data.path}: it must lie in {round(SEEN * prepared)} to {prepared}, or "
            f"prepare them with {how_to_prepare.crops_flag(size)}"
        )
