"""What a face offers to a model: size, pose, sharpness and motion.

`fer_jax.predict.people` has the limits beyond which a model cannot read a face.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np

from fer_jax.faces.crop import crop_transform, warp
from fer_jax.faces.landmarks import LEFT_EYE, MEAN_FACE, MIRROR_68, RIGHT_EYE, eye_distance

_BRIEF = 0.1  # share of the frames
_SHARPNESS_SIDE = 96  # pixels of the aligned crop in which sharpness is measured
_DETAIL = 1.5  # pixels of that crop, standard deviation; finer detail is mostly noise
_BOTH = 8 / 3  # variance of the Laplacian over that of one derivative, if directions are alike
_MOVING = np.r_[17:27, 37:39, 40:42, 43:45, 46:48, 48:68]  # brows, lids, mouth
# Points that no expression moves much: nose and corners of the eyes.
_RIGID = np.r_[27:36, 36, 39, 42, 45]
_SOLID = np.r_[17:60]  # all but the jaw, which slides over the cheek of a turned head
_OTHERS = np.r_[30, 48, 54]  # tip of the nose, corners of the mouth
# Depth towards the camera of the right half of an average face and of its midline, eye distances.
_DEPTH = {
    17: -0.30, 18: -0.15, 19: -0.05, 20: 0.0, 21: 0.05, 27: 0.10, 28: 0.22, 29: 0.34, 30: 0.45,
    31: 0.15, 32: 0.21, 33: 0.24, 36: -0.20, 37: -0.12, 38: -0.10, 39: -0.10, 40: -0.11, 41: -0.13,
    48: -0.05, 49: 0.08, 50: 0.16, 51: 0.18, 57: 0.16, 58: 0.14, 59: 0.06,
}  # fmt: skip


class Pose(NamedTuple):
    """Turn of a head, degrees; each is a number or an array.

    Attributes:
      yaw: above 0 towards the right of the picture, the person's left.
      pitch: above 0 upwards.
      roll: above 0 clockwise in the picture.
    """

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray


@functools.cache
def _average_face() -> np.ndarray:
    """Returns an average face, `[68, 3]`, eye distances; z leads away, and is 0 along the jaw."""
    depth = np.zeros(68)
    for point, z in _DEPTH.items():
        depth[[point, MIRROR_68[point]]] = -z
    return np.column_stack([MEAN_FACE.astype(float), depth])


def head_pose(landmarks: np.ndarray) -> Pose:
    """Estimates the pose of heads by least squares, as seen from afar.

    On drawn heads with landmarks of usual noise it errs by 2 degrees, 3 where turns combine.

    Args:
      landmarks: `[..., 68, 2]`, pixels.

    Returns:
      The pose, three arrays `[...]`.
    """
    return _turn(np.asarray(landmarks, float)[..., _SOLID, :], _average_face()[_SOLID])


def mean_turn(landmarks: np.ndarray) -> np.ndarray:
    """Mean yaw and pitch of the heads of clips: `[B, T, 68, 2] -> [B, 2]`, degrees."""
    pose = head_pose(landmarks)
    return np.stack([pose.yaw.mean(-1), pose.pitch.mean(-1)], -1)


def turn_of_five(points: np.ndarray) -> Pose:
    """Estimates yaw and roll of heads from five points; these do not tell the pitch, which is NaN.

    The yaw is coarse: it falls short of that of 68 landmarks where a head is turned far.

    Args:
      points: `[..., 5, 2]`, pixels: the eyes, the nose and the corners of the mouth.
    """
    face = _average_face()
    eyes = np.stack([face[RIGHT_EYE].mean(0), face[LEFT_EYE].mean(0)])
    yaw, pitch, roll = _turn(np.asarray(points, float), np.concatenate([eyes, face[_OTHERS]]))
    return Pose(yaw, pitch * np.nan, roll)


def _turn(points: np.ndarray, face: np.ndarray) -> Pose:
    """Turn by which points `[..., N, 2]` differ from those of a face, `[N, 3]`."""
    points = points - points.mean(-2, keepdims=True)
    affine = np.swapaxes(np.linalg.pinv(face - face.mean(0)) @ points, -1, -2)  # [..., 2, 3]
    if np.isnan(affine).any():
        return Pose(*(np.full(affine.shape[:-2], np.nan) for _ in Pose._fields))
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    across, down = np.moveaxis(left @ right, -2, 0)  # nearest orthonormal rows
    away = np.cross(across, down)
    return Pose(
        np.degrees(np.arctan2(-across[..., 2], away[..., 2])),
        np.degrees(np.arcsin(np.clip(down[..., 2], -1, 1))),
        np.degrees(np.arctan2(down[..., 0], across[..., 0])),
    )


def sharpness(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Measures the detail of a face: variance of the Laplacian of Gaussian, of 1000 times its own.

    The face is scaled to a fixed size first and compared with its own contrast, so neither its size
    nor dim light counts; the Gaussian keeps noise and the blocks of JPEG from passing for detail.
    Motion blurs across or along the face: if less is left there, the second derivative in that
    direction counts, scaled as if the other were like it.
    NaN for a face that cannot be aligned or has no contrast at all.

    Args:
      image: `[H, W, 3]` uint8 RGB.
      landmarks: `[68, 2]`, pixels of the image.
    """
    try:
        matrix = crop_transform(landmarks, _SHARPNESS_SIDE)
    except ValueError:
        return float("nan")
    low, high = _SHARPNESS_SIDE // 6, 5 * _SHARPNESS_SIDE // 6
    crop = warp(image, matrix, _SHARPNESS_SIDE)[low:high, low:high]
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if gray.var() < 1:
        return float("nan")
    smooth = _DETAIL**2 * cv2.GaussianBlur(gray, (0, 0), _DETAIL)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *n, ksize=1) for n in ((2, 0), (0, 2)))
    least = min((across + down).var(), _BOTH * across.var(), _BOTH * down.var())
    return float(1000 * least / gray.var())


class Motion(NamedTuple):
    """How much brows, lids and mouth move, eye distances.

    Attributes:
      moved: largest root mean square distance of the mean shape of a sixth of the frames from that
        of all frames; means reduce the landmarks' noise. The frames least like the first ones, a
        tenth, are left out: a blink, or the end of a smile that was held, is no expression.
      noise: what the noise of the landmarks alone would give, from second differences in time,
        which motion hardly has; infinite if there are fewer than 3 frames.
    """

    moved: float
    noise: float


def motion(landmarks: np.ndarray, length: int = 0) -> Motion:
    """Measures the motion of a face; turns of the head do not count.

    The corners of the eyes and the nose of every frame are mapped to their mean places.

    Args:
      landmarks: `[T, 68, 2]`, pixels, in order of time.
      length: frames of the window, with those that do not show the face; default: T.
    """
    points = np.asarray(landmarks, float)
    size = float(np.median(eye_distance(points)))
    shapes = _without_head(points)[:, _MOVING] / max(size, 1e-6)
    brief = int(_BRIEF * (length or len(shapes)))
    far = _distance(shapes - shapes[: max(brief, 1)].mean(0), axis=-1)
    lasting = shapes[np.sort(np.argsort(far, kind="stable")[: max(len(far) - brief, 1)])]
    parts = np.array_split(lasting, min(6, len(lasting)))
    means = np.stack([part.mean(0) for part in parts])
    moved = _distance(means - lasting.mean(0), axis=-1).max()
    if len(shapes) < 3:
        return Motion(float(moved), float("inf"))
    # the second difference of independent noise has 6 times its variance
    noise = _distance(np.diff(shapes, 2, axis=0)) / np.sqrt(6 * len(shapes) / len(parts))
    return Motion(float(moved), float(noise))


def _distance(shapes: np.ndarray, axis=None):
    """Root mean square length of `[..., P, 2]`, over all points or along an axis of them."""
    return np.sqrt((shapes**2).sum(-1).mean(axis))


def _without_head(points: np.ndarray) -> np.ndarray:
    """Maps the rigid points of every frame, `[T, 68, 2]`, to their mean places (affine)."""
    rigid = points[:, _RIGID] - points[:, _RIGID].mean(1, keepdims=True)
    wanted = rigid.mean(0)
    maps = np.linalg.pinv(rigid) @ wanted  # [T, 2, 2]
    return (points - points[:, _RIGID].mean(1, keepdims=True)) @ maps
