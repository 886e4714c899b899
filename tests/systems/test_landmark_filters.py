"""Landmark filters: against a loop over landmarks and cells, gaps, mirrored faces."""

import jax
import numpy as np
import pytest

from fer_jax.data.augment import mirror_in_crop
from fer_jax.systems.inception_resnet_3d import landmark_filters
from tests.quick import quick

SIZE = 96
shortcut_filters = quick(landmark_filters.shortcut_filters, static_argnums=(1, 2, 3))


def landmarks(clips=2, frames=3, seed=0, low=-5.0, high=SIZE + 5.0):
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (clips, frames, 68, 2)).astype(np.float32)


def by_hand(points, side, outside):
    """Filter of one frame, cell by cell."""
    found = np.full((side, side), outside)
    weights = {}
    for index, (x, y) in enumerate(points):
        if index in (60, 64):
            continue
        row, column = (int(min(side - 1, max(0, np.floor(v * side / SIZE)))) for v in (y, x))
        for r in range(max(0, row - 3), min(side, row + 4)):
            for c in range(max(0, column - 3), min(side, column + 4)):
                weight = 1 - 0.1 * (abs(r - row) + abs(c - column))
                weights[r, c] = max(weight, weights.get((r, c), -np.inf))
    for place, weight in weights.items():
        found[place] = weight
    return found


@pytest.mark.parametrize(("side", "outside"), [(12, 0.0), (40, 0.25), (40, 1.0), (5, 0.0)])
def test_filter_is_that_computed_cell_by_cell(side, outside):
    points = landmarks()
    points[:, :, 8:] = points[:, :, :1] + 3  # room for cells outside all windows
    found = shortcut_filters(points, SIZE, side, outside)
    for clip, frames in zip(found, points, strict=True):
        for each, own in zip(clip, frames, strict=True):
            np.testing.assert_allclose(each[..., 0], by_hand(own, side, outside), atol=1e-6)


def test_filter_leaves_out_the_inner_corners_of_the_mouth():
    points = np.zeros((1, 1, 68, 2), np.float32)
    moved = points.copy()
    moved[:, :, [60, 64]] = 90
    filters = [np.asarray(shortcut_filters(each, SIZE, 38)) for each in (points, moved)]
    np.testing.assert_array_equal(*filters)
    moved[:, :, 61] = 90
    assert np.abs(shortcut_filters(moved, SIZE, 38) - filters[0]).max() > 0.5


def test_filter_of_landmarks_in_every_cell_is_one():
    cells = 7
    middles = (np.stack(np.meshgrid(*[np.arange(cells)] * 2), -1).reshape(-1, 2) + 0.5) * 7
    points = np.resize(middles, (1, 1, 68, 2))  # 49 cells, some twice: so those left out
    np.testing.assert_array_equal(shortcut_filters(points, 7 * cells, cells), 1)


def test_filter_of_frames_without_landmarks_is_the_nearest():
    points = landmarks(clips=3, frames=6)
    whole = np.asarray(shortcut_filters(points, SIZE, 12))
    points[0, [0, 1, 3, 4, 5]] = np.nan  # only frame 2 is left
    points[1, 1:4, 7] = np.nan  # one point is enough
    points[2] = np.inf
    found = np.asarray(shortcut_filters(points, SIZE, 12))
    np.testing.assert_array_equal(found[0], np.repeat(whole[0, 2:3], 6, 0))
    np.testing.assert_array_equal(found[1], whole[1, [0, 0, 0, 4, 4, 5]])
    np.testing.assert_array_equal(found[2], np.ones_like(found[2]))


@pytest.mark.parametrize("side", [12, 5])
def test_filter_of_a_mirrored_face_is_mirrored(side):
    points = np.floor(landmarks(low=0, high=SIZE)) + 0.5  # no landmark on the edge of a pixel
    points[..., 0] -= 0.5  # pixels: x and size - 1 - x lie in mirrored cells
    if side == 5:  # cells of 19.2 pixels: stay away from their edges
        points[..., 0] = np.round(points[..., 0] / 19.2 - 0.5) * 19.2 + 9.1
    found = np.asarray(shortcut_filters(points, SIZE, side))
    mirrored = np.asarray(shortcut_filters(mirror_in_crop(points, SIZE), SIZE, side))
    # The points that are left out are a pair, so nothing else comes in.
    np.testing.assert_allclose(mirrored, found[:, :, :, ::-1], atol=1e-6)


def test_no_gradient_reaches_the_landmarks():
    def total(points):
        return landmark_filters.shortcut_filters(points, SIZE, 12).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(landmarks()), 0)
