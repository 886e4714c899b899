"""Augmentation of clips inside the compiled step: pure functions of (key, example).

Each random choice is drawn once per clip and applied to all its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fer_jax.faces import landmarks as lm


def mirror(landmarks: jax.Array) -> jax.Array:
    """Mirrors faces about the vertical through the nose: negates x, swaps left and right points.

    Args:
      landmarks: `[..., 68, 2]`, pixels.

    Source: Heidari & Iosifidis, MMSP 2021, section IV-B (the published code reverses time instead).
    """
    nose = landmarks[..., lm.NOSE_68, None, :]
    flipped = (landmarks - nose) * jnp.array([-1.0, 1.0]) + nose
    return flipped[..., lm.MIRROR_68, :]


def rotate(landmarks: jax.Array, degrees: jax.Array) -> jax.Array:
    """Rotates faces in the image plane about the nose of each frame."""
    nose = landmarks[..., lm.NOSE_68, None, :]
    return (landmarks - nose) @ _turn(degrees) + nose


def _turn(degrees: jax.Array) -> jax.Array:
    """The matrix that turns points `[..., 2]` multiplied from the left."""
    angle = jnp.deg2rad(degrees)
    return jnp.array([[jnp.cos(angle), jnp.sin(angle)], [-jnp.sin(angle), jnp.cos(angle)]])


class Varied(NamedTuple):
    """A variant of a clip.

    Attributes:
      landmarks: `[T, 68, 2]`, pixels.
      nose: `[T, 2]`, position of the nose before the noise: noisy nodes are relative to it.
    """

    landmarks: jax.Array
    nose: jax.Array


def augment_clip(
    key: jax.Array,
    landmarks: jax.Array,
    noise: float,
    degrees: float,
    time_reverse: bool = False,
    head: bool = False,
) -> Varied:
    """Draws one of the paper's 14 variants of a clip.

    The variants are the original, three noisy clips, three noisy and rotated clips, and the mirror
    images of all seven: half of the draws are mirrored, 12 of 14 are noisy, 6 of 14 are rotated.

    Args:
      key: for this clip in this step.
      landmarks: `[T, 68, 2]`, pixels of a frame 500 wide.
      noise: standard deviation of the noise on every coordinate, pixels (paper: 10).
      degrees: the rotation is uniform in +- this (paper: 18).
      time_reverse: plays the clip backwards instead of mirroring it, as the published code does.
      head: mirrors the motion of the head too, for features that hold it.

    Source: Heidari & Iosifidis, MMSP 2021, section IV-B; amounts: docs/papers/st_bln.md.
    """
    variant_key, mirror_key, noise_key, angle_key = jax.random.split(key, 4)
    variant = jax.random.randint(variant_key, (), 0, 7)  # 0: plain, 1-3: noisy, 4-6: and rotated
    mirrored = jax.random.bernoulli(mirror_key)
    jitter = noise * jax.random.normal(noise_key, landmarks.shape) * (variant > 0)
    angle = jax.random.uniform(angle_key, (), minval=-degrees, maxval=degrees) * (variant > 3)
    return _vary(landmarks, jitter, angle, mirrored, time_reverse, head)


COPIES = 14  # of a clip, as many as `augment_clip` has variants


def fixed_copy(
    key: jax.Array,
    copy: jax.Array,
    landmarks: jax.Array,
    noise: float,
    degrees: float,
    time_reverse: bool = False,
    head: bool = False,
) -> Varied:
    """Makes one of the 14 copies of a clip that the published code writes once, before training.

    The three noisy copies, their rotations and the mirror images of both share three noises.

    Args:
      key: of this clip, the same in every epoch.
      copy: 0..13: the original, three noisy, the same three rotated, then the mirror images of
        these seven.
      landmarks, noise, degrees, time_reverse, head: see `augment_clip`.
    """
    variant = copy % 7
    noise_key, angle_key = jax.random.split(jax.random.fold_in(key, (variant - 1) % 3))
    jitter = noise * jax.random.normal(noise_key, landmarks.shape) * (variant > 0)
    angle = jax.random.uniform(angle_key, (), minval=-degrees, maxval=degrees) * (variant > 3)
    return _vary(landmarks, jitter, angle, copy >= 7, time_reverse, head)


def _vary(landmarks, jitter, angle, mirrored, time_reverse: bool, head: bool) -> Varied:
    """Adds noise to a clip, turns it about the nose (before the noise), and mirrors it if asked."""
    nose = landmarks[:, lm.NOSE_68]
    shape = landmarks - nose[:, None] + jitter
    shape = shape @ _turn(angle)
    if time_reverse:
        other, other_nose = shape[::-1], nose[::-1]
    else:
        flip = jnp.array([-1.0, 1.0])
        other, other_nose = (shape * flip)[:, lm.MIRROR_68], nose
        if head:
            other_nose = (nose - nose[:1]) * flip + nose[:1]
    shape = jnp.where(mirrored, other, shape)
    nose = jnp.where(mirrored, other_nose, nose)
    return Varied(shape + nose[:, None], nose)


def augment_landmarks(
    key: jax.Array,
    clip: dict,
    *,
    seed: int,
    fixed: bool,
    cut: float = 0.0,
    warp: float = 0.0,
    **options,
) -> dict:
    """Augments the landmarks of a clip of a batch; it then has a `nose`, see `Varied`.

    Args:
      key: for this clip in this step.
      clip: its leaves of a batch; with `clip` and `copy` if copies are fixed, see `clips.Chosen`.
      seed: of fixed copies.
      fixed: see `fixed_copy`, else `augment_clip`.
      cut, warp: see `retime`; 0 leaves the course of the clip as it is.
      options: of these.
    """
    if cut or warp:
        course = retime(jax.random.fold_in(key, 0), clip["landmarks"], cut, warp)
        clip = clip | {"landmarks": course}
    if not fixed:
        return clip | augment_clip(key, clip["landmarks"], **options)._asdict()
    own = jax.random.fold_in(jax.random.key(seed), clip["clip"])
    return clip | fixed_copy(own, clip["copy"], clip["landmarks"], **options)._asdict()


def retime(key: jax.Array, landmarks: jax.Array, cut: float, warp: float) -> jax.Array:
    """Leaves out a random part of both ends of a clip and plays the rest at a changing speed.

    Args:
      key: for this clip in this step.
      landmarks: `[T, 68, 2]`; between frames they are interpolated.
      cut: the share of the time left out at each end is uniform in 0 to this.
      warp: the time t from 0 to 1 becomes t ** exp(w), w uniform in +- this.
    """
    cut_key, warp_key = jax.random.split(key)
    first, last = jax.random.uniform(cut_key, (2,), maxval=cut)
    power = jnp.exp(jax.random.uniform(warp_key, (), minval=-warp, maxval=warp))
    frames = len(landmarks)
    times = first + jnp.linspace(0, 1, frames) ** power * (1 - first - last)
    times = jnp.clip(times * (frames - 1), 0, frames - 1)
    before = jnp.floor(times).astype(int)
    after, share = jnp.minimum(before + 1, frames - 1), (times - before)[:, None, None]
    return landmarks[before] * (1 - share) + landmarks[after] * share


def augment_crops(
    key: jax.Array,
    frames: jax.Array,
    landmarks: jax.Array,
    *,
    size: int = 0,
    flip: bool = True,
    degrees: float = 0.0,
    angles: Sequence[float] = (),
    zoom: float = 0.0,
    brightness: float = 0.2,
    contrast: float = 0.2,
    erase: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Rotates, zooms, shifts, mirrors, relights and hides parts of the face crops of a clip.

    Landmarks move with the crops.

    Args:
      key: for this clip in this step.
      frames: `[T, S, S, 3]`, 0..255.
      landmarks: `[T, 68, 2]`, pixels of the crops.
      size: side of the square cut out at a random position, pixels; 0 keeps S.
      flip: mirrors half of the clips.
      degrees: the rotation about the centre is uniform in +- this; pixels from outside are black.
      angles: draws the rotation from these degrees with equal probability instead.
      zoom: the factor of the size is uniform in 1 +- this, about the centre.
      brightness, contrast: factors are uniform in 1 +- this; contrast is about the clip's mean.
      erase: largest side of a square at a random position, as a share of the crop's side, that
        becomes gray (the clip's mean); the side is uniform in 0 to this.

    Returns:
      Frames `[T, size, size, 3]` float32, 0..255, and landmarks in their pixels.

    Source: Liu, Zhang & Zhou, ICPR 2020, section IV-B; Yu et al., Neurocomputing 317 (2018),
    section 4.1 (angles); erasing: DeVries & Taylor, arXiv 1708.04552.
    """
    corner_key, flip_key, angle_key, bright_key, contrast_key = jax.random.split(key, 5)
    if len(angles) or degrees or zoom:
        if len(angles):
            angle = jax.random.choice(angle_key, jnp.asarray(angles, jnp.float32))
        else:
            angle = jax.random.uniform(angle_key, (), minval=-degrees, maxval=degrees)
        factor = 1.0
        if zoom:
            zoom_key = jax.random.fold_in(angle_key, 1)
            factor = jax.random.uniform(zoom_key, (), minval=1 - zoom, maxval=1 + zoom)
        frames, landmarks = rotate_crops(frames, landmarks, angle, factor)
    side = frames.shape[1]
    size = size or side
    corner = jax.random.randint(corner_key, (2,), 0, side - size + 1)  # row, column
    start = (0, corner[0], corner[1], 0)
    frames = jax.lax.dynamic_slice(frames, start, (len(frames), size, size, 3))
    landmarks = landmarks - corner[::-1]
    if flip:
        mirrored = jax.random.bernoulli(flip_key)
        frames = jnp.where(mirrored, frames[:, :, ::-1], frames)
        landmarks = jnp.where(mirrored, mirror_in_crop(landmarks, size), landmarks)
    frames = frames.astype(jnp.float32)
    if erase:
        frames = erase_square(jax.random.fold_in(corner_key, 1), frames, erase)
    if not brightness and not contrast:
        return frames, landmarks
    if brightness:
        frames *= jax.random.uniform(bright_key, (), minval=1 - brightness, maxval=1 + brightness)
    if contrast:
        spread = jax.random.uniform(contrast_key, (), minval=1 - contrast, maxval=1 + contrast)
        mean = frames.mean()
        frames = (frames - mean) * spread + mean
    return jnp.clip(frames, 0.0, 255.0), landmarks


def mirror_in_crop(landmarks: jax.Array, size: int) -> jax.Array:
    """Mirrors landmarks `[..., 68, 2]` with their crop, `size` pixels wide."""
    flipped = landmarks * jnp.array([-1.0, 1.0]) + jnp.array([size - 1.0, 0.0])
    return flipped[..., lm.MIRROR_68, :]


def erase_square(key: jax.Array, frames: jax.Array, most: float) -> jax.Array:
    """Fills a random square of frames `[T, S, S, 3]` with their mean, see `augment_crops`."""
    side = frames.shape[1]
    half_key, centre_key = jax.random.split(key)
    half = jax.random.uniform(half_key, (), maxval=most) * side / 2
    centre = jax.random.uniform(centre_key, (2,), maxval=float(side))
    near = jnp.abs(jnp.arange(side) + 0.5 - centre[:, None]) < half  # rows, columns
    return jnp.where((near[0][:, None] & near[1])[..., None], frames.mean(), frames)


def rotate_crops(frames: jax.Array, landmarks: jax.Array, degrees: jax.Array, zoom=1.0):
    """Rotates crops and landmarks clockwise about the centre; bilinear, black outside.

    Args:
      frames: `[T, S, S, 3]`.
      landmarks: `[T, 68, 2]`, pixels.
      degrees: the angle.
      zoom: factor of the size.

    Returns:
      Frames of the same shape, float32, and landmarks.
    """
    side, middle = frames.shape[1], (frames.shape[1] - 1) / 2
    angle = jnp.deg2rad(degrees)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    y, x = jnp.meshgrid(*[(jnp.arange(side) - middle) / zoom] * 2, indexing="ij")
    source_x, source_y = cosine * x + sine * y + middle, cosine * y - sine * x + middle
    left, top = jnp.floor(source_x).astype(int), jnp.floor(source_y).astype(int)
    across, down = (source_x - left)[..., None], (source_y - top)[..., None]

    def pixel(row, column):
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        index = jnp.clip(row, 0, side - 1) * side + jnp.clip(column, 0, side - 1)
        return frames.reshape(len(frames), -1, 3)[:, index] * inside[..., None]

    upper = pixel(top, left) * (1 - across) + pixel(top, left + 1) * across
    lower = pixel(top + 1, left) * (1 - across) + pixel(top + 1, left + 1) * across
    turned = upper * (1 - down) + lower * down
    turn = jnp.array([[cosine, sine], [-sine, cosine]])
    return turned, (landmarks - middle) @ turn * zoom + middle
