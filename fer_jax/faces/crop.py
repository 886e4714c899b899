"""Face crops: squares around a face, aligned by the eyes or upright, padded with black."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from fer_jax.faces.landmarks import ALIGNED, LEFT_EYE, MOUTH, RIGHT_EYE, Framing, eye_distance

SMALLEST, LARGEST = 32, 512  # allowed sides, pixels
QUALITY = 95  # of the JPEG files, 0..100
_CLOSEST = 1.0  # least eye distance, pixels; below, the direction is undefined
# Image pixels per crop pixel left to bilinear sampling: fewer would blur, more would alias.
_FINEST = 1.5


def crop_transform(landmarks: np.ndarray, size: int, framing: Framing = ALIGNED) -> np.ndarray:
    """Returns the similarity transform from source pixels to the pixels of a crop.

    In an aligned crop the eye centres become level, at the distance that the framing sets (0.4
    `size`), and the point halfway between the eyes and the mouth moves to the middle column, at the
    height that the framing sets (the middle). Crops of other kinds are not turned: "eyes" sets
    distance and place of the eyes alone, "box" those of the box around all points. Integers are
    pixel centres in both, so the crop covers -0.5 to size - 0.5.

    Args:
      landmarks: `[68, 2]`, pixels of the source.
      size: side of the crop, pixels.
      framing: position and size of the face in it.

    Returns:
      `[2, 3]` float64, `crop point = matrix @ (x, y, 1)`.

    Raises:
      ValueError: landmarks have another shape or are not finite, or eyes coincide.

    The papers describe their crops hardly or not at all: docs/data/crops.md.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"a crop needs 68 finite landmarks [68, 2], got {points.shape}")
    right, left = points[RIGHT_EYE].mean(0), points[LEFT_EYE].mean(0)
    across = left - right
    distance = float(np.hypot(*across))
    if distance < _CLOSEST:
        raise ValueError(f"the eyes are {distance:.2g} pixels apart: no crop can be aligned")
    cosine, sine = across / distance if framing.kind == "aligned" else (1.0, 0.0)
    scale = size / _side(points, framing)
    turn = scale * np.array([[cosine, sine], [-sine, cosine]])
    centre = (right + left) / 2
    if framing.kind == "aligned":
        centre = (centre + points[MOUTH].mean(0)) / 2
    elif framing.kind == "box":
        centre = (points.min(0) + points.max(0)) / 2
    target = np.array([0.5, framing.height]) * size - 0.5
    return np.column_stack([turn, target - turn @ centre])


def _side(points: np.ndarray, framing: Framing) -> float:
    """Side of the square that a crop shows, pixels of the source."""
    unit = np.ptp(points, axis=0).max() if framing.kind == "box" else eye_distance(points)
    return framing.eye_distances * float(unit)


def cut_crop(
    image: np.ndarray, landmarks: np.ndarray, size: int, framing: Framing = ALIGNED
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts one face out of a frame, see `crop_transform`.

    Args:
      image: `[H, W, 3]` uint8.
      landmarks: `[68, 2]`, pixels of the image; they may lie outside of it.
      size: side of the crop, pixels.
      framing: position and size of the face in it; that of a model is `Predictor.framing`.

    Returns:
      The crop, `[size, size, 3]` uint8, black outside the image and beside the framing's width,
      and its landmarks, `[68, 2]` float32, pixels of the crop.

    Raises:
      ValueError: as `crop_transform`.
    """
    matrix = crop_transform(landmarks, size, framing)
    inside = np.asarray(landmarks, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    crop = warp(image, matrix, size)
    if beside := round(size * (1 - framing.width) / 2):
        crop[:, :beside] = crop[:, -beside:] = 0
    return crop, inside.astype(np.float32)


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Cuts out what a transform of `crop_transform` maps into the crop.

    Args:
      image: `[H, W]` or `[H, W, 3]` uint8.
      matrix: `[2, 3]`.
      size: side of the crop, pixels.

    Returns:
      `[size, size]` or `[size, size, 3]` uint8, black outside the image.
    """
    crop = np.zeros((size, size, *image.shape[2:]), np.uint8)
    part, scale, corner = _around(image, matrix, size)
    if part.size:
        # crop point = matrix @ image point, image point = scale * part point + corner
        offset = matrix[:, :2] @ corner + matrix[:, 2]
        inward = np.column_stack([matrix[:, :2] * scale, offset])
        crop = cv2.warpAffine(part, inward, (size, size), flags=cv2.INTER_LINEAR)
    return crop


def _around(image: np.ndarray, matrix: np.ndarray, size: int):
    """Returns the part of the image that a crop shows, averaged down if it is much finer.

    Sampling a large face at few points would alias.

    Returns:
      The part, and scale `[2]` and corner `[2]` with `image point = scale * part point + corner`.
    """
    back = cv2.invertAffineTransform(matrix)
    rim = np.array([[-1, -1], [size, -1], [size, size], [-1, size]]) @ back[:, :2].T + back[:, 2]
    step = float(np.hypot(*back[:, 0]))  # image pixels per crop pixel
    low = np.floor(rim.min(0) - step).clip(0, image.shape[1::-1]).astype(int)
    high = np.ceil(rim.max(0) + step + 1).clip(0, image.shape[1::-1]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    if step <= _FINEST or not part.size:
        return part, np.ones(2), low.astype(float)
    extent = (high - low).astype(float)
    small = np.maximum(np.round(extent / step * _FINEST), 1).astype(int)
    scale = extent / small
    part = cv2.resize(part, tuple(small.tolist()), interpolation=cv2.INTER_AREA)
    return part, scale, low + (scale - 1) / 2


@dataclasses.dataclass(frozen=True)
class Crop:
    """A crop as it is held until the clip has been read.

    Attributes:
      jpeg: content of a JPEG file.
      landmarks: `[68, 2]` float32, pixels of the crop.
      side: side of the square that was cut, pixels of the source.
    """

    jpeg: bytes
    landmarks: np.ndarray
    side: float


def make_crop(
    image: np.ndarray, landmarks: np.ndarray, size: int, framing: Framing = ALIGNED
) -> Crop:
    """Cuts and encodes one face; arguments and errors as `cut_crop`."""
    crop, inside = cut_crop(image, landmarks, size, framing)
    return Crop(encode_jpeg(crop), inside, _side(np.asarray(landmarks), framing))


def encode_jpeg(image: np.ndarray) -> bytes:
    """Encodes `[H, W, 3]` uint8 RGB as a JPEG file of quality 95."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def pack(files: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Concatenates the image files of a clip.

    Args:
      files: one per frame, empty if there is none.

    Returns:
      The bytes, `[N]` uint8, and T + 1 offsets, int64: frame t is `bytes[offsets[t]:offsets[t+1]]`.
    """
    lengths = [len(file) for file in files]
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    return np.frombuffer(b"".join(files), np.uint8), offsets
