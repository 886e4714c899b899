"""`python -m fer_jax.predict` from a bundle of action units to tables, videos and figures."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.commands.predict import main
from fer_jax.data.frame_selection import window_frames
from fer_jax.predict.api import predict_clips, predict_frames
from fer_jax.predict.windows import columns
from fer_jax.synthetic.clips import ACTION_UNITS, make_clip, render
from tests.bundles import CROPS, LANDMARKS, write_bundle

FPS, FRAMES = 25.0, 4
UNITS = tuple(f"AU{index:02d}" for index in ACTION_UNITS)


HOW = {"rule": "windows", "seconds": FRAMES / FPS, "task": "action_units"}
LIMITS = (0.5, None, *[0.5] * (len(UNITS) - 2))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"), LANDMARKS, UNITS, LIMITS, **HOW)


@pytest.fixture(scope="module")
def crop_bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("crop_bundle"), CROPS, UNITS, LIMITS, **HOW)


@pytest.fixture(scope="module")
def clip():
    return make_clip(0, 1, 3, frames=20, fps=FPS)


@pytest.fixture(scope="module")
def landmark_file(clip, tmp_path_factory):
    rows = {"frame": np.arange(1, 21), "timestamp": np.arange(20) / FPS, "success": 1}
    for axis, name in enumerate("xy"):
        rows |= {f"{name}_{i}": clip.landmarks[:, i, axis] for i in range(68)}
    rows = pd.DataFrame(rows)
    rows.loc[12:, "success"] = 0
    path = tmp_path_factory.mktemp("clips") / "openface.csv"
    rows.to_csv(path, index=False)
    return path


def test_action_units_from_landmarks_to_table_video_and_figure(
    bundle, landmark_file, tmp_path, capsys
):
    out, video, figure = (tmp_path / name for name in ("t.json", "v.mp4", "f.png"))
    drawn = ["--annotate", str(video), "--figure", str(figure)]
    options = ["--mc-samples", "6", "--stride", "0.04", "--out", str(out), *drawn]
    assert main([str(bundle), str(landmark_file), *options]) == 0
    said = capsys.readouterr()
    assert "not drawn" not in said.err
    assert f"no threshold for {UNITS[1]}," in said.err and "unsure, of 18" in said.out

    table = pd.DataFrame(json.loads(out.read_text()))
    assert list(table) == columns(UNITS, "action_units") and len(table) == 17
    np.testing.assert_allclose(table["end"], np.arange(4, 21) / FPS)
    assert table["frames"].tolist() == [4] * 9 + [3, 2, 1] + [0] * 5
    seen = table[table["frames"] > 0]
    chances = seen[[*UNITS]].to_numpy(float)
    assert ((chances > 0) & (chances < 1)).all()
    withheld = seen[[f"abstained_{unit}" for unit in UNITS]].to_numpy(bool)
    entropy = seen[[f"entropy_{unit}" for unit in UNITS]].to_numpy(float)
    limits = np.array([0.5, np.inf, *[0.5] * (len(UNITS) - 2)])
    assert (withheld == (entropy > limits)).all() and withheld.any() and not withheld.all()
    names = np.array(UNITS)
    for label, present in zip(seen["label"], (chances > 0.5) & ~withheld, strict=True):
        assert label == ("+".join(names[present]) or "none")
    assert set(seen["label"]) != {"none"}
    assert (table["label"] == "no face").tolist() == (table["frames"] == 0).tolist()

    capture = cv2.VideoCapture(str(video))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 20
    assert cv2.imread(str(figure)).shape[1] >= 270  # 9 inches


def test_units_are_predicted_of_the_windows_that_were_trained_on(bundle, clip):
    """A row is what the model says of the training window that ends at the row's last frame."""
    model, images = fer_jax.load_model(bundle), render(clip.true_landmarks, clip.identity)
    rows = predict_frames(
        model, images, clip.landmarks, fps=FPS, stride=1 / FPS, mc_samples=6, seed=3
    )
    windows = clip.landmarks[window_frames(np.ones(20, bool), FRAMES)]
    for row, window in zip(rows, windows[FRAMES - 1 :], strict=True):
        said = model.predict(window[None], mc_samples=6, seed=3, frame_width=clip.frame_size[0])
        np.testing.assert_allclose([row[unit] for unit in UNITS], said.mean[0], rtol=1e-6)
        deviation = [row[f"std_{unit}"] for unit in UNITS]
        np.testing.assert_allclose(deviation, said.variance[0] ** 0.5, rtol=1e-6)


def test_units_of_crops(crop_bundle, landmark_file, clip):
    model = fer_jax.load_model(crop_bundle)
    assert predict_clips(model, landmark_file, say=lambda text: None).empty  # no pictures
    images = render(clip.true_landmarks, clip.identity)
    table = pd.DataFrame(predict_frames(model, images, clip.true_landmarks, fps=FPS, mc_samples=6))
    assert list(table) == columns(UNITS, "action_units")[1:]
    np.testing.assert_allclose(table["start"], np.arange(0, 17, 2) / FPS)
    assert table[[*UNITS]].std().max() > 1e-5
    assert (table[[f"std_{unit}" for unit in UNITS]] > 0).all(axis=None)
