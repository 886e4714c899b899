"""Whether the landmarks of a file are pixels of a picture."""

from __future__ import annotations

import numpy as np

from fer_jax.faces.sequence import ClipError

_SMALLEST, _LARGEST = 2, 8192  # of a face, pixels
_MIRRORED = -0.05  # see `_upright`; profiles and points in a line are near 0


def check_pixels(points: np.ndarray, frame_size: tuple[int, int]) -> list[str]:
    """Checks that landmarks are pixels, x to the right and y downwards.

    Args:
      points: `[N, 68, 2]`.
      frame_size: width and height of the video, pixels; 0 if unknown.

    Returns:
      Notes on what is odd.

    Raises:
      ClipError: they are shares of the picture, of another unit, or mirrored.
    """
    if not len(points):
        return []
    size = float(np.median(np.ptp(points, axis=1).max(1)))
    if not _SMALLEST <= size <= _LARGEST:
        what = "are in another unit, or have lost their decimal points"
        if np.abs(points).max() <= 1:
            what = "are shares of the picture: multiply them by its width and height"
        raise ClipError("no pixels", f"its faces are {size:.3g} pixels large: the landmarks {what}")
    if float(np.median(_upright(points))) < _MIRRORED:
        raise ClipError(
            "mirrored landmarks",
            "its faces are mirrored: x must grow to the right and y downwards, and OpenFace's "
            "order of the points must be kept",
        )
    places = zip("xy", np.median(points, axis=(0, 1)), frame_size, strict=True)
    outside = [f"{axis} around {at:.4g}" for axis, at, end in places if not 0 <= at <= (end or at)]
    return [f"its faces lie outside the picture ({', '.join(outside)})"] if outside else []


def _upright(points: np.ndarray) -> np.ndarray:
    """Area between the line of the eyes and that to the mouth, `[N]`, squares of the face's size.

    About 0.15 for a face from the front; below 0 if it is mirrored.
    """
    across = points[:, 42:48].mean(1) - points[:, 36:42].mean(1)
    down = points[:, 48:68].mean(1) - points[:, 36:48].mean(1)
    area = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]
    return area / np.maximum(np.ptp(points, axis=1).max(1), 1e-9) ** 2
