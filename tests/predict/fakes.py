"""Inputs of prediction: landmark files, a video, a picture; the command with a faked model."""

import cv2
import numpy as np

from fer_jax.commands import predict
from fer_jax.faces.landmarks import MEAN_FACE
from tests.official_trees import write_openface

CLASSES = ("anger", "joy", "calm")
POINTS = MEAN_FACE * 40 + [160, 110]


def picture(level):
    return np.full((240, 320, 3), level, np.uint8)


def write_faces(path, frames=25, first=1, lost=(), x=500.0, **columns):
    numbers = np.arange(first, first + frames)
    success = [int(index not in lost) for index in range(frames)]
    points = np.tile(MEAN_FACE * 40 + [x, 240], (frames, 1, 1))
    columns |= {"frame": numbers, "timestamp": (numbers - 1) / 10, "success": success}
    return write_openface(path, points, **columns)


def write_video(path, frames, size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 5 * index, np.uint8))
    writer.release()
    return path


def run(monkeypatch, predictor, *arguments):
    monkeypatch.setattr("fer_jax.predict.load.load_model", lambda path, say: predictor)
    return predict.main(["bundle", *map(str, arguments)])
