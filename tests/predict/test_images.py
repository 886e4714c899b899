"""Pictures and boxes: every face, many at a time, without a detector where boxes are given."""

import sys

import cv2
import numpy as np
import pytest

import fer_jax
from fer_jax.predict.windows import ClipProblem
from fer_jax.synthetic.clips import make_clip
from fer_jax.synthetic.render import render

BOX = ["box_left", "box_top", "box_right", "box_bottom"]
QUICK = {"mc_samples": 4}


@pytest.fixture(scope="module")
def faces():
    return fer_jax.load_model("faces")


@pytest.fixture(scope="module")
def drawn():
    """Two drawn people, `[2, H, W, 3]`, and the landmarks `[2, 68, 2]` they were drawn from."""
    clips = [make_clip(0, subject, 3) for subject in range(2)]
    points = np.stack([clip.true_landmarks[-1] for clip in clips])
    images = [
        next(iter(render(points[[n]], clip.identity, seed=n))) for n, clip in enumerate(clips)
    ]
    return np.stack(images), points


def box_of(points):
    return np.r_[points.min(0), points.max(0)]


def numbers(table):
    return table.select_dtypes("number").drop(columns="clip", errors="ignore").to_numpy()


@pytest.fixture
def without_dlib(monkeypatch):
    from fer_jax.faces import detector

    monkeypatch.setitem(sys.modules, "dlib", None)
    monkeypatch.setattr(detector, "_idle_detectors", [])
    monkeypatch.setattr(detector, "packaged", lambda *names: None)
    detector._dlib_models.cache_clear()
    yield
    detector._dlib_models.cache_clear()


def test_pictures_have_the_rows_of_predict_clips(faces, drawn, tmp_path):
    files = [tmp_path / f"{index}.png" for index in range(2)]
    for file, image in zip(files, drawn[0], strict=True):
        cv2.imwrite(str(file), image[..., ::-1])
    table = fer_jax.predict_images(faces, files, **QUICK)
    clips = fer_jax.predict_clips(faces, files, people="all", **QUICK)
    assert list(table.columns) == list(clips.columns)
    assert table["clip"].tolist() == list(map(str, files))
    assert table["label"].tolist() == clips["label"].tolist()
    assert table["reason"].tolist() == clips["reason"].tolist()
    np.testing.assert_allclose(numbers(table), numbers(clips), rtol=1e-4, atol=1e-5)
    arrays = fer_jax.predict_images(faces, drawn[0], **QUICK)
    assert arrays["clip"].tolist() == [0, 1]
    np.testing.assert_allclose(numbers(arrays), numbers(table), rtol=1e-4, atol=1e-5)


def test_boxes_need_no_dlib_and_say_nearly_the_same(faces, drawn, without_dlib):
    images, points = drawn
    boxes = [box_of(each) for each in points]
    table = fer_jax.predict_images(faces, images, boxes, **QUICK)
    np.testing.assert_allclose(table[BOX], boxes)
    assert table[["yaw", "pitch", "roll", "fit"]].isna().to_numpy().all()
    assert (table["sharpness"] > 15).all() and table["person"].tolist() == [1, 1]
    rows = [
        next(fer_jax.predict_frames(faces, [image], [known], **QUICK))
        for image, known in zip(images, points, strict=True)
    ]
    assert table["label"].tolist() == [row["label"] for row in rows]
    wanted = [[row[name] for name in faces.classes] for row in rows]
    np.testing.assert_allclose(table[list(faces.classes)], wanted, atol=0.25)


@pytest.mark.parametrize("people", ["all", "largest"])
def test_each_box_is_a_row_in_its_order(faces, drawn, people):
    image, box = drawn[0][0], box_of(drawn[1][0])
    boxes = [box + [20, 20, -20, -20], box]
    table = fer_jax.predict_images(faces, image, boxes, people=people, **QUICK)
    wanted = [1, 2] if people == "all" else [2]
    assert table["person"].tolist() == wanted
    np.testing.assert_allclose(table[BOX], np.array(boxes)[np.array(wanted) - 1])


def test_rows_do_not_depend_on_the_other_pictures(faces, drawn):
    crops = [cv2.resize(image, (48, 48)) for image in drawn[0]]
    crops += [cv2.flip(crop, 0) for crop in crops] + [255 - crops[0]]
    together = fer_jax.predict_images(faces, crops, "whole", **QUICK)
    alone = fer_jax.predict_images(faces, crops[3], "whole", **QUICK)
    np.testing.assert_allclose(numbers(together)[3], numbers(alone)[0], rtol=1e-4, atol=1e-5)
    row = next(fer_jax.predict_frames(faces, [crops[3]], boxes="whole", **QUICK))
    assert row["entropy"] == pytest.approx(alone["entropy"][0], abs=1e-5)
    assert row["unfamiliarity"] == pytest.approx(alone["unfamiliarity"][0], rel=1e-4)
    assert together["face_size"].tolist() == [48] * 5


def test_gray_crops_are_those_of_training(faces):
    crops = np.random.default_rng(0).integers(0, 256, (2, 48, 48), np.uint8)
    table = fer_jax.predict_images(faces, crops, "whole", **QUICK)
    stacked = np.repeat(crops[:, None, ..., None], 3, axis=-1)
    wanted = faces.predict_each(stacked, **QUICK).mean
    np.testing.assert_allclose(table[list(faces.classes)], wanted, atol=1e-6)
    one = fer_jax.predict_images(faces, crops[0], "whole", **QUICK)
    assert len(one) == 1


def test_pictures_without_a_face_keep_a_row(faces, drawn):
    boxes = [None, box_of(drawn[1][1])]
    table = fer_jax.predict_images(faces, drawn[0], boxes, **QUICK)
    assert table["label"][0] == "no face" and table["person"].tolist() == [0, 1]
    assert table["reason"][0] == "unreadable: no face" and table["abstained"][0]
    assert np.isnan(table["happiness"][0]) and table["frames"].tolist() == [0, 1]


def test_files_that_are_no_pictures_are_skipped(faces, drawn, tmp_path):
    good, bad, folder = tmp_path / "1.png", tmp_path / "2.png", tmp_path / "folder"
    cv2.imwrite(str(good), drawn[0][0][..., ::-1])
    bad.write_bytes(b"no picture")
    folder.mkdir()
    said, box = [], box_of(drawn[1][0])
    paths = [bad, good, folder, tmp_path / "none.png"]
    boxes = [box, box, box, box]
    table = fer_jax.predict_images(faces, paths, boxes, say=said.append, **QUICK)
    assert table["clip"].tolist() == [str(good)]
    skipped = [line for line in said if line.startswith("skipped")]
    for name, line in zip(["2.png", "folder", "none.png"], skipped, strict=True):
        assert name in line
    assert "predict_clips" in skipped[1]


@pytest.mark.parametrize(
    ("images", "boxes", "message"),
    [
        (np.zeros((9, 9, 3)), "whole", r"image 0 is float64 \[9, 9, 3\]: give RGB"),
        ([np.zeros((9, 9, 4), np.uint8)], "whole", r"image 0 is uint8 \[9, 9, 4\]"),
        (np.zeros((9, 9), np.uint8), "all", "boxes is 'all': give boxes, or 'whole'"),
        (np.zeros((2, 9, 9, 3), np.uint8), [None], "differ in number, one has 1"),
        (np.zeros((9, 9), np.uint8), (1, 2, 3), r"boxes of image 0 are \[3\]"),
    ],
)  # fmt: skip
def test_what_is_no_picture_or_box_is_refused(faces, images, boxes, message):
    with pytest.raises(ValueError, match=message):
        fer_jax.predict_images(faces, images, boxes)


@pytest.mark.parametrize(
    ("images", "boxes", "error", "message"),
    [
        (5, "whole", TypeError, "images is 5 of type int: give a picture"),
        (None, "whole", TypeError, "images is None of type NoneType"),
        (np.zeros((2, 9, 9), np.uint8), 5, TypeError, "boxes is 5 of type int: give boxes, or 'w"),
        ([5], "whole", ValueError, "image 0 is 5 of type int: give RGB"),
        ([None], "whole", ValueError, "image 0 is None of type NoneType: give RGB"),
    ],
)
def test_arguments_of_another_kind_are_named(faces, images, boxes, error, message):
    with pytest.raises(error, match=f"^{message}"):
        fer_jax.predict_images(faces, images, boxes)


def test_models_of_landmarks_say_that_boxes_do_not_suffice(predictor):
    model = predictor
    model.name = "smiles"
    image = np.zeros((99, 99, 3), np.uint8)
    for call in (
        lambda: fer_jax.predict_images(model, image, (1, 1, 90, 90)),
        lambda: fer_jax.predict_frames(model, [image], boxes=[(1, 1, 90, 90)]),
    ):
        with pytest.raises(ValueError, match="smiles needs 68 landmarks .* boxes do not"):
            call()


def test_without_a_detector_the_error_says_what_to_do(faces, without_dlib):
    with pytest.raises(ClipProblem, match="preprocess.*detect.*boxes='whole'"):
        fer_jax.predict_images(faces, np.zeros((99, 99, 3), np.uint8))


def test_boxes_follow_people_over_frames(faces, drawn):
    image, box = drawn[0][0], box_of(drawn[1][0])
    boxes = [[box + n, box + [-90, 0, -90, 0]] if n != 4 else None for n in range(10)]
    images = [image] * 10
    rows = list(
        fer_jax.predict_frames(faces, images, boxes=boxes, fps=10, window=1, people="all", **QUICK)
    )
    assert [(row["person"], row["frames"]) for row in rows] == [(1, 9), (2, 9)]
    assert rows[0]["face_share"] == 0.9
    np.testing.assert_allclose([rows[0][name] for name in BOX], box + 5)
    with pytest.raises(ValueError, match="both landmarks and boxes"):
        fer_jax.predict_frames(faces, images, [None] * 10, boxes=boxes)
    with pytest.raises(ValueError, match="differ in number, one has 3"):
        list(fer_jax.predict_frames(faces, images, boxes=boxes[:3], **QUICK))
