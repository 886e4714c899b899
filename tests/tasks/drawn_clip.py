"""A clip in memory, and shares of colours, for tests of panels and annotated videos."""

import io
import pickle

import numpy as np

from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict.windows import Source, at_rate


def picture(width=640, height=360):
    return np.full((height, width, 3), 120, np.uint8)


def share(image, colour):
    """Share of the pixels that have a colour."""
    return (np.abs(image.astype(int) - colour).max(-1) < 12).mean()


def clip(frames=6):
    """A clip of 10 frames a second with one face, and the spool of its landmarks."""
    faces = [{0: (MEAN_FACE * 60 + [300, 150]).astype(np.float32)} for _ in range(frames)]
    spool = io.BytesIO()
    for index, frame in enumerate(faces):
        pickle.dump((index / 10, (index + 1) / 10, frame), spool)
    spool.seek(0)
    stream = at_rate(faces, 10.0)
    return Source("clip.mp4", stream, lambda: iter([picture()] * frames), 10.0, 640, frames), spool
