"""What networks are given: edges and motion of landmarks, middles and scales of face crops."""

import hypothesis
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from fer_jax.data.model_inputs import batch_inputs, frame_inputs, model_inputs, normalised_motion
from fer_jax.faces import landmarks as lm
from fer_jax.systems.inception_resnet_3d.network import InceptionResNet3D
from tests.quick import quick


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
    with pytest.raises(ValueError, match="'flow' are unknown: use one of 'position', 'motion'"):
        model_inputs(clips.landmarks, clips.graph.edges, features="flow")


@hypothesis.given(
    scale=st.floats(0.2, 5),
    degrees=st.floats(-180, 180),
    place=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    shape=st.integers(0, 9),
)
@pytest.mark.parametrize("inputs", ["edges", "nodes"])
def test_normalised_motion_ignores_size_roll_and_place_of_the_face(
    make_clips, inputs, scale, degrees, place, shape
):
    clips = make_clips(subjects=1)
    seen = model_inputs(clips.landmarks, clips.graph.edges, inputs, "normalised_motion")
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    other = scale * clips.landmarks.astype(float) @ turn + place
    again = model_inputs(other, clips.graph.edges, inputs, "normalised_motion")
    np.testing.assert_allclose(again, seen, atol=1e-4)
    face = np.random.default_rng(shape).normal(0, 5, (68, 2))
    face[36:48] = 0  # the eyes are the unit
    again = model_inputs(clips.landmarks + face, clips.graph.edges, inputs, "normalised_motion")
    np.testing.assert_allclose(again, seen, atol=1e-4)


def test_normalised_motion_of_a_worked_example(small_graph):
    """A face with 2 pixels between the eyes, rolled by 90 degrees, nods and raises a brow."""
    roll = np.array([[0.0, 1.0], [-1.0, 0.0]])
    still = 2 * lm.MEAN_FACE
    nod, raised = np.zeros((2, 68, 2)), np.zeros((2, 68, 2))
    nod[1], raised[1, 20] = (0, 3), (0, -1)  # downwards, upwards
    clip = ((still + nod + raised) @ roll + [7, 9])[None].astype(np.float32)
    nodes = model_inputs(clip, small_graph.edges, "nodes", "normalised_motion")
    expected = np.tile([[[0, -0.75]], [[0, 0.75]]], (51, 1))
    expected[:, 20 - 17] += [[0, 0.25], [0, -0.25]]
    np.testing.assert_allclose(nodes[0], expected, atol=1e-5)
    edges = model_inputs(clip, small_graph.edges, "edges", "normalised_motion")
    expected[:, lm.MASTER] = 0
    source, target = small_graph.edges.T
    np.testing.assert_allclose(edges[0], expected[:, source] - expected[:, target], atol=1e-5)


def test_normalised_motion_is_the_same_on_the_device(make_clips):
    clips = make_clips()
    seen = normalised_motion(clips.landmarks)
    assert seen.shape == (*clips.landmarks.shape[:2], 51, 2) and seen.dtype == np.float32
    np.testing.assert_allclose(quick(normalised_motion)(clips.landmarks), seen, atol=1e-5)
    assert not normalised_motion(np.zeros((1, 2, 68, 2), np.float32)).any()


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
