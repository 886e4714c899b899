"""Every person of a window: numbers, boxes, quality, and reasons not to trust a face."""

import concurrent.futures

import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict import api
from fer_jax.predict.options import Options
from fer_jax.predict.people import BOX, COLUMNS
from fer_jax.predict.windows import columns
from fer_jax.synthetic.clips import make_clip, render, write_video
from tests.official_trees import write_openface
from tests.predict.test_windows import CLASSES, face, fake_predictor, predict

EVERYONE = Options(mc_samples=12, stride=1.0, people="all")
SURE = Options(mc_samples=12, threshold=9.0)


def clear(one, sharpness=90.0, fit=1.5):
    return one._replace(sharpness=sharpness, fit=fit)


def test_every_person_of_a_window_has_a_row():
    one, other = clear(face(x=64, size=60)), clear(face(x=580, size=30))
    frames = [{4: other}] * 10 + [{4: other, 7: one}] * 10 + [{7: one}] * 10 + [{}] * 10
    table = predict(frames, options=EVERYONE)
    assert table["person"].tolist() == [1, 1, 2, 2, 0]
    assert table["start"].tolist() == [0, 1, 1, 2, 3]
    assert table.attrs["faces"] == [4, 4, 7, 7, None]
    assert table["joy"].tolist()[:4] == pytest.approx([0.9, 0.9, 0.1, 0.1], abs=0.02)
    assert table["reason"].tolist() == [""] * 4 + ["unreadable: no face"]
    largest = predict(frames, options=Options(mc_samples=12, stride=1.0))
    assert list(largest) == list(table) == columns(CLASSES)
    assert largest["person"].tolist() == [1, 2, 2, 0]


def test_who_is_seen_in_a_blink_only_is_nobody():
    steady = clear(face(x=64))
    frames = [{0: steady} | ({5: face(x=500)} if index == 4 else {}) for index in range(10)]
    assert predict(frames, options=EVERYONE)["person"].tolist() == [1]


def test_box_and_quality_are_medians_over_the_window():
    faces = [clear(face(x=100 + index), sharpness=50 + index, fit=index) for index in range(9)]
    table = predict([{0: one} for one in faces] + [{}], options=EVERYONE)
    (row,) = table.to_dict("records")
    points = faces[4].landmarks
    box = [*points.min(0), *points.max(0)]
    assert [row[name] for name in BOX] == pytest.approx(box)
    assert row["face_share"] == 0.9 and row["frames"] == 9
    assert row["face_size"] == pytest.approx(max(box[2] - box[0], box[3] - box[1]))
    assert (row["sharpness"], row["fit"]) == (54, 4)
    assert [row[name] for name in ("yaw", "pitch", "roll")] == pytest.approx([0, 0, 0], abs=3)


def stretched(yaw):
    """A face turned by `yaw` degrees to the right of the picture."""
    from fer_jax.synthetic.clips import project
    from fer_jax.synthetic.face_model import MEAN_SHAPE

    angles = np.radians([[yaw, 0.0, 0.0]])
    points = project(MEAN_SHAPE[None], angles, 50.0, np.array([[320.0, 240.0]]))[0]
    return clear(face()._replace(landmarks=points.astype(np.float32)))


def lying(degrees):
    """A face whose top is turned clockwise in the picture."""
    turn = np.exp(1j * np.radians(degrees))
    points = (face().landmarks @ [1, 1j]) * turn
    return clear(face()._replace(landmarks=np.stack([points.real, points.imag], 1)))


@pytest.mark.parametrize(
    "one, reason",
    [
        (lying(88), "on its side"), (lying(-88), "on its side"), (lying(20), ""),
        (clear(face()), ""), (clear(face(size=10)), "face too small"), (stretched(50), "profile"),
        (stretched(-50), "profile"), (stretched(20), ""), (clear(face(), sharpness=3), "blurred"),
        (face(), ""),
    ],
)  # fmt: skip
def test_face_that_cannot_be_read_abstains_and_says_why(one, reason):
    (row,) = predict([{0: one}] * 10, options=SURE).to_dict("records")
    assert (row["reason"], row["abstained"]) == (reason and f"unreadable: {reason}", reason != "")
    assert row["label"] in CLASSES and np.isfinite(row["entropy"])


def test_face_is_small_in_the_frame_that_is_searched():
    one = clear(face(size=30))
    near, far = (predict([{0: one}] * 10, options=SURE, width=width) for width in (640, 3840))
    assert near["reason"].tolist() == [""] and far["reason"].tolist() == [
        "unreadable: face too small"
    ]


@pytest.mark.parametrize("features, moved, reason", [
    ("motion", 0.0, "no motion"), ("motion", 8.0, ""), ("position", 0.0, ""),
    ("motion", 0.5, "no motion"), ("motion", 4.0, ""),  # precise landmarks show little motion
    ("normalised_motion", 0.0, "no motion"), ("normalised_motion", 8.0, ""),
])  # fmt: skip
def test_model_of_motion_abstains_without_motion(features, moved, reason):
    predictor = fake_predictor()
    predictor.spec = predictor.spec.__class__(4, "uniform", features, None, 1.0)
    smile = np.zeros((68, 2), np.float32)
    smile[48:60] = 2 * (MEAN_FACE[48:60] - MEAN_FACE[48:60].mean(0))
    frames = [
        {0: clear(face()._replace(landmarks=face().landmarks + smile * moved * index / 9))}
        for index in range(10)
    ]
    assert predict(frames, predictor, SURE)["reason"].tolist() == [
        reason and f"unreadable: {reason}"
    ]


def test_unsure_row_says_so():
    table = predict([{0: clear(face())}] * 10, options=Options(mc_samples=12, threshold=0.01))
    assert table["reason"].tolist() == ["ambiguous"] and table["abstained"].all()


def test_wrong_choice_of_people_is_refused():
    with pytest.raises(ValueError, match="people is 'both': give 'largest' or 'all'"):
        api.predict_frames(fake_predictor(), [], people="both")


def two_people(path, frames=20):
    """Writes people at 300 and 500 pixels, the second in most frames; 7 goes on where 5 was lost.

    One more number is seen in the first frame only.
    """
    number = np.arange(frames)
    first = pd.DataFrame({"frame": number, "face_id": np.where(number < 8, 5, 7), "x": 300.0})
    first = first[(number >= 2) & (number < 18)]
    second = pd.DataFrame({"frame": number, "face_id": 2, "x": 500.0})
    blink = pd.DataFrame({"frame": [0], "face_id": [9], "x": [100.0]})
    rows = pd.concat([blink, first, second]).sort_values("frame", kind="stable")
    points = [MEAN_FACE * 40 + [x, 240] for x in rows["x"]]
    return write_openface(
        path, points, frame=rows["frame"] + 1, face_id=rows["face_id"],
        timestamp=rows["frame"] / 10, confidence=np.where(rows["x"] > 400, 0.9, 0.7),
    )  # fmt: skip


@pytest.mark.parametrize("people", ["largest", "all"])
def test_people_of_a_landmark_file_have_numbers(predictor, tmp_path, people):
    said = []
    table = api.predict_clips(
        predictor, two_people(tmp_path / "a.csv"), stride=1.0, people=people, say=said.append
    )
    second = table[table["person"] == 1]  # begins in the first frame
    assert second["start"].tolist() == [0.0, 1.0] and (second["box_left"] > 400).all()
    assert (second["fit"] == 0.9).all() and (second["face_share"] == 1).all()
    first = table[table["person"] == 2]
    if people == "largest":
        assert first.empty and any("2 other faces in the file" in line for line in said)
        return
    assert first["face_share"].tolist() == [0.8, 0.8] and (first["box_left"] < 400).all()
    assert (first["fit"] == 0.7).all() and len(table) == 4
    assert not any("other faces" in line for line in said)
    assert any("face_id 5, 7 taken for one person" in line for line in said)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    pytest.importorskip("dlib", reason="needs the extra: pip install 'fer_jax[preprocess]'")
    folder, paths = tmp_path_factory.mktemp("videos"), []
    for subject in (0, 3):
        clip = make_clip(0, subject, 1, frames=20)
        paths.append(folder / f"{subject}.mp4")
        write_video(paths[-1], render(clip.true_landmarks, clip.identity), 25)
    return paths


def test_threads_predict_what_one_thread_predicts(finished_run, videos):
    model = fer_jax.load_model(finished_run("landmarks").bundle)

    def rows(path):
        return api.predict_clips(model, [path], mc_samples=4, people="all", say=lambda text: None)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # which also compile the model
        together = list(pool.map(rows, videos))
    alone = [rows(path) for path in videos]
    for wanted, given in zip(alone, together, strict=True):
        pd.testing.assert_frame_equal(wanted, given)
    assert (alone[0][list(COLUMNS)].notna()).all(axis=None)


def test_frames_of_two_people_give_rows_for_both(finished_run):
    pytest.importorskip("dlib", reason="needs the extra: pip install 'fer_jax[preprocess]'")
    clips = [make_clip(0, subject, 1, frames=4) for subject in (0, 3)]
    images = [
        np.hstack(pair)
        for pair in zip(*(render(c.true_landmarks, c.identity) for c in clips), strict=True)
    ]
    model = fer_jax.load_model(finished_run("landmarks").bundle)
    rows = list(api.predict_frames(model, images, mc_samples=4, people="all"))
    assert [row["person"] for row in rows] == [1, 2]
    boxes = sorted(row["box_left"] for row in rows)
    assert boxes[0] < 256 < boxes[1]
    assert all(row["fit"] > 0 and row["sharpness"] > 15 for row in rows)
