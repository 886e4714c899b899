"""Models that are faked: of landmarks, and of face crops."""

import dataclasses
import types

import numpy as np
import pytest

from fer_jax.data.frame_selection import select_frames
from fer_jax.experiments.bundle import InputSpec, Record
from fer_jax.uncertainty import summarise
from tests.predict.fakes import CLASSES
from tests.trusting import trusting


@pytest.fixture
def predictor():
    """A fake model: joy grows with the face's x; its MC samples differ a little."""

    def respond(landmarks, *, mc_samples, seed, frame_width):
        joy = np.clip(landmarks[..., 0].mean() / (frame_width or 640), 0.05, 0.95)
        joy = joy + np.linspace(-0.04, 0.04, mc_samples)[:, None]
        return summarise(np.stack([0.7 * (1 - joy), joy, 0.3 * (1 - joy)], axis=-1))

    return types.SimpleNamespace(
        task="classification", classes=CLASSES, threshold=0.9, predict=respond, record=Record(),
        spec=InputSpec(4, "uniform", "position", None, window_seconds=1.0), takes_crops=False,
        select=lambda detected, times: select_frames(detected, 4, "uniform"),
        module=types.SimpleNamespace(inputs="edges"), is_compiled=lambda mc_samples: True,
        familiarity=None, trust=trusting(), draws=(),
    )  # fmt: skip


@pytest.fixture
def crop_predictor(predictor):
    """A fake model: joy grows with the brightness of the crops."""

    def respond(crops, *, mc_samples, seed, frame_width):
        assert crops.shape == (1, 4, 32, 32, 3) and crops.dtype == np.uint8
        joy = np.full((mc_samples, 1), np.clip(crops.mean() / 255, 0.05, 0.95))
        return summarise(np.stack([0.7 * (1 - joy), joy, 0.3 * (1 - joy)], axis=-1))

    predictor.takes_crops, predictor.module.inputs = True, "frames"
    predictor.spec = dataclasses.replace(predictor.spec, prepared_size=32)
    predictor.predict = respond
    predictor.record = Record(dataset={"scaled": True})
    return predictor
