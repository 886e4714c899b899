"""Which way is up, also where faces come late."""

import numpy as np
import pytest

from fer_jax.synthetic.clips import make_clip, render, write_video

pytest.importorskip("dlib", reason="needs the extra: pip install 'fer_jax[preprocess]'")

from fer_jax.faces.orientation import upright_rotation


@pytest.mark.parametrize("turned", [0, 1])
def test_face_that_comes_late_tells_which_way_is_up(tmp_path, turned):
    clip = make_clip(0, 0, 1, frames=12)
    faces = [np.rot90(image, turned) for image in render(clip.true_landmarks, clip.identity)]
    noise = np.random.default_rng(0).normal(128, 12, faces[0].shape)
    empty = np.clip(noise, 0, 255).astype(np.uint8)
    path = tmp_path / "late.mp4"
    write_video(path, [*[empty] * 130, *faces, *[empty] * 10], 25)
    assert upright_rotation(path) == 90 * turned
