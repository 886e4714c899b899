"""Damage to clips at five strengths, and inputs that no model should know.

Everything is drawn for each clip from a seed and its place, the same at every strength, so that a
stronger damage includes the weaker one. Strength 0 changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from fer_jax.faces.landmarks import eye_distance

STRENGTHS = (1, 2, 3, 4, 5)
_SIDE = 48.0  # side of a crop that blur is given for, pixels
_TREMBLE = 0.005  # of landmarks in a face that holds still, eye distances


class Kind(NamedTuple):
    """A kind of damage.

    Attributes:
      amounts: at strengths 1 to 5.
      alter: `(clip, amount, rng) -> clip`, float for crops.
    """

    amounts: tuple[float, ...]
    alter: Callable


def alter(kinds: dict[str, Kind], name: str, clips, strength: int, seed: int = 0) -> np.ndarray:
    """Damages clips.

    Args:
      kinds: `CROPS` or `LANDMARKS`.
      name: key of it.
      clips: crops `[N, T, S, S, 3]` uint8, or landmarks `[N, T, 68, 2]`.
      strength: 0 to 5.
      seed: of what is drawn.

    Returns:
      Clips of the same shape and type.
    """
    clips, kind = np.asarray(clips), kinds[name]
    if not strength:
        return clips.copy()
    amount, stream = kind.amounts[strength - 1], list(kinds).index(name)
    altered = np.empty_like(clips)
    for index, clip in enumerate(clips):
        changed = kind.alter(clip, amount, np.random.default_rng((seed, stream, index)))
        altered[index] = changed if clips.dtype != np.uint8 else np.clip(np.rint(changed), 0, 255)
    return altered


def _each_frame(function: Callable) -> Callable:
    """Makes a kind's function of one that takes a frame `[S, S, 3]` and an amount."""
    return lambda clip, amount, rng: np.stack([function(frame, amount) for frame in clip])


def _blur(frame, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(frame, (0, 0), sigma * len(frame) / _SIDE)


def _compress(frame, quality: float) -> np.ndarray:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(frame), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def _shrink(frame, share: float) -> np.ndarray:
    side = max(2, round(share * len(frame)))
    small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _occlude(clip, share: float, rng) -> np.ndarray:
    """Covers a square, at the same place throughout the clip; larger ones hold the smaller."""
    side, (across, down), colour = clip.shape[1], rng.random(2), rng.integers(0, 256)
    covered = round(share * side)
    top, left = (round(place * (side - covered)) for place in (down, across))
    clip = clip.copy()
    clip[:, top : top + covered, left : left + covered] = colour
    return clip


def _add_noise(clip, deviation: float, rng) -> np.ndarray:
    return clip + deviation * rng.standard_normal((*clip.shape[:3], 1))


def _jitter(clip, deviation: float, rng) -> np.ndarray:
    unit = eye_distance(clip).mean()
    return clip + deviation * unit * rng.standard_normal(clip.shape)


def _freeze(clip, share: float, rng) -> np.ndarray:
    """The last frames all show the one before; at share 1 the first frame stands."""
    del rng
    last = round((1 - share) * (len(clip) - 1))
    return clip[np.minimum(np.arange(len(clip)), last)]


def _shuffle(clip, share: float, rng) -> np.ndarray:
    """A share of the frames changes places, none of them stays."""
    order = rng.permutation(len(clip))
    moved = order[: max(2, round(share * len(clip)))]
    clip = clip.copy()
    clip[moved] = clip[np.roll(moved, 1)]
    return clip


CROPS = {
    "blur": Kind((0.5, 1.0, 1.5, 2.0, 3.0), _each_frame(_blur)),  # pixels at a side of 48
    "dark": Kind((0.7, 0.5, 0.4, 0.25, 0.15), lambda clip, amount, rng: clip * amount),
    "occlusion": Kind((0.2, 0.3, 0.4, 0.5, 0.6), _occlude),  # share of the side
    "JPEG": Kind((30, 20, 12, 7, 4), _each_frame(_compress)),  # quality
    "low resolution": Kind((0.75, 0.5, 0.35, 0.25, 0.15), _each_frame(_shrink)),
    "noise": Kind((5, 10, 15, 25, 40), _add_noise),  # standard deviation, of 255
}
LANDMARKS = {
    "jitter": Kind((0.01, 0.02, 0.05, 0.1, 0.2), _jitter),  # eye distances
    "still": Kind((0.2, 0.4, 0.6, 0.8, 1.0), _freeze),  # share of the frames
    "shuffled": Kind((0.2, 0.4, 0.6, 0.8, 1.0), _shuffle),
}


def backgrounds(like, seed: int = 0) -> np.ndarray:
    """Crops of no face: still textures, coarse to fine, each with its own light and contrast.

    Args:
      like: crops `[N, T, S, S, 3]` uint8, whose shape they have; gray if these are.
      seed: of the drawing.
    """
    like, found = np.asarray(like), []
    gray = bool((like == like[..., :1]).all())
    for index in range(len(like)):
        rng = np.random.default_rng((seed, index))
        cells, channels = int(rng.integers(2, 24)), 1 if gray else 3
        coarse = rng.standard_normal((cells, cells, channels)).astype(np.float32)
        texture = cv2.resize(coarse, like.shape[2:4], interpolation=cv2.INTER_CUBIC)
        texture = texture.reshape(*like.shape[2:4], channels)
        light, contrast = rng.uniform(60, 190), rng.uniform(10, 60)
        found.append(np.clip(light + contrast * texture, 0, 255).astype(np.uint8))
    still = np.stack(found)[:, None]
    return np.broadcast_to(still, like.shape).copy()


def held(landmarks, seed: int = 0) -> np.ndarray:
    """An expression that is held: the frame least like the first one, trembling a little.

    Args:
      landmarks: `[N, T, 68, 2]`.
      seed: of the trembling.
    """
    found = []
    for index, clip in enumerate(np.asarray(landmarks)):
        rng = np.random.default_rng((seed, index))
        inner = clip - clip.mean(1, keepdims=True)
        apex = np.square(inner - inner[:1]).sum((1, 2)).argmax()
        found.append(_jitter(np.repeat(clip[apex : apex + 1], len(clip), 0), _TREMBLE, rng))
    return np.stack(found).astype(landmarks.dtype)
