"""Motion over a clip: time courses of action units, head pose and errors of the tracker."""

from __future__ import annotations

import numpy as np

from fer_jax.synthetic.databases import Camera
from fer_jax.synthetic.face_model import ACTION_UNITS

_TALK = tuple(ACTION_UNITS.index(unit) for unit in (25, 26))
_BLINK = ACTION_UNITS.index(45)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def rise_and_fall(rng, frames: int, units: int, tempo: float) -> np.ndarray:
    """Returns onset, apex and offset of every action unit, `[T, A]`, 0..1; apex in the middle."""
    time = np.linspace(0, 1, frames)[:, None]
    start = rng.uniform(0.06, 0.18) + rng.uniform(0, 0.06, units)
    rise = np.clip(rng.uniform(0.10, 0.20, units) / tempo, 0.06, 0.24)
    leave = rng.uniform(0.62, 0.76) + rng.uniform(0, 0.06, units)
    fall = np.clip(rng.uniform(0.10, 0.18, units) / tempo, 0.06, 0.2)
    return _smoothstep((time - start) / rise) * (1 - _smoothstep((time - leave) / fall))


def rise_and_hold(rng, frames: int, units: int, tempo: float) -> np.ndarray:
    """Returns the onset of every action unit, `[T, A]`, 0..1, up to its apex at the end."""
    time = np.linspace(0, 1, frames)[:, None]
    start = rng.uniform(0.04, 0.16) + rng.uniform(0, 0.08, units)
    rise = np.clip(rng.uniform(0.35, 0.55, units) / tempo, 0.2, 0.6)
    return _smoothstep((time - start) / rise)


def _wander(rng, frames: int, fps: float, shape: tuple[int, ...], slowest=0.1, fastest=0.6):
    """Returns slow random motion `[T, *shape]` of about unit variance: three random sines."""
    time = (np.arange(frames) / fps).reshape(-1, *(1 for _ in shape), 1)
    frequency = rng.uniform(slowest, fastest, (*shape, 3))
    phase = rng.uniform(0, 2 * np.pi, (*shape, 3))
    weight = rng.standard_normal((*shape, 3)) * np.sqrt(2 / 3)
    return (weight * np.sin(2 * np.pi * frequency * time + phase)).sum(-1)


def nuisance(rng, frames: int, fps: float, difficulty: float) -> np.ndarray:
    """Returns action units of talking and blinking, unrelated to the emotion: `[T, A]`."""
    units = np.zeros((frames, len(ACTION_UNITS)))
    time = np.arange(frames)
    if rng.random() < 0.2 + 0.4 * difficulty:
        loudness = rng.uniform(0.1, 0.2 + 0.35 * difficulty)
        syllables = np.abs(_wander(rng, frames, fps, (), 2.0, 4.0))
        burst = rise_and_fall(rng, frames, 1, 1.0)[:, 0]
        units[:, _TALK[0]] = loudness * burst * syllables
        units[:, _TALK[1]] = 0.6 * loudness * burst * syllables
    for blink in rng.uniform(6, max(frames, 7), rng.poisson(0.3 * frames / fps)):
        units[:, _BLINK] += np.maximum(1 - np.abs(time - blink) / 3, 0)
    return units


def pose(rng, frames: int, camera: Camera, difficulty: float) -> tuple[np.ndarray, ...]:
    """Returns head angles `[T, 3]` (radians), scale `[T, 1, 1]`, position `[T, 2]` (pixels)."""
    fps = camera.fps
    spread = np.array([4.0 + 9 * difficulty, 3.0 + 5 * difficulty, 2.0 + 5 * difficulty])
    angles = np.clip(rng.standard_normal(3), -1.8, 1.8) * spread
    angles = angles + 0.35 * spread * _wander(rng, frames, fps, (3,))
    scale = rng.uniform(*camera.scale) * (1 + 0.015 * _wander(rng, frames, fps, (1, 1)))
    position = np.array(camera.frame_size) * camera.position
    position = position + rng.uniform(-6, 6, 2) + 1.5 * _wander(rng, frames, fps, (2,))
    angles = np.clip(angles + [camera.yaw, camera.pitch, 0.0], -24, 24)
    return np.radians(angles), scale, position


def tracker_noise(rng, frames: int, fps: float, scale: np.ndarray, difficulty: float):
    """Returns white and slowly varying errors of a landmark tracker, `[T, 68, 2]`, pixels."""
    level = (0.004 + 0.016 * difficulty) * scale
    white = rng.standard_normal((frames, 68, 2))
    return level * (white + _wander(rng, frames, fps, (68, 2), 0.2, 1.0))
