"""The parametric face: 3-D neutral shape, action units as displacements, emotions as recipes.

All geometry is in face units: the eye distance of the mean face is 1, the origin is between the
eyes, x points to the right of the image, y down, z towards the camera.

Source: Facial Action Coding System for what each unit moves; EMFACS for the combinations.
"""

from __future__ import annotations

import numpy as np

from fer_jax.faces.labels import EMOTIONS
from fer_jax.faces.landmarks import MEAN_FACE, MIRROR_68

CLASSES = tuple(sorted((*EMOTIONS, "neutral")))

# Depth of the right half of the face and the midline; the left half mirrors it.
_DEPTH = {
    0: -0.66, 1: -0.58, 2: -0.52, 3: -0.46, 4: -0.40, 5: -0.32, 6: -0.23, 7: -0.17, 8: -0.12,
    17: -0.32, 18: -0.16, 19: -0.05, 20: 0.02, 21: 0.05, 27: 0.06, 28: 0.19, 29: 0.32, 30: 0.42,
    31: 0.13, 32: 0.20, 33: 0.23, 36: -0.22, 37: -0.12, 38: -0.09, 39: -0.11, 40: -0.10,
    41: -0.14, 48: -0.06, 49: 0.09, 50: 0.17, 51: 0.19, 57: 0.17, 58: 0.15, 59: 0.07,
    60: -0.04, 61: 0.14, 62: 0.16, 66: 0.15, 67: 0.13,
}  # fmt: skip

# Displacement (x, y) of the right half at intensity 1; the left half mirrors it.
_DISPLACEMENT = {
    1: {21: (0.01, -0.12), 20: (0.0, -0.095), 19: (0.0, -0.045), 18: (0.0, -0.01)},
    2: {17: (-0.01, -0.07), 18: (-0.01, -0.105), 19: (0.0, -0.095), 20: (0.0, -0.045),
        21: (0.0, -0.015)},
    4: {21: (0.055, 0.11), 20: (0.05, 0.11), 19: (0.035, 0.09), 18: (0.02, 0.05), 17: (0.0, 0.02),
        37: (0.0, 0.015), 38: (0.0, 0.02)},
    5: {37: (0.0, -0.05), 38: (0.0, -0.055), 36: (0.0, -0.005), 40: (0.0, 0.008),
        41: (0.0, 0.008)},
    6: {40: (0.0, -0.03), 41: (0.0, -0.035), 36: (0.01, -0.005), 17: (0.0, 0.02),
        18: (0.0, 0.015), 37: (0.0, 0.012), 38: (0.0, 0.008), 2: (-0.02, -0.02),
        3: (-0.02, -0.02)},
    7: {37: (0.0, 0.028), 38: (0.0, 0.028), 40: (0.0, -0.028), 41: (0.0, -0.028)},
    9: {31: (-0.015, -0.065), 32: (0.0, -0.055), 33: (0.0, -0.05), 30: (0.0, -0.05),
        29: (0.0, -0.03), 28: (0.0, -0.015), 21: (0.035, 0.075), 20: (0.02, 0.06),
        19: (0.01, 0.03), 40: (0.0, -0.025), 41: (0.0, -0.015), 39: (0.0, -0.01),
        49: (0.0, -0.05), 50: (0.0, -0.06), 51: (0.0, -0.055), 61: (0.0, -0.025),
        62: (0.0, -0.025), 48: (0.0, -0.01), 60: (0.0, -0.01)},
    10: {49: (-0.01, -0.075), 50: (0.0, -0.085), 51: (0.0, -0.075), 61: (0.0, -0.035),
         62: (0.0, -0.035), 48: (-0.01, -0.015), 60: (-0.01, -0.015), 31: (-0.02, -0.025),
         32: (-0.005, -0.01)},
    12: {48: (-0.14, -0.12), 60: (-0.13, -0.115), 49: (-0.09, -0.05), 59: (-0.09, -0.045),
         50: (-0.03, 0.005), 51: (0.0, 0.015), 58: (-0.035, 0.0), 61: (-0.05, -0.015),
         67: (-0.05, -0.015), 31: (-0.02, -0.005), 3: (-0.025, -0.01), 4: (-0.025, 0.0)},
    14: {48: (-0.075, -0.015), 60: (-0.07, -0.015), 49: (-0.05, 0.015), 59: (-0.05, -0.02),
         50: (-0.02, 0.025), 51: (0.0, 0.025), 57: (0.0, -0.025), 58: (-0.02, -0.03)},
    15: {48: (-0.01, 0.11), 60: (-0.005, 0.105), 49: (0.0, 0.04), 59: (-0.005, 0.07),
         58: (0.0, 0.02), 61: (0.0, 0.01), 67: (0.0, 0.02)},
    16: {57: (0.0, 0.08), 58: (0.0, 0.08), 59: (0.0, 0.045), 66: (0.0, 0.07), 67: (0.0, 0.065)},
    17: {8: (0.0, -0.05), 7: (0.0, -0.045), 6: (0.0, -0.02), 57: (0.0, -0.075),
         58: (0.0, -0.075), 59: (0.0, -0.045), 66: (0.0, -0.045), 67: (0.0, -0.04),
         62: (0.0, -0.04), 61: (0.0, -0.035), 51: (0.0, -0.03), 50: (0.0, -0.03),
         48: (0.0, 0.02), 60: (0.0, 0.02)},
    20: {48: (-0.15, 0.03), 60: (-0.14, 0.03), 49: (-0.09, 0.025), 59: (-0.09, 0.015),
         50: (-0.03, 0.02), 58: (-0.035, -0.005), 61: (-0.05, 0.01), 67: (-0.05, 0.01),
         4: (-0.015, 0.0), 5: (-0.02, 0.0)},
    23: {48: (0.05, 0.0), 60: (0.055, 0.0), 49: (0.035, 0.035), 50: (0.01, 0.045),
         51: (0.0, 0.04), 59: (0.035, -0.04), 58: (0.01, -0.05), 57: (0.0, -0.05)},
    25: {61: (0.0, -0.025), 62: (0.0, -0.025), 50: (0.0, -0.02), 51: (0.0, -0.02),
         49: (0.0, -0.01), 67: (0.0, 0.06), 66: (0.0, 0.065), 58: (0.0, 0.055), 57: (0.0, 0.055),
         59: (0.0, 0.035)},
    26: {67: (0.005, 0.20), 66: (0.0, 0.22), 58: (0.01, 0.20), 57: (0.0, 0.21),
         59: (0.02, 0.14), 48: (0.05, 0.07), 60: (0.055, 0.07), 49: (0.025, 0.01),
         8: (0.0, 0.20), 7: (0.005, 0.20), 6: (0.01, 0.17), 5: (0.01, 0.12), 4: (0.01, 0.06),
         3: (0.005, 0.02)},
    45: {37: (0.0, 0.14), 38: (0.0, 0.14), 40: (0.0, -0.02), 41: (0.0, -0.02)},
}  # fmt: skip

ACTION_UNITS = tuple(_DISPLACEMENT)

# Emotion -> action unit -> (probability, lowest, highest share of the clip's intensity). Units with
# probability 1 are the core of the emotion. The combinations overlap on purpose.
RECIPES = {
    "anger": {4: (1.0, 0.7, 1.0), 5: (0.6, 0.4, 0.8), 7: (0.9, 0.5, 1.0), 23: (1.0, 0.5, 1.0),
              17: (0.4, 0.3, 0.6), 10: (0.25, 0.2, 0.5)},
    "contempt": {14: (1.0, 0.6, 1.0), 12: (0.8, 0.4, 0.8), 7: (0.2, 0.2, 0.4)},
    "disgust": {9: (1.0, 0.6, 1.0), 10: (0.6, 0.4, 0.9), 4: (0.5, 0.3, 0.6), 7: (0.5, 0.3, 0.7),
                15: (0.4, 0.3, 0.6), 16: (0.4, 0.3, 0.6), 17: (0.5, 0.3, 0.6)},
    "fear": {1: (1.0, 0.6, 1.0), 2: (0.8, 0.4, 0.8), 4: (0.8, 0.3, 0.7), 5: (1.0, 0.6, 1.0),
             20: (0.85, 0.5, 1.0), 25: (0.8, 0.4, 0.9), 26: (0.5, 0.3, 0.7)},
    "happiness": {12: (1.0, 0.7, 1.0), 6: (0.8, 0.4, 0.9), 25: (0.6, 0.4, 0.9),
                  26: (0.25, 0.2, 0.5)},
    "neutral": {},
    "relief": {12: (1.0, 0.3, 0.6), 25: (1.0, 0.5, 0.9), 45: (1.0, 0.4, 0.8), 26: (0.8, 0.3, 0.6),
               1: (0.4, 0.2, 0.4)},
    "sadness": {1: (1.0, 0.6, 1.0), 15: (1.0, 0.5, 1.0), 4: (0.8, 0.3, 0.7), 17: (0.5, 0.3, 0.7),
                6: (0.2, 0.2, 0.4)},
    "surprise": {1: (1.0, 0.6, 1.0), 2: (1.0, 0.6, 1.0), 5: (0.8, 0.4, 0.9), 25: (0.9, 0.5, 1.0),
                 26: (0.85, 0.4, 1.0)},
}  # fmt: skip

# Action units that an expression shows on one side of the face only.
UNILATERAL = {"contempt": (12, 14)}

# Emotions most easily confused with a weak expression, used to blend ambiguous clips.
CONFUSABLE = {
    "anger": ("disgust", "sadness"),
    "contempt": ("happiness", "disgust"),
    "disgust": ("anger", "sadness"),
    "fear": ("surprise", "sadness"),
    "happiness": ("neutral", "fear"),
    "neutral": ("sadness", "anger"),
    "relief": ("happiness", "neutral"),
    "sadness": ("neutral", "fear"),
    "surprise": ("fear", "neutral"),
}

# Standard deviation of each proportion of an identity around 1 (ratios) or 0 (shifts).
PROPORTIONS = {
    "width": 0.035, "height": 0.035, "jaw_width": 0.04, "chin": 0.03, "eye_size": 0.06,
    "eye_spacing": 0.02, "eye_tilt": 0.02, "brow_height": 0.03, "brow_arch": 0.015,
    "nose_length": 0.04, "nose_width": 0.07, "mouth_width": 0.06, "mouth_height": 0.02,
    "lip_thickness": 0.15,
}  # fmt: skip


def _mirrored(right_half: dict[int, tuple[float, float]]) -> np.ndarray:
    field = np.zeros((68, 2), np.float32)
    for point, (x, y) in right_half.items():
        field[point] = x, y
        field[MIRROR_68[point]] = -x, y
    return field


def _mean_shape() -> np.ndarray:
    depth = np.zeros((68, 1), np.float32)
    for point, z in _DEPTH.items():
        depth[[point, MIRROR_68[point]]] = z
    flat = MEAN_FACE.astype(np.float64)
    line = flat[60:, 1].copy()  # a resting mouth is closed
    flat[61:64, 1] += 0.45 * (line[[7, 6, 5]] - line[1:4])
    flat[[67, 66, 65], 1] -= 0.45 * (line[[7, 6, 5]] - line[1:4])
    flat[17:27, 1] += 0.05  # brows of a resting face are lower
    flat[[21, 22], 1] -= 0.015
    flat[[0, 16], 1] -= 0.04
    flat[[1, 15], 1] -= 0.015
    flat[[59, 55]] += [[0.015, 0.01], [-0.015, 0.01]]
    lower_face = np.where(flat[:, 1:] > 0, 1.10, 1.0)  # real faces are a little longer
    return np.concatenate([flat[:, :1], flat[:, 1:] * lower_face, depth], axis=1)


MEAN_SHAPE = _mean_shape()
DISPLACEMENTS = np.stack([_mirrored(half) for half in _DISPLACEMENT.values()])
SIDE = np.sign(np.where(np.abs(MEAN_FACE[:, 0]) < 1e-3, 0.0, MEAN_FACE[:, 0])).astype(np.float32)


def neutral_shape(proportions: dict[str, float]) -> np.ndarray:
    """Returns the mean face with an identity's proportions; the result is mirror symmetric.

    Args:
      proportions: deviation of every entry of `PROPORTIONS` (0 is the mean face): relative for
        sizes, face units for `eye_tilt`, `brow_height`, `brow_arch` and `mouth_height`.

    Returns:
      `[68, 3]` float32, face units.
    """
    p = proportions
    shape = MEAN_SHAPE.astype(np.float64)
    side = SIDE.astype(np.float64)
    jaw, brows, eyes, mouth = shape[:17], shape[17:27], shape[36:48], shape[48:]
    lower = np.clip(jaw[:, 1] / 1.5, 0, 1)
    jaw[:, 0] *= 1 + p["jaw_width"] * np.sin(np.pi * lower)
    jaw[:, 1] += p["chin"] * lower**2
    brows[:, 1] -= p["brow_height"]
    brows[:, 1] -= p["brow_arch"] * np.tile([-1.0, 0.5, 1.0, 0.5, -1.0], 2)
    for eye in (eyes[:6], eyes[6:]):
        centre = eye.mean(0)
        eye += (eye - centre) * [p["eye_size"], 2 * p["eye_size"], 0]
        eye[:, 1] -= p["eye_tilt"] * (np.abs(eye[:, 0]) - abs(centre[0])) / 0.25
    eyes[:, 0] += side[36:48] * p["eye_spacing"] / 2
    shape[27:36, 1] += p["nose_length"] * (shape[27:36, 1] + 0.05)
    shape[31:36, 0] *= 1 + p["nose_width"]
    mouth[:, 1] += p["mouth_height"] + 0.5 * p["nose_length"]
    mouth[:, 0] *= 1 + p["mouth_width"]
    inner_line = mouth[12:].mean(0)[1]
    mouth[:12, 1] += (mouth[:12, 1] - inner_line) * p["lip_thickness"]
    shape[:, 0] *= 1 + p["width"]
    shape[:, 1] *= 1 + p["height"]
    return shape.astype(np.float32)


def express(shape, intensities, balance) -> np.ndarray:
    """Returns a neutral face moved by its action units.

    Args:
      shape: `[68, 3]` neutral face, face units.
      intensities: `[T, A]`, 0..1, in the order of `ACTION_UNITS`.
      balance: `[A]`, -1..1; above 0 the left side of the face (right of the image) moves more.

    Returns:
      `[T, 68, 3]` float32, face units; lids and lips touch but never cross.
    """
    fields = DISPLACEMENTS * (1 + np.asarray(balance)[:, None, None] * SIDE[:, None])
    moved = np.repeat(np.asarray(shape, np.float32)[None], len(intensities), axis=0)
    moved[..., :2] += np.einsum("ta,alc->tlc", intensities, fields)
    _keep_apart(moved, (37, 38, 43, 44), (41, 40, 47, 46), 0.0)
    _keep_apart(moved, (61, 62, 63), (67, 66, 65), 0.0)
    _keep_apart(moved, (50, 51, 52), (61, 62, 63), 0.03)
    _keep_apart(moved, (67, 66, 65), (58, 57, 56), 0.04)
    return moved


def _keep_apart(shape: np.ndarray, upper, lower, least: float) -> None:
    """Moves two rows of points apart, in place, where they are closer than `least` in y."""
    missing = np.maximum(least - (shape[:, lower, 1] - shape[:, upper, 1]), 0) / 2
    shape[:, upper, 1] -= missing
    shape[:, lower, 1] += missing


def project(shape, angles, scale, position) -> np.ndarray:
    """Rotates the head and projects it to the image by weak perspective.

    Args:
      shape: `[T, 68, 3]`, face units.
      angles: `[T, 3]` yaw, pitch, roll, radians; 0 faces the camera.
      scale: pixels of one face unit; a number or `[T, 1, 1]`.
      position: `[T, 2]`, the head's centre of rotation, pixels.

    Returns:
      `[T, 68, 2]` float32, pixels.
    """
    yaw, pitch, roll = np.moveaxis(np.asarray(angles, np.float32), -1, 0)[..., None]
    pivot = np.array([0.0, 0.35, -0.8], np.float32)  # near the top of the neck
    x, y, z = np.moveaxis(np.asarray(shape, np.float32) - pivot, -1, 0)
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y = y * np.cos(pitch) + z * np.sin(pitch)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    flat = np.stack([x, y], axis=-1) * scale
    return (flat + np.asarray(position, np.float32)[:, None]).astype(np.float32)
