"""Aligned face crops: position of the eyes, black borders, pixels that match their landmarks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.faces import tracker
from fer_jax.faces.crop import crop_transform, cut_crop, encode_jpeg, make_crop, pack
from fer_jax.faces.landmarks import BOX, EYES, FER2013, LEFT_EYE, MEAN_FACE, RIGHT_EYE, Framing
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.video import Frames
from preprocess import read
from preprocess.clip import Clip

SIZES = (32, 64, 150, 224)


def placed(distance=60.0, degrees=0.0, middle=(150.0, 140.0), noise=0.0, seed=0) -> np.ndarray:
    """The mean face with eyes `distance` apart, turned about their middle: `[68, 2]`."""
    face = MEAN_FACE.astype(float)
    face = face + noise * np.random.default_rng(seed).standard_normal(face.shape)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return distance * face @ turn.T + middle


def eyes_and_centre(face) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vector between the eyes and the point halfway between eyes and mouth."""
    right, left = face[RIGHT_EYE].mean(0), face[LEFT_EYE].mean(0)
    return left - right, ((right + left) / 2 + face[48:68].mean(0)) / 2


anywhere = st.builds(
    placed,
    distance=st.floats(3, 900),
    degrees=st.floats(-180, 180),
    middle=st.tuples(st.floats(-500, 2000), st.floats(-500, 2000)),
    noise=st.floats(0, 0.05),
    seed=st.integers(0, 99),
)


@settings(max_examples=50, deadline=None)
@given(landmarks=anywhere, size=st.sampled_from(SIZES))
def test_crop_transform_levels_the_eyes_at_one_distance(landmarks, size):
    matrix = crop_transform(landmarks, size)
    across, centre = eyes_and_centre(landmarks @ matrix[:, :2].T + matrix[:, 2])
    np.testing.assert_allclose(across, [0.4 * size, 0], atol=1e-6 * size)
    np.testing.assert_allclose(centre, (size - 1) / 2, atol=1e-6 * size)
    # nothing is stretched or mirrored
    (a, b), (c, d) = matrix[:, :2]
    np.testing.assert_allclose([a, b], [d, -c], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(landmarks=anywhere, size=st.sampled_from(SIZES))
def test_cut_crop_returns_the_landmarks_inside(landmarks, size):
    image = np.full((90, 120, 3), 200, np.uint8)
    crop, inside = cut_crop(image, landmarks, size)
    assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
    assert inside.dtype == np.float32
    scale = np.linalg.norm(inside[16] - inside[0]) / np.linalg.norm(landmarks[16] - landmarks[0])
    across, _ = eyes_and_centre(landmarks)
    np.testing.assert_allclose(scale, 0.4 * size / np.hypot(*across), rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    landmarks=anywhere,
    size=st.sampled_from(SIZES),
    framing=st.builds(
        lambda side, height: Framing(side, height), st.floats(1.5, 5), st.floats(0.2, 0.8)
    )
    | st.just(FER2013),
)
def test_framing_places_eyes_and_mouth(landmarks, size, framing):
    _, inside = cut_crop(np.zeros((90, 120, 3), np.uint8), landmarks, size, framing)
    across, centre = eyes_and_centre(inside)
    np.testing.assert_allclose(across, [size / framing.eye_distances, 0], atol=1e-3 * size)
    # the crop begins half a pixel before the centre of its first pixel
    np.testing.assert_allclose((centre + 0.5) / size, [0.5, framing.height], atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(landmarks=anywhere, size=st.sampled_from(SIZES))
def test_framing_eyes_sees_the_eyes_alone(landmarks, size):
    """No rotation, the eyes at one distance and one place; a jaw that opens moves nothing."""
    matrix = crop_transform(landmarks, size, EYES)
    right, left = landmarks[RIGHT_EYE].mean(0), landmarks[LEFT_EYE].mean(0)
    scale = 0.4 * size / np.hypot(*(left - right))
    np.testing.assert_allclose(matrix[:, :2], scale * np.eye(2), rtol=1e-6, atol=1e-12)
    middle = matrix[:, :2] @ ((right + left) / 2) + matrix[:, 2]
    np.testing.assert_allclose((middle + 0.5) / size, [0.5, 0.3], atol=1e-6)
    opened = landmarks + np.isin(np.arange(68), [*range(4, 13), *range(55, 60)])[:, None] * [0, 9]
    np.testing.assert_array_equal(crop_transform(opened, size, EYES), matrix)
    assert np.abs(crop_transform(opened, size) - crop_transform(landmarks, size)).max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(landmarks=anywhere, size=st.sampled_from(SIZES))
def test_framing_box_holds_the_whole_face(landmarks, size):
    matrix = crop_transform(landmarks, size, BOX)
    inside = (landmarks @ matrix[:, :2].T + matrix[:, 2] + 0.5) / size
    assert matrix[0, 1] == matrix[1, 0] == 0 and matrix[0, 0] == matrix[1, 1] > 0  # upright
    assert inside.min() > 0 and inside.max() < 1.02  # a face on its side may touch the rim
    np.testing.assert_allclose(np.ptp(inside, axis=0).max(), 1 / 1.15, rtol=1e-6)
    np.testing.assert_allclose((inside.min(0) + inside.max(0)) / 2, [0.5, 0.58], atol=1e-6)


def test_framing_eyes_is_a_rectangle_padded_with_zeros():
    image = np.full((300, 300, 3), 200, np.uint8)
    crop, _ = cut_crop(image, placed(40.0), 60, EYES)
    assert (crop[:, :6] == 0).all() and (crop[:, -6:] == 0).all()  # 0.8 of the width is filled
    assert (crop[:, 6:-6] == 200).all()
    assert make_crop(image, placed(40.0), 60, EYES).side == pytest.approx(100, rel=1e-5)
    assert make_crop(image, placed(40.0), 60, BOX).side == pytest.approx(
        1.15 * np.ptp(placed(40.0), axis=0).max(), rel=1e-5
    )
    whole, _ = cut_crop(image, placed(40.0), 60, BOX)
    assert (whole == 200).all()


def test_framing_moves_pixels():
    """A larger square that is cut around the same face holds the smaller one."""
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    face = placed(25.6)
    small, _ = cut_crop(image, face, 64)
    # as large pixels: 16 more on the left, 26 more above
    large, _ = cut_crop(image, face, 96, Framing(96 / 25.6, (32 + 26) / 96))
    assert np.abs(large[26:90, 16:80].astype(int) - small).max() <= 1
    cut = make_crop(image, face, 96, Framing(96 / 25.6))
    assert cut.side == pytest.approx(96, rel=1e-5)


def test_fitting_face_is_copied_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (120, 130, 3), np.uint8)
    face = placed(25.6, middle=(0, 0))
    offset = eyes_and_centre(face)[1]
    # the middle of 64 pixels that start at column 40 and row 30 is between two pixels
    crop, inside = cut_crop(image, face - offset + [40 + 31.5, 30 + 31.5], 64)
    np.testing.assert_array_equal(crop, image[30:94, 40:104])
    np.testing.assert_allclose(inside, face - offset + 31.5, atol=1e-4)


@pytest.mark.parametrize("degrees", [0, 17, -40, 170])
@pytest.mark.parametrize(("distance", "size"), [(20, 96), (60, 150), (60, 64), (130, 48)])
def test_crop_pixels_lie_at_their_landmarks(degrees, distance, size):
    face = placed(distance, degrees, middle=(401.3, 377.8))
    spread = max(1.5, 1.2 * distance / (0.4 * size))  # a dot of about a pixel of the crop
    pixels = np.arange(800)
    for point in (8, 19, 30, 36, 45, 54, 62):
        column, row = (np.exp(-((pixels - at) ** 2) / (2 * spread**2)) for at in face[point])
        image = np.repeat((255 * np.outer(row, column)).astype(np.uint8)[..., None], 3, axis=2)
        crop, inside = cut_crop(image, face, size)
        weight = crop[..., 0].astype(float)
        rows, columns = np.mgrid[:size, :size]
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert np.abs(found - inside[point]).max() < 0.15, point


@pytest.mark.parametrize(("distance", "size"), [(40, 128), (40, 64), (90, 64), (200, 32)])
@pytest.mark.parametrize("degrees", [0, 25])
def test_outside_the_image_is_black(distance, size, degrees):
    face = placed(distance, degrees, middle=(12.0, 130.0))
    image = np.full((160, 200, 3), 255, np.uint8)
    crop, _ = cut_crop(image, face, size)
    matrix = np.vstack([crop_transform(face, size), [0, 0, 1]])
    rows, columns = np.mgrid[:size, :size]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(matrix).T
    beyond = np.maximum(-0.5 - pixels[..., :2], pixels[..., :2] - [199.5, 159.5]).max(-1)
    step = distance / (0.4 * size)  # image pixels a pixel of the crop
    outside, inside = beyond > 1 + step, beyond < -1 - step
    assert outside.mean() > 0.1 and inside.mean() > 0.05
    assert not crop[outside].any()
    assert (crop[inside] > 252).all()


def test_face_outside_the_image_is_black():
    crop, inside = cut_crop(np.full((50, 60, 3), 255, np.uint8), placed(20), 64)
    assert not crop.any()
    assert inside[30].min() > 0 and inside[30].max() < 64


@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize("distance", [60, 130, 300])
def test_large_face_does_not_alias(distance, degrees):
    rows, columns = np.mgrid[:1300, :1300]
    checked = np.where((rows + columns) % 2, 255, 0).astype(np.uint8)
    image = np.repeat(checked[..., None], 3, axis=2)
    crop, _ = cut_crop(image, placed(distance, degrees, middle=(650, 600)), 48)
    assert abs(crop.mean() - 127.5) < 3
    assert crop.std() < 25  # sampled at single points it would be above 100


def test_cut_crop_of_a_strip_wider_than_opencv_can_warp():
    image = np.zeros((60, 40_000, 3), np.uint8)
    image[:, 39_000:] = 255
    crop, _ = cut_crop(image, placed(20, middle=(39_500, 25)), 32)
    assert (crop[12:20] == 255).all()


@pytest.mark.parametrize(
    "landmarks",
    [np.zeros((68, 2)), placed(0.5), np.full((68, 2), np.nan), np.zeros((51, 2))],
    ids=["origin", "one pixel", "not finite", "51 points"],
)
def test_landmarks_that_cannot_be_aligned_are_refused(landmarks):
    with pytest.raises(ValueError, match="crop"):
        cut_crop(np.zeros((99, 99, 3), np.uint8), landmarks, 64)


def test_pack_concatenates_files_in_colour():
    red, blue = np.zeros((2, 40, 40, 3), np.uint8)
    red[..., 0], blue[..., 2] = 220, 180
    files = [encode_jpeg(red), b"", encode_jpeg(blue)]
    packed, offsets = pack(files)
    assert (packed.dtype, offsets.dtype) == (np.uint8, np.int64)
    assert offsets.tolist() == [0, len(files[0]), len(files[0]), len(files[0]) + len(files[2])]
    for frame, colour in ((0, red), (2, blue)):
        back = cv2.imdecode(packed[offsets[frame] : offsets[frame + 1]], cv2.IMREAD_COLOR)
        assert np.abs(back[..., ::-1].astype(int) - colour).max() < 6


class Seen:
    """What `tracker.follow` returns, for faces at known positions."""

    def __init__(self, frames):
        height, width = frames[0][0].shape[:2]
        self.given = frames
        self.frames = Frames(25.0, (width, height), len(frames), 0, iter(()))

    def __iter__(self):
        for index, (image, found) in enumerate(self.given):
            yield index, image, [tracker.Face(t, p.astype(np.float32), s) for t, p, s in found]


def test_read_clip_crops_the_main_face(monkeypatch):
    image = np.zeros((200, 400, 3), np.uint8)
    image[:, :200, 0], image[:, 200:, 2] = 200, 200  # red left, blue right
    small, large = placed(20, middle=(80, 90)), placed(30, 10, middle=(320, 90))
    lost = np.full((68, 2), 320.0)  # a fit that collapsed
    both = [(0, small, 40), (1, large, 60)]
    frames = [(image, [(0, small, 40)]), (image, both), (image, [(1, lost, 60)]), (image, both)]
    monkeypatch.setattr(read.tracker, "follow", lambda *_, **__: Seen(frames))
    clip = Clip("clip", "someone", "joy", ("a.png",))
    sequence, notes = read.read_clip(clip, None, 40)
    assert sequence.detected.tolist() == [False, True, False, True]
    lengths = np.diff(sequence.crop_offsets)
    assert ((lengths > 0) == sequence.detected).all()
    assert lengths.sum() == len(sequence.crops) == notes["crop_bytes"]
    assert notes["crop_side"] == pytest.approx(75, abs=0.1) and notes["other_faces"] == 1
    for frame in (1, 3):
        start, end = sequence.crop_offsets[frame : frame + 2]
        crop = cv2.imdecode(sequence.crops[start:end], cv2.IMREAD_COLOR)
        assert crop[20, 20, 0] > 190 and crop[20, 20, 2] < 10
        across, _ = eyes_and_centre(sequence.crop_landmarks[frame])
        np.testing.assert_allclose(across, [16, 0], atol=1e-3)
    for frame in (0, 2):
        assert not sequence.landmarks[frame].any() and not sequence.crop_landmarks[frame].any()


def test_read_clip_without_crops_cuts_nothing(monkeypatch):
    image = np.zeros((200, 200, 3), np.uint8)
    frames = [(image, [(0, placed(20, middle=(80, 90)), 40)])] * 2
    monkeypatch.setattr(read.tracker, "follow", lambda *_, **__: Seen(frames))
    monkeypatch.setattr(read, "make_crop", None)
    sequence, notes = read.read_clip(Clip("clip", "someone", "joy", ("a.png",)))
    assert sequence.detected.all() and sequence.crops is None
    assert {"other_faces": 0, "rotation": 0, "note": "", "person": 1}.items() <= notes.items()


def test_crops_of_landmarks_alone_are_refused(tmp_path):
    clip = Clip("clip", "someone", "joy", tmp_path / "a.csv")
    with pytest.raises(ClipError, match=r"no pictures: .*--render"):
        read.read_clip(clip, None, 64)
