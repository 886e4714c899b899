"""Landmark filters: weights of a shortcut that decrease with the distance from the landmarks.

Source: Hasani & Mahoor, CVPRW 2017 (arXiv 1705.07871), section 3.2 and equation 2;
docs/papers/inception_resnet_3d.md for overlaps and cells outside of all windows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

POINTS = 68
INNER_CORNERS = (60, 64)  # of the mouth, which the 66-point layout lacks
REACH = 3  # cells from a landmark to the edge of its window
LOSS = 0.1  # of the weight, for each row or column further away

_KEPT = np.setdiff1d(np.arange(POINTS), INNER_CORNERS)


def shortcut_filters(landmarks: jax.Array, size: int, side: int, outside: float = 0.0) -> jax.Array:
    """Weights the cells of a feature map by their distance from the landmarks (equation 2).

    In a window of 7 x 7 cells around a landmark the weight is 1 - 0.1 (rows + columns away); where
    windows overlap, the largest weight counts. A frame with a landmark that is not finite takes the
    filter of the nearest frame (the earlier of two); a clip of such frames has ones throughout.

    Args:
      landmarks: `[B, T, 68, 2]`, pixels of the frames.
      size: S0, side of a frame, pixels.
      side: S, cells of a side of the feature map.
      outside: weight of the cells outside all windows.

    Returns:
      `[B, T, S, S, 1]` float32; no gradient passes.
    """
    points = jax.lax.stop_gradient(landmarks[..., _KEPT, :].astype(jnp.float32))
    known = jnp.isfinite(points).all((-1, -2))
    cells = jnp.floor(jnp.where(known[..., None, None], points, 0.0) * (side / size))
    cells = jnp.clip(cells, 0, side - 1)[..., None] == jnp.arange(side)  # [B, T, 66, 2, S]
    columns, rows = (cells[..., axis, :].astype(jnp.float32) for axis in range(2))
    hit = jnp.einsum("...pr,...pc->...rc", rows, columns) > 0
    weights = _spread(_spread(jnp.where(hit, 1.0, -jnp.inf), -2), -1)
    weights = jnp.where(jnp.isfinite(weights), weights, outside)
    weights = jnp.take_along_axis(weights, _nearest(known)[..., None, None], axis=1)
    weights = jnp.where(known.any(1)[:, None, None, None], weights, 1.0)
    return weights[..., None]


def _spread(weights: jax.Array, axis: int) -> jax.Array:
    """Takes the largest weight within reach along an axis, less the loss."""
    side, axis = weights.shape[axis], axis % weights.ndim
    around = [(REACH, REACH) if each == axis else (0, 0) for each in range(weights.ndim)]
    padded = jnp.pad(weights, around, constant_values=-jnp.inf)
    shifted = [
        jax.lax.slice_in_dim(padded, start, start + side, axis=axis) - LOSS * abs(start - REACH)
        for start in range(2 * REACH + 1)
    ]
    return jnp.stack(shifted).max(0)


def _nearest(known: jax.Array) -> jax.Array:
    """Index of the nearest frame with landmarks for each frame, `[B, T] bool -> [B, T]`."""
    frames = jnp.arange(known.shape[1])
    away = jnp.abs(frames[:, None] - frames)
    return jnp.where(known[:, None, :], away, known.shape[1]).argmin(-1)
