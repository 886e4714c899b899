"""Finds by how much a clip must be turned to make its faces upright."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from fer_jax.faces.detector import Detector
from fer_jax.faces.video import Frames, open_frames

_FIRST, _EVERY = 100, 5  # of the first frames, so many are examined first
_CLOSER = 10  # of the frames that are examined, every so many are enlarged
_SPREAD = 16  # frames over the rest of the clip; then those in the middle between them
_FLAT = 4.0  # standard deviation of gray levels below which a picture holds no face


def upright_rotation(source, model_path=None, detector=None) -> int:
    """Returns by how many degrees clockwise a clip must be turned to make faces upright.

    Examines every fifth of the first hundred frames; if none shows a face, some frames over the
    whole clip. 0 if no face is found. Arguments as `Tracker`.

    Raises:
      ClipError: as `open_frames`.
    """
    detector = detector or Detector(model_path)
    hits = {90: 0, 270: 0, 180: 0}
    for count, image in enumerate(_probes(source, hits)):
        closer = count % _CLOSER == 0
        if best_score(detector, image, 0, closer) >= detector.sure:
            return 0
        scores = {each: best_score(detector, image, each, closer) for each in hits}
        best = max(scores, key=scores.get)
        hits[best] += scores[best] >= detector.sure
        if max(hits.values()) == 2:
            break
    best = max(hits, key=hits.get)
    return best if hits[best] else 0


def _probes(source, hits: dict[int, int]) -> Iterator[np.ndarray]:
    """Yields frames to examine: those of the beginning, then others until one shows a face."""
    frames = open_frames(source)
    yield from (image for _, image in itertools.islice(frames, 0, _FIRST, _EVERY))
    if frames.announced <= _FIRST:
        return
    rest = np.linspace(_FIRST, frames.announced - 1, 2 * _SPREAD + 1).astype(int)
    for some in (rest[::2], rest[1::2]):
        if any(hits.values()):
            return
        yield from (image for image in _at(source, frames, some) if image.std() > _FLAT)


def _at(source, frames: Frames, positions: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the frames at some positions, ascending; seeks them where the source can."""
    if frames.sample is not None:
        yield from frames.sample(positions)
        return
    wanted = set(positions.tolist())
    for position, (_, image) in enumerate(open_frames(source)):
        if position in wanted:
            yield image


def best_score(detector: Detector, image, rotation: int, closer: bool = False) -> float:
    """Returns the best detector score in a turned frame; `closer` upsamples if there is none."""
    gray, _ = detector.shrink(np.ascontiguousarray(np.rot90(image, -rotation // 90)))
    found = detector.search(gray) or (detector.search(gray, closer=True) if closer else [])
    return max((score for _, score in found), default=-1.0)
