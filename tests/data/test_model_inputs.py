"""What networks are given: edges and motion of landmarks, middles and scales of face crops."""

import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.data.model_inputs import batch_inputs, frame_inputs, model_inputs
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D


def test_model_inputs_ignore_the_place_of_the_face(make_clips):
    clips = make_clips()
    inputs = model_inputs(clips.landmarks, clips.graph.edges)
    assert inputs.shape == (*clips.landmarks.shape[:2], len(clips.graph.edges), 2)
    moved = model_inputs(clips.landmarks + [100, -30], clips.graph.edges)
    np.testing.assert_allclose(moved, inputs, atol=1e-3)


def test_motion_features_ignore_the_shape_of_the_face(make_clips):
    clips = make_clips()
    inputs = model_inputs(clips.landmarks, clips.graph.edges, features="motion")
    assert not inputs[:, 0].any() and inputs[:, 1:].any()
    other_face = clips.landmarks + np.random.default_rng(0).normal(0, 5, (68, 2))
    again = model_inputs(other_face, clips.graph.edges, features="motion")
    np.testing.assert_allclose(again, inputs, atol=1e-3)
    with pytest.raises(ValueError, match="'flow' are unknown: use 'position' or 'motion'"):
        model_inputs(clips.landmarks, clips.graph.edges, features="flow")


# Face crops


def test_frame_inputs_take_the_middle_and_scale_it():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 32, 32, 3)).astype(np.uint8)
    inputs = frame_inputs(frames, 28, "imagenet")
    assert inputs.shape == (2, 5, 28, 28, 3) and inputs.dtype == np.float32
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (frames[:, :, 2:30, 2:30] / 255.0 - mean) / deviation
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    assert frame_inputs(frames, 0, "imagenet").shape[-2] == 32


@pytest.mark.parametrize("crop_size", [24, 27, 0])
def test_landmarks_stay_on_the_face_when_the_middle_is_taken(crop_size):
    """A bright pixel at every landmark is there again, and nothing else is bright."""
    rng = np.random.default_rng(0)
    cells = rng.choice(20 * 20, (2, 3, 68))  # in the middle 20 x 20 of 32 x 32
    points = np.stack([6 + cells % 20, 6 + cells // 20], -1)  # column, row
    frames = np.zeros((2, 3, 32, 32, 3), np.uint8)
    clip, frame = np.arange(2)[:, None, None], np.arange(3)[:, None]
    frames[clip, frame, points[..., 1], points[..., 0]] = 255
    batch = {"frames": frames, "crop_landmarks": points.astype(np.float32)}
    found = batch_inputs(batch, InceptionResNet3D(4), None, crop_size=crop_size)
    size = crop_size or 32
    assert found["frames"].shape == (2, 3, size, size, 3)
    columns, rows = np.moveaxis(found["landmarks"].astype(int), -1, 0)
    np.testing.assert_allclose(found["frames"][clip, frame, rows, columns], 1.0)
    assert (found["frames"] > 0).sum() == (frames > 0).sum()


def test_gray_networks_see_no_colour():
    rng = np.random.default_rng(0)
    coloured = rng.integers(0, 256, (1, 1, 8, 8, 3)).astype(np.uint8)
    weights = np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
    gray = np.repeat((coloured @ weights)[..., None], 3, -1)
    seen = [
        np.asarray(frame_inputs(jnp.asarray(frames, jnp.float32), 0, "vggface", gray=True))
        for frames in (coloured, gray)
    ]
    np.testing.assert_allclose(seen[0], seen[1], atol=0.02)
    plain = np.asarray(frame_inputs(jnp.asarray(coloured, jnp.float32), 0, "vggface"))
    assert np.abs(plain - seen[0]).max() > 20


def test_unknown_pixels_are_named():
    with pytest.raises(ValueError, match="pixels 'vgg' are unknown: use one of"):
        frame_inputs(np.zeros((1, 1, 4, 4, 3), np.uint8), 0, "vgg")
