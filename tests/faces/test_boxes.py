"""Boxes of other detectors: what is refused, where the face is in them, who is who."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.faces.boxes.followed import BoxTracker, overlaps
from fer_jax.faces.boxes.given import read_boxes
from fer_jax.faces.boxes.placed import face_in_box, face_in_crop
from fer_jax.faces.crop import cut_crop
from fer_jax.faces.landmarks import ALIGNED, BOX, FER2013, MEAN_FACE, eye_distance

SIZE = (640, 360)


@pytest.mark.parametrize(
    ("boxes", "wanted"),
    [
        (None, []),
        ([], []),
        ((10, 20, 110, 140), [[10, 20, 110, 140]]),
        ([[10, 20, 110, 140], [200, 20, 300, 140]], [[10, 20, 110, 140], [200, 20, 300, 140]]),
        (np.array([[np.nan] * 4, [1, 2, 30, 40]]), [[1, 2, 30, 40]]),
        ((-30, -20, 90, 80), [[-30, -20, 90, 80]]),  # a face at the border
    ],
)
def test_boxes_are_read(boxes, wanted):
    np.testing.assert_array_equal(read_boxes(boxes, "boxes", SIZE), np.reshape(wanted, (-1, 4)))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ((10, 20, 110), r"boxes are \[3\]: give \(left, top, right, bottom\)"),
        ([[10, 20, 110]], r"boxes are \[1, 3\]"),
        (["left", 1, 2, 3], "boxes are a list"),
        ((200, 100, 80, 90), "ends before it begins.*right = left"),  # x, y, width, height
        ((0.2, 0.1, 0.6, 0.5), "0.2, 0.1, 0.6, 0.5, smaller than 2 pixels.*shares"),
        ((700, 20, 800, 140), "outside of its 640 x 360"),
        ((10, -140, 110, -20), "outside of its 640 x 360"),
    ],
)
def test_what_is_no_box_is_refused(boxes, message):
    with pytest.raises(ValueError, match=message) as error:
        read_boxes(boxes, "boxes", SIZE)
    assert "\n" not in str(error.value)


# Boxes around one face whose eyes are at (0, 0) and 100 pixels apart, as detectors draw them.
DETECTORS = {
    "dlib": (-122, -72, 122, 171),
    "68 landmarks": (-115, -52, 115, 178),
    "to the hair": (-110, -120, 110, 178),
    "small square": (-113, -53, 113, 173),
}


@pytest.mark.parametrize("box", DETECTORS.values(), ids=DETECTORS.keys())
def test_boxes_of_any_detector_place_the_same_face(box):
    points = face_in_box(box)
    assert eye_distance(points) == pytest.approx(100, abs=7)
    assert points[36:48].mean(0) == pytest.approx([0, 0], abs=17)


@given(
    st.floats(-50, 600), st.floats(-50, 300), st.floats(4, 400), st.floats(0.8, 1.6),
    st.floats(0.1, 10), st.floats(-100, 100),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_the_face_moves_and_grows_with_its_box(left, top, width, shape, scale, shift):
    box = np.array([left, top, left + width, top + shape * width])
    moved = face_in_box(scale * box + shift)
    np.testing.assert_allclose(moved, scale * face_in_box(box) + shift, atol=1e-6 * scale * 1e3)


@pytest.mark.parametrize("framing", [ALIGNED, FER2013, BOX], ids=["aligned", "fer2013", "box"])
@pytest.mark.parametrize("size", [(48, 48), (32, 32), (48, 30)])
def test_whole_images_stay_as_they_are(framing, size):
    image = np.random.default_rng(0).integers(1, 256, (*size[::-1], 3), np.uint8)
    crop, _ = cut_crop(image, face_in_crop(size, framing), max(size), framing)
    top = (max(size) - size[1]) // 2
    np.testing.assert_array_equal(crop[top : top + size[1]], image)
    assert not crop[:top].any() and not crop[top + size[1] :].any()
    assert np.ptp(MEAN_FACE, axis=0).max() > 1  # the mean face itself is not changed


def steps(*frames, fps=25):
    tracker = BoxTracker(fps)
    return [tracker.step(np.reshape(boxes, (-1, 4)).astype(float)) for boxes in frames]


def test_people_keep_their_numbers_as_they_move():
    left, right = np.array([10, 10, 110, 110]), np.array([300, 10, 400, 110])
    found = steps([left, right], [right + 20, left + 15], [left + 30], [left + 45, right + 30])
    assert found == [[0, 1], [1, 0], [0], [0, 1]]


def test_boxes_apart_or_back_after_long_are_new_people():
    box = np.array([10, 10, 110, 110])
    assert steps([box], [box + 90], [box + 180]) == [[0], [1], [2]]
    assert steps([box], *[[]] * 24, [box])[-1] == [0]
    assert steps([box], *[[]] * 25, [box])[-1] == [1]


def test_overlap_of_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], float)
    np.testing.assert_allclose(overlaps(boxes, boxes)[0], [1, 1 / 3, 0])
