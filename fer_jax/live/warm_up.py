"""Makes a model ready before the first picture comes, which then does not wait for it."""

from __future__ import annotations

import cv2
import numpy as np

from fer_jax import shipped
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict import sources
from fer_jax.predict.options import Options
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


def warm_up(predictor, mc_samples: int = 100, landmark_model=None) -> None:
    """Loads what finds faces and compiles what predicts a window; takes seconds.

    Args:
      predictor: of `fer_jax.load_model`.
      mc_samples, landmark_model: with which it will predict, see `predict_clips`.

    Raises:
      ClipProblem: nothing that finds faces is installed.
    """
    picture = cv2.cvtColor(cv2.imread(str(shipped.PORTRAIT)), cv2.COLOR_BGR2RGB)
    how = Options(landmark_model=landmark_model)
    for _ in sources.watch(predictor, [picture, picture], None, how):  # one is found, one followed
        pass
    window = made_up_window(predictor)
    predictor.unfamiliarity(window)
    predictor.predict(window, mc_samples=mc_samples)
