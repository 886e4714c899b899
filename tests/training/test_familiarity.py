"""How the heads of training clips turn, of landmarks in memory, shared and few."""

import dataclasses

import numpy as np
import pytest

from fer_jax.data.crops import Shared
from fer_jax.data.load import load_clips
from fer_jax.experiments.workdir import Workdir
from fer_jax.faces import quality
from fer_jax.training import familiarity
from tests.finished_runs import landmarks_config, train

ASKED = {"protocol.name": "random_subjects", "train.epochs": 1, "uncertainty.familiarity": True}


@pytest.fixture(scope="module")
def clips(prepared):
    return load_clips(prepared, 4, landmarks_config(prepared).data.frame_rule)


def test_turns_are_those_of_the_clips_however_many_and_however_stored(clips, monkeypatch):
    part = np.array([5, 0, 7, 7, 30])
    expected = quality.mean_turn(clips.landmarks[part])
    np.testing.assert_allclose(familiarity.turns(clips, part), expected, rtol=1e-6)
    monkeypatch.setattr(familiarity, "_AT_ONCE", 2)
    np.testing.assert_allclose(familiarity.turns(clips, part), expected, rtol=1e-6)
    frames = clips.landmarks.reshape(-1, 68, 2)
    shared = Shared(frames, np.arange(len(frames)).reshape(len(clips), -1))
    again = familiarity.turns(dataclasses.replace(clips, landmarks=shared), part)
    np.testing.assert_allclose(again, expected, rtol=1e-6)


def test_heads_that_all_turn_alike_have_no_turns(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "mean_turn", lambda points: np.zeros((len(points), 2)))
    train(landmarks_config(prepared, **ASKED), tmp_path)
    result = Workdir(tmp_path).load_result("random")
    assert "evaluation_unfamiliarity" in result
    assert not [name for name in result if "turns" in name]
    assert not (tmp_path / "model/turns.msgpack").exists()
