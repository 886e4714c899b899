"""The look of frames: style of drawing, and effects of lens, film and compression."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from fer_jax.synthetic.canvas import opencv

_SPARE = 64  # pixels by which the grain pattern exceeds a frame, so that it can be shifted


@dataclasses.dataclass(frozen=True)
class Style:
    """The style of the pictures of one database; the default is a plain drawing.

    Attributes:
      backdrop: rows and columns of patches of brightness in the background.
      contrast: relative standard deviation of their brightness.
      brightness: factor on the brightness of the background.
      shade_step: steps between the tones of the face's shading, of 256; 0 is smooth.
      outline: width of inked outlines, eye distances; 0 is none.
      side_light: loss of light on the side of the face away from the lamp, -1..1; above 0 the lamp
        is on the left of the image.
      blur: blur of the lens, pixels.
      vignette: loss of light at the corners, 0..1.
      grain: standard deviation of the noise, of 256.
      grey: whether frames are without colour.
      resolution: fraction of the pixels kept along each axis.
      jpeg: JPEG quality of the frames, 1..100; 0 is none.
    """

    backdrop: tuple[int, int] = (5, 5)
    contrast: float = 0.12
    brightness: float = 1.0
    shade_step: int = 0
    outline: float = 0.0
    side_light: float = 0.0
    blur: float = 0.0
    vignette: float = 0.0
    grain: float = 3.0
    grey: bool = False
    resolution: float = 1.0
    jpeg: int = 0


PLAIN = Style()


def in_steps(shade: np.ndarray, step: int) -> np.ndarray:
    """Rounds shading, uint8, to a few flat tones around 128."""
    tones = 128 + step * np.round((np.arange(256) - 128) / step)
    return np.clip(tones, 0, 255).astype(np.uint8)[shade]


def side_light(width: int, height: int, middle, right, missing: float) -> np.ndarray:
    """Returns the light of a lamp beside a face, `[height, width]` uint8; 128 is full light.

    Args:
      width, height: size of the frame, pixels.
      middle: `[2]`, point at which light turns to shadow, pixels.
      right: `[2]`, direction of the head's right in the image, of length 1 / eye distance.
      missing: `Style.side_light`.
    """
    away = np.sign(missing) * np.asarray(right)
    across = np.arange(width) * away[0] + np.arange(height)[:, None] * away[1] - middle @ away
    dark = 1 / (1 + np.exp(-4 * across))
    return np.round(128 * (1 - abs(missing) * dark)).astype(np.uint8)


def make_backdrop(width: int, height: int, colour, style: Style, rng) -> np.ndarray:
    """Paints the background, `[height, width, 3]` uint8, in shades of a colour (RGB)."""
    cv2 = opencv()
    patches = np.asarray(colour) * (1 + style.contrast * rng.standard_normal((*style.backdrop, 1)))
    patches = np.clip(patches * style.brightness, 0, 255).astype(np.uint8)
    return cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)


def make_camera(width: int, height: int, style: Style, rng) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a camera: a function from a drawn frame to the recorded frame.

    Args:
      width, height: size of the frames, pixels.
      style: see `Style`.
      rng: random generator of the grain, used at every frame.
    """
    cv2 = opencv()
    sheet = (height + _SPARE, width + _SPARE, 3)
    grain = np.clip(128 + style.grain * rng.standard_normal(sheet), 0, 255).astype(np.uint8)
    corners = _vignette(width, height, style.vignette) if style.vignette else None

    def record(image: np.ndarray) -> np.ndarray:
        if style.blur:
            image = cv2.GaussianBlur(image, (0, 0), style.blur)
        if corners is not None:
            image = cv2.multiply(image, corners, scale=1 / 255)
        y, x = rng.integers(_SPARE, size=2)
        image = cv2.addWeighted(image, 1.0, grain[y : y + height, x : x + width], 1.0, -128.0)
        if style.grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return _compress(image, style)

    return record


def _vignette(width: int, height: int, lost: float) -> np.ndarray:
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    kept = 1 - lost * (x**2 + y**2) / 2
    return np.repeat(np.round(255 * kept)[..., None], 3, axis=2).astype(np.uint8)


def _compress(image: np.ndarray, style: Style) -> np.ndarray:
    """Reduces the resolution, applies JPEG, and restores the size."""
    cv2 = opencv()
    height, width = image.shape[:2]
    if style.resolution < 1:
        small = round(width * style.resolution), round(height * style.resolution)
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    if style.jpeg:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, style.jpeg])
        image = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if style.resolution < 1:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image
