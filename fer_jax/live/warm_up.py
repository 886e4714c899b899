"""Compiles a model before the first picture comes, which then does not wait for it."""

from __future__ import annotations

import numpy as np

from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict.windows import Face, stack_faces


def made_up_window(predictor):
    """Input of one window for `Predictor.predict`: the average face and noise."""
    spec, random = predictor.spec, np.random.default_rng(0)
    faces = []
    for _ in range(spec.frames):
        landmarks = 128 + 60 * MEAN_FACE + random.standard_normal((68, 2)).astype(np.float32)
        if not predictor.takes_crops:
            faces.append(Face(landmarks))
            continue
        size = spec.prepared_size
        crop = random.integers(0, 255, (size, size, 3), np.uint8)
        inside = (size / 2 + size / 4 * MEAN_FACE).astype(np.float32)
        faces.append(Face(landmarks, crop, inside))
    return stack_faces(faces, predictor.module.inputs)


def warm_up(predictor, mc_samples: int = 100) -> None:
    """Compiles what predicts a window; takes seconds.

    Args:
      predictor: of `fer_jax.load_model`.
      mc_samples: with which it will predict.
    """
    window = made_up_window(predictor)
    predictor.unfamiliarity(window)
    predictor.predict(window, mc_samples=mc_samples)
