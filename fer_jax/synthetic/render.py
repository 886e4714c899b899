"""Renders landmark sequences, synthetic or real, as RGB videos of drawn people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fer_jax.faces.landmarks import eye_distance
from fer_jax.synthetic.camera import PLAIN, Style, make_backdrop, make_camera
from fer_jax.synthetic.canvas import opencv
from fer_jax.synthetic.draw_face import Appearance, draw_face

FRAME = 256  # side of the frame that the landmarks refer to, pixels

_SKIN = ((236, 203, 178), (228, 184, 152), (216, 164, 130), (198, 140, 104), (150, 102, 74))
_HAIR = ((38, 28, 24), (66, 44, 30), (110, 76, 46), (168, 128, 76), (128, 60, 34), (140, 136, 132))
_IRIS = ((70, 45, 28), (92, 66, 38), (84, 108, 70), (86, 120, 156), (104, 116, 124))
_CLOTHES = ((52, 74, 112), (118, 44, 48), (48, 92, 70), (70, 70, 76), (172, 166, 152))
_BACKGROUND = ((168, 176, 186), (128, 142, 132), (150, 132, 118), (96, 108, 128), (186, 182, 172))


def _pick(rng: np.random.Generator, palette, jitter: float) -> np.ndarray:
    colour = np.array(palette[int(rng.integers(len(palette)))], float)
    brightness = 1 + jitter * rng.standard_normal()
    return np.clip(colour * brightness * (1 + 0.015 * rng.standard_normal(3)), 5, 250)


def _blend(first, second, share: float) -> tuple[float, float, float]:
    return tuple(float(c) for c in (1 - share) * np.asarray(first) + share * np.asarray(second))


def make_appearance(rng: np.random.Generator) -> Appearance:
    """Draws random colours and hair of one person."""
    skin = _pick(rng, _SKIN, 0.05)
    hair = _pick(rng, _HAIR, 0.15)
    lips = _blend(skin * [0.86, 0.58, 0.56], (176, 72, 78), rng.uniform(0.1, 0.4))
    return Appearance(
        skin=tuple(skin),
        lips=lips,
        hair=tuple(hair),
        brow=_blend(hair * 0.5, skin * 0.25, 0.3),
        iris=tuple(_pick(rng, _IRIS, 0.08)),
        clothes=tuple(_pick(rng, _CLOTHES, 0.1)),
        background=tuple(_pick(rng, _BACKGROUND, 0.08)),
        hairline=float(rng.uniform(0.85, 1.05)),
        crown=float(rng.uniform(1.35, 1.5)),
        hair_length=float(rng.uniform(0.6, 1.5) if rng.random() < 0.5 else 0.0),
        parting=float(rng.uniform(-0.8, 0.8)),
        brow_thickness=float(rng.uniform(0.075, 0.12)),
    )


def render(
    landmarks,
    identity,
    *,
    frame_size: tuple[int, int] = (FRAME, FRAME),
    size: int | None = None,
    seed: int = 0,
    style: Style = PLAIN,
) -> Iterator[np.ndarray]:
    """Draws the frames of a clip, one at a time.

    Args:
      landmarks: `[T, 68, 2]` pixels; synthetic or real (see `fit_to_frame`).
      identity: the person; anything with an `appearance`.
      frame_size: (width, height) of the frame that the landmarks refer to, pixels.
      size: height of the drawn frames, pixels; default: that of `frame_size`.
      seed: of light, background and camera noise.
      style: the look of the frames.

    Yields:
      `[H, W, 3]` uint8 RGB frames.

    Raises:
      ValueError: landmarks have another shape or are not finite.
      ImportError: OpenCV is missing.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (68, 2):
        raise ValueError(f"render needs landmarks [T, 68, 2], got {landmarks.shape}")
    if not np.isfinite(landmarks).all():
        raise ValueError("render got landmarks that are not finite: omit undetected frames")
    scale = 1.0 if size is None else size / frame_size[1]
    width, height = (round(side * scale) for side in frame_size)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
    look = identity.appearance
    backdrop = make_backdrop(width, height, look.background, style, rng)
    light = rng.uniform(-1, 1)
    record = make_camera(width, height, style, rng)
    for points in landmarks * scale:
        yield record(draw_face(points, look, backdrop, light, style))


def fit_to_frame(landmarks, *, eye_pixels: float = 56.0) -> np.ndarray:
    """Fits a real sequence into the 256 x 256 frame by one shift and scale for all frames.

    Args:
      landmarks: `[T, 68, 2]`, pixels of any video.
      eye_pixels: median distance of the eye centres afterwards.

    Returns:
      `[T, 68, 2]` float32, pixels of the frame; the motion of the head is kept.
    """
    landmarks = np.asarray(landmarks, np.float64)
    scale = eye_pixels / max(float(np.median(eye_distance(landmarks))), 1e-6)
    middle = np.median((landmarks[:, 27] + landmarks[:, 33]) / 2, axis=0)
    return ((landmarks - middle) * scale + [FRAME * 0.5, FRAME * 0.53]).astype(np.float32)


def write_video(path, frames: Iterable[np.ndarray], fps: float = 25.0) -> int:
    """Writes RGB frames to a video file (`.mp4` or `.avi`), streaming.

    Returns:
      The number of frames written.

    Raises:
      ValueError: no frames.
      OSError: the file cannot be written.
    """
    cv2 = opencv()
    codec = cv2.VideoWriter_fourcc(*("MJPG" if str(path).endswith(".avi") else "mp4v"))
    writer, count = None, 0
    try:
        for frame in frames:
            if writer is None:
                writer = cv2.VideoWriter(str(path), codec, fps, (frame.shape[1], frame.shape[0]))
                if not writer.isOpened():
                    raise OSError(f"{path} cannot be written as video: use .mp4 or .avi")
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            count += 1
    finally:
        if writer is not None:
            writer.release()
    if not count:
        raise ValueError(f"no frames to write to {path}")
    return count
