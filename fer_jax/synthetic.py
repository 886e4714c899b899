"""The embedded default data set: parametric faces that show emotions, with known action units.

Every clip depends on `(seed, subject, index)` alone, so the same seed gives the same clips in any
order and in any number of processes. Nothing is downloaded and nothing is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fer_jax.drawing import Appearance
from fer_jax.face_model import (
    ACTION_UNITS,
    CLASSES,
    CONFUSABLE,
    PROPORTIONS,
    RECIPES,
    express,
    neutral_shape,
    project,
)
from fer_jax.render import fit_to_frame, make_appearance, render, write_video

__all__ = [
    "ACTION_UNITS",
    "CLASSES",
    "DEFAULT_DIFFICULTY",
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
FRAME_SIZE = 256
FRAMES = (40, 60)  # shortest and longest clip
_IDENTITY, _CLIP = 0, 1  # streams of the seed
_TALK = tuple(ACTION_UNITS.index(unit) for unit in (25, 26))
_BLINK = ACTION_UNITS.index(45)
# What people do without meaning an emotion; together with weak sadness the neutral class's trap.
_STRAY = tuple(ACTION_UNITS.index(unit) for unit in (1, 2, 4, 7, 12, 14, 15, 17, 23))


@dataclasses.dataclass(frozen=True)
class Identity:
    """One person.

    Attributes:
      subject: "s003".
      shape: `[68, 3]` float32, the resting face in face units (`face_model`).
      expressiveness: `[A]`, factor on the intensity of each action unit.
      balance: `[A]`, -1..1, above 0 the left side of the face moves more.
      tempo: factor on the speed of onsets and offsets.
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
    """One clip with everything that is known about it.

    Attributes:
      clip_id: "s003_0007".
      subject: "s003".
      label: one of `CLASSES`.
      landmarks: `[T, 68, 2]` float32, pixels, as a tracker would report them (noisy).
      true_landmarks: `[T, 68, 2]` float32, pixels, without tracker noise; render these.
      action_units: `[T, A]` float32 intensities of `ACTION_UNITS`, 0..1.
      mixture: `[C]` float32, share of each class in the expression; one 1 unless ambiguous.
      fps: frames per second.
      identity: who it is.
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


def _rng(seed: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, *stream]))


def make_identity(seed: int, subject: int) -> Identity:
    """Draws the person `subject` of the data set `seed`: face, habits, appearance."""
    rng = _rng(seed, _IDENTITY, subject)
    deviations = np.clip(rng.standard_normal(len(PROPORTIONS)), -2, 2)
    proportions = dict(zip(PROPORTIONS, deviations * list(PROPORTIONS.values()), strict=True))
    units = len(ACTION_UNITS)
    balance = np.clip(0.12 * rng.standard_normal(units), -0.4, 0.4)
    balance[_BLINK] = 0.0
    # A resting face looks a little angry, sad or amused before it shows anything.
    resting = np.zeros(units)
    resting[list(_STRAY)] = np.maximum(0.12 * rng.standard_normal(len(_STRAY)), 0)
    shape = express(neutral_shape(proportions), resting[None], balance)[0]
    shape[:, :2] += 0.008 * rng.standard_normal((68, 2))
    return Identity(
        subject=f"s{subject:03d}",
        shape=shape.astype(np.float32),
        expressiveness=np.exp(np.clip(0.18 * rng.standard_normal(units), -0.5, 0.3)),
        balance=balance,
        tempo=float(np.exp(0.2 * rng.standard_normal())),
        appearance=make_appearance(rng),
    )


def _mixture(rng, label: str, difficulty: float) -> tuple[np.ndarray, float]:
    """Draws the share of each class and the intensity of the clip's expression."""
    share = np.zeros(len(CLASSES))
    share[CLASSES.index(label)] = 1.0
    intensity = rng.uniform(0.9 - 0.55 * difficulty, 1.0 - 0.2 * difficulty)
    if rng.random() < 0.3 * difficulty:
        other = CONFUSABLE[label][int(rng.random() < 0.3)]
        weight = rng.uniform(0.3, 0.7)
        share[CLASSES.index(label)] = weight
        share[CLASSES.index(other)] = 1 - weight
        intensity *= rng.uniform(0.5, 0.8)
    return share, intensity


def _apex(rng, share: np.ndarray, intensity: float, difficulty: float) -> np.ndarray:
    """Draws the apex intensity of every action unit, `[A]`."""
    apex = np.zeros(len(ACTION_UNITS))
    for name, part in zip(CLASSES, share, strict=True):
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


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _envelope(rng, frames: int, units: int, tempo: float) -> np.ndarray:
    """Onset, apex and offset of every action unit, `[T, A]`, 0..1; apex around the middle."""
    time = np.linspace(0, 1, frames)[:, None]
    start = rng.uniform(0.06, 0.18) + rng.uniform(0, 0.06, units)
    rise = np.clip(rng.uniform(0.10, 0.20, units) / tempo, 0.06, 0.24)
    leave = rng.uniform(0.62, 0.76) + rng.uniform(0, 0.06, units)
    fall = np.clip(rng.uniform(0.10, 0.18, units) / tempo, 0.06, 0.2)
    return _smoothstep((time - start) / rise) * (1 - _smoothstep((time - leave) / fall))


def _wander(rng, frames: int, fps: float, shape: tuple[int, ...], slowest=0.1, fastest=0.6):
    """Slow random motion `[T, *shape]` of about unit variance: three sines of random phase."""
    time = (np.arange(frames) / fps).reshape(-1, *(1 for _ in shape), 1)
    frequency = rng.uniform(slowest, fastest, (*shape, 3))
    phase = rng.uniform(0, 2 * np.pi, (*shape, 3))
    weight = rng.standard_normal((*shape, 3)) * np.sqrt(2 / 3)
    return (weight * np.sin(2 * np.pi * frequency * time + phase)).sum(-1)


def _nuisance(rng, frames: int, fps: float, difficulty: float) -> np.ndarray:
    """Talking and blinking, which say nothing about the emotion: `[T, A]`."""
    units = np.zeros((frames, len(ACTION_UNITS)))
    time = np.arange(frames)
    if rng.random() < 0.2 + 0.4 * difficulty:
        loudness = rng.uniform(0.1, 0.2 + 0.35 * difficulty)
        syllables = np.abs(_wander(rng, frames, fps, (), 2.0, 4.0))
        burst = _envelope(rng, frames, 1, 1.0)[:, 0]
        units[:, _TALK[0]] = loudness * burst * syllables
        units[:, _TALK[1]] = 0.6 * loudness * burst * syllables
    for blink in rng.uniform(6, max(frames, 7), rng.poisson(0.3 * frames / fps)):
        units[:, _BLINK] += np.maximum(1 - np.abs(time - blink) / 3, 0)
    return units


def _pose(rng, frames: int, fps: float, difficulty: float) -> tuple[np.ndarray, ...]:
    """Head angles `[T, 3]` (radians), scale `[T, 1, 1]` and position `[T, 2]` (pixels)."""
    spread = np.array([4.0 + 9 * difficulty, 3.0 + 5 * difficulty, 2.0 + 5 * difficulty])
    angles = np.clip(rng.standard_normal(3), -1.8, 1.8) * spread
    angles = angles + 0.35 * spread * _wander(rng, frames, fps, (3,))
    scale = rng.uniform(52, 62) * (1 + 0.015 * _wander(rng, frames, fps, (1, 1)))
    position = np.array([FRAME_SIZE * 0.5, FRAME_SIZE * 0.54])
    position = position + rng.uniform(-6, 6, 2) + 1.5 * _wander(rng, frames, fps, (2,))
    return np.radians(np.clip(angles, -24, 24)), scale, position


def _tracker_noise(rng, frames: int, fps: float, scale: np.ndarray, difficulty: float):
    """White and slowly varying errors of a landmark tracker, `[T, 68, 2]`, pixels."""
    level = (0.004 + 0.016 * difficulty) * scale
    white = rng.standard_normal((frames, 68, 2))
    return level * (white + _wander(rng, frames, fps, (68, 2), 0.2, 1.0))


def make_clip(
    seed: int,
    subject: int,
    index: int,
    *,
    difficulty: float = DEFAULT_DIFFICULTY,
    frames: int | None = None,
    fps: float = 25.0,
    identity: Identity | None = None,
) -> SyntheticClip:
    """Makes clip `index` of a subject; classes take turns over the index.

    Args:
      seed: the data set.
      subject: number of the person.
      index: number of the clip; its label is `CLASSES[index % 7]`.
      difficulty: 0 (easy) to 1 (hard): more pose, noise, talking and stray action units, weaker
        expressions, more clips that blend two emotions.
      frames: length; drawn from 40..60 when left out.
      fps: frames per second.
      identity: the person, when already made by `make_identity(seed, subject)`.

    Returns:
      The clip. The face starts at rest, has its apex around the middle and relaxes.

    Raises:
      ValueError: difficulty outside 0..1 or fewer than 2 frames.
    """
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty is {difficulty}: give a number from 0 (easy) to 1 (hard)")
    rng = _rng(seed, _CLIP, subject, index)
    drawn = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    frames = drawn if frames is None else frames
    if frames < 2:
        raise ValueError(f"a clip has at least 2 frames, not {frames}")
    identity = identity or make_identity(seed, subject)
    label = CLASSES[index % len(CLASSES)]
    share, intensity = _mixture(rng, label, difficulty)
    apex = _apex(rng, share, intensity, difficulty) * identity.expressiveness
    units = apex * _envelope(rng, frames, len(ACTION_UNITS), identity.tempo)
    units = np.clip(units + _nuisance(rng, frames, fps, difficulty), 0, 1).astype(np.float32)
    angles, scale, position = _pose(rng, frames, fps, difficulty)
    shape = express(identity.shape, units, identity.balance)
    truth = project(shape, angles, scale, position)
    noise = _tracker_noise(rng, frames, fps, scale, difficulty)
    return SyntheticClip(
        clip_id=f"{identity.subject}_{index:04d}",
        subject=identity.subject,
        label=label,
        landmarks=(truth + noise).astype(np.float32),
        true_landmarks=truth,
        action_units=units,
        mixture=share.astype(np.float32),
        fps=fps,
        identity=identity,
    )


def make_dataset(
    *,
    subjects: int = 30,
    clips_per_subject: int = 28,
    difficulty: float = DEFAULT_DIFFICULTY,
    seed: int = 0,
) -> Iterator[SyntheticClip]:
    """Yields every clip, subject by subject; classes are balanced when 7 divides the clips."""
    for subject in range(subjects):
        identity = make_identity(seed, subject)
        for index in range(clips_per_subject):
            yield make_clip(seed, subject, index, difficulty=difficulty, identity=identity)


def splits(subjects: int) -> dict[str, list[str]]:
    """Divides the subjects 60:20:20 into train, validation and test; no one is in two of them.

    Raises:
      ValueError: fewer than 3 subjects.
    """
    if subjects < 3:
        raise ValueError(f"{subjects} subjects cannot be divided in three: make at least 3")
    names = [f"s{subject:03d}" for subject in range(subjects)]
    held_out = max(1, round(0.2 * subjects))
    return {
        "train": names[: subjects - 2 * held_out],
        "validation": names[subjects - 2 * held_out : subjects - held_out],
        "test": names[subjects - held_out :],
    }
