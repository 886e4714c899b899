"""Augmentation of landmark clips, on device inside the step: pure functions of (key, example)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fer_jax import landmarks as lm


def mirror(landmarks: jax.Array) -> jax.Array:
    """Mirrors faces about the vertical through the nose: x -> -x and left and right points swapped.

    Args:
      landmarks: `[..., 68, 2]`, pixels.

    Source: ST-BLN specification, section 6 (the published code reverses time instead).
    """
    nose = landmarks[..., lm.NOSE_68, None, :]
    flipped = (landmarks - nose) * jnp.array([-1.0, 1.0]) + nose
    return flipped[..., lm.MIRROR_68, :]


def rotate(landmarks: jax.Array, degrees: jax.Array) -> jax.Array:
    """Turns faces in the image plane about the nose of each frame."""
    angle = jnp.deg2rad(degrees)
    turn = jnp.array([[jnp.cos(angle), jnp.sin(angle)], [-jnp.sin(angle), jnp.cos(angle)]])
    nose = landmarks[..., lm.NOSE_68, None, :]
    return (landmarks - nose) @ turn + nose


def augment_clip(
    key: jax.Array,
    landmarks: jax.Array,
    noise: float,
    degrees: float,
    time_reverse: bool = False,
) -> jax.Array:
    """Draws one of the paper's 14 variants of a clip.

    The variants: the original and its mirror image, and three draws each of noisy, noisy and
    rotated, and the mirror images of both. So half are mirrored, 12 of 14 carry noise and 6 of 14
    are rotated.

    Args:
      key: of this clip in this step.
      landmarks: `[T, 68, 2]`, pixels of a frame 500 wide.
      noise: standard deviation of the noise on every coordinate, pixels (paper: 10).
      degrees: rotation is uniform in +- this, one angle a clip (paper: 18).
      time_reverse: play the clip backwards instead of mirroring it, as the published code does.

    Source: ST-BLN specification, section 6.
    """
    variant_key, mirror_key, noise_key, angle_key = jax.random.split(key, 4)
    variant = jax.random.randint(variant_key, (), 0, 7)  # 0: plain, 1-3: noisy, 4-6: and rotated
    jitter = noise * jax.random.normal(noise_key, landmarks.shape)
    angle = jax.random.uniform(angle_key, (), minval=-degrees, maxval=degrees)
    clip = landmarks + jnp.where(variant > 0, jitter, 0.0)
    clip = rotate(clip, jnp.where(variant > 3, angle, 0.0))
    flipped = clip[::-1] if time_reverse else mirror(clip)
    return jnp.where(jax.random.bernoulli(mirror_key), flipped, clip)
