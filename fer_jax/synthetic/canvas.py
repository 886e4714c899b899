"""Anti-aliased drawing of smooth curves on one image, in floating-point pixels."""

from __future__ import annotations

import functools

import numpy as np

_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_ANGLE = np.linspace(0, 2 * np.pi, 25)[:, None]
_COSINE, _SINE = np.cos(_ANGLE), np.sin(_ANGLE)


def tone(colour, factor: float) -> tuple[float, float, float]:
    """Returns a lighter (factor above 1) or darker colour, RGB 0..255."""
    return tuple(min(max(float(c) * factor, 0.0), 255.0) for c in colour)


def opencv():
    """Returns the module `cv2`, imported on first use.

    Raises:
      ImportError: it is missing; the message names the package.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "drawing faces needs OpenCV: pip install opencv-python-headless"
        ) from error
    return cv2


@functools.lru_cache(maxsize=32)
def _spline(points: int, between: int = 6) -> np.ndarray:
    """Returns the matrix from control points to a Catmull-Rom curve through them."""
    rows = []
    for segment in range(points - 1):
        for t in np.arange(between) / between:
            weights = np.zeros(points)
            cubic = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (-(t**2) + t**3) / 2,
            )
            for offset, weight in zip((-1, 0, 1, 2), cubic, strict=True):
                weights[np.clip(segment + offset, 0, points - 1)] += weight
            rows.append(weights)
    rows.append(np.eye(points)[-1])
    return np.array(rows)


def curve(*points: np.ndarray) -> np.ndarray:
    """Returns a smooth curve `[N, 2]` through points `[n, 2]`, given as one or several arrays."""
    return curves(points[0] if len(points) == 1 else np.concatenate(points))


def curves(points: np.ndarray) -> np.ndarray:
    """Returns smooth curves `[..., N, 2]` through the points `[..., n, 2]`."""
    return _spline(points.shape[-2]) @ points


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)


class Pen:
    """Draws on `image` (RGB or grey, uint8), in place; coordinates are pixels."""

    def __init__(self, image: np.ndarray):
        self.cv2, self.image = opencv(), image

    def fill(self, points, colour):
        """Fills the polygon `points [N, 2]`."""
        self.cv2.fillPoly(self.image, [_fixed(points)], colour, self.cv2.LINE_AA, _SHIFT)

    def line(self, points, colour, width: float):
        """Strokes an open curve `[N, 2]`, at least one pixel wide."""
        self.lines(np.asarray(points)[None], colour, width)

    def lines(self, points, colour, width: float):
        """Strokes several open curves `[M, N, 2]`."""
        width = max(1, round(width))
        aliasing = self.cv2.LINE_AA
        self.cv2.polylines(self.image, list(_fixed(points)), False, colour, width, aliasing, _SHIFT)

    def disc(self, centre, radius: float, colour):
        """Fills a circle."""
        radius = int(round(radius * (1 << _SHIFT)))
        centre = tuple(int(c) for c in _fixed(centre))
        self.cv2.circle(self.image, centre, radius, colour, -1, self.cv2.LINE_AA, _SHIFT)

    def ellipse(self, centre, axis_u, axis_v, colour):
        """Fills an ellipse given by its two half axes, each a vector `[2]`."""
        self.fill(centre + _COSINE * axis_u + _SINE * axis_v, colour)
