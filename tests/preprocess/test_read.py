"""People of one source: decoded once, numbered as in prediction."""

import types

import numpy as np
import pytest

pytest.importorskip("dlib", reason="needs the extra: pip install 'fer_jax[preprocess]'")

from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import VideoPart
from fer_jax.predict import sources
from fer_jax.predict.options import Options
from preprocess import read
from preprocess.clip import Clip


def test_people_of_a_video_are_read_at_once_and_numbered_as_predicted(real_data, monkeypatch):
    path = real_data / "videos" / "intel_head-pose-face-detection-female-and-male.mp4"
    opened, follow, part = [], read.tracker.follow, VideoPart(path, 0, 40)
    monkeypatch.setattr(
        read.tracker, "follow", lambda _, **named: opened.append(0) or follow(part, **named)
    )
    reader = read.Reader()
    clips = [Clip(f"{n}", f"p{n}", "joy", path, person=n) for n in (1, 2)]
    sequences = [reader.read(clip)[0] for clip in clips]
    assert len(opened) == 1
    model = types.SimpleNamespace(
        takes_crops=False, spec=types.SimpleNamespace(frames=4, features="position"),
        record=types.SimpleNamespace(dataset={}), module=types.SimpleNamespace(inputs="edges"),
    )  # fmt: skip
    predicted = sources.open_source(model, path, Options(people="all"), print)
    seen: dict = {}
    for frame in predicted.frames:
        for track, face in frame.faces.items():
            seen.setdefault(track, []).append(face.landmarks)
    numbers = predicted.numbers()
    assert sorted(numbers.values()) == [1, 2]
    for track, points in seen.items():
        mine = sequences[numbers[track] - 1]
        np.testing.assert_array_equal(mine.landmarks[mine.detected], points)
    with pytest.raises(ClipError, match="no such person: it does not show person 3, but person 1"):
        reader.read(Clip("3", "p3", "joy", path, person=3))
    with pytest.raises(ClipError, match="several people: name one"):
        reader.read(Clip("0", "p", "joy", path, alone=True))
    assert len(opened) == 2  # by the prediction
