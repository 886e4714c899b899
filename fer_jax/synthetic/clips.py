"""Generates clips: parametric faces that show emotions, with known action units.

A clip depends only on `(seed, subject, index)` and the database, so the same seed gives the same
clips in any order and in any number of processes. Nothing is downloaded or stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fer_jax.synthetic import motion
from fer_jax.synthetic.databases import DATABASES, EMBEDDED, Database
from fer_jax.synthetic.draw_face import Appearance
from fer_jax.synthetic.face_model import (
    ACTION_UNITS,
    CLASSES,
    CONFUSABLE,
    PROPORTIONS,
    RECIPES,
    UNILATERAL,
    express,
    neutral_shape,
    project,
)
from fer_jax.synthetic.render import FRAME, fit_to_frame, make_appearance, render, write_video

__all__ = [
    "ACTION_UNITS",
    "CLASSES",
    "DATABASES",
    "DEFAULT_DIFFICULTY",
    "EMBEDDED",
    "Database",
    "Identity",
    "SyntheticClip",
    "fit_to_frame",
    "make_clip",
    "make_dataset",
    "make_identity",
    "render",
    "splits",
    "write_video",
]

DEFAULT_DIFFICULTY = 0.1
FRAME_SIZE = FRAME
_IDENTITY, _CLIP = 0, 1  # streams of the seed
_ONE_SIDED = 0.9  # balance of a unilateral expression
_BLINK = ACTION_UNITS.index(45)
# Movements without emotional meaning, which make neutral hard to tell from weak sadness.
_STRAY = tuple(ACTION_UNITS.index(unit) for unit in (1, 2, 4, 7, 12, 14, 15, 17, 23))


@dataclasses.dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
      subject: "s003".
      shape: `[68, 3]` float32, the resting face in face units (`face_model`).
      expressiveness: `[A]`, factor on the intensity of each action unit.
      balance: `[A]`, -1..1; above 0 the left side of the face moves more.
      tempo: factor on the speed of onset and offset.
      appearance: colours and hair, for `render`.
    """

    subject: str
    shape: np.ndarray
    expressiveness: np.ndarray
    balance: np.ndarray
    tempo: float
    appearance: Appearance


@dataclasses.dataclass(frozen=True)
class SyntheticClip:
    """One clip with its ground truth.

    Attributes:
      clip_id: "s003_0007".
      subject: "s003".
      label: one of the classes of its database.
      landmarks: `[T, 68, 2]` float32, pixels, with the noise of a tracker.
      true_landmarks: `[T, 68, 2]` float32, pixels, without noise; for rendering.
      action_units: `[T, A]` float32 intensities of `ACTION_UNITS`, 0..1.
      mixture: `[C]` float32, share of each class in the expression; one-hot unless ambiguous.
      fps: frames per second.
      identity: the person.
      frame_size: (width, height) of the frame, pixels.
    """

    clip_id: str
    subject: str
    label: str
    landmarks: np.ndarray
    true_landmarks: np.ndarray
    action_units: np.ndarray
    mixture: np.ndarray
    fps: float
    identity: Identity
    frame_size: tuple[int, int] = (FRAME_SIZE, FRAME_SIZE)


def _rng(seed: int, database: Database, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, *database.stream, *stream]))


def make_identity(seed: int, subject: int, database: Database = EMBEDDED) -> Identity:
    """Draws person `subject` of dataset `seed`: face, habits, appearance."""
    rng = _rng(seed, database, _IDENTITY, subject)
    deviations = np.clip(rng.standard_normal(len(PROPORTIONS)), -2, 2)
    proportions = dict(zip(PROPORTIONS, deviations * list(PROPORTIONS.values()), strict=True))
    units = len(ACTION_UNITS)
    balance = np.clip(0.12 * rng.standard_normal(units), -0.4, 0.4)
    balance[_BLINK] = 0.0
    # A resting face looks slightly angry, sad or amused.
    resting = np.zeros(units)
    resting[list(_STRAY)] = np.maximum(0.12 * rng.standard_normal(len(_STRAY)), 0)
    shape = express(neutral_shape(proportions), resting[None], balance)[0]
    shape[:, :2] += 0.008 * rng.standard_normal((68, 2))
    return Identity(
        subject=f"{database.prefix}{subject:03d}",
        shape=shape.astype(np.float32),
        expressiveness=np.exp(np.clip(0.18 * rng.standard_normal(units), -0.5, 0.3)),
        balance=balance,
        tempo=float(np.exp(0.2 * rng.standard_normal())),
        appearance=make_appearance(rng),
    )


def _mixture(rng, shown: list[str], index: int, difficulty: float) -> tuple[np.ndarray, float]:
    """Draws the share of each class and the intensity of clip `index`; `shown`: expressions."""
    own = index % len(shown)
    share = np.zeros(len(shown))
    share[own] = 1.0
    intensity = rng.uniform(0.9 - 0.55 * difficulty, 1.0 - 0.2 * difficulty)
    if rng.random() < 0.3 * difficulty:
        others = [name for name in CONFUSABLE[shown[own]] if name in shown]
        other = others[-1 if rng.random() < 0.3 else 0]
        weight = rng.uniform(0.3, 0.7)
        share[own] = weight
        share[shown.index(other)] = 1 - weight
        intensity *= rng.uniform(0.5, 0.8)
    return share, intensity


def _apex(rng, shown: list[str], share, intensity: float, difficulty: float) -> np.ndarray:
    """Draws the apex intensity of every action unit, `[A]`."""
    apex = np.zeros(len(ACTION_UNITS))
    for name, part in zip(shown, share, strict=True):
        if part == 0:
            continue
        for unit, (probability, low, high) in RECIPES[name].items():
            if rng.random() < probability:
                apex[ACTION_UNITS.index(unit)] += part * rng.uniform(low, high)
    apex *= intensity
    stray = list(_STRAY)
    chance = rng.random(len(stray)) < 0.1 + 0.15 * difficulty
    apex[stray] += chance * rng.uniform(0.05, 0.1 + 0.3 * difficulty, len(stray))
    return apex


def _express(rng, expression: str, identity: Identity, units: np.ndarray) -> np.ndarray:
    """Returns the moving face, `[T, 68, 3]`; of unilateral expressions, only one side moves."""
    balance = identity.balance
    if expression in UNILATERAL:
        moved = [ACTION_UNITS.index(unit) for unit in UNILATERAL[expression]]
        balance, units = balance.copy(), units.copy()
        balance[moved] = _ONE_SIDED if rng.random() < 0.5 else -_ONE_SIDED
        units[:, moved] /= 1 + _ONE_SIDED  # intensity refers to the moving side
    return express(identity.shape, units, balance)


def make_clip(
    seed: int,
    subject: int,
    index: int,
    *,
    difficulty: float = DEFAULT_DIFFICULTY,
    frames: int | None = None,
    fps: float | None = None,
    identity: Identity | None = None,
    database: Database = EMBEDDED,
) -> SyntheticClip:
    """Makes clip `index` of a subject; classes alternate over the index.

    Args:
      seed: seed of the dataset.
      subject: index of the person.
      index: index of the clip; its label is `database.labels[index % C]`.
      difficulty: 0 (easy) to 1 (hard): more pose, noise, talking and stray action units, weaker
        expressions, more clips that blend two emotions.
      frames: length; default: drawn from the database's range.
      fps: frames per second; default: that of the database's camera.
      identity: the person, if already made by `make_identity(seed, subject, database)`.
      database: people, camera, time course and classes: `EMBEDDED` or one of `DATABASES`.

    Returns:
      The clip. The face starts at rest, reaches its apex around the middle and relaxes, or ends at
      the apex if `database.ends_at_apex`.

    Raises:
      ValueError: difficulty is outside 0..1, or there are fewer than 2 frames.
    """
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty is {difficulty}: give a number from 0 (easy) to 1 (hard)")
    rng = _rng(seed, database, _CLIP, subject, index)
    drawn = int(rng.integers(database.frames[0], database.frames[1] + 1))
    frames = drawn if frames is None else frames
    if frames < 2:
        raise ValueError(f"a clip has at least 2 frames, not {frames}")
    identity = identity or make_identity(seed, subject, database)
    camera, shown = database.camera, list(database.classes.values())
    camera = dataclasses.replace(camera, fps=fps or camera.fps)
    share, intensity = _mixture(rng, shown, index, difficulty)
    apex = _apex(rng, shown, share, intensity, difficulty) * identity.expressiveness
    course = motion.rise_and_hold if database.ends_at_apex else motion.rise_and_fall
    units = apex * course(rng, frames, len(ACTION_UNITS), identity.tempo)
    units += motion.nuisance(rng, frames, camera.fps, difficulty)
    units = np.clip(units, 0, 1).astype(np.float32)
    angles, scale, position = motion.pose(rng, frames, camera, difficulty)
    shape = _express(rng, shown[index % len(shown)], identity, units)
    truth = project(shape, angles, scale, position)
    noise = motion.tracker_noise(rng, frames, camera.fps, scale, difficulty)
    return SyntheticClip(
        clip_id=f"{identity.subject}_{index:04d}",
        subject=identity.subject,
        label=database.labels[index % len(shown)],
        landmarks=(truth + noise).astype(np.float32),
        true_landmarks=truth,
        action_units=units,
        mixture=share.astype(np.float32),
        fps=camera.fps,
        identity=identity,
        frame_size=camera.frame_size,
    )


def make_dataset(
    *,
    subjects: int | None = None,
    clips_per_subject: int | None = None,
    difficulty: float = DEFAULT_DIFFICULTY,
    seed: int = 0,
    database: Database = EMBEDDED,
) -> Iterator[SyntheticClip]:
    """Yields every clip, subject by subject; default sizes are those of the database.

    Classes are balanced if their number divides the clips per subject.
    """
    subjects = database.subjects if subjects is None else subjects
    clips = database.clips_per_subject if clips_per_subject is None else clips_per_subject
    for subject in range(subjects):
        identity = make_identity(seed, subject, database)
        same = {"difficulty": difficulty, "identity": identity, "database": database}
        for index in range(clips):
            yield make_clip(seed, subject, index, **same)


def splits(subjects: int, database: Database = EMBEDDED) -> dict[str, list[str]]:
    """Divides the subjects 60:20:20 into disjoint splits train, validation and test.

    Raises:
      ValueError: fewer than 3 subjects.
    """
    if subjects < 3:
        raise ValueError(
            f"{subjects} subjects cannot be divided into three splits: make at least 3"
        )
    names = [f"{database.prefix}{subject:03d}" for subject in range(subjects)]
    evaluation = max(1, round(0.2 * subjects))
    return {
        "train": names[: subjects - 2 * evaluation],
        "validation": names[subjects - 2 * evaluation : subjects - evaluation],
        "test": names[subjects - evaluation :],
    }
